#include "actors/check/check_store.hpp"

#include "actors/caf/spawn.hpp"
#include "actors/pads/pad_pool.hpp"
#include "actors/pads/s3_transport.hpp"
#include "actors/store.hpp"
#include "core/s3/probe.hpp"

namespace mutant {

namespace {

constexpr std::size_t workers = 32;
constexpr std::size_t connections_for_removing = 16;

open_store_options how_to_open(const check_store_options& options) {
  open_store_options how;
  how.create = false;
  how.remote = options.remote;
  how.any_file_system = options.any_file_system;
  how.memory_directory = options.memory_directory;
  if (options.url.scheme == "cafs")
    how.tls = options.tls;
  return how;
}

// The actor system with the store in it, and the pool before it.
struct opened_place {
  explicit opened_place(const check_store_options& options)
      : config(to_string(options.url)), system(with_threads(config, options.threads)) {}
  ~opened_place() {
    for (auto& child : children)
      caf::anon_send_exit(child, caf::exit_reason::user_shutdown);
  }
  opened_place(const opened_place&) = delete;
  opened_place& operator=(const opened_place&) = delete;

  static system_config& with_threads(system_config& config, std::size_t threads) {
    if (threads != 0)
      config.set("scheduler.max-threads", threads);
    return config;
  }
  // Through the workers that every store's requests go through.
  result<pad_check_result> check(const pad_store_actor& store, const check_store_options& options,
                                 std::vector<pad_address>& used) {
    children.push_back(caf::actor_cast<caf::actor>(store));
    pad_worker_options worker;
    worker.store = store;
    auto pads = spawn_pad_pool(system, apply_backend_timeouts(worker, options.url, options.remote), workers);
    children.push_back(caf::actor_cast<caf::actor>(pads));
    caf::scoped_actor self{system};
    pad_check_options how;
    how.stop = options.stop;
    return check_pads(self, pads, how, used);
  }

  system_config config;
  caf::actor_system system;
  std::vector<caf::actor> children;
};

result<checked_store> check_bucket(const check_store_options& options) {
  auto found = find_bucket(options.url, bucket_memory(options.url, options.memory_directory), true);
  if (!found)
    return fail(found.error());
  if (found->no_writing)
    return fail(*found->no_writing);
  const auto how = found->how;
  auto stay = found->left_behind;
  const auto second_way = found->way->another(connections_for_removing);
  std::vector<pad_address> used;
  auto outcome = [&] {
    opened_place place(options);
    return place.check(spawn_s3_store(place.system, std::move(*found)), options, used);
  }();
  // Where removal knows no condition an erased pad stays as an object. These are ours alone, so they can go.
  std::vector<std::string> objects;
  for (const auto& pad : used)
    objects.push_back(s3::object_of(second_way->where(), pad));
  std::ranges::move(s3::remove_objects(*second_way, objects), std::back_inserter(stay));
  if (!outcome)
    return fail(outcome.error());
  return checked_store{std::move(*outcome), how, std::move(stay)};
}

}  // namespace

result<checked_store> check_store(const check_store_options& options) {
  if (auto ready = init_crypto(); !ready)
    return fail(ready.error());
  const auto how = how_to_open(options);
  if (auto given = check_resources(system_config(to_string(options.url)), threads_of(options.url, how)); !given)
    return fail(given.error());
  if (options.url.scheme == "s3")
    return check_bucket(options);
  opened_place place(options);
  auto store = open_pad_store(place.system, options.url, how);
  if (!store)
    return fail(store.error());
  std::vector<pad_address> used;
  auto outcome = place.check(*store, options, used);
  if (!outcome)
    return fail(outcome.error());
  return checked_store{std::move(*outcome), std::nullopt, {}};
}

}  // namespace mutant
