// Hands work to whoever is idle, first come first served, behind the workers' own interface.
//
// One message at a time goes to a worker, so nothing queues behind a slow one while another is idle. What is short does not
// wait for what is long, either: work on more than short_work_bytes (see bytes_of) stands in a lane of its own, from which one
// goes ahead at the latest after max_short_in_a_row of the other. So a commit or a small value takes its turn among the chunks
// of many uploads. Shape: at most max_queued messages in both lanes together (overloaded beyond), N workers.
//
// A worker that dies is replaced; the message that it held is answered with `unreachable`. What a worker does not answer within
// `timeout` (and a sixteenth of it) of its start is answered with `timeout`, and that worker gets nothing new until it does
// answer or goes down. Waiting in the queue does not count.
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
inline std::size_t bytes_of(const compare_chunk_job& job) noexcept { return job.length; }
inline std::size_t bytes_of(const open_chunk_job& job) noexcept { return job.record.size(); }
inline std::size_t bytes_of(const write_job& job) noexcept { return job.plaintext.size(); }

template <class Worker>
struct worker_pool_options {
  std::string name;
  std::size_t workers = 1;
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
  struct busy_worker {
    Worker worker;
    std::function<void(const error&)> fail;    // empty: answered with timeout already
    caf::actor_clock::time_point until;
  };

  static inline const char* name = "worker_pool";
  worker_pool_options<Worker> options;
  std::vector<Worker> idle;
  std::vector<busy_worker> busy;
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
    self->state.idle.push_back(std::move(worker));
  }

  static auto next(worker_pool_state<Worker>& s) {
    const auto long_turn = s.waiting.empty() || (!s.waiting_long.empty() && s.short_in_a_row >= max_short_in_a_row);
    s.short_in_a_row = long_turn ? 0 : s.short_in_a_row + 1;
    auto& lane = long_turn ? s.waiting_long : s.waiting;
    auto work = std::move(lane.front());
    lane.pop_front();
    return work;
  }

  static void dispatch(self_pointer self) {
    auto& s = self->state;
    while (!s.idle.empty() && !(s.waiting.empty() && s.waiting_long.empty())) {
      auto worker = std::move(s.idle.back());
      s.idle.pop_back();
      auto work = next(s);
      s.busy.push_back({worker, std::move(work.fail), self->clock().now() + s.options.timeout});
      work.run(worker);
    }
    watch(self);
  }

  static void finished(self_pointer self, const Worker& worker) {
    auto& s = self->state;
    // A worker that went down meanwhile is in neither list.
    if (std::erase_if(s.busy, [&](const auto& b) { return b.worker == worker; }) != 0)
      s.idle.push_back(worker);
    dispatch(self);
  }

  static void replace(self_pointer self, const caf::actor_addr& gone) {
    auto& s = self->state;
    auto is_gone = [&](const Worker& w) { return caf::actor_cast<caf::actor_addr>(w) == gone; };
    auto lost = std::erase_if(s.idle, is_gone);
    auto at = std::ranges::find_if(s.busy, [&](const auto& b) { return is_gone(b.worker); });
    if (at != s.busy.end()) {
      auto fail = std::move(at->fail);
      s.busy.erase(at);
      ++lost;
      if (fail)
        fail({errc::unreachable, "a worker of " + s.options.name + " died over the request"});
    }
    if (lost != 0)
      add_worker(self);
    dispatch(self);
  }

  // One look at the clock for all, instead of a timer for each request.
  static void watch(self_pointer self) {
    auto& s = self->state;
    auto unanswered = std::ranges::any_of(s.busy, [](const auto& b) { return b.fail != nullptr; });
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
    for (auto& b : s.busy)
      if (b.fail && b.until <= self->clock().now())
        std::exchange(b.fail, nullptr)({errc::timeout, "a worker of " + s.options.name + " did not answer in time"});
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
    for (auto& worker : self->state.idle)
      self->send_exit(worker, exit.reason);
    for (auto& b : self->state.busy)
      self->send_exit(b.worker, exit.reason);
    self->quit(exit.reason);
  });
  for (std::size_t i = 0; i < self->state.options.workers; ++i)
    logic::add_worker(self);
  return detail::pool_behavior<Worker, typename Worker::signatures>::make(self);
}

}  // namespace mutant
