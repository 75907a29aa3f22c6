// The index state machine behind a lock instead of an actor: what the index actor is compared with. Threads call, and block.
//
// The same index_state and index_batch, the same log: commit n is encoded, sealed and written to slot n mod R, one at a time
// and in order, since a log with a hole ends at the hole. There is no snapshot, no sync and no pin here. How the lock is used:
//
//   held          lock, check the operation, encode, seal, write, apply, unlock. A save per commit.
//   released      lock, join the queue; who is first in it checks its operation, unlocks, encodes, seals and writes, locks,
//                 applies and wakes the next. A save per commit, look-ups go on meanwhile and see the last durable state.
//   group         the same, and who is first takes everybody's operations along in one save: the most that a mutex can do,
//                 and the same group commit as the index actor's.
//
// The lock is a template parameter: std::mutex, which lets anybody in who comes by, or fifo_mutex, which keeps to the order of
// arrival as tokio's does.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "actors/messages.hpp"
#include "core/index/codec.hpp"
#include "core/index/ring.hpp"
#include "core/index/state.hpp"
#include "core/record.hpp"

namespace mutant::bench {

// A mutex whose waiters get it in the order in which they came.
class fifo_mutex {
 public:
  void lock() {
    std::unique_lock guard(inner_);
    if (!taken_ && waiting_.empty()) {
      taken_ = true;
      return;
    }
    waiter me;
    waiting_.push_back(&me);
    me.turn.wait(guard, [&] { return me.granted; });
  }
  void unlock() {
    std::lock_guard guard(inner_);
    if (waiting_.empty()) {
      taken_ = false;
      return;
    }
    auto* next = waiting_.front();
    waiting_.pop_front();
    next->granted = true;
    next->turn.notify_one();   // under the lock: the waiter's condition lives on its stack
  }

 private:
  struct waiter {
    std::condition_variable turn;
    bool granted = false;
  };
  std::mutex inner_;
  bool taken_ = false;
  std::deque<waiter*> waiting_;
};

enum class lock_use { held, released, group };

// Writes a sealed record to the pad store and comes back when it is there.
using write_record = std::function<void(const bytes& record)>;

template <class Mutex>
class mutex_index {
 public:
  mutex_index(lock_use use, const seed& owner, std::uint64_t slots, std::size_t max_batch_requests)
      : use_(use), keys_(owner), ring_slots_(slots), max_batch_requests_(use == lock_use::group ? max_batch_requests : 1) {
    random_fill(writer_);
  }

  found find(const std::string& key) {
    std::lock_guard guard(mutex_);
    found out;
    if (const auto* pending = data_.find_upload(key))
      out.pending = std::make_shared<const upload>(*pending);
    if (const auto* complete = data_.find(key))
      out.complete = *complete;
    return out;
  }

  // The version, when it is durable; or why it was refused.
  result<std::uint64_t> commit(operation op, const write_record& write) {
    return use_ == lock_use::held ? commit_holding(std::move(op), write) : commit_in_turn(std::move(op), write);
  }

  std::uint64_t saves() {
    std::lock_guard guard(mutex_);
    return data_.sequence();
  }

  // Many operations in one save, whatever `use` says: for filling it before anything is measured.
  result<void> fill(const std::vector<operation>& operations, const write_record& write) {
    std::lock_guard guard(mutex_);
    index_batch batch(data_);
    for (const auto& op : operations)
      if (auto taken = batch.add(op); !taken)
        return taken;
    write(seal(batch));
    data_.apply(std::move(batch));
    return {};
  }

 private:
  struct request {
    operation op;
    std::condition_variable_any turn;
    bool done = false;
    std::optional<error> refused;
    std::uint64_t version = 0;
  };

  // Only of who writes: the state does not change meanwhile.
  bytes seal(const index_batch& batch) const {
    const auto sequence = data_.sequence() + 1;
    const auto plain = encode(mutant::commit{sequence, writer_, batch.operations()});
    return seal_private(keys_.log(slot_of(sequence, ring_slots_)), counter_of(sequence, ring_slots_), plain);
  }

  result<std::uint64_t> commit_holding(operation op, const write_record& write) {
    std::lock_guard guard(mutex_);
    index_batch batch(data_);
    if (auto taken = batch.add(std::move(op)); !taken)
      return fail(taken.error());
    write(seal(batch));
    data_.apply(std::move(batch));
    return data_.sequence();
  }

  result<std::uint64_t> commit_in_turn(operation op, const write_record& write) {
    request mine;
    mine.op = std::move(op);
    std::unique_lock guard(mutex_);
    queue_.push_back(&mine);
    mine.turn.wait(guard, [&] { return mine.done || (!writing_ && queue_.front() == &mine); });
    if (!mine.done)
      lead(guard, write);
    if (mine.refused)
      return fail(*mine.refused);
    return mine.version;
  }

  // Takes what waits, from the front, and makes it durable. The lock is free while it is encoded, sealed and written.
  void lead(std::unique_lock<Mutex>& guard, const write_record& write) {
    writing_ = true;
    index_batch batch(data_);
    std::vector<request*> taken;
    while (!queue_.empty() && taken.size() < max_batch_requests_) {
      auto* r = queue_.front();
      queue_.pop_front();
      if (auto ok = batch.add(std::move(r->op)); !ok)
        r->refused = ok.error();
      taken.push_back(r);
    }
    if (!batch.empty()) {
      guard.unlock();
      write(seal(batch));
      guard.lock();
      data_.apply(std::move(batch));
    }
    for (auto* r : taken) {
      r->version = data_.sequence();
      r->done = true;
      r->turn.notify_one();
    }
    writing_ = false;
    if (!queue_.empty())
      queue_.front()->turn.notify_one();
  }

  const lock_use use_;
  const keyring keys_;
  const std::uint64_t ring_slots_;
  const std::size_t max_batch_requests_;
  writer_id writer_{};

  Mutex mutex_;
  index_state data_;
  std::deque<request*> queue_;
  bool writing_ = false;
};

}  // namespace mutant::bench
