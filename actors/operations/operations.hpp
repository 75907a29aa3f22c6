// Runs a store's operations: what takes more than a look into the index or one change of it.
//
// The index stands in front and passes such requests on to this actor, which spawns an actor for each put, get, check and
// purge; those answer the asker themselves. It supervises the other parts of the store: when one of them is lost it ends itself
// with that reason, and the index, which is linked to it, ends too.
#pragma once

#include <map>
#include <memory>

#include "actors/interfaces.hpp"
#include "actors/operations/operation_options.hpp"

namespace mutant {

struct operations_options {
  // Their index is filled in for each operation.
  put_options put;
  get_options get;
  check_options check;
  purge_options purge;
  std::size_t max_operations = 1024;    // at a time; `overloaded` beyond
  std::vector<caf::actor> supervised;   // end with this actor
};

struct operations_state {
  static inline const char* name = "operations";
  struct running_operation {
    std::uint64_t cancellation_id = 0;
    caf::actor actor;
  };
  using running_map = std::map<caf::actor_addr, running_operation>;

  operations_options options;
  std::shared_ptr<running_map> running = std::make_shared<running_map>();   // outlives the actor, to end them all
};

operations_actor::behavior_type operations(operations_actor::stateful_pointer<operations_state> self,
                                           operations_options options);

}  // namespace mutant
