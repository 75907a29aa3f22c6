#include "actors/pads/open_store.hpp"

#include <filesystem>

#include "actors/caf/spawn.hpp"
#include "actors/pads/local_store.hpp"
#include "actors/pads/memory_store.hpp"
#include "actors/pads/rados_store.hpp"
#include "actors/pads/s3_transport.hpp"

namespace mutant {

namespace {

constexpr std::uint64_t memory_capacity_bytes = std::uint64_t{4} << 30;
constexpr std::size_t threads_of_middleman = 2;   // its own, and one that looks up names
constexpr std::size_t threads_of_bucket = 3;  // the transport, libcurl's look-up of a name, and while credentials are fetched
constexpr std::size_t threads_of_librados = 32;   // messengers, timers, finishers: about so many, and our monitor

result<pad_store_actor> open_local(caf::actor_system& system, const store_url& url, const open_store_options& options) {
  lmdb_options engine_options;
  engine_options.directory = url.path;
  engine_options.create = options.create;
  engine_options.any_file_system = options.any_file_system;
  auto engine = open_lmdb_engine(engine_options);
  if (!engine)
    return fail(engine.error());
  local_store_options store;
  store.engine = std::move(*engine);
  store.readers = options.readers;
  store.detached = options.detached;
  store.log = options.log;
  pad_store_actor actor = start(system, local_store, std::move(store));
  return actor;
}

result<pad_store_actor> open_remote(caf::actor_system& system, const store_url& url, const open_store_options& options) {
  if (!system.has_middleman())
    return fail(errc::unsupported, "this actor system has no middleman, which " + url.scheme
                                       + "://… needs: make it from mutant::system_config(url)");
  auto remote = options.remote;
  remote.hosts = url.hosts;
  if (url.scheme == "cafs") {
    auto tls = tls_context::load(options.tls, tls_role::client);
    if (!tls)
      return fail(tls.error());
    remote.tls = std::move(*tls);
  } else if (options.tls.given()) {
    return fail(errc::invalid_argument, "certificates are given, but a caf:// store does not use them: write cafs://");
  }
  if (auto valid = remote.validate(); !valid)
    return fail(valid.error());
  pad_store_actor actor = start(system, remote_store, std::move(remote));
  return actor;
}

result<pad_store_actor> open_rados(caf::actor_system& system, const store_url& url, const open_store_options& options) {
  const auto option = [&](const char* name) {
    const auto at = url.options.find(name);
    return at == url.options.end() ? std::string() : at->second;
  };
  auto pool = open_rados_pool({.pool = url.path,
                               .configuration_file = option("conf"),
                               .client_id = option("id"),
                               .name_space = option("namespace")});
  if (!pool)
    return fail(pool.error());
  rados_store_options store;
  store.pool = std::move(*pool);
  store.detached = options.detached;
  pad_store_actor actor = start(system, rados_store, std::move(store));
  return actor;
}

result<pad_store_actor> open_bucket(caf::actor_system& system, const store_url& url, const open_store_options& options) {
  auto found = find_bucket(url, bucket_memory(url, options.memory_directory));
  if (!found)
    return fail(found.error());
  return spawn_s3_store(system, std::move(*found));
}

}  // namespace

std::string bucket_memory(const store_url& url, const std::string& directory) {
  if (directory.empty())
    return {};
  // Where it cannot be made nothing is remembered, and the next time it is found out again.
  std::error_code failed;
  std::filesystem::create_directories(directory, failed);
  std::filesystem::permissions(directory, std::filesystem::perms::owner_all, failed);
  const auto id = hash_of(as_byte_view(to_string(url)));
  return directory + "/bucket-" + to_hex(byte_view(id).first(8));
}

std::size_t threads_of(const store_url& url, const open_store_options& options) {
  if (url.scheme == "local")
    return options.detached ? 1 + options.readers : 0;
  if (is_remote(url))
    return threads_of_middleman;
  if (url.scheme == "s3")
    return threads_of_bucket;
  return url.scheme == "rados" ? threads_of_librados : 0;
}

result<pad_store_actor> open_pad_store(caf::actor_system& system, const store_url& url, const open_store_options& options) {
  if (url.scheme == "local")
    return open_local(system, url, options);
  if (url.scheme == "memory") {
    pad_store_actor actor = start(system, memory_store, std::shared_ptr<pad_engine>(make_memory_engine(memory_capacity_bytes)));
    return actor;
  }
  if (is_remote(url))
    return open_remote(system, url, options);
  if (url.scheme == "rados")
    return open_rados(system, url, options);
  if (url.scheme == "s3")
    return open_bucket(system, url, options);
  return fail(errc::unsupported, "this build has no " + url.scheme + ": stores");
}

}  // namespace mutant
