// Requests whose timer goes with the answer.
//
// CAF 0.17 keeps the timer of a request until it fires, answered or not, and with it the memory of the actor that asked, even
// when that has ended: at thousands of requests a second with timeouts of minutes, gigabytes. Actors ask with this, or without
// a timer where who is asked bounds the time itself.
//
//   ask(self, whom, timeout, atom, arguments…).then(on_answer, on_error);
#pragma once

#include <caf/all.hpp>
#include <utility>

namespace mutant {

namespace detail {

// A response handler with the same parameters that first drops the timer.
template <class Self, class F, class Parameters = typename caf::detail::get_callable_trait<F>::arg_types>
struct timer_dropping;

template <class Self, class F, class... Parameters>
struct timer_dropping<Self, F, caf::detail::type_list<Parameters...>> {
  Self* self;
  caf::message_id id;
  F f;

  void operator()(Parameters... xs) {
    self->clock().cancel_request_timeout(self, id);
    f(static_cast<Parameters&&>(xs)...);
  }
};

template <class Self, class Response>
class asked {
 public:
  asked(Self* self, Response response) : self_(self), response_(std::move(response)) {}

  template <class F, class OnError>
  void then(F f, OnError e) {
    response_.then(timer_dropping<Self, F>{self_, response_.id(), std::move(f)},
                   timer_dropping<Self, OnError>{self_, response_.id(), std::move(e)});
  }

 private:
  Self* self_;
  Response response_;
};

}  // namespace detail

template <class Self, class Handle, class Timeout, class... Args>
auto ask(Self* self, const Handle& whom, Timeout timeout, Args&&... args) {
  return detail::asked(self, self->request(whom, timeout, std::forward<Args>(args)...));
}

}  // namespace mutant
