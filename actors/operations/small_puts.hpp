// Puts values of one small pad each, many at a time, where an actor and two dozen messages for each would cost more than its
// encryption.
//
// Every value takes the steps of a put_operation: look up and reserve, seal, write, commit. What waits for a step when this
// actor comes to it takes the step together, in one message; writes go out one by one, so that no value waits for another's
// trouble. Where the short way ends (an unfinished upload, another writer's pad, a value that moved meanwhile), the put is
// handed to the operations, which begin it anew.
#pragma once

#include <unordered_set>

#include "actors/interfaces.hpp"

namespace mutant {

struct small_puts_options {
  pad_store_actor pads;                              // a pad worker
  crypto_worker_actor crypto;
  damage_memory_actor damage;                        // which chunks must not be kept; may be null
  std::uint32_t chunk_bytes = default_chunk_bytes;   // a longer value is handed over
  std::size_t max_puts = 1024;                       // at a time; `overloaded` beyond
};

struct small_puts_state {
  // The interface, and the actor's own messages to itself.
  using actor_type = small_puts_actor::extend<reacts_to<deferred>>;
  using self_pointer = actor_type::stateful_pointer<small_puts_state>;
  static inline const char* name = "small_puts";

  struct small_put {
    put_request request;
    caf::typed_response_promise<put_result> promise;
    index_actor index;
    operations_actor operations;
    pad_ref pad;                      // counter 0: none
    std::optional<chunk> before;      // what the key has, if it may be the same
    chunk what;                       // what the value is stored as
    bool may_be_stored = false;       // its commit is on its way, or it was handed over
    bool cancelled = false;           // and answered; its pad goes back to the index with the step that it is in

    const bytes& value() const { return std::get<bytes>(request.source); }
  };
  using put_ptr = std::shared_ptr<small_put>;
  using put_list = std::vector<put_ptr>;

  explicit small_puts_state(actor_type::pointer me) : self(me) {}

  caf::result<put_result> start(put_request& request, const index_actor& index, const operations_actor& operations);
  // Takes the next steps as soon as the messages that are here by now have been seen.
  void go_on();
  void look_up();
  void plan(const put_ptr& p, found& now);
  void seal();
  void sealed(const put_ptr& p, sealed_chunk& result);
  // What is unchanged is kept if it can be read, as far as is known without reading it.
  void confirm();
  void look_at(const put_list& puts, const damaged_pads& known);
  void write(const put_ptr& p, bytes record);
  void commit();
  void committed(const put_ptr& p, const commit_outcome& outcome);
  void hand_over(const put_ptr& p);
  void cancel(std::uint64_t cancellation_id);
  void give_back(const put_ptr& p, returned_pads::state as, std::uint64_t counter);
  void fail_with(const put_ptr& p, const error& e);
  // All of them, whose pads go back to the index as what they are by now.
  void fail_with(const put_list& puts, const error& e, returned_pads::state pads);
  void end(const caf::error& reason);

  actor_type::pointer self;
  small_puts_options options;
  std::unordered_set<put_ptr> running;
  // What waits for each step.
  put_list unplanned;
  put_list unsealed;
  put_list unconfirmed;
  put_list uncommitted;
  bool going_on = false;
};

small_puts_state::actor_type::behavior_type small_puts(small_puts_state::self_pointer self, small_puts_options options);

}  // namespace mutant
