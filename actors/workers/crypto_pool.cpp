#include "actors/workers/crypto_pool.hpp"

#include "actors/caf/spawn.hpp"
#include "actors/caf/worker_pool.hpp"

namespace mutant {

crypto_worker_actor spawn_crypto_pool(caf::actor_system& system, const crypto_worker_options& crypto,
                                      const crypto_pool_options& options) {
  worker_pool_options<crypto_worker_actor> pool;
  pool.name = options.name;
  pool.workers = options.workers;
  pool.kept_for_short = options.kept_for_short;
  pool.max_assigned = options.max_assigned;
  pool.spawn = [&system, crypto, detached = options.detached]() -> crypto_worker_actor {
    return detached ? start<caf::detached>(system, crypto_worker, crypto) : start(system, crypto_worker, crypto);
  };
  return start(system, worker_pool<crypto_worker_actor>, std::move(pool));
}

}  // namespace mutant
