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
// A reservation looks at this many free pads that it may not take before it goes on above next_pad instead.
constexpr unsigned max_free_skipped = 512;

// All reserved keys are up to here.
const std::string last_reserved_key = '\0' + std::string(max_key_bytes, '\xff');

bool is_plain_put(const put_request& request, std::size_t max_bytes) {
  const auto* value = std::get_if<bytes>(&request.source);
  return value != nullptr && value->size() <= max_bytes && rules::check_given_key(request.key, request.reserved)
         && check_given_attributes(request.attributes) && !request.options.listener;
}

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
  out.shared = known_root.shared;
  if (const auto* pending = data.find_upload(request.key))
    out.pending = std::make_shared<const upload>(*pending);
  const auto* complete = data.find(request.key);
  if (complete == nullptr) {
    if (!out.pending && request.reserve != 0)
      out.pads = reserve(request.reserve, asking).value_or(pad_list{});
    return out;
  }
  out.complete = *complete;
  if (request.pin && complete->chunks && asking) {
    out.pin = ++last_pin;
    auto owner = caf::actor_cast<caf::actor_addr>(asking);
    if (owners.find(owner) == owners.end())
      self->monitor(owner);
    owners[owner].pins.insert(out.pin);
    pins.emplace(out.pin, pinned{request.key, complete->chunks, owner});
    pins_by_key.emplace(request.key, out.pin);
  }
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

