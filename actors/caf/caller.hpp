// Watches who asked for an operation, for as long as the operation runs.
//
// CAF keeps a monitor, and with it the whole memory of the actor that watches, until the watched one ends. One client may ask
// for millions of operations, so each takes its watch away when it is over.
#pragma once

#include <caf/all.hpp>

namespace mutant {

class caller {
 public:
  // Call before a promise is made: that takes the sender with it. The self's down handler hears of the caller's end.
  template <class Self>
  void watch(Self* self) {
    if (auto asking = self->current_sender()) {
      who_ = caf::actor_cast<caf::actor_addr>(asking);
      self->monitor(who_);
    }
  }

  template <class Self>
  void forget(Self* self) {
    if (who_)
      self->demonitor(std::exchange(who_, nullptr));
  }

 private:
  caf::actor_addr who_;
};

}  // namespace mutant
