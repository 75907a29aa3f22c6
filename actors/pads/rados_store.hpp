// The pad store behind rados: URLs: one object per pad in a Ceph pool, by the write rule, without a thread that waits.
//
// A request is a job of a few steps; a step is one asynchronous operation of core/engine/rados_pool, whose completion comes
// back as a message. A write is one conditional, atomic object operation: counter 1 makes the object, a higher counter
// replaces one that has a lower one. Where that was refused the stored record is looked at: its header first, all of it only
// if that is the same.
//
// An operation that was not answered in time may have happened, or may still: the job ends with `timeout`, or with
// `unreachable` if the monitors say that too few OSDs of the pad are up, and both mean "unknown". Who sends the same record
// again is told by its content whether it was ours that won.
//
// Memory: what is under way and waits is bounded (job_queue.hpp; a read counts as a whole record). Questions to the monitors
// are asked by one detached actor.
#pragma once

#include "actors/interfaces.hpp"
#include "actors/pads/job_queue.hpp"
#include "core/engine/rados_pool.hpp"

namespace mutant {

struct rados_store_options {
  std::shared_ptr<rados_pool> pool;
  job_limits limits;
  std::chrono::milliseconds monitor_timeout{30'000};   // for what the monitors are asked
  bool detached = true;                                // false: no thread for that, for deterministic tests

  result<void> validate() const;
};

// Asks the monitors, and waits for them.
using rados_monitor_actor = caf::typed_actor<replies_to<stats_atom>::with<pad_store_stats>,
                                             // Why the pad may not answer; empty: not known.
                                             replies_to<find_atom, pad_query>::with<std::string>>;

struct rados_store_state {
  using actor_type = pad_store_actor::extend<reacts_to<deferred>>;
  using self_pointer = actor_type::stateful_pointer<rados_store_state>;
  static inline const char* name = "rados_store";
  rados_store_state() = default;
  ~rados_store_state();

  // One request, from its place in the queue to its answer.
  struct job {
    pad_address pad{};
    std::uint64_t counter = 0;
    bytes record;                            // of a put
    std::size_t charge = 0;                  // bytes
    unsigned steps = 0;
    std::function<void(const std::shared_ptr<job>& me)> start;
    std::function<void(error)> fail;
    std::function<void()> done;              // of a write
    std::function<void(bytes)> found;        // of a read
  };
  using job_ptr = std::shared_ptr<job>;

  caf::result<done> put(bytes record);
  caf::result<done> erase(const bytes& blank);
  caf::result<bytes> read(const pad_address& pad, std::size_t max_bytes);
  caf::result<pad_store_stats> stats();

  job_ptr make_job(const pad_address& pad, std::uint64_t counter, std::size_t charge);
  void failed(const job_ptr& j, error e);
  // A callback for the pool: hands the outcome to `then`, in this actor's context.
  template <class T, class F>
  rados_pool::callback<T> to_self(F then);

  void try_put(const job_ptr& j, bool as_new);
  void try_erase(const job_ptr& j);
  // A refused write: what is stored? `whole`: not only its header.
  void compare(const job_ptr& j, bool whole);
  void compared(const job_ptr& j, bool whole, const result<bytes>& stored);
  void close();

  self_pointer self = nullptr;
  rados_store_options options;
  rados_monitor_actor monitor;
  job_queue<job> jobs;
};

rados_store_state::actor_type::behavior_type rados_store(rados_store_state::self_pointer self, rados_store_options options);

}  // namespace mutant
