// A pad store that is gone with the process: `memory:`, and the ground of simulations. Event-based; same write rule.
#pragma once

#include "actors/interfaces.hpp"
#include "core/engine/engine.hpp"

namespace mutant {

struct memory_store_state {
  static inline const char* name = "memory_store";
};

// The engine may be shared with another store over the same pads (a second writer, or after a simulated restart).
pad_store_actor::behavior_type memory_store(pad_store_actor::stateful_pointer<memory_store_state> self,
                                            std::shared_ptr<pad_engine> engine);

}  // namespace mutant
