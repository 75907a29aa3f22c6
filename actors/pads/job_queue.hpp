// Requests that a pad store passes on to servers, in the order in which they came: at most so many jobs and bytes are under
// way, the rest waits, and beyond max_waiting nothing is taken (`overloaded`). For stores whose answers come back as messages
// (rados_store, s3_store).
//
// A job is a struct with `charge` (bytes), `start(me)`, which is called when its turn comes, and `fail(error)`. It must be
// completed once it was started. Belongs to one actor.
#pragma once

#include <deque>
#include <set>

#include "actors/messages.hpp"

namespace mutant {

struct job_limits {
  std::size_t max_flight_bytes = 64u << 20;
  std::size_t max_flight = 256;              // jobs
  std::size_t max_waiting = 65'536;

  result<void> validate() const {
    if (max_flight_bytes == 0 || max_flight == 0 || max_waiting == 0)
      return fail(errc::invalid_argument, "a store that passes requests on needs room for one");
    return {};
  }
};

template <class Job>
class job_queue {
 public:
  using job_ptr = std::shared_ptr<Job>;

  job_limits limits;

  // Nothing, or why no more is taken; `where`: "the cluster".
  result<void> check_room(std::string_view where) const {
    if (waiting_.size() < limits.max_waiting)
      return {};
    return fail(errc::overloaded, std::to_string(waiting_.size()) + " requests wait for " + std::string(where)
                                      + "; try again later");
  }
  // Its failure goes to the promise.
  template <class Out>
  caf::result<Out> push(const job_ptr& j, caf::typed_response_promise<Out> promise) {
    j->fail = [promise](const error& e) mutable { promise.deliver(to_caf(e)); };
    waiting_.push_back(j);
    dispatch();
    return promise;
  }
  // The job is over; what it held is free again.
  void completed(const job_ptr& j) {
    in_flight_.erase(j);
    flight_bytes_ -= j->charge;
    *j = {};  // what it captured holds promises, and through them the actor
    dispatch();
  }
  // The store ends: those that wait were not sent, and nobody knows of the others.
  void close(const error& not_sent, const error& unknown) {
    for (auto& j : std::exchange(waiting_, {}))
      j->fail(not_sent);
    for (auto& j : std::exchange(in_flight_, {})) {
      j->fail(unknown);
      *j = {};
    }
  }
  // False also when it is over, or the queue closed.
  bool is_under_way(const job_ptr& j) const { return in_flight_.contains(j); }
  std::size_t in_flight() const noexcept { return in_flight_.size(); }

 private:
  void dispatch() {
    while (!waiting_.empty()) {
      const auto charge = waiting_.front()->charge;
      if (!in_flight_.empty()
          && (in_flight_.size() >= limits.max_flight || flight_bytes_ + charge > limits.max_flight_bytes))
        return;
      auto j = std::move(waiting_.front());
      waiting_.pop_front();
      flight_bytes_ += charge;
      in_flight_.insert(j);
      j->start(j);
    }
  }

  std::deque<job_ptr> waiting_;
  std::set<job_ptr> in_flight_;
  std::size_t flight_bytes_ = 0;
};

}  // namespace mutant
