// A promise for handlers that may never run. CAF drops the handlers of an actor that ends, and says nothing to whoever waits
// for a promise that was in them; this one then says that the store was ended.
//
//   auto owed = owe<done>(self);                               // in a message handler
//   self->request(…).then([owed](done) { owed->deliver(done{}); }, [owed](caf::error& e) { owed->deliver(std::move(e)); });
//   return owed->promise();
#pragma once

#include <caf/all.hpp>
#include <memory>

#include "actors/messages.hpp"

namespace mutant {

template <class T>
class owed_answer {
 public:
  explicit owed_answer(caf::typed_response_promise<T> promise) : promise_(std::move(promise)) {}
  owed_answer(const owed_answer&) = delete;
  owed_answer& operator=(const owed_answer&) = delete;
  ~owed_answer() {
    if (promise_.pending())
      promise_.deliver(to_caf({errc::unreachable, "the store was ended"}));
  }

  const caf::typed_response_promise<T>& promise() const noexcept { return promise_; }   // for CAF; deliver here
  void deliver(T answer) { promise_.deliver(std::move(answer)); }
  void deliver(caf::error e) { promise_.deliver(std::move(e)); }

 private:
  caf::typed_response_promise<T> promise_;
};

template <class T>
using owed = std::shared_ptr<owed_answer<T>>;

template <class T, class Self>
owed<T> owe(Self* self) {
  return std::make_shared<owed_answer<T>>(self->template make_response_promise<T>());
}

}  // namespace mutant
