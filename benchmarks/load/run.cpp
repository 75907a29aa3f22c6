#include "benchmarks/load/run.hpp"

#include <cstdlib>
#include <filesystem>

#include "actors/pads/open_store.hpp"
#include "actors/store.hpp"
#include "core/identity.hpp"

namespace mutant::load {

namespace {

namespace fs = std::filesystem;

// Room for keys that are inserted while the run lasts; memory is only taken for those that are.
constexpr std::uint64_t max_inserts = 50'000'000;

result<seed> owner_of(const settings& s) {
  if (s.identity_file.empty())
    return generate_seed();
  auto text = read_identity_file(s.identity_file);
  if (!text)
    return fail(text.error());
  const auto* passphrase = std::getenv("MUTANT_PASSPHRASE");
  auto keys = decode_identity(*text, passphrase == nullptr ? "" : passphrase);
  if (!keys)
    return fail(keys.error().code, keys.error().message + " (" + s.identity_file + ")");
  if (const auto* owner = std::get_if<seed>(&*keys))
    return *owner;
  return fail(errc::access_denied, "the identity at " + s.identity_file + " is a reader's, and a workload writes");
}

result<key_space> make_space(const settings& s, bool large) {
  const auto used = large ? s.has_large() : s.has_small();
  const auto count = !used ? 0 : large ? s.large_records : s.records;
  const auto grows = !large && s.work.mix.has(operation_kind::insert);
  key_space space{s.prefix + (large ? "large/" : "small/"), std::make_shared<ledger>(count, count + (grows ? max_inserts : 0)),
                  large ? s.large_size : s.size};
  if (!space.keys->good())
    return fail(errc::too_large, "there is no memory to keep track of " + std::to_string(count) + " keys");
  return space;
}

result<conductor_setup> make_setup(const settings& s, std::uint64_t run) {
  conductor_setup setup;
  auto small = make_space(s, false), large = make_space(s, true);
  if (!small || !large)
    return fail(small ? large.error() : small.error());
  auto& c = setup.client;
  c.small = std::move(*small);
  c.large = std::move(*large);
  c.mix = s.work.mix;
  c.order = s.work.order;
  c.theta = s.theta;
  c.max_scan = s.max_scan;
  c.clients = s.clients;
  c.seed = s.seed;
  c.run = run;
  c.foreign_runs = s.no_load;
  if (s.rate > 0)
    c.open_loop = s.arrivals;
  c.rate = s.rate;
  c.max_waiting = std::max<std::uint64_t>(1, s.max_backlog / s.clients);
  c.timeout = s.timeout;
  c.interval_width = std::chrono::milliseconds(s.clients <= 256 ? 250 : 1000);
  setup.load = !s.no_load;
  setup.warm_up = s.warm_up;
  setup.duration = s.duration;
  setup.operations = s.operations;
  setup.give_up_after = std::max(setup.give_up_after, 2 * s.timeout);
  return setup;
}

store_config make_config(const settings& s, const seed& owner) {
  store_config config;
  config.owner = owner;
  config.url = s.store;
  config.tls = s.tls;
  config.crypto_workers = s.threads;
  if (s.pad_workers != 0)
    config.pad_workers = s.pad_workers;
  if (s.inline_bytes)
    config.inline_bytes = *s.inline_bytes;
  if (s.connect_timeout)
    config.remote.unreachable_after = *s.connect_timeout;
  if (s.pad_timeout) {
    config.worker.timeout = *s.pad_timeout;
    config.remote.answer_timeout = *s.pad_timeout;
  }
  config.max_operations = std::max<std::size_t>(config.max_operations, s.clients + 16);
  return config;
}

// The store's pads behind a faulty_store that does nothing yet.
struct faulty_pads {
  pad_store_actor behind;
  faulty_store_actor front;
};

result<faulty_pads> open_faulty(caf::actor_system& system, const settings& s, store_config& config) {
  auto url = parse_store_url(s.store);
  if (!url)
    return fail(url.error());
  open_store_options how;
  how.readers = 6;
  how.tls = config.tls;
  how.remote = config.remote;
  auto opened = open_pad_store(system, *url, how);
  if (!opened)
    return fail(opened.error());
  faulty_store_options options;
  options.store = *opened;
  options.seed = seed_of(s.seed, 0xfa17);
  faulty_pads out{*opened, system.spawn(faulty_store, options)};
  config.pads = out.front;
  adapt(config, *url);
  return out;
}

std::optional<fault_counts> counts_of(caf::scoped_actor& self, const faulty_store_actor& front) {
  std::optional<fault_counts> out;
  self->request(front, std::chrono::seconds(5), fault_counts_query{})
      .receive([&](const fault_counts& counts) { out = counts; }, [](caf::error&) {});
  return out;
}

// A local store that is not there yet is this run's own.
bool will_be_made(const settings& s) {
  auto url = parse_store_url(s.store);
  std::error_code ignored;
  return url && url->scheme == "local" && !fs::exists(url->path, ignored);
}

std::string tidy(const settings& s, bool made) {
  if (s.store.starts_with("memory:"))
    return "";
  if (made && !s.keep && s.identity_file.empty()) {
    auto url = parse_store_url(s.store);
    std::error_code failed;
    fs::remove_all(url->path, failed);
    return failed ? "removing " + url->path + ": " + failed.message()
                  : "removed " + s.store + ", which this run had made (--keep leaves it)";
  }
  if (s.identity_file.empty())
    return "the values stay in " + s.store + ", out of reach: the identity was a throw-away one";
  return "the values stay in " + s.store + " under '" + s.prefix + "'";
}

}  // namespace

result<run_result> run_load(const settings& s,
                            std::function<void(phase, double, std::uint64_t, double)> on_progress,
                            const std::function<void(std::function<void()>)>& stoppable) {
  if (auto ready = init_crypto(); !ready)
    return fail(ready.error());
  auto owner = owner_of(s);
  if (!owner)
    return fail(owner.error());
  run_result out;
  out.run = random_u64() | 1;
  auto setup = make_setup(s, out.run);
  if (!setup)
    return fail(setup.error());
  auto config = make_config(s, *owner);
  const auto made = will_be_made(s);
  {
    system_config system_options(s.store);
    if (s.threads != 0)
      system_options.set("scheduler.max-threads", s.threads);
    caf::actor_system system(system_options);
    caf::scoped_actor self(system);
    std::optional<faulty_pads> faulty;
    if (!s.faults_text.empty()) {
      auto opened = open_faulty(system, s, config);
      if (!opened)
        return fail(opened.error());
      faulty = std::move(*opened);
    }
    auto close = [&](const std::optional<store_actor>& store) {
      if (store)
        self->send_exit(*store, caf::exit_reason::user_shutdown);
      if (faulty) {
        self->send_exit(faulty->front, caf::exit_reason::user_shutdown);
        self->send_exit(faulty->behind, caf::exit_reason::user_shutdown);
      }
    };
    auto store = spawn_store(system, config);
    if (!store) {
      close(std::nullopt);
      return fail(store.error());
    }
    setup->client.store = *store;
    setup->on_progress = std::move(on_progress);
    if (faulty)
      setup->before_traffic = [front = faulty->front, faults = s.faults] { caf::anon_send(front, faults); };
    auto leader = system.spawn(conductor, std::move(*setup));
    stoppable([leader] { caf::anon_send(leader, stop_order{}); });
    std::optional<error> failed;
    self->request(leader, caf::infinite, sync_atom_v)
        .receive([&](outcome_ptr& outcome) { out.outcome = std::move(outcome); },
                 [&](caf::error& e) { failed = from_caf(e); });
    stoppable({});
    if (faulty)
      out.faults = counts_of(self, faulty->front);
    config.pads = nullptr;
    close(*store);
    if (failed)
      return fail(*failed);
  }
  out.note = tidy(s, made);
  return out;
}

}  // namespace mutant::load
