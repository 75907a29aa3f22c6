// What a machine remembers of an index between runs: a small `seen` file that tells how far the store had come, and a large
// cache file with the whole state, which saves time and nothing else. Both are encrypted under the owner's cache key and
// replaced atomically.
// docs/format.md, "Cache files".
//
// Errors: index_corrupt (damaged, or of another owner; says which file and that it may be deleted), io_error, store_full,
// access_denied. A missing file is no error.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/crypto.hpp"
#include "core/error.hpp"
#include "core/index/model.hpp"
#include "core/limits.hpp"

namespace mutant {

// How far the log had come when we last looked: the high-water mark. All of it is of one history. The hashes were computed
// over what was opened; a store that shows less, or another one in its place, was put back or shows another history.
struct seen_state {
  std::uint64_t root_counter = 0;
  content_hash root_hash{};            // of the root's payload
  std::uint64_t sequence = 0;
  content_hash last_commit{};          // of the payload of commit `sequence`
  std::uint64_t cached_sequence = 0;   // of the state in the cache file; 0: none of this history
  content_hash cached_commit{};        // of the payload of that commit
  friend bool operator==(const seen_state&, const seen_state&) = default;
};

result<void> write_seen(const std::string& path, const aead_key& key, const seen_state& seen);
result<std::optional<seen_state>> read_seen(const std::string& path, const aead_key& key);

// What the cache file holds besides the parts.
struct cache_summary {
  std::uint64_t sequence = 0;      // the state's
  content_hash last_commit{};      // payload hash of that commit
  std::uint64_t next_pad = 0;
  std::uint64_t ring_slots = 0;
  std::uint64_t root_counter = 0;  // of the root known then
  struct frame {
    std::uint64_t offset = 0;      // in the file
    std::uint64_t size = 0;        // sealed bytes
    friend bool operator==(const frame&, const frame&) = default;
  };
  std::vector<frame> frames;       // one snapshot part each, in order
  friend bool operator==(const cache_summary&, const cache_summary&) = default;
};

// Writes every part that `next` gives (nothing: the end), then the summary; `summary.frames` is filled in here.
result<void> write_cache(const std::string& path, const aead_key& key, cache_summary summary,
                         const std::function<std::optional<snapshot_part>()>& next);

// An open cache file. read_part may be called from several threads at once.
class cache_reader {
 public:
  static result<std::unique_ptr<cache_reader>> open(const std::string& path, const aead_key& key);  // null: no file
  ~cache_reader();
  const cache_summary& summary() const noexcept { return summary_; }
  result<snapshot_part> read_part(std::size_t frame) const;

 private:
  cache_reader() = default;
  std::string path_;
  aead_key key_;
  int descriptor_ = -1;
  std::uint64_t file_size_ = 0;
  std::array<std::byte, 16> file_id_{};
  cache_summary summary_;
};

}  // namespace mutant