void index_actor_state::release(std::uint64_t pin) {
  auto at = pins.find(pin);
  if (at == pins.end())
    return;
  if (at->second.blocks)
    for (const auto& c : *at->second.chunks)
      if (auto b = blocked.find(c.pad.number); b != blocked.end() && --b->second == 0)
        blocked.erase(b);
  auto [first, last] = pins_by_key.equal_range(at->second.key);
  for (auto i = first; i != last; ++i)
    if (i->second == pin) {
      pins_by_key.erase(i);
      break;
    }
  if (auto owner = owners.find(at->second.owner); owner != owners.end())
    owner->second.pins.erase(pin);
  pins.erase(at);
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
  out.snapshot_sequence = known_root.sequence;
  out.ring_slots = known_root.ring_slots;
  out.parts = known_root.parts.size();
  for (const auto& part : known_root.parts)
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

// Nothing but the value is asked for: one change of the index is all of it.
bool index_actor_state::lies_in_index(const put_request& request) const {
  return is_plain_put(request, request.in_pads ? 0 : options.inline_bytes);
}

bool index_actor_state::fits_small_pad(const put_request& request) const {
  return options.small_puts && options.operations && is_plain_put(request, options.small_bytes) && !request.verify;
}

void index_actor_state::put_inline(put_request& request, caf::typed_response_promise<put_result> promise) {
  auto& value = std::get<bytes>(request.source);
  const auto size = value.size();
  commit_request change;
  if (request.if_version)
    change.conditions.push_back({request.key, *request.if_version});
  change.operations.push_back(put_op{std::move(request.key), inline_entry(std::move(value), std::move(request.attributes))});
  enqueue_commit(std::move(change), waiting_put{promise, size}, nullptr);
}

caf::result<commit_result> index_actor_state::assemble(assemble_request& request) {
  if (failure)
    return to_caf(*failure);
  if (auto good = rules::check_given_key(request.key); !good)
    return to_caf(good.error());
  if (auto good = check_given_attributes(request.attributes); !good)
    return to_caf(good.error());
  commit_request change;
  assemble_op whole{request.key, now_ms(), std::move(request.attributes), {}};
  if (request.if_version)
    change.conditions.push_back({request.key, *request.if_version});
  for (auto& part : request.parts) {
    if (part.version == 0)
      return to_caf({errc::invalid_argument, "assemble: part " + rules::quoted(part.key) + " is given without its version"});
    whole.parts.push_back(part.key);
    change.conditions.push_back(std::move(part));
  }
  change.operations.push_back(std::move(whole));
  if (const auto size = commit_overhead_bytes + encoded_bytes_bound(change.operations.front()); size > max_plaintext_bytes)
    return to_caf({errc::too_large, "assemble: the names of " + std::to_string(request.parts.size())
                                        + " parts do not fit one commit"});
  auto promise = self->make_response_promise<commit_result>();
  enqueue_commit(std::move(change), promise, nullptr);
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
  pad_list out;
  auto hand_out = [&](std::uint64_t number, std::uint64_t stored_counter) {
    held.insert(number);
    out.push_back({number, stored_counter + 1});
  };
  auto usable = [&](std::uint64_t number) { return !held.contains(number) && !blocked.contains(number); };

  // What we wrote ourselves and nobody committed.
  for (auto i = dirty.begin(); i != dirty.end() && out.size() < count;) {
    auto [number, counter] = *i;
    if (data.in_use(number)) {
      i = dirty.erase(i);
    } else if (usable(number)) {
      hand_out(number, std::max(counter, data.free_counter(number).value_or(0)));
      i = dirty.erase(i);
    } else {
      ++i;
    }
  }
  // Free pads, going round.
  auto wrapped = free_cursor == 0;
  for (unsigned skipped = 0; out.size() < count && skipped < max_free_skipped;) {
    auto pad = data.next_free(free_cursor);
    if (!pad) {
      if (wrapped)
        break;
      wrapped = true;
      free_cursor = 0;
      continue;
    }
    free_cursor = pad->number + 1;
    auto fought = contested.find(pad->number);
    if (!usable(pad->number) || (fought != contested.end() && fought->second > pad->counter)) {
      ++skipped;
      continue;
    }
    if (fought != contested.end())
      contested.erase(fought);
    hand_out(pad->number, pad->counter);
  }
  // Pads that nobody ever had.
  next_new = std::max(next_new, data.next_pad());
  for (; out.size() < count; ++next_new)
    if (usable(next_new) && !contested.contains(next_new))
      hand_out(next_new, 0);

  hold(out, owner);
  return out;
}

void index_actor_state::hold(const pad_list& pads, const caf::strong_actor_ptr& owner) {
  for (const auto& pad : pads)
    held.insert(pad.number);
  if (!owner)
    return;
  auto address = caf::actor_cast<caf::actor_addr>(owner);
  if (owners.find(address) == owners.end())
    self->monitor(address);
  for (const auto& pad : pads)
    owners[address].reserved[pad.number] = pad.counter;
}

void index_actor_state::take_back(const returned_pads& returned, const caf::actor_addr& owner) {
  auto at = owners.find(owner);
  for (const auto& pad : returned.pads) {
    // Only what was reserved can come back: a pad that a commit took over is no longer the operation's to return.
    if (at == owners.end() || at->second.reserved.erase(pad.number) == 0)
      continue;
    held.erase(pad.number);
    if (returned.what == returned_pads::state::written)
      dirty[pad.number] = pad.counter;
    else if (returned.what == returned_pads::state::sent)
      sent_to(pad.number, pad.counter);
    else if (returned.what == returned_pads::state::contested)
      contested[pad.number] = pad.counter;
    else if (pad.number + 1 == next_new && pad.number >= data.next_pad())
      --next_new;
  }
}

// A write is a compare-and-swap only one above what the store surely holds. Whose record it holds at this counter, if any, we
// do not know: it may be another writer's, committed and live. So the next write goes to the same counter, and meets a
// conflict if somebody was there.
void index_actor_state::sent_to(std::uint64_t number, std::uint64_t counter) {
  if (counter != 0)
    dirty[number] = counter - 1;
}

void index_actor_state::owner_down(const caf::actor_addr& owner) {
  auto at = owners.find(owner);
  if (at == owners.end())
    return;
  // It may have written any of them, and writes of it may still be on their way.
  for (auto [number, counter] : at->second.reserved) {
    held.erase(number);
    sent_to(number, counter);
  }
  auto its_pins = std::move(at->second.pins);
  owners.erase(at);
  for (auto pin : its_pins)
    release(pin);
}

// What is wrong with the index itself is final: every request is answered with it from here on, and nothing is written any
// more. What is wrong with the way to the store passes: those who wait are told, and the index is opened anew.
void index_actor_state::fail_all(error e) {
  if (failure || salvage(e))
    return;
  const auto passes = is_transient(e.code) || e.code == errc::io_error || e.code == errc::cancelled
                      || (e.code == errc::rollback_detected && seen_by_us);  // a stale answer, or soon a lasting trouble
  if (is_open)
    remember_seen();  // what was acknowledged until now is not to be forgotten
  ++generation;
  is_open = false;
  writing = true;
  restarts = 0;
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

void index_actor_state::answer_all(const error& e) {
  batch.reset();
  auto waiting = std::move(held_back);
  held_back.clear();
  for (auto& step : waiting)
    step();
  auto unsure = std::move(in_flight);
  in_flight.clear();
  for (auto& w : unsure)
    give_up(w, {errc::timeout, "whether the change was stored is not known: " + to_string(e)}, true);
  auto refused = std::move(queue);
  queue.clear();
  for (auto& w : refused)
    give_up(w, e, false);
  for (auto* list : {&syncs, &syncs_served}) {
    auto asked = std::move(*list);
    list->clear();
    for (auto& promise : asked)
      promise.deliver(to_caf(e));
  }
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
  held_back.push_back([this, promise, f]() mutable {
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
  me->set_down_handler([s](caf::down_msg& down) { s->owner_down(down.source); });
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
      [s](release_atom, std::uint64_t pin) { s->release(pin); },
      [s](reserve_atom, std::uint32_t count) {
        return s->when_open<pad_list>([s, count, owner = s->self->current_sender()]() -> caf::result<pad_list> {
          auto pads = s->reserve(count, owner);
          if (!pads)
            return to_caf(pads.error());
          return std::move(*pads);
        });
      },
      [s](release_atom, const returned_pads& pads) {
        s->take_back(pads, caf::actor_cast<caf::actor_addr>(s->self->current_sender()));
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
            if (s->lost)
              return to_caf(*s->lost);
            return s->incoming;
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
        s->purge_parts(dry_run, promise);
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
      [s](rename_atom, rename_request& names) -> caf::result<done> {
        if (s->failure)
          return to_caf(*s->failure);
        for (const auto* key : {&names.from, &names.to})
          if (auto good = rules::check_given_key(*key); !good)
            return to_caf(good.error());
        if (names.from == names.to)
          return s->when_open<done>([s, key = std::move(names.from)]() -> caf::result<done> {
            if (s->data.find(key) == nullptr)
              return to_caf({errc::key_not_found, "no such key"});
            return done{};
          });
        auto promise = s->self->make_response_promise<done>();
        s->enqueue_commit({{rename_op{std::move(names.from), std::move(names.to)}}, {}}, promise, nullptr);
        return promise;
      },
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
