// Recovering a store whose index is damaged into a new one, for code without actors: what can be proven of the index
// (core/index/recover.hpp), and the pads that it names, as they are. The source is read only; the root is written last.
//
// In the thread of the caller, which waits. What a run that was cut off has left in the new store is no obstacle to the next.
#pragma once

#include <memory>

#include "actors/client.hpp"
#include "core/index/recover.hpp"

namespace mutant {

struct index_recovery_options {
  seed owner;
  std::string from;
  std::string to;                      // empty: only look()
  tls_files tls;                       // for cafs:// on either side
  remote_store_options remote;
  std::string memory_path;             // index_memory_path of the source; empty: none
  bool any_file_system = false;        // store_config::any_file_system
  std::size_t window = 16;             // pads under way
};

struct index_recovery_report {
  struct incomplete_value {
    std::string key;
    std::uint64_t first_byte = 0;      // of a chunk that is lost, or damaged
    std::uint64_t last_byte = 0;
    std::string why;
  };
  recovered_index index;               // its state goes to the new store
  std::vector<std::string> damaged;    // records of the index, and why
  std::uint64_t sequence = 0;          // the commit that the new store stands at
  std::uint64_t keys = 0;
  std::uint64_t copied_records = 0;    // pads of values
  std::uint64_t copied_bytes = 0;
  std::vector<incomplete_value> incomplete;
};

class index_recovery {
 public:
  // Errors of opening either store. version_mismatch: the new store has an index of this identity.
  static result<index_recovery> open(index_recovery_options options);
  index_recovery(index_recovery&&) noexcept;
  ~index_recovery();

  // What could be recovered. Writes nothing. key_not_found: there is nothing of this identity; otherwise as recover_index.
  result<index_recovery_report> look();
  // Makes the new store of it, once; fills in the rest of the report.
  result<void> write(index_recovery_report& report, const progress_callback& on_progress = {});
  // From any thread: what runs answers `cancelled`.
  void cancel() noexcept;

 private:
  struct parts;
  explicit index_recovery(std::unique_ptr<parts> p);
  std::unique_ptr<parts> parts_;
};

}  // namespace mutant
