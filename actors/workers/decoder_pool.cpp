#include "actors/workers/decoder_pool.hpp"

#include "actors/caf/spawn.hpp"
#include "actors/caf/worker_pool.hpp"

namespace mutant {

decoder_actor spawn_decoder_pool(caf::actor_system& system, const decoder_options& decoders,
                                 const decoder_pool_options& options) {
  worker_pool_options<decoder_actor> pool;
  pool.name = options.name;
  pool.workers = options.workers;
  pool.kept_for_short = options.kept_for_short;
  pool.max_in_hand = options.max_in_hand;
  pool.spawn = [&system, decoders, detached = options.detached]() -> decoder_actor {
    return detached ? start<caf::detached>(system, decoder, decoders) : start(system, decoder, decoders);
  };
  return start(system, worker_pool<decoder_actor>, std::move(pool));
}

}  // namespace mutant
