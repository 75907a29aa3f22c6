// How an index is started: what it is given, which is the actors that it works with, and its bounds. Apart from the index
// itself (index.hpp), so that whoever starts one does not compile it.
#pragma once

#include "actors/interfaces.hpp"
#include "core/index/part_table.hpp"
#include "core/limits.hpp"

namespace mutant {

struct index_options {
  pad_store_actor pads;        // a pool of pad workers
  crypto_worker_actor crypto;  // a pool of crypto workers, for what somebody waits for
  crypto_worker_actor background; // for snapshots and the cache; none: the same
  operations_actor operations; // of the store whose front this is; none: only the index's own interface works
  small_puts_actor small_puts; // the store's; none: the operations do those, too
  std::size_t inline_bytes = 0;                          // values that are put and lie in the index: up to this size
  std::size_t small_bytes = 0;                           // values that are put and are for small_puts: up to this size
  writer_id writer{};          // random, unless a test says otherwise
  bool reader = false;                                   // the crypto workers have keys to read only
  std::uint64_t ring_slots = default_ring_slots;         // of an index that this store creates
  std::size_t max_batch_bytes = 1u << 20;                // of one commit; a single request may be larger, up to one pad
  std::size_t max_batch_requests = 256;                  // of one commit: what bounds the time of applying it
  std::size_t max_waiting_commits = 65536;               // requests beyond are `overloaded`
  std::size_t max_part_bytes = max_part_content_bytes;
  std::uint64_t snapshot_log_bytes = 8u << 20;           // a root is due after this much log, or half the ring
  std::uint64_t min_compaction_bytes = 1u << 20;         // deltas below this never cause a full snapshot
  std::size_t max_delta_parts = 256;
  std::string cache_path;                                // of the files that remember the index here; empty: none
  bool accept_rollback = false;                          // take the store as it is, whatever was seen before
  bool salvage = false;                                  // change nothing, and read of a damaged index what is proven
  std::uint64_t min_cache_commits = 64;                  // the cache is not written anew for fewer
  std::chrono::milliseconds timeout{300'000};            // for one request to a pool; above all that a worker tries
  std::chrono::microseconds max_gathering{20'000};       // a commit waits so long for those whom the last one answered
  bool look_ahead = false;                               // have the store see a slot of the ring before it is written again
  std::chrono::milliseconds retry_pause{250};            // before a root write or a snapshot is tried again
  std::chrono::milliseconds root_patience{10'000};       // who waits for a root's write is answered then, if it goes on failing

  result<void> validate() const;
};

// The index's interface, and the rest of a store's.
using index_front_actor = index_actor::extend_with<value_store_actor>;

// The options are valid.
index_front_actor spawn_index(caf::actor_system& system, const index_options& options);

}  // namespace mutant
