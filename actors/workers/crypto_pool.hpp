// Crypto workers behind one handle, spawned in the one source that instantiates their pool: it costs a compiler half a minute.
#pragma once

#include "actors/workers/crypto_worker.hpp"

namespace mutant {

struct crypto_pool_options {
  std::string name = "the crypto worker pool";
  std::size_t workers = 1;         // all of them
  std::size_t kept_for_short = 0;  // of those: long work leaves so many free
  std::size_t max_assigned = 1;     // short jobs that a crypto worker has at a time
  bool detached = true;            // threads of their own
};

crypto_worker_actor spawn_crypto_pool(caf::actor_system& system, const crypto_worker_options& crypto,
                                      const crypto_pool_options& options);

}  // namespace mutant
