#include "actors/store.hpp"

#include <algorithm>
#include <filesystem>
#include <thread>

#include "actors/decoder.hpp"
#include "actors/file_writer.hpp"
#include "actors/open_store.hpp"
#include "actors/pad_pool.hpp"
#include "actors/worker_pool.hpp"
#include "core/index/rules.hpp"

namespace mutant {

namespace {

using self_pointer = store_self_actor::stateful_pointer<store_state>;

constexpr std::size_t file_writers = 4;
// Of a decoder: small pads, commits. A chunk is long work.
constexpr std::size_t short_jobs_in_hand = 4;
// Snapshots are cut and sealed while look-ups and commits go on, which must not wait for a core because of them.
constexpr int background_niceness = 10;

// Everything that a store is made of, spawned and connected.
struct parts {
  put_options put;
  get_options get;
  purge_options purge;
  index_actor index;
  pad_store_actor pads;
  std::vector<caf::actor> supervised;
  std::size_t max_operations = 0;
};

// Spawns the operation's actor and passes the request on to it; it answers the asker itself.
template <class Result, class Behavior, class Request, class Options, class Atom>
caf::result<Result> run_operation(self_pointer self, Behavior behavior, Atom atom, Request& request,
                                  const Options& options) {
  auto& s = self->state;
  if (s.running.size() >= s.max_operations)
    return to_caf({errc::overloaded, std::to_string(s.running.size()) + " operations are running; try again later"});
  const auto ticket = request.options.ticket;
  auto operation = self->spawn(behavior, options);
  self->monitor(operation);
  s.running.emplace(operation->address(), std::pair{ticket, caf::actor_cast<caf::actor>(operation)});
  return self->delegate(operation, atom, std::move(request));
}

// A value that lies in the index needs no operation: one change of the index is all of it.
bool lies_in_index(const put_request& request, const put_options& options) {
  const auto* value = std::get_if<bytes>(&request.source);
  return value != nullptr && value->size() <= options.inline_bytes && !request.key.empty()
         && request.key.size() <= max_key_bytes && !request.options.listener;
}

caf::result<put_result> put_into_index(self_pointer self, put_request& request) {
  auto promise = self->make_response_promise<put_result>();
  put_result done_with;
  done_with.size = done_with.bytes_written = std::get<bytes>(request.source).size();
  commit_request change;
  if (request.if_version)
    change.conditions.push_back({request.key, *request.if_version});
  change.operations.push_back(put_op{std::move(request.key), inline_entry(std::move(std::get<bytes>(request.source)))});
  self->request(self->state.index, caf::infinite, commit_atom_v, std::move(change))
      .then(
          [promise, done_with](commit_result r) mutable {
            done_with.version = r.version;
            promise.deliver(done_with);
          },
          [promise](caf::error& e) mutable { promise.deliver(std::move(e)); });
  return promise;
}

caf::result<done> rename(self_pointer self, rename_request& names) {
  auto promise = self->make_response_promise<done>();
  commit_request request{{rename_op{std::move(names.from), std::move(names.to)}}, {}};
  self->request(self->state.index, caf::infinite, commit_atom_v, std::move(request))
      .then([promise](commit_result) mutable { promise.deliver(done{}); },
            [promise](caf::error& e) mutable { promise.deliver(std::move(e)); });
  return promise;
}

// Removes what the key has: its value, its unfinished upload, or both. What it has may change while we ask.
void remove(self_pointer self, remove_request request, caf::typed_response_promise<done> promise, unsigned tries) {
  auto failed = [promise](caf::error& e) mutable { promise.deliver(std::move(e)); };
  auto decide = [=](found& now) mutable {
    if (!now.complete && !now.pending)
      return void(promise.deliver(to_caf({errc::key_not_found, "no such key"})));
    const auto version = now.complete ? now.complete->version : 0;
    if (request.if_version)
      if (auto right = rules::check_version(version, *request.if_version); !right)
        return void(promise.deliver(to_caf(right.error())));
    commit_request change;
    // What is wiped is what was looked up: so that must still be the value when it goes. And where there was only an upload to
    // drop, there must still be no value: another process may have stored one that we have not read of.
    if (request.if_version || request.wipe || !now.complete)
      change.conditions.push_back({request.key, version});
    if (now.complete)
      change.operations.push_back(remove_op{request.key});
    if (now.pending)
      change.operations.push_back(drop_upload_op{request.key, now.pending->id});
    std::vector<std::uint64_t> pads;
    auto collect = [&](const chunk_list& chunks) {
      for (const auto& c : chunks)
        if (!c.kept())
          pads.push_back(c.pad.number);
    };
    if (request.wipe && now.complete && now.complete->chunks)
      collect(*now.complete->chunks);
    if (request.wipe && now.pending)
      for (const auto& piece : now.pending->pieces)
        collect(*piece);
    auto removed = [self, promise, pads](commit_result) mutable {
      if (pads.empty())
        return void(promise.deliver(done{}));
      purge_request wipe;
      wipe.only = std::move(pads);
      auto operation = self->spawn(purge_operation, self->state.purge);
      self->request(operation, caf::infinite, purge_atom_v, std::move(wipe))
          .then([promise](purge_result&) mutable { promise.deliver(done{}); },
                [promise](caf::error& cause) mutable {
                  promise.deliver(to_caf({errc::io_error, "the key is removed, but what it held could not be wiped: "
                                                              + to_string(from_caf(cause))
                                                              + ". purge --wipe does it when the store is well again"}));
                });
    };
    self->request(self->state.index, caf::infinite, commit_atom_v, std::move(change))
        .then(std::move(removed), [=](caf::error& cause) mutable {
          const auto code = from_caf(cause).code;
          const auto changed = code == errc::key_not_found
                               || (!request.if_version && (code == errc::version_mismatch || code == errc::key_exists));
          if (changed && tries > 1)
            return remove(self, std::move(request), promise, tries - 1);
          promise.deliver(std::move(cause));
        });
  };
  self->request(self->state.index, caf::infinite, find_atom_v, find_request{request.key, false})
      .then(std::move(decide), failed);
}

// One pair of files for each owner and store: "<directory>/<owner>-<hash of the store's name>".
result<std::string> cache_path(const store_config& config) {
  std::error_code failed;
  std::filesystem::create_directories(config.cache_directory, failed);
  if (failed)
    return fail(errno_error(failed.value(), "making the cache directory " + config.cache_directory));
  std::filesystem::permissions(config.cache_directory, std::filesystem::perms::owner_all, failed);
  auto name = config.url;
  if (auto url = parse_store_url(config.url); url && url->scheme == "local")
    name = "local:" + std::filesystem::weakly_canonical(url->path, failed).string();
  const auto id = hash_of(as_byte_view(name));
  return config.cache_directory + "/" + keyring(config.owner).owner_name() + "-" + to_hex(byte_view(id).first(8));
}

store_self_actor::behavior_type store_manager(self_pointer self, const parts& made) {
  auto& s = self->state;
  s.put = made.put;
  s.get = made.get;
  s.purge = made.purge;
  s.index = made.index;
  s.supervised = made.supervised;
  s.max_operations = made.max_operations;
  for (auto& child : s.supervised)
    self->monitor(child);
  self->set_down_handler([self](caf::down_msg& down) {
    if (self->state.running.erase(down.source) == 0)
      self->quit(down.reason);  // a part that we cannot do without
  });
  self->attach_functor([supervised = s.supervised] {
    for (auto& child : supervised)
      caf::anon_send_exit(child, caf::exit_reason::user_shutdown);
  });
  self->set_exit_handler([self](caf::exit_msg& exit) {
    for (auto& [address, operation] : self->state.running)
      self->send_exit(operation.second, exit.reason);
    self->quit(exit.reason);
  });
  return {
      [self](put_atom atom, put_request& request) -> caf::result<put_result> {
        if (lies_in_index(request, self->state.put))
          return put_into_index(self, request);
        return run_operation<put_result>(self, put_operation, atom, request, self->state.put);
      },
      [self](get_atom atom, get_request& request) -> caf::result<get_result> {
        // The index answers at once if the value lies in it; otherwise it sends the request back as a fetch.
        if (std::holds_alternative<std::monostate>(request.sink))
          return self->delegate(self->state.index, atom, std::move(request), value_reader_actor(self));
        return run_operation<get_result>(self, get_operation, atom, request, self->state.get);
      },
      [self](fetch_atom, get_request& request) {
        return run_operation<get_result>(self, get_operation, get_atom_v, request, self->state.get);
      },
      [self](remove_atom, remove_request& request) -> caf::result<done> {
        auto promise = self->make_response_promise<done>();
        remove(self, std::move(request), promise, 4);
        return promise;
      },
      [self](purge_atom atom, purge_request& request) {
        return run_operation<purge_result>(self, purge_operation, atom, request, self->state.purge);
      },
      [self](rename_atom, rename_request& request) { return rename(self, request); },
      [self](list_atom atom, list_request& request) { return self->delegate(self->state.index, atom, std::move(request)); },
      [self](find_atom, std::string& key) -> caf::result<list_item> {
        auto promise = self->make_response_promise<list_item>();
        // One page of one item: the key itself is the first with it as prefix, if it is there.
        self->request(self->state.index, caf::infinite, list_atom_v, list_request{key, {}, 1})
            .then(
                [promise, key](list_page& page) mutable {
                  if (page.empty() || page.front().key != key)
                    promise.deliver(to_caf({errc::key_not_found, "no such key"}));
                  else
                    promise.deliver(std::move(page.front()));
                },
                [promise](caf::error& e) mutable { promise.deliver(std::move(e)); });
        return promise;
      },
      [self](sync_atom atom) { return self->delegate(self->state.index, atom); },
      [self](stats_atom) -> caf::result<store_stats> {
        auto promise = self->make_response_promise<store_stats>();
        auto failed = [promise](caf::error& e) mutable { promise.deliver(std::move(e)); };
        self->request(self->state.index, caf::infinite, stats_atom_v)
            .then(
                [self, promise, failed](index_stats& index) mutable {
                  self->request(self->state.put.pads, caf::infinite, stats_atom_v)
                      .then([promise, index](pad_store_stats& pads) mutable { promise.deliver(store_stats{index, pads}); },
                            failed);
                },
                failed);
        return promise;
      },
      [self](flush_atom atom) { return self->delegate(self->state.index, atom); },
      [self](cancel_atom, std::uint64_t ticket) {
        for (auto& [address, operation] : self->state.running)
          if (operation.first == ticket)
            self->send(caf::actor_cast<put_operation_actor>(operation.second), cancel_atom_v);
      },
  };
}

}  // namespace

void be_patient(store_config& config, const store_url& url) {
  config.worker = with_patience(config.worker, url, config.remote);
  config.index.timeout = std::max(config.index.timeout, config.worker.longest_request() + std::chrono::seconds(20));
}

result<void> store_config::validate() const {
  if (pad_workers == 0 || pad_workers > 4096 || decoders > 1024 || window > 1024)
    return fail(errc::invalid_argument, "a store has 1 to 4096 pad workers, at most 1024 decoders and 1024 chunks under way");
  if (max_operations == 0)
    return fail(errc::invalid_argument, "a store must allow one operation at least");
  return {};
}

result<store_actor> spawn_store(caf::actor_system& system, store_config config) {
  if (auto ready = init_crypto(); !ready)
    return fail(ready.error());
  if (auto valid = config.validate(); !valid)
    return fail(valid.error());
  const auto cores = std::max(1u, std::thread::hardware_concurrency());
  const auto decoders = config.decoders != 0 ? config.decoders : cores;
  const auto window = config.window != 0 ? config.window : decoders + 6;
  parts made;
  made.max_operations = config.max_operations;
  auto detached = config.detached;

  made.pads = config.pads;
  if (!made.pads) {
    auto url = parse_store_url(config.url);
    if (!url)
      return fail(url.error());
    auto opened = open_pad_store(
        system, *url, {std::max<std::size_t>(6, 2 * decoders), config.create, detached, config.tls, config.remote});
    if (!opened)
      return fail(opened.error());
    made.pads = *opened;
    made.supervised.push_back(caf::actor_cast<caf::actor>(made.pads));
    be_patient(config, *url);
  }
  auto give_up = [&](const error& e) {
    for (auto& child : made.supervised)
      caf::anon_send_exit(child, caf::exit_reason::user_shutdown);
    return fail(e);
  };

  config.worker.store = made.pads;
  decoder_options decode{std::make_shared<const keyring>(config.owner)};
  if (auto valid = config.worker.validate(); !valid)
    return give_up(valid.error());

  auto pads = spawn_pad_pool(system, config.worker, config.pad_workers);
  made.supervised.push_back(caf::actor_cast<caf::actor>(pads));

  auto spawn_decoders = [&](const char* name, std::size_t workers, std::size_t more_for_short, int niceness) -> decoder_actor {
    worker_pool_options<decoder_actor> pool;
    pool.name = name;
    pool.workers = workers + more_for_short;
    pool.kept_for_short = more_for_short;
    pool.max_in_hand = short_jobs_in_hand;
    decode.niceness = detached ? niceness : 0;
    pool.spawn = [&system, decode, detached]() -> decoder_actor {
      return detached ? system.spawn<caf::detached>(decoder, decode) : system.spawn(decoder, decode);
    };
    auto all = system.spawn(worker_pool<decoder_actor>, std::move(pool));
    made.supervised.push_back(caf::actor_cast<caf::actor>(all));
    return all;
  };
  auto decoder_pool = spawn_decoders("the decoder pool", decoders, 1, 0);

  worker_pool_options<file_writer_actor> writing;
  writing.name = "the file writers";
  writing.workers = file_writers;
  writing.spawn = [&system, detached]() -> file_writer_actor {
    return detached ? system.spawn<caf::detached>(file_writer) : system.spawn(file_writer);
  };
  auto writers = system.spawn(worker_pool<file_writer_actor>, std::move(writing));
  made.supervised.push_back(caf::actor_cast<caf::actor>(writers));

  if (!config.cache_directory.empty()) {
    auto path = cache_path(config);
    if (!path)
      return give_up(path.error());
    config.index.cache_path = *path;
  }
  config.index.accept_rollback = config.accept_rollback;
  config.index.pads = pads;
  config.index.decoders = decoder_pool;
  config.index.background = spawn_decoders("the background decoder", 1, 0, background_niceness);
  if (config.index.writer == writer_id{})
    random_fill(config.index.writer);
  if (auto valid = config.index.validate(); !valid)
    return give_up(valid.error());
  made.index = system.spawn(index_manager, config.index);
  made.supervised.push_back(caf::actor_cast<caf::actor>(made.index));

  made.put = config.put;
  made.put.pads = pads;
  made.put.decoders = decoder_pool;
  made.put.index = made.index;
  made.put.chunk_bytes = config.chunk_bytes;
  made.put.inline_bytes = config.inline_bytes;
  made.put.window = window;
  made.get = config.get;
  made.get.pads = pads;
  made.get.decoders = decoder_pool;
  made.get.writers = writers;
  made.get.index = made.index;
  made.get.window = config.window != 0 ? window : window + file_writers;
  made.purge.pads = pads;
  made.purge.decoders = decoder_pool;
  made.purge.index = made.index;
  if (auto valid = made.put.validate(); !valid)
    return give_up(valid.error());
  if (auto valid = made.get.validate(); !valid)
    return give_up(valid.error());
  return system.spawn(store_manager, made);
}

void configure(caf::actor_system_config& config, std::string_view url) {
  if (url.starts_with("caf:") || url.starts_with("cafs:"))
    config.load<caf::io::middleman>();
  // The default, work stealing, polls while it is idle: with detached actors doing the work, on few cores, that takes the
  // time of those who have something to do.
  config.set("scheduler.policy", caf::atom("sharing"));
  // CAF takes four threads at least. Where there are fewer cores, they take the cores from each other and from the decoders: on
  // two cores a look-up costs twice as much with four threads as with two.
  config.set("scheduler.max-threads", std::size_t{std::max(2u, std::thread::hardware_concurrency())});
  register_errors(config);
  config.add_message_type<done>("mutant::done")
      .add_message_type<bytes>("mutant::bytes")
      .add_message_type<pad_query>("mutant::pad_query")
      .add_message_type<pad_store_stats>("mutant::pad_store_stats");
}

}  // namespace mutant
