#include "actors/store.hpp"

#include <algorithm>
#include <filesystem>
#include <thread>

#include "actors/caf/spawn.hpp"
#include "actors/operations/operations.hpp"
#include "actors/operations/small_puts.hpp"
#include "actors/pads/open_store.hpp"
#include "actors/pads/pad_pool.hpp"
#include "actors/workers/crypto_pool.hpp"
#include "actors/workers/damage_memory.hpp"
#include "actors/workers/file_writer.hpp"
#include "core/resources.hpp"
#include "core/secret_memory.hpp"

namespace mutant {

namespace {

constexpr std::size_t file_writers = 4;
constexpr std::size_t get_window_of_bucket = 22;  // 16 on their way, and those that are opened and written meanwhile
constexpr std::size_t crypto_workers_besides = 2;   // one for short work, one for the background
// CAF's clock and printer; what reads or writes a stream for one call, and what waits for signals there.
constexpr std::size_t threads_of_system = 2;
constexpr std::size_t threads_of_call = 2;
constexpr std::size_t min_descriptors = 16;   // for the store's files, the middleman, a value
// Of a crypto worker: small pads, commits. A chunk is long work.
constexpr std::size_t short_jobs_at_once = 4;
// Snapshots are cut and sealed while look-ups and commits go on, which must not wait for a core because of them.
constexpr int background_niceness = 10;

std::size_t crypto_workers_of(const store_config& config) {
  return config.crypto_workers != 0 ? config.crypto_workers : std::max(1u, std::thread::hardware_concurrency());
}

open_store_options how_to_open(const store_config& config) {
  return {std::max<std::size_t>(6, 2 * crypto_workers_of(config)), config.create, config.detached, config.tls, config.remote,
          config.any_file_system, config.cache_directory, {}};
}

std::size_t default_scheduler_threads() {
  return std::max(2u, std::thread::hardware_concurrency());
}

keyring keys_of(const store_config& config) {
  return config.reader ? keyring(*config.reader) : keyring(config.owner);
}

}  // namespace

// One pair of files for each owner and store: "<directory>/<owner>-<hash of the store's name>".
std::string index_memory_path(const store_config& config) {
  // Where nothing can be written, what is there is still read: it tells a store that went back. Writing will say what is wrong.
  std::error_code failed;
  std::filesystem::create_directories(config.cache_directory, failed);
  std::filesystem::permissions(config.cache_directory, std::filesystem::perms::owner_all, failed);
  auto name = config.url;
  if (auto url = parse_store_url(config.url); url && url->scheme == "local")
    name = "local:" + std::filesystem::weakly_canonical(url->path, failed).string();
  const auto id = hash_of(as_byte_view(name));
  return config.cache_directory + "/" + keys_of(config).owner_name() + "-" + to_hex(byte_view(id).first(8));
}

void adapt(store_config& config, const store_url& url) {
  config.worker = apply_backend_timeouts(config.worker, url, config.remote);
  config.index.timeout = std::max(config.index.timeout, config.worker.max_request_time() + std::chrono::seconds(20));
  // A node may stand before a bucket.
  config.index.look_ahead = url.scheme == "s3" || is_remote(url);
  if (url.scheme == "s3" && config.window == 0 && config.get_window == 0)
    config.get_window = get_window_of_bucket;
}

std::size_t threads_of(const store_config& config) {
  const auto crypto_workers = crypto_workers_of(config);
  auto count = threads_of_call;
  if (config.detached)
    count += crypto_workers + crypto_workers_besides + file_writers;
  if (!config.pads)
    if (auto url = parse_store_url(config.url))
      count += threads_of(*url, how_to_open(config));
  return count;
}

result<void> check_resources(const caf::actor_system_config& config, std::size_t more_threads) {
  const auto scheduler = caf::get_or(config, "scheduler.max-threads", default_scheduler_threads());
  if (auto given = check_threads(scheduler + threads_of_system + more_threads); !given)
    return given;
  return check_descriptors(min_descriptors);
}

result<void> store_config::validate() const {
  if (pad_workers == 0 || pad_workers > 4096 || crypto_workers > 1024 || window > 1024 || get_window > 1024)
    return fail(errc::invalid_argument, "a store has 1 to 4096 pad workers, at most 1024 crypto workers and 1024 chunks under "
                                        "way");
  if (auto valid = check_compression(compress); !valid)
    return valid;
  if (max_operations == 0)
    return fail(errc::invalid_argument, "a store must allow one operation at least");
  return {};
}

result<store_actor> spawn_store(caf::actor_system& system, store_config config) {
  if (auto ready = init_crypto(); !ready)
    return fail(ready.error());
  if (auto valid = config.validate(); !valid)
    return fail(valid.error());
  const auto crypto_workers = crypto_workers_of(config);
  operations_options made;
  made.max_operations = config.max_operations;
  made.put = config.put;
  made.get = config.get;
  auto detached = config.detached;

  auto store = config.pads;
  if (!store) {
    auto url = parse_store_url(config.url);
    if (!url)
      return fail(url.error());
    auto opened = open_pad_store(system, *url, how_to_open(config));
    if (!opened)
      return fail(opened.error());
    store = *opened;
    made.supervised.push_back(caf::actor_cast<caf::actor>(store));
    adapt(config, *url);
  }
  auto give_up = [&](const error& e) {
    for (auto& child : made.supervised)
      caf::anon_send_exit(child, caf::exit_reason::user_shutdown);
    return fail(e);
  };

  const auto window = config.window != 0 ? config.window : crypto_workers + 6;
  config.worker.store = store;
  crypto_worker_options decode{make_secret<keyring>(keys_of(config)), config.compress};
  if (auto valid = config.worker.validate(); !valid)
    return give_up(valid.error());

  auto pads = spawn_pad_pool(system, config.worker, config.pad_workers);
  made.supervised.push_back(caf::actor_cast<caf::actor>(pads));

  auto spawn_crypto = [&](const char* name, std::size_t workers, std::size_t more_for_short, int niceness) {
    decode.niceness = detached ? niceness : 0;
    auto all = spawn_crypto_pool(
        system, decode, {name, workers + more_for_short, more_for_short, short_jobs_at_once, detached});
    made.supervised.push_back(caf::actor_cast<caf::actor>(all));
    return all;
  };
  auto crypto_pool = spawn_crypto("the crypto worker pool", crypto_workers, 1, 0);

  auto writers = spawn_file_writers(system, file_writers, detached);
  made.supervised.push_back(caf::actor_cast<caf::actor>(writers));

  if (!config.cache_directory.empty())
    config.index.cache_path = index_memory_path(config);
  made.put.pads = made.get.pads = made.purge.pads = pads;
  made.put.crypto = made.get.crypto = made.purge.crypto = crypto_pool;
  auto damage = start(system, damage_memory, damage_memory_options{crypto_pool, config.index.cache_path});
  made.supervised.push_back(caf::actor_cast<caf::actor>(damage));
  made.put.damage = made.get.damage = damage;
  made.put.chunk_bytes = config.chunk_bytes;
  made.put.inline_bytes = config.inline_bytes;
  made.put.window = window;
  made.check.pads = pads;
  made.check.crypto = crypto_pool;
  made.check.damage = damage;
  made.check.window = window;
  made.get.writers = writers;
  made.get.window = config.get_window != 0 ? config.get_window : config.window != 0 ? window : window + file_writers;
  if (auto valid = made.put.validate(); !valid)
    return give_up(valid.error());
  if (auto valid = made.get.validate(); !valid)
    return give_up(valid.error());

  small_puts_options few{start(system, pad_worker, config.worker), crypto_pool, damage, config.chunk_bytes,
                         config.max_operations};
  made.supervised.push_back(caf::actor_cast<caf::actor>(few.pads));
  auto small = start(system, small_puts, few);
  made.supervised.push_back(caf::actor_cast<caf::actor>(small));

  config.index.reader = !decode.keys->can_write();
  config.index.accept_rollback = config.accept_rollback;
  config.index.inline_bytes = config.inline_bytes;
  config.index.pads = pads;
  config.index.crypto = crypto_pool;
  config.index.background = spawn_crypto("the background crypto worker", 1, 0, background_niceness);
  if (config.index.writer == writer_id{})
    random_fill(config.index.writer);
  if (auto valid = config.index.validate(); !valid)
    return give_up(valid.error());
  config.index.small_bytes = std::min<std::size_t>(config.small_bytes, config.chunk_bytes);
  config.index.small_puts = small;
  config.index.operations = start(system, operations, made);
  return spawn_index(system, config.index);
}

void configure(caf::actor_system_config& config, std::string_view url) {
  if (url.starts_with("caf:") || url.starts_with("cafs:"))
    config.load<caf::io::middleman>();
  // The default, work stealing, polls while it is idle: with detached actors doing the work, on few cores, that takes the
  // time of those who have something to do.
  config.set("scheduler.policy", caf::atom("sharing"));
  // CAF takes four threads at least. Where there are fewer cores, they take the cores from each other and from the crypto
  // workers: on two cores a look-up costs twice as much with four threads as with two.
  config.set("scheduler.max-threads", default_scheduler_threads());
  register_errors(config);
  config.add_message_type<done>("mutant::done")
      .add_message_type<bytes>("mutant::bytes")
      .add_message_type<pad_query>("mutant::pad_query")
      .add_message_type<pad_store_stats>("mutant::pad_store_stats");
}

}  // namespace mutant
