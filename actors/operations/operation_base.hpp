// What every operation repeats: it takes one request, watches who asked, answers once, and is over with that.
//
// An operation's state derives from this (Derived), and has
//   void start();     begins, with `request`
//   void let_go();    gives back what it holds: called once, before the answer
#pragma once

#include <utility>

#include "actors/caf/caller.hpp"
#include "actors/interfaces.hpp"

namespace mutant {

template <class Derived, class Actor, class Request, class Answer>
struct operation_base {
  using self_pointer = typename Actor::template stateful_pointer<Derived>;

  explicit operation_base(typename Actor::pointer me) : self(me) {}

  // The handler of its one message.
  caf::result<Answer> begin(Request& asked) {
    asking.watch(self);
    promise = self->template make_response_promise<Answer>();
    request = std::move(asked);
    auto answer = promise;
    derived().start();
    return answer;
  }
  // Cancelled when the asking actor goes down; `ended` is told to it when the store ends first.
  template <class Cancel>
  void watch_over(Cancel cancel, std::string ended) {
    self->set_down_handler([cancel](caf::down_msg&) { cancel(); });
    self->set_exit_handler([this, ended](caf::exit_msg& exit) {
      over = true;
      if (promise.pending())
        end(to_caf({errc::unreachable, ended}));
      self->quit(exit.reason);
    });
  }

  void succeed() {
    if (!std::exchange(over, true))
      end(totals);
  }
  void fail_with(error e) {
    if (!std::exchange(over, true))
      end(to_caf(e));
  }
  // What a failed request of ours does.
  auto failing() {
    return [this](caf::error& e) { derived().fail_with(from_caf(e)); };
  }
  // With `over` set already.
  template <class Outcome>
  void end(Outcome outcome) {
    derived().let_go();
    promise.deliver(std::move(outcome));
    asking.forget(self);
    self->quit();
  }

  Derived& derived() noexcept { return static_cast<Derived&>(*this); }

  typename Actor::pointer self;
  Request request;
  caf::typed_response_promise<Answer> promise;
  caller asking;
  Answer totals;          // the answer, as far as it goes
  bool over = false;      // it is answered, or about to be: what still arrives counts for nothing
};

}  // namespace mutant
