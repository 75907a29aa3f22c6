// The pad store of this machine: an engine behind the pad store interface.
//
// A front actor routes: writes go to one detached writer, reads to a pool of detached readers, so that a read never waits for
// an fsync. Group commit by message order: the first put of a batch makes the writer send itself its own `commit`; whatever
// is in its mailbox before that joins the batch, and every write is answered when the batch is durable or has failed: a refusal
// tells what is stored, and that is no more certain than the batch. What a failed batch refused is judged anew.
//
// The writer tidies the engine: after blank records at once, so that their answer tells whether what they replaced is gone;
// otherwise when nothing was written for a while, when it begins, and when it ends.
#pragma once

#include "actors/caf/log.hpp"
#include "actors/interfaces.hpp"
#include "core/engine/engine.hpp"

namespace mutant {

struct local_store_options {
  std::shared_ptr<pad_engine> engine;
  std::size_t readers = 2;
  std::uint64_t max_batch_bytes = 64u << 20;   // a batch is committed early when it holds this much
  bool detached = true;                        // false: on the scheduler's threads, for deterministic tests
  std::chrono::milliseconds tidy_after{500};   // without a write
  log_sink log;

  result<void> validate() const;
};

struct engine_writer_state {
  struct waiting_write {
    caf::typed_response_promise<done> promise;
    bytes record;
    bool erases = false;
    bool makes_room = false;        // and may use the engine's reserve
    bool blank = false;
    std::optional<error> refusal;   // the engine's; by the write rule: it may have met a record of the open batch
  };
  static inline const char* name = "engine_writer";
  std::shared_ptr<pad_engine> engine;
  std::uint64_t max_batch_bytes = 0;
  std::chrono::milliseconds tidy_after{};
  log_sink log;
  std::uint64_t batch_bytes = 0;
  std::vector<waiting_write> waiting;   // of the open batch
  bool tidying = false;                 // a look is due
  bool written_since = false;           // it was asked for
  std::string last_told;                // to the log; empty: all is well
};

// The writing half of the pad store interface.
using engine_writer_actor =
    caf::typed_actor<replies_to<put_atom, bytes>::with<done>, replies_to<put_atom, room_atom, bytes>::with<done>,
                     replies_to<erase_atom, bytes>::with<done>, replies_to<trim_atom>::with<std::uint64_t>,
                     reacts_to<commit_atom>, reacts_to<deferred>>;
// The reading half.
using engine_reader_actor = caf::typed_actor<replies_to<get_atom, pad_query>::with<bytes>,
                                             replies_to<head_atom, pad_query>::with<bytes>,
                                             replies_to<stats_atom>::with<pad_store_stats>>;

engine_writer_actor::behavior_type engine_writer(engine_writer_actor::stateful_pointer<engine_writer_state> self,
                                                 local_store_options options);

struct local_store_state {
  static inline const char* name = "local_store";
  local_store_state() = default;  // no aggregate: CAF would initialise the first handle with the actor itself
  engine_writer_actor writer;
  engine_reader_actor readers;
};

pad_store_actor::behavior_type local_store(pad_store_actor::stateful_pointer<local_store_state> self,
                                           local_store_options options);

}  // namespace mutant
