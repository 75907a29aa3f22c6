#include "actors/index/index.hpp"

#include <algorithm>

#include "actors/caf/spawn.hpp"
#include "core/index/codec.hpp"
#include "core/index/rules.hpp"
#include "core/outcome.hpp"

namespace mutant {

namespace {

constexpr std::uint32_t max_reserved_at_once = 1024;
constexpr std::uint32_t max_listed_at_once = 4096;
// All reserved keys are up to here.
const std::string last_reserved_key = '\0' + std::string(max_key_bytes, '\xff');

list_item describe(const listed_item& item) {
  list_item out;
  out.key = item.key;
  if (const auto* e = item.complete) {
    out.size = e->size;
    out.modified_ms = e->modified_ms;
    out.version = e->version;
    out.chunks = e->chunk_count();
    out.attributes = e->attributes;
  }
  if (const auto* u = item.pending) {
    out.pending = true;
    out.pending_id = u->id;
    out.pending_done = u->bytes_done;
    out.pending_size = u->size;
  }
  return out;
}

}  // namespace

result<void> index_options::validate() const {
  if (!pads || !crypto)
    return fail(errc::invalid_argument, "an index needs a pad store and crypto workers");
  if (ring_slots < min_ring_slots || ring_slots > max_ring_slots)
    return fail(errc::invalid_argument, "a log ring has from " + std::to_string(min_ring_slots) + " to "
                                            + std::to_string(max_ring_slots) + " slots");
  if (inline_bytes > max_inline_bytes)
    return fail(errc::invalid_argument, "at most " + std::to_string(max_inline_bytes) + " bytes lie in the index");
  if (max_batch_bytes < commit_overhead_bytes || max_batch_bytes > max_plaintext_bytes
      || max_part_bytes > max_part_content_bytes)
    return fail(errc::invalid_argument, "a commit or a snapshot part is at most one pad");
  return {};
}

// -- look-ups and pins ---------------------------------------------------------------------------------------------------

found index_actor_state::find(const find_request& request, const caf::strong_actor_ptr& asking) {
  found out;
  out.shared = known_root.what.shared;
  if (const auto* pending = data.find_upload(request.key))
    out.pending = std::make_shared<const upload>(*pending);
  const auto* complete = data.find(request.key);
  if (complete == nullptr) {
    if (!out.pending && request.reserve != 0)
      out.pads = reserve(request.reserve, asking).value_or(pad_list{});
    return out;
  }
  out.complete = *complete;
  if (request.pin && complete->chunks && asking)
    out.pin = pads.pin(request.key, complete->chunks, owners.watched(self, asking));
  return out;
}

found_list index_actor_state::find(const key_list& keys, const caf::strong_actor_ptr& asking) {
  found_list out;
  out.reserve(keys.size());
  for (const auto& key : keys) {
    auto& there = out.emplace_back(find(find_request{key, false, 1}, asking));
    if (there.complete && !there.pending)
      there.pads = reserve(1, asking).value_or(pad_list{});
  }
  return out;
}

list_page index_actor_state::list(const list_request& request) const {
  list_page page;
  auto after = std::string_view(request.after);
  if (!request.reserved && !rules::is_reserved(request.prefix) && (after.empty() || rules::is_reserved(after)))
    after = last_reserved_key;
  for (const auto& item : data.list(request.prefix, after, std::min(request.limit, max_listed_at_once)))
    page.push_back(describe(item));
  return page;
}

index_stats index_actor_state::stats() const {
  auto out = counts;
  out.totals = data.totals();
  out.sequence = data.sequence();
  out.last_commit = chain.last();
  out.snapshot_sequence = known_root.what.sequence;
  out.ring_slots = known_root.what.ring_slots;
  out.parts = known_root.what.parts.size();
  for (const auto& part : known_root.what.parts)
    out.part_bytes += part.size;
  return out;
}

std::optional<get_result> index_actor_state::get_inline(const get_request& request) const {
  if (!std::holds_alternative<std::monostate>(request.sink) || request.options.listener)
    return std::nullopt;
  const auto* e = data.find(request.key);
  if (e == nullptr || e->chunks || request.offset > e->size)
    return std::nullopt;
  const auto length = request.length.value_or(e->size - request.offset);
  if (length > e->size - request.offset || length > request.max_bytes)
    return std::nullopt;
  return get_result{e->size, e->version, e->modified_ms, length, e->inline_value.slice(request.offset, length), e->attributes};
}

caf::result<done> index_actor_state::rename(rename_request& names) {
  if (failure)
    return to_caf(*failure);
  for (const auto* key : {&names.from, &names.to})
    if (auto good = rules::check_given_key(*key); !good)
      return to_caf(good.error());
  if (names.from == names.to)
    return when_open<done>([this, key = std::move(names.from)]() -> caf::result<done> {
      if (data.find(key) == nullptr)
        return to_caf({errc::key_not_found, "no such key"});
      return done{};
    });
  auto promise = self->make_response_promise<done>();
  enqueue_commit({{rename_op{std::move(names.from), std::move(names.to)}}, {}}, promise, nullptr);
  return promise;
}

template <class Out, class... Args>
caf::result<Out> index_actor_state::pass_on(Args&&... args) {
  if (!options.operations)
    return to_caf({errc::unsupported, "this index has no store around it"});
  return self->delegate(options.operations, std::forward<Args>(args)..., index_actor(self));
}

// -- reservations --------------------------------------------------------------------------------------------------------

result<pad_list> index_actor_state::reserve(std::uint32_t count, const caf::strong_actor_ptr& owner) {
  if (const auto why = only_read())
    return fail(*why);
  if (count == 0 || count > max_reserved_at_once)
    return fail(errc::invalid_argument, "from 1 to 1024 pads can be reserved at once");
  return pads.reserve(data, count, owners.watched(self, owner));
}

std::optional<error> index_actor_state::only_read() const {
  if (options.salvage)
    return error{errc::access_denied, "a store that is salvaged is only read"};
  if (options.reader)
    return error{errc::access_denied, "this identity is a reader's: it can read what the owner stores, and change nothing"};
  return std::nullopt;
}

// -- failure -------------------------------------------------------------------------------------------------------------

// What is wrong with the index itself is final: every request is answered with it from here on, and nothing is written any
// more. What is wrong with the way to the store passes: those who wait are told, and the index is opened anew.
void index_actor_state::fail_all(error e) {
  if (failure || salvage(e))
    return;
  // A stale answer passes too, or soon shows to be a lasting trouble.
  const auto passes = is_transient(e.code) || e.code == errc::io_error || e.code == errc::cancelled
                      || (e.code == errc::rollback_detected && cache.high_water_is_ours);
  if (is_open)
    remember_high_water();  // what was acknowledged until now is not to be forgotten
  ++generation;
  is_open = false;
  log_busy = true;
  opening.restarts = 0;
  failure = std::move(e);
  answer_all(*failure);
  if (!passes)
    return;
  failure.reset();
  self->delayed_send(self, options.retry_pause, deferred{[this, g = generation] {
                       if (g == generation)
                         open();
                     }});
}

void index_actor_state::run_held_back() {
  for (auto& step : std::exchange(opening.held_back, {}))
    step();
}

void index_actor_state::answer_all(const error& e) {
  commits.batch.reset();
  run_held_back();
  auto unsure = std::move(commits.in_flight);
  commits.in_flight.clear();
  for (auto& w : unsure)
    give_up(w, {errc::timeout, "whether the change was stored is not known: " + to_string(e)}, true);
  auto refused = std::move(commits.queue);
  commits.queue.clear();
  for (auto& w : refused)
    give_up(w, e, false);
  for (auto* list : {&syncs.waiting, &syncs.served})
    for (auto& promise : std::exchange(*list, {}))
      promise.deliver(to_caf(e));
}

// -- behaviour -----------------------------------------------------------------------------------------------------------

template <class Out, class F>
caf::result<Out> index_actor_state::when_open(F f) {
  if (failure)
    return to_caf(*failure);
  if (is_open)
    return f();
  auto promise = self->make_response_promise<Out>();
  // The sender is not the current one any more when this runs: handlers that need it take it before.
  opening.held_back.push_back([this, promise, f]() mutable {
    if (failure) {
      promise.deliver(to_caf(*failure));
      return;
    }
    caf::result<Out> r = f();
    if (r.flag == caf::rt_error)
      promise.deliver(std::move(r.err));
    else if (r.flag == caf::rt_value)
      promise.deliver(std::move(r.value.template get_mutable_as<Out>(0)));
  });
  return promise;
}

index_front_actor spawn_index(caf::actor_system& system, const index_options& options) {
  return start(system, index_manager, options);
}

index_self_actor::behavior_type index_manager(index_actor_state::self_pointer me, index_options options) {
  auto* s = &me->state;
  s->options = std::move(options);
  if (!s->options.background)
    s->options.background = s->options.crypto;
  me->set_down_handler([s](caf::down_msg& down) { s->pads.owner_gone(s->owners.forget(down.source)); });
  // Those who wait for the log; who waits for something else has an owed_answer.
  me->set_exit_handler([s](caf::exit_msg& exit) {
    if (!s->failure)
      s->failure = error{errc::unreachable, "the store was ended"};
    s->answer_all(*s->failure);
    s->self->quit(exit.reason);
  });
  if (s->options.operations)
    me->link_to(s->options.operations);
  s->open();
  return {
      // What comes most often is first: CAF tries one handler after the other.
      [s](get_atom atom, get_request& request) -> caf::result<get_result> {
        if (s->is_open && !s->failure)
          if (auto there = s->get_inline(request))
            return std::move(*there);
        return s->pass_on<get_result>(atom, std::move(request));
      },
      [s](put_atom atom, put_request& request) -> caf::result<put_result> {
        if (!s->lies_in_index(request)) {
          if (s->fits_small_pad(request))
            return s->self->delegate(s->options.small_puts, atom, std::move(request), index_actor(s->self),
                                     s->options.operations);
          return s->pass_on<put_result>(atom, std::move(request));
        }
        if (s->failure)
          return to_caf(*s->failure);
        auto promise = s->self->make_response_promise<put_result>();
        s->put_inline(request, promise);
        return promise;
      },
      [s](find_atom, find_request& request) {
        return s->when_open<found>([s, request = std::move(request), asking = s->self->current_sender()]()
                                       -> caf::result<found> { return s->find(request, asking); });
      },
      [s](find_atom, key_list& keys) {
        return s->when_open<found_list>([s, keys = std::move(keys), asking = s->self->current_sender()]()
                                            -> caf::result<found_list> { return s->find(keys, asking); });
      },
      [s](release_atom, std::uint64_t pin) { s->pads.release(pin); },
      [s](reserve_atom, std::uint32_t count) {
        return s->when_open<pad_list>([s, count, owner = s->self->current_sender()]() -> caf::result<pad_list> {
          auto pads = s->reserve(count, owner);
          if (!pads)
            return to_caf(pads.error());
          return std::move(*pads);
        });
      },
      [s](release_atom, const returned_pads& pads) {
        const auto owner = s->owners.id_of(caf::actor_cast<caf::actor_addr>(s->self->current_sender()));
        s->pads.give_back(s->data, pads.pads, pads.what, owner);
      },
      [s](commit_atom, commit_request& request) -> caf::result<commit_result> {
        if (s->failure)
          return to_caf(*s->failure);
        const auto owner = s->self->current_sender();  // a promise takes it with it
        auto promise = s->self->make_response_promise<commit_result>();
        s->enqueue_commit(std::move(request), promise, owner);
        return promise;
      },
      [s](commit_atom, commit_list& requests) { return s->enqueue_commits(std::move(requests)); },
      [s](list_atom, list_request& request) {
        return s->when_open<list_page>(
            [s, request = std::move(request)]() -> caf::result<list_page> { return s->list(request); });
      },
      [s](count_atom) {
        return s->when_open<index_stats>([s]() -> caf::result<index_stats> { return s->stats(); });
      },
      [s](sync_atom) -> caf::result<sync_report> {
        if (s->options.salvage)
          return s->when_open<sync_report>([s]() -> caf::result<sync_report> {
            if (s->salvaged.lost)
              return to_caf(*s->salvaged.lost);
            return s->syncs.incoming;
          });
        if (s->failure)
          return to_caf(*s->failure);
        auto promise = s->self->make_response_promise<sync_report>();
        s->sync(promise);
        return promise;
      },
      [s](sync_atom atom, const position& expected) {
        auto promise = owe<sync_report>(s->self);
        s->self->request(index_actor(s->self), caf::infinite, atom)
            .then([s, expected, promise](const sync_report& now) { s->check_position(expected, now, promise); },
                  [promise](caf::error& e) { promise->deliver(std::move(e)); });
        return promise->promise();
      },
      [s](survey_atom, const survey_request& request) {
        return s->when_open<survey_page>([s, request, owner = s->self->current_sender()]() -> caf::result<survey_page> {
          return s->survey(request, owner);
        });
      },
      [s](claim_atom, const claim_request& request) {
        return s->when_open<pad_list>([s, request, owner = s->self->current_sender()]() -> caf::result<pad_list> {
          return s->claim(request, owner);
        });
      },
      [s](purge_atom, bool dry_run) -> caf::result<std::uint64_t> {
        if (s->failure)
          return to_caf(*s->failure);
        auto promise = owe<std::uint64_t>(s->self);
        s->purge_parts(dry_run, promise, s->self->clock().now() + s->options.timeout);
        return promise->promise();
      },
      [s](share_atom) -> caf::result<done> {
        if (s->failure)
          return to_caf(*s->failure);
        auto promise = owe<done>(s->self);
        s->share(promise, s->self->clock().now() + s->options.timeout);
        return promise->promise();
      },
      [s](flush_atom) -> caf::result<done> {
        if (s->options.salvage)
          return done{};  // nothing that was read is worth remembering
        auto promise = owe<done>(s->self);
        s->flush(promise);
        return promise->promise();
      },
      [s](check_atom atom, check_request& request) { return s->pass_on<check_result>(atom, std::move(request)); },
      [s](remove_atom atom, remove_request& request) -> caf::result<done> {
        if (rules::is_reserved(request.key) && !request.reserved)
          return to_caf(rules::check_given_key(request.key).error());
        return s->pass_on<done>(atom, std::move(request));
      },
      [s](rename_atom, rename_request& names) { return s->rename(names); },
      [s](assemble_atom, assemble_request& request) { return s->assemble(request); },
      [s](find_atom, std::string& key) {
        return s->when_open<list_item>([s, key = std::move(key)]() -> caf::result<list_item> {
          const listed_item there{key, s->data.find(key), s->data.find_upload(key)};
          if (there.complete == nullptr && there.pending == nullptr)
            return to_caf({errc::key_not_found, "no such key"});
          return describe(there);
        });
      },
      [s](stats_atom atom) { return s->pass_on<store_stats>(atom); },
      [s](purge_atom atom, purge_request& request) { return s->pass_on<purge_result>(atom, std::move(request)); },
      [s](cancel_atom atom, std::uint64_t cancellation_id) {
        if (s->options.operations)
          s->self->send(s->options.operations, atom, cancellation_id);
        if (s->options.small_puts)
          s->self->send(s->options.small_puts, atom, cancellation_id);
      },
      [](deferred& later) { later.run(); },
  };
}

}  // namespace mutant
