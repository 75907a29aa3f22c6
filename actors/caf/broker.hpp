// A broker whose mailbox is closed when it ends, as that of any other actor is.
//
// CAF 0.17's own leaves it open: what comes later stays in it for ever, which is memory that nobody frees (the tick that a link
// sends to itself holds the link), and a request that is never answered.
#pragma once

#include <caf/all.hpp>
#include <caf/io/all.hpp>

namespace mutant {

class broker : public caf::io::broker {
 public:
  using caf::io::broker::broker;

  // Takes the place of abstract_broker's, which passes over scheduled_actor's.
  bool cleanup(caf::error&& reason, caf::execution_unit* host) override {
    close_all();
    return caf::scheduled_actor::cleanup(std::move(reason), host);
  }
};

template <class State>
using stateful_broker = caf::stateful_actor<State, broker>;

}  // namespace mutant
