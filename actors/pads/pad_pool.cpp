#include "actors/pads/pad_pool.hpp"

#include "actors/caf/spawn.hpp"
#include "actors/caf/worker_pool.hpp"

namespace mutant {

namespace {

// Several operations that are given up after 15 seconds each (core/engine/rados_pool.hpp), and a question to the monitors.
constexpr std::chrono::seconds max_rados_request_time{50};
// A request is given up after a minute (core/s3/http.hpp); a write that is not the usual one takes several.
constexpr std::chrono::seconds max_bucket_request_time{150};

}  // namespace

pad_worker_options apply_backend_timeouts(pad_worker_options options, const store_url& url,
                                          const remote_store_options& remote) {
  if (url.scheme == "caf" || url.scheme == "cafs") {
    options.timeout = std::max(options.timeout, remote.max_request_time());
    options.tries = std::min(options.tries, 2u);
  } else if (url.scheme == "rados") {
    options.timeout = std::max<std::chrono::milliseconds>(options.timeout, max_rados_request_time);
    options.tries = std::min(options.tries, 4u);
  } else if (url.scheme == "s3") {
    options.timeout = std::max<std::chrono::milliseconds>(options.timeout, max_bucket_request_time);
    options.tries = std::min(options.tries, 6u);
  }
  return options;
}

pad_store_actor spawn_pad_pool(caf::actor_system& system, const pad_worker_options& options, std::size_t workers) {
  worker_pool_options<pad_store_actor> pool;
  pool.name = "the pad worker pool";
  pool.workers = workers;
  pool.kept_for_short = workers / 4;
  pool.timeout = options.max_request_time() + std::chrono::seconds(10);
  pool.spawn = [&system, mine = options]() mutable -> pad_store_actor {
    if (mine.seed != 0)
      ++mine.seed;
    return start(system, pad_worker, mine);
  };
  return start(system, worker_pool<pad_store_actor>, std::move(pool));
}

}  // namespace mutant
