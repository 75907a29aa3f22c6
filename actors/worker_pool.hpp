// Hands work to whoever is idle, first come first served, behind the workers' own interface.
//
// One message at a time goes to a worker, so nothing queues behind a slow one while another is idle. Shape: a queue of at
// most max_queued messages (overloaded beyond), N workers. A worker that dies is replaced; the message that it held is
// answered with `unreachable`. Every answer comes within `timeout` of its start or is answered with `timeout`, and the
// worker that hangs is counted busy until it does answer or goes down.
#pragma once

#include <deque>
#include <functional>

#include "actors/interfaces.hpp"

namespace mutant {

template <class Worker>
struct worker_pool_options {
  std::string name;
  std::size_t workers = 1;
  std::size_t max_queued = 65536;
  std::chrono::milliseconds timeout{120'000};
  std::function<Worker()> spawn;   // makes one worker; called in the pool's own context, again for each that died
};

template <class Worker>
struct worker_pool_state {
  // Runs one piece of work on a worker.
  using job = std::function<void(const Worker&)>;

  static inline const char* name = "worker_pool";
  worker_pool_options<Worker> options;
  std::vector<Worker> idle;
  std::vector<Worker> busy;
  std::deque<job> waiting;
};

namespace detail {

template <class Worker>
struct pool_logic {
  using self_pointer = typename Worker::template stateful_pointer<worker_pool_state<Worker>>;

  static void add_worker(self_pointer self) {
    auto worker = self->state.options.spawn();
    self->monitor(worker);
    self->state.idle.push_back(std::move(worker));
  }

  static void dispatch(self_pointer self) {
    auto& s = self->state;
    while (!s.idle.empty() && !s.waiting.empty()) {
      auto worker = std::move(s.idle.back());
      s.idle.pop_back();
      auto work = std::move(s.waiting.front());
      s.waiting.pop_front();
      s.busy.push_back(worker);
      work(worker);
    }
  }

  static void finished(self_pointer self, const Worker& worker) {
    auto& s = self->state;
    // A worker that went down meanwhile is in neither list.
    if (std::erase(s.busy, worker) != 0)
      s.idle.push_back(worker);
    dispatch(self);
  }

  static void replace(self_pointer self, const caf::actor_addr& gone) {
    auto& s = self->state;
    auto is_gone = [&](const Worker& w) { return caf::actor_cast<caf::actor_addr>(w) == gone; };
    if (std::erase_if(s.idle, is_gone) + std::erase_if(s.busy, is_gone) != 0)
      add_worker(self);
    dispatch(self);
  }

  // The handler for one message of the interface.
  template <class Out, class... In>
  static auto route(self_pointer self) {
    return [self](In... in) -> caf::result<Out> {
      auto& s = self->state;
      if (s.waiting.size() >= s.options.max_queued)
        return to_caf({errc::overloaded, s.options.name + " has " + std::to_string(s.waiting.size())
                                             + " requests waiting; try again later"});
      auto promise = self->template make_response_promise<Out>();
      s.waiting.push_back([self, promise, args = std::make_tuple(std::move(in)...)](const Worker& worker) mutable {
        auto ok = [self, promise, worker](Out& out) mutable {
          promise.deliver(std::move(out));
          finished(self, worker);
        };
        auto failed = [self, promise, worker](caf::error& e) mutable {
          promise.deliver(std::move(e));
          finished(self, worker);
        };
        std::apply(
            [&](auto&... xs) {
              self->request(worker, self->state.options.timeout, std::move(xs)...).then(std::move(ok), std::move(failed));
            },
            args);
      });
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
  static typename Worker::behavior_type make(typename pool_logic<Worker>::self_pointer self) {
    return {pool_route<Signatures>::template make<Worker>(self)...};
  }
};

}  // namespace detail

template <class Worker>
typename Worker::behavior_type worker_pool(
    typename Worker::template stateful_pointer<worker_pool_state<Worker>> self, worker_pool_options<Worker> options) {
  using logic = detail::pool_logic<Worker>;
  self->state.options = std::move(options);
  self->set_down_handler([self](caf::down_msg& down) { logic::replace(self, down.source); });
  self->set_exit_handler([self](caf::exit_msg& exit) {
    for (auto* list : {&self->state.idle, &self->state.busy})
      for (auto& worker : *list)
        self->send_exit(worker, exit.reason);
    self->quit(exit.reason);
  });
  for (std::size_t i = 0; i < self->state.options.workers; ++i)
    logic::add_worker(self);
  return detail::pool_behavior<Worker, typename Worker::signatures>::make(self);
}

}  // namespace mutant
