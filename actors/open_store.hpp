// From a store URL to a pad store actor.
#pragma once

#include "actors/interfaces.hpp"
#include "core/store_url.hpp"

namespace mutant {

struct open_store_options {
  std::size_t readers = 2;   // of a local engine
  bool create = true;        // make a local store that is not there
  bool detached = true;
};

// unsupported: a scheme that this build does not have. Otherwise the errors of the engine.
result<pad_store_actor> open_pad_store(caf::actor_system& system, const store_url& url, const open_store_options& options);

}  // namespace mutant
