// Hands work to whoever is idle, first come first served, behind the workers' own interface.
//
// Nothing queues behind a slow worker while another is idle. What is short does not wait for what is long, either: work on more
// than short_work_bytes (see bytes_of) stands in a lane of its own, from which one goes ahead at the latest after
// max_short_in_a_row of the other, and which never has all workers if some are kept for short work. So a commit or a small
// value takes its turn among the chunks of many uploads, or need not wait for any of them. Shape: at most max_queued messages
// in both lanes together (overloaded beyond), N workers.
//
// A worker has one message at a time, or up to max_assigned short ones if it answers them in order: then it need not sleep
// until the pool has heard of its last answer, which costs more than short work does. Long work goes to the idle only.
//
// A worker that dies is replaced; the messages that it held are answered with `unreachable`. What a worker does not answer
// within `timeout` (and a sixteenth of it) of its start is answered with `timeout`, with what stands behind it, and that worker
// gets nothing new until it does answer or goes down. Waiting in the queue does not count.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>

#include "actors/interfaces.hpp"

namespace mutant {

constexpr std::size_t short_work_bytes = 64u << 10;
constexpr unsigned max_short_in_a_row = 16;

// How much a message asks its worker to move or compute, as far as that can be told: 0 for what is short anyway.
template <class T>
std::size_t bytes_of(const T&) noexcept {
  return 0;
}
inline std::size_t bytes_of(const bytes& record) noexcept { return record.size(); }
inline std::size_t bytes_of(const seal_chunk_job& job) noexcept { return job.length; }
inline std::size_t bytes_of(const seal_list& jobs) noexcept {
  std::size_t size = 0;
  for (const auto& job : jobs)
    size += job.length;
  return size;
}
inline std::size_t bytes_of(const compare_chunk_job& job) noexcept { return job.length; }
inline std::size_t bytes_of(const open_chunk_job& job) noexcept {
  return std::max<std::size_t>(job.record.size(), job.what.length);
}
inline std::size_t bytes_of(const open_commit_job& job) noexcept { return job.record.size(); }
inline std::size_t bytes_of(const open_part_job& job) noexcept { return job.record.size(); }
inline std::size_t bytes_of(const write_job& job) noexcept { return job.plaintext.size(); }

template <class Worker>
struct worker_pool_options {
  std::string name;
  std::size_t workers = 1;
  std::size_t kept_for_short = 0;  // of the workers: long work leaves so many free
  std::size_t max_assigned = 1;     // above 1 only for workers that answer in the order of their messages
  std::size_t max_queued = 65536;
  std::chrono::milliseconds timeout{120'000};
  std::function<Worker()> spawn;   // makes one worker; called in the pool's own context, again for each that died
};

// The workers' interface, and the pool's own messages to itself.
template <class Worker>
using worker_pool_actor = typename Worker::template extend<reacts_to<deferred>>;

template <class Worker>
struct worker_pool_state {
  // One message: how to pass it to a worker, and how to answer it without one.
  struct job {
    std::function<void(const Worker&)> run;
    std::function<void(const error&)> fail;
  };
  struct assigned_job {
    std::function<void(const error&)> fail;    // empty: answered with timeout already
    caf::actor_clock::time_point until;        // of the first: the others have not begun
    bool is_long = false;
  };
  struct slot {
    Worker worker;
    std::deque<assigned_job> assigned;           // in the order in which they were sent
  };

  static inline const char* name = "worker_pool";
  worker_pool_options<Worker> options;
  std::vector<slot> slots;
  std::deque<job> waiting;                     // short work
  std::deque<job> waiting_long;
  unsigned short_in_a_row = 0;
  bool watching = false;                       // a look at the clock is due
};

namespace detail {

template <class Worker>
struct pool_logic {
  using self_pointer = typename worker_pool_actor<Worker>::template stateful_pointer<worker_pool_state<Worker>>;

  static void add_worker(self_pointer self) {
    auto worker = self->state.options.spawn();
    self->monitor(worker);
    self->state.slots.push_back({std::move(worker), {}});
  }

  static bool long_turn(const worker_pool_state<Worker>& s) {
    return s.waiting.empty() || (!s.waiting_long.empty() && s.short_in_a_row >= max_short_in_a_row && has_room_for_long(s));
  }

  static bool has_room_for_long(const worker_pool_state<Worker>& s) {
    const auto busy_with_it = std::ranges::count_if(
        s.slots, [](const auto& at) { return !at.assigned.empty() && at.assigned.front().is_long; });
    const auto kept = std::min(s.options.kept_for_short, s.options.workers - 1);
    return static_cast<std::size_t>(busy_with_it) < s.options.workers - kept;
  }

  // The one with the least in hand that can take such work now; null: none.
  static auto* slot_for(worker_pool_state<Worker>& s, bool is_long) {
    typename worker_pool_state<Worker>::slot* best = nullptr;
    if (is_long && !has_room_for_long(s))
      return best;
    for (auto& at : s.slots) {
      const auto takes = at.assigned.empty()
                         || (!is_long && at.assigned.size() < s.options.max_assigned && at.assigned.front().fail
                             && !at.assigned.front().is_long);
      if (takes && (best == nullptr || at.assigned.size() < best->assigned.size()))
        best = &at;
    }
    return best;
  }

