// What a store must be like, seen from its pads alone: every record that becomes durable is decrypted and checked here, and the
// log of commits is replayed into a state of its own. Independent of actors; it knows what the clients tried, and the
// promises that they were given.
//
// Checked with every write: a commit comes after the one before it, and never twice; no root goes back, and what it names is
// there and gives the state that the log gives; no pad of a value is overwritten or erased; every value is, byte for byte, one
// that somebody tried to put under that key, its precondition held, and it was stored no more often than it was tried.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "actors/workers/crypto_worker.hpp"
#include "core/engine/engine.hpp"
#include "core/index/state.hpp"

namespace mutant::simulation {

enum class outcome { running, done, refused, unknown };

// A change that a client asked for.
struct attempt {
  enum class kind { put, remove, rename, assemble };
  kind what = kind::put;
  writer_id writer{};
  std::string key;
  std::string content;                       // put
  std::string to;                            // rename; of an assemble, its parts: see names_of
  std::optional<std::uint64_t> if_version;
  outcome result = outcome::running;
  std::vector<std::uint64_t> commits;        // that may be its doing
  std::uint64_t begun_at = 0;                // sequence of the log when it began
};

// The parts of an assemble in one text.
std::string names_of(const std::vector<std::string>& parts);

class reference {
 public:
  reference(const seed& owner, pad_engine& engine);

  // -- from the engine ----------------------------------------------------------------------------------------------------
  void wrote(const bytes& record);
  void erased(const pad_address& address);

  std::function<void(std::string)> on_write;   // for a log of what happens

  // -- from the clients ---------------------------------------------------------------------------------------------------
  std::size_t begin(attempt a);
  // The sequence number, where the client was told one.
  void succeeded(std::size_t number, std::optional<std::uint64_t> version);
  // A remove that was acknowledged; there may have been nothing but an upload to remove.
  void removed(std::size_t number);
  void refused(std::size_t number, std::string_view why);
  void unknown(std::size_t number);

  // A state that a client was shown must be one that was there between these two commits.
  struct between {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
  };
  void saw_value(const std::string& key, std::uint64_t version, std::uint64_t offset, std::string_view content, between when);
  // Of a read that did not end: what came out is the front of one value.
  void saw_part(const std::string& key, std::uint64_t offset, std::string_view content);
  void saw_nothing(const std::string& key, between when);
  // Keys and versions in order.
  void saw_list(const std::vector<std::pair<std::string, std::uint64_t>>& items, between when);

  // -- at the end ---------------------------------------------------------------------------------------------------------
  // Loads root, parts and log from the engine and compares with the replayed state.
  void compare_with_store();
  // Every data pad in the engine must be in use or free, at the counter that the engine holds.
  void check_nothing_leaked();

  const index_state& state() const noexcept { return state_; }
  std::uint64_t sequence() const noexcept { return state_.sequence(); }
  const std::string* content_of(const std::string& key) const;   // null: absent
  std::uint64_t roots() const noexcept { return roots_; }
  // The first thing that was wrong.
  const std::optional<std::string>& violation() const noexcept { return violation_; }
  void violate(std::string what);

 private:
  enum class space : std::uint8_t { root, log, part, data };
  struct place {
    space where;
    std::uint64_t number;
  };
  struct span {
    std::uint64_t from = 0;
    std::uint64_t to = 0;            // one behind; 0: still
    std::uint64_t version = 0;
    std::string content;
  };

  static std::string_view name_of_space(space where);
  std::optional<place> locate(const pad_address& address);
  void derive(space where, pad_space pads, std::uint64_t from, std::uint64_t count);
  void wrote_root(const bytes& record, std::uint64_t counter);
  void wrote_log(const bytes& record, std::uint64_t slot, std::uint64_t counter);
  void apply(const commit& c);
  // Whether the log holds this change, as `version` if that is known.
  bool has_commit(attempt& a, std::optional<std::uint64_t> version);
  void happened(attempt::kind what, const commit& c, const std::string& key, const std::string& detail,
                std::uint64_t version_before);
  result<std::string> read_value(const entry& value);
  // What the parts hold in the state before, one behind the other.
  result<std::string> read_parts(const index_batch& before, const assemble_op& op);
  void rebuild_used();
  result<index_state> load(const root& from);
  void compare(const index_state& other, std::string_view what);

  pad_engine& engine_;
  keyring keys_;
  crypto_worker_state opener_;
  std::optional<std::string> violation_;

  std::unordered_map<std::string, place> places_;    // by address
  std::uint64_t derived_data_ = 0;
  std::uint64_t derived_parts_ = 0;

  index_state state_;
  std::vector<commit> log_;                          // commit n is log_[n - 1]
  std::vector<content_hash> hashes_;                 // and its payload's hash
  content_hash last_hash_{};
  std::optional<root> root_;
  std::uint64_t root_counter_ = 0;
  std::uint64_t roots_ = 0;
  std::map<std::uint64_t, std::uint64_t> used_;      // pad number -> counter, of the newest state
  std::map<std::string, std::vector<span>> history_;
  std::map<std::pair<std::string, std::uint64_t>, std::vector<std::string>> puts_;   // key, version -> contents
  std::vector<attempt> attempts_;
};

// The engine that a simulation runs on: reports every durable change, and can be full.
class observed_engine final : public pad_engine {
 public:
  explicit observed_engine(const seed& owner);

  result<void> put(const bytes& record) override;
  result<void> erase(const bytes& blank) override;
  result<void> commit() override;
  result<bytes> get(const pad_address& address) override { return engine_->get(address); }
  result<bytes> head(const pad_address& address) override { return engine_->head(address); }
  result<engine_stats> stats() override { return engine_->stats(); }

  void set_capacity(std::uint64_t bytes_most) { capacity_ = bytes_most; }
  class reference& reference() noexcept { return reference_; }

 private:
  std::unique_ptr<pad_engine> engine_;
  class reference reference_;
  std::uint64_t capacity_ = ~std::uint64_t{0};
  std::vector<bytes> batch_;
};

}  // namespace mutant::simulation
