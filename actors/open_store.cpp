#include "actors/open_store.hpp"

#include "actors/local_store.hpp"
#include "actors/memory_store.hpp"

namespace mutant {

namespace {

constexpr std::uint64_t memory_capacity_bytes = std::uint64_t{4} << 30;

result<pad_store_actor> open_local(caf::actor_system& system, const store_url& url, const open_store_options& options) {
  lmdb_options engine_options;
  engine_options.directory = url.path;
  engine_options.create = options.create;
  auto engine = open_lmdb_engine(engine_options);
  if (!engine)
    return fail(engine.error());
  local_store_options store;
  store.engine = std::move(*engine);
  store.readers = options.readers;
  store.detached = options.detached;
  pad_store_actor actor = system.spawn(local_store, std::move(store));
  return actor;
}

}  // namespace

result<pad_store_actor> open_pad_store(caf::actor_system& system, const store_url& url, const open_store_options& options) {
  if (url.scheme == "local")
    return open_local(system, url, options);
  if (url.scheme == "memory") {
    pad_store_actor actor = system.spawn(memory_store, std::shared_ptr<pad_engine>(make_memory_engine(memory_capacity_bytes)));
    return actor;
  }
  return fail(errc::unsupported, "this build has no " + url.scheme + ": stores");
}

}  // namespace mutant