  static void dispatch(self_pointer self) {
    auto& s = self->state;
    while (!s.waiting.empty() || !s.waiting_long.empty()) {
      const auto is_long = long_turn(s);
      auto* to = slot_for(s, is_long);
      if (to == nullptr)
        break;
      s.short_in_a_row = is_long ? 0 : s.short_in_a_row + 1;
      auto& lane = is_long ? s.waiting_long : s.waiting;
      auto work = std::move(lane.front());
      lane.pop_front();
      to->assigned.push_back({std::move(work.fail), self->clock().now() + s.options.timeout, is_long});
      work.run(to->worker);
    }
    watch(self);
  }

  static void finished(self_pointer self, const Worker& worker) {
    auto& s = self->state;
    // A worker that went down meanwhile is not there any more.
    auto at = std::ranges::find(s.slots, worker, &worker_pool_state<Worker>::slot::worker);
    if (at != s.slots.end() && !at->assigned.empty()) {
      at->assigned.pop_front();
      if (!at->assigned.empty())
        at->assigned.front().until = self->clock().now() + s.options.timeout;
    }
    dispatch(self);
  }

  static void replace(self_pointer self, const caf::actor_addr& gone) {
    auto& s = self->state;
    auto at = std::ranges::find_if(s.slots,
                                   [&](const auto& x) { return caf::actor_cast<caf::actor_addr>(x.worker) == gone; });
    if (at != s.slots.end()) {
      auto lost = std::move(at->assigned);
      s.slots.erase(at);
      for (auto& j : lost)
        if (j.fail)
          j.fail({errc::unreachable, "a worker of " + s.options.name + " died over the request"});
      add_worker(self);
    }
    dispatch(self);
  }

  // One look at the clock for all, instead of a timer for each request.
  static void watch(self_pointer self) {
    auto& s = self->state;
    auto unanswered =
        std::ranges::any_of(s.slots, [](const auto& x) { return !x.assigned.empty() && x.assigned.front().fail; });
    if (s.watching || !unanswered)
      return;
    s.watching = true;
    self->delayed_send(self, std::max(s.options.timeout / 16, std::chrono::milliseconds(1)), deferred{[self] {
                         self->state.watching = false;
                         time_out(self);
                         watch(self);
                       }});
  }

  static void time_out(self_pointer self) {
    auto& s = self->state;
    for (auto& x : s.slots) {
      if (x.assigned.empty() || !x.assigned.front().fail || x.assigned.front().until > self->clock().now())
        continue;
      for (auto& j : x.assigned)
        std::exchange(j.fail, nullptr)({errc::timeout, "a worker of " + s.options.name + " did not answer in time"});
    }
  }

  // The handler for one message of the interface.
  template <class Out, class... In>
  static auto route(self_pointer self) {
    return [self](In... in) -> caf::result<Out> {
      auto& s = self->state;
      const auto queued = s.waiting.size() + s.waiting_long.size();
      if (queued >= s.options.max_queued)
        return to_caf({errc::overloaded, s.options.name + " has " + std::to_string(queued)
                                             + " requests waiting; try again later"});
      const auto is_long = ((bytes_of(in) > short_work_bytes) || ...);
      auto promise = self->template make_response_promise<Out>();
      // Delivering takes the promise's sender away: who comes second, the worker or the clock, answers nobody.
      auto shared = std::make_shared<caf::typed_response_promise<Out>>(promise);
      auto run = [self, shared, args = std::make_tuple(std::move(in)...)](const Worker& worker) mutable {
        auto ok = [self, shared, worker](Out& out) {
          shared->deliver(std::move(out));
          finished(self, worker);
        };
        auto failed = [self, shared, worker](caf::error& e) {
          // A worker that died before it looked at the message: word of its end is on its way.
          const auto gone = e == caf::sec::request_receiver_down || e.category() == caf::atom("exit");
          shared->deliver(std::move(e));
          if (!gone)
            finished(self, worker);
        };
        std::apply(
            [&](auto&... xs) {
              self->request(worker, caf::infinite, std::move(xs)...).then(std::move(ok), std::move(failed));
            },
            args);
      };
      auto& lane = is_long ? s.waiting_long : s.waiting;
      lane.push_back({std::move(run), [shared](const error& e) { shared->deliver(to_caf(e)); }});
      dispatch(self);
      return promise;
    };
  }
};

template <class Signature>
struct pool_route;

template <class... In, class Out>
struct pool_route<caf::typed_mpi<caf::detail::type_list<In...>, caf::output_tuple<Out>>> {
  template <class Worker>
  static auto make(typename pool_logic<Worker>::self_pointer self) {
    return pool_logic<Worker>::template route<Out, In...>(self);
  }
};

template <class Worker, class Signatures>
struct pool_behavior;

template <class Worker, class... Signatures>
struct pool_behavior<Worker, caf::detail::type_list<Signatures...>> {
  static typename worker_pool_actor<Worker>::behavior_type make(typename pool_logic<Worker>::self_pointer self) {
    return {pool_route<Signatures>::template make<Worker>(self)..., [](deferred& later) { later.run(); }};
  }
};

}  // namespace detail

template <class Worker>
typename worker_pool_actor<Worker>::behavior_type worker_pool(typename detail::pool_logic<Worker>::self_pointer self,
                                                              worker_pool_options<Worker> options) {
  using logic = detail::pool_logic<Worker>;
  self->state.options = std::move(options);
  self->set_down_handler([self](caf::down_msg& down) { logic::replace(self, down.source); });
  self->set_exit_handler([self](caf::exit_msg& exit) {
    for (auto& at : self->state.slots)
      self->send_exit(at.worker, exit.reason);
    self->quit(exit.reason);
  });
  for (std::size_t i = 0; i < self->state.options.workers; ++i)
    logic::add_worker(self);
  return detail::pool_behavior<Worker, typename Worker::signatures>::make(self);
}

}  // namespace mutant
