#include "actors/copy/copy_store.hpp"

#include <thread>

#include "actors/caf/spawn.hpp"
#include "actors/pads/open_store.hpp"
#include "actors/pads/pad_pool.hpp"
#include "actors/workers/crypto_pool.hpp"
#include "core/secret_memory.hpp"

namespace mutant {

namespace {

progress_listener::behavior_type listener(progress_listener::pointer, const progress_callback& call) {
  return {[call](progress_atom, const progress& p) { call(p); }};
}

open_store_options how_to_open(const store_url& url, const store_copy_options& options) {
  open_store_options how;
  how.readers = options.window;
  how.remote = options.remote;
  how.any_file_system = options.any_file_system;
  if (url.scheme == "cafs")
    how.tls = options.tls;
  return how;
}

// Both places, crypto workers and verifiers.
std::size_t threads_of(const store_copy_options& options, std::size_t workers) {
  auto count = 2 * workers;
  for (const auto* place : {&options.from, &options.to})
    if (auto url = parse_store_url(*place))
      count += threads_of(*url, how_to_open(*url, options));
  return count;
}

}  // namespace

struct store_copy::parts {
  explicit parts(std::string_view url) : config(url), system(config) {}
  ~parts() {
    for (auto& child : children)
      caf::anon_send_exit(child, caf::exit_reason::user_shutdown);
    operation = nullptr;
  }

  template <class Handle>
  Handle keep(Handle child) {
    children.push_back(caf::actor_cast<caf::actor>(child));
    return child;
  }

  // The pad workers in front of one of the two places.
  result<pad_store_actor> open(const std::string& text, const store_copy_options& options, bool create) {
    auto url = parse_store_url(text);
    if (!url)
      return fail(url.error());
    auto how = how_to_open(*url, options);
    how.create = create;
    auto store = open_pad_store(system, *url, how);
    if (!store)
      return fail(store.error().code, text + ": " + store.error().message, store.error().detail);
    pad_worker_options workers;
    workers.store = keep(*store);
    workers = apply_backend_timeouts(std::move(workers), *url, options.remote);
    max_request_time = std::max(max_request_time, workers.max_request_time());
    return keep(spawn_pad_pool(system, workers, options.window));
  }

  index_actor open_index(const pad_store_actor& pads, const crypto_worker_actor& crypto) {
    index_options options;
    options.pads = pads;
    options.crypto = crypto;
    random_fill(options.writer);
    options.timeout = timeout();
    const index_actor index = spawn_index(system, options);
    children.push_back(caf::actor_cast<caf::actor>(index));
    return index;
  }

  std::chrono::milliseconds timeout() const { return max_request_time + std::chrono::seconds(30); }

  system_config config;
  caf::actor_system system;
  std::vector<caf::actor> children;
  std::chrono::milliseconds max_request_time{0};
  copy_options copying;
  copy_operation_actor operation;
};

store_copy::store_copy(std::unique_ptr<parts> p) : parts_(std::move(p)) {}
store_copy::store_copy(store_copy&&) noexcept = default;
store_copy::~store_copy() = default;

result<store_copy> store_copy::open(store_copy_options options) {
  if (auto ready = init_crypto(); !ready)
    return fail(ready.error());
  const auto remote = options.from.starts_with("caf") ? options.from : options.to;
  const auto threads = options.threads != 0 ? options.threads : std::max(1u, std::thread::hardware_concurrency());
  if (auto given = check_resources(system_config(remote), threads_of(options, threads)); !given)
    return fail(given.error());
  auto p = std::make_unique<parts>(remote);
  auto from = p->open(options.from, options, false);
  if (!from)
    return fail(from.error());
  auto to = p->open(options.to, options, true);
  if (!to)
    return fail(to.error());

  auto& system = p->system;
  crypto_pool_options pool;
  pool.workers = threads;
  const auto crypto = p->keep(spawn_crypto_pool(system, {make_secret<keyring>(options.owner)}, pool));

  auto& o = p->copying;
  o.from = *from;
  o.to = *to;
  o.from_index = p->open_index(*from, crypto);
  o.open_target_index = [mine = p.get(), crypto] { return mine->open_index(mine->copying.to, crypto); };
  o.crypto = crypto;
  o.verifiers = p->keep(spawn_verifier_pool(system, threads));
  o.memory_path = options.memory_path;
  o.read_back = options.read_back;
  o.skip_damaged = options.skip_damaged;
  o.window = options.window;
  o.timeout = p->timeout();
  p->operation = start(system, copy_operation, o);
  p->children.push_back(caf::actor_cast<caf::actor>(p->operation));
  return store_copy(std::move(p));
}

result<copy_result> store_copy::run(const progress_callback& on_progress) {
  caf::scoped_actor self{parts_->system};
  progress_listener watching;
  if (on_progress)
    watching = start(parts_->system, listener, on_progress);
  std::optional<result<copy_result>> out;
  self->request(parts_->operation, caf::infinite, put_atom_v, watching)
      .receive([&](copy_result& r) { out.emplace(r); }, [&](caf::error& e) { out.emplace(fail(from_caf(e))); });
  if (watching)
    caf::anon_send_exit(watching, caf::exit_reason::user_shutdown);
  return std::move(*out);
}

void store_copy::cancel() noexcept {
  caf::anon_send(parts_->operation, cancel_atom_v);
}

}  // namespace mutant
