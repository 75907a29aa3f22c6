// What a put, or any other change, does to the index, from top to bottom: it is queued, shares a commit with others, the commit
// is sealed and written to its slot of the ring, and applied when the store has it; or another writer was first, and all is
// looked at again on top of that.
//
// One commit is on its way at a time (log_busy). Behind each other: a change in the queue, in the commit on its way, answered.
#include <algorithm>
#include <cassert>

#include "actors/caf/ask.hpp"
#include "actors/index/index.hpp"
#include "core/index/codec.hpp"
#include "core/index/rules.hpp"
#include "core/outcome.hpp"

namespace mutant {

namespace {

constexpr unsigned max_fruitless_races = 8;  // a commit is said to be there so often, and never shown
constexpr std::uint64_t look_ahead_distance = 2;  // a look takes as long as a commit, and begins no earlier

// The pads that an operation refers to as new.
void collect_new_pads(const operation& op, std::vector<pad_ref>& out) {
  auto add = [&](const chunk_list& chunks) {
    for (const auto& c : chunks)
      if (!c.inherited())
        out.push_back(c.pad);
  };
  if (const auto* put = std::get_if<put_op>(&op)) {
    if (put->value.chunks)
      add(*put->value.chunks);
  } else if (const auto* extend = std::get_if<extend_upload_op>(&op)) {
    add(extend->chunks);
  } else if (const auto* complete = std::get_if<complete_upload_op>(&op)) {
    add(complete->tail);
  }
}

// Such changes go on in a full store: they make room, or take none.
bool makes_room(const operation& op) noexcept {
  return std::holds_alternative<remove_op>(op) || std::holds_alternative<rename_op>(op)
         || std::holds_alternative<drop_upload_op>(op) || std::holds_alternative<free_pads_op>(op);
}

bool makes_room(const std::vector<operation>& operations) noexcept {
  return std::ranges::all_of(operations, [](const operation& op) { return makes_room(op); });
}

bool is_plain_put(const put_request& request, std::size_t max_bytes) {
  const auto* value = std::get_if<bytes>(&request.source);
  return value != nullptr && value->size() <= max_bytes && rules::check_given_key(request.key, request.reserved)
         && check_given_attributes(request.attributes) && !request.options.listener;
}

}  // namespace

// -- what is asked for ---------------------------------------------------------------------------------------------------

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
  enqueue_commit(std::move(change), commit_answer::put{promise, size}, nullptr);
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

// -- the queue -----------------------------------------------------------------------------------------------------------

caf::result<commit_outcomes> index_actor_state::enqueue_commits(commit_list requests) {
  if (failure)
    return to_caf(*failure);
  if (requests.empty())
    return commit_outcomes{};
  const auto owner = self->current_sender();  // a promise takes it with it
  auto list = std::make_shared<commit_answer::list>();
  list->promise = self->make_response_promise<commit_outcomes>();
  list->outcomes.resize(requests.size());
  list->missing = requests.size();
  for (std::size_t i = 0; i < requests.size(); ++i)
    add_to_queue(std::move(requests[i]), commit_answer::one_of_list{list, i}, owner);
  pump();
  return list->promise;
}

void index_actor_state::enqueue_commit(commit_request request, commit_answer answer, const caf::strong_actor_ptr& owner) {
  add_to_queue(std::move(request), std::move(answer), owner);
  pump();
}

void index_actor_state::add_to_queue(commit_request request, commit_answer answer, const caf::strong_actor_ptr& owner) {
  waiting_commit w{std::move(request), std::move(answer), {}, self->clock().now() + options.timeout};
  std::size_t size = commit_overhead_bytes;
  for (const auto& op : w.request.operations) {
    collect_new_pads(op, w.pads);
    size += encoded_bytes_bound(op);
  }
  pads.take_over(w.pads, owner ? owners.id_of(caf::actor_cast<caf::actor_addr>(owner)) : 0);
  if (const auto why = only_read())
    return give_up(w, *why, false);
  if (w.request.operations.empty())
    return give_up(w, {errc::invalid_argument, "a commit needs at least one operation"}, false);
  if (size > max_plaintext_bytes)
    return give_up(
        w, {errc::too_large, "a change of the index of " + std::to_string(size) + " bytes does not fit one commit"}, false);
  if (commits.queue.size() >= options.max_waiting_commits)
    return give_up(w, {errc::overloaded, "too many changes of the index are waiting; try again later"}, false);
  commits.queue.push_back(std::move(w));
  watch_queue();
}

// One look at the clock for all that wait, instead of a timer for each: the store may keep a commit waiting for ever, when it
// takes no root and the ring is full.
void index_actor_state::watch_queue() {
  if (commits.watching || commits.queue.empty())
    return;
  commits.watching = true;
  self->delayed_send(self, std::max(options.timeout / 16, std::chrono::milliseconds(1)), deferred{[this] {
                       commits.watching = false;
                       const error late{errc::timeout, "the store took no change of the index for too long; this one was "
                                                       "not made"};
                       const auto now = self->clock().now();
                       for (auto& q = commits.queue; !q.empty() && q.front().until <= now; q.pop_front())
                         give_up(q.front(), late, false);
                       watch_queue();
                     }});
}

// -- the next commit -----------------------------------------------------------------------------------------------------

// The one place that decides what the index does next: read the log for those who asked, or write the next commit.
void index_actor_state::pump() {
  if (!is_open || log_busy || failure)
    return;
  if (opening.reload_wanted) {
    syncs.incoming.reloaded = true;
    return open();
  }
  if (!syncs.waiting.empty() && known_root.counter != 0) {
    log_busy = true;
    syncs.incoming = {};
    serve_syncs();
    return read_forward(1, [this] { became_open(); });
  }
  if (commits.queue.empty() && syncs.waiting.empty())
    return;
  if (known_root.counter == 0) {
    // The first commit makes the root; the first sync looks whether another process did.
    log_busy = true;
    if (commits.queue.empty()) {
      syncs.incoming = {};
      return open();
    }
    return with_slot_addresses(0, options.ring_slots, [this](std::vector<pad_address> ring) {
      make_root(std::move(ring));
    });
  }
  if (needs_root())
    return snapshot_if_due();  // the slot still holds a commit that no root covers; pump is called when one does
  if (!waits_for_more())
    write_commit();
}

// Whether more requests are worth waiting for; then pump is called again.
bool index_actor_state::waits_for_more() {
  const auto until = commits.delay.wait_until(self->clock().now(), commits.queue.size());
  if (!until)
    return false;
  if (!std::exchange(commits.delay_timer_runs, true))
    self->delayed_send(self, *until - self->clock().now(), deferred{[this] {
                         commits.delay_timer_runs = false;
                         pump();
                       }});
  return true;
}

void index_actor_state::write_commit() {
  commits.batch.emplace(data);
  std::size_t size = commit_overhead_bytes;
  while (!commits.queue.empty() && commits.in_flight.size() < options.max_batch_requests) {
    auto& w = commits.queue.front();
    std::size_t share = 0;
    for (const auto& op : w.request.operations)
      share += encoded_bytes_bound(op);
    if (!commits.in_flight.empty() && size + share > options.max_batch_bytes)
      break;
    auto accepted = add_to_batch(w.request);
    if (accepted) {
      size += share;
      commits.in_flight.push_back(std::move(w));
    } else {
      give_up(w, accepted.error(), false);
    }
    commits.queue.pop_front();
  }
  if (commits.in_flight.empty()) {
    commits.batch.reset();
    return;
  }
  log_busy = true;
  commits.delay.began(self->clock().now());
  auto what = std::make_shared<commit>();
  what->sequence = data.sequence() + 1;
  what->writer = options.writer;
  what->previous = chain.last();
  what->operations = std::move(*commits.batch).take_operations();
  ask(self, options.crypto, options.timeout, seal_atom_v, seal_commit_job{what, known_root.what.ring_slots})
      .then(
          [this, what, g = generation](bytes& record) {
            const auto size_bytes = record.size();
            const auto hash = parse_header(record)->hash;  // we have just sealed it
            auto stored = [this, what, size_bytes, hash, g](done) {
              if (g == generation)
                committed(*what, size_bytes, hash);
            };
            auto refused = [this, g](caf::error& cause) {
              if (g == generation)
                commit_refused(from_caf(cause));
            };
            if (makes_room(what->operations))
              ask(self, options.pads, options.timeout, put_atom_v, room_atom_v, std::move(record)).then(stored, refused);
            else
              ask(self, options.pads, options.timeout, put_atom_v, std::move(record)).then(stored, refused);
          },
          [this, g = generation](caf::error& cause) {
            if (g == generation)
              commit_not_sealed(from_caf(cause));
          });
  look_ahead(what->sequence);
}

// A request goes into the batch whole or not at all.
result<void> index_actor_state::add_to_batch(const commit_request& request) {
  for (const auto& condition : request.conditions) {
    const auto* now = commits.batch->find(condition.key);
    if (auto right = rules::check_version(now != nullptr ? now->version : 0, condition.version); !right)
      return right;
  }
  for (std::size_t i = 0; i < request.operations.size(); ++i) {
    auto added = commits.batch->add(request.operations[i]);
    if (added)
      continue;
    if (i > 0) {
      // Leave no trace of the operations before: build the batch again from the requests that are in it.
      commits.batch.emplace(data);
      for (const auto& w : commits.in_flight)
        for (const auto& op : w.request.operations)
          if (auto again = commits.batch->add(op); !again)
            return again;
    }
    return added;
  }
  return {};
}

// A bucket replaces just what was seen: slots that were not are looked at while the commits before them are on their way, so
// that each commit is one round trip. What was read or written since opening was seen, and so was the first slot behind it.
void index_actor_state::look_ahead(std::uint64_t writing_now) {
  if (!options.look_ahead)
    return;
  const auto slots = known_root.what.ring_slots;
  auto& looked = commits.looked_ahead;
  for (looked = std::max(looked, writing_now); looked < writing_now + look_ahead_distance;) {
    const auto next = ++looked;
    if (next < slots || next - slots > snapshots.changes_since)
      continue;  // the first lap makes its slots, but for slot 0: that is written with counter 2 at first
    with_slot_addresses(next, 1, [this](const std::vector<pad_address>& slot) {
      ask(self, options.pads, options.timeout, head_atom_v, pad_query{slot.front()}).then([](bytes&) {}, [](caf::error&) {});
    });
  }
}

// -- what becomes of it --------------------------------------------------------------------------------------------------

void index_actor_state::committed(const commit& what, std::size_t record_bytes, const content_hash& hash) {
  if (failure)
    return;
  data.apply(std::move(*commits.batch));
  commits.batch.reset();
  chain.add(hash);
  commits.fruitless_races = 0;
  ++counts.commits;
  counts.commit_requests += commits.in_flight.size();
  counts.log_bytes += record_bytes;
  snapshots.log_bytes += record_bytes;
  for (auto& w : commits.in_flight) {
    pads.committed(w.pads);
    w.answer.succeed(data.sequence());
  }
  // Those of a list come back with a pad that has to be written first, which takes longer than a commit.
  const auto returning = static_cast<std::size_t>(
      std::ranges::count_if(commits.in_flight, [](const waiting_commit& w) { return !w.answer.is_of_list(); }));
  commits.delay.committed(self->clock().now(), returning, commits.queue.size(), options.max_batch_requests,
                          options.max_gathering);
  commits.in_flight.clear();
  pads.applied(data, what.operations);
  assert(pads.is_consistent());
  log_busy = false;
  snapshot_if_due();
  pump();
}

// Nothing was sent.
void index_actor_state::commit_not_sealed(const error& e) {
  commits.batch.reset();
  if (failure)
    return;
  auto refused = std::move(commits.in_flight);
  commits.in_flight.clear();
  for (auto& w : refused)
    give_up(w, e, false);
  log_busy = false;
  pump();
}

void index_actor_state::commit_refused(const error& e) {
  commits.batch.reset();
  if (failure)
    return;
  if (is_refusal_by_rule(e.code)) {
    // Another writer owns this sequence number: apply its commit, look at our preconditions again, try the next.
    ++counts.lost_races;
    // A store that says so and never shows that commit may be behind, or lie: it is asked a few times more, with a pause.
    if (commits.fruitless_races++ > max_fruitless_races) {
      commits.fruitless_races = 0;
      const error unshown{errc::timeout, "the store says that commit " + std::to_string(data.sequence() + 1)
                                             + " is there, and does not show it: whether the change was stored is not known"};
      for (auto& w : commits.in_flight)
        give_up(w, unshown, true);
      commits.in_flight.clear();
      log_busy = false;
      return pump();
    }
    for (auto w = commits.in_flight.rbegin(); w != commits.in_flight.rend(); ++w)
      commits.queue.push_front(std::move(*w));
    commits.in_flight.clear();
    serve_syncs();
    auto read = [this] { read_forward(1, [this] { became_open(); }); };
    if (commits.fruitless_races < 2)
      return read();
    self->delayed_send(self, options.retry_pause, deferred{[this, read, g = generation] {
                         if (g == generation && !failure)
                           read();
                       }});
    return;
  }
  // That nothing was stored is the store's word alone. Pads that the commit names are not written to before the log shows what
  // became of it: over a value that is there after all nothing must be written. Where there was no room for all of them there
  // may be for those that make some.
  auto tried = std::exchange(commits.in_flight, {});
  const auto mixed = e.code == errc::store_full
                     && std::ranges::any_of(tried, [](const waiting_commit& w) { return !makes_room(w.request.operations); });
  for (auto w = tried.rbegin(); w != tried.rend(); ++w) {
    if (mixed && makes_room(w->request.operations))
      commits.queue.push_front(std::move(*w));
    else
      give_up(*w, e, true);
  }
  log_busy = false;
  pump();
}

void index_actor_state::give_up(waiting_commit& w, const error& e, bool doubt) {
  if (doubt)
    pads.in_doubt(w.pads, data.sequence() + 1);
  else
    pads.refused(w.pads);
  w.answer.refuse(e);
}

// -- when it takes a root first -------------------------------------------------------------------------------------------

// The first commit makes the root, and a slot of the ring is written again only when a root covers what it holds.
bool index_actor_state::needs_root() const {
  return known_root.counter == 0 || data.sequence() + 1 > known_root.what.sequence + known_root.what.ring_slots;
}

void index_actor_state::make_root(std::vector<pad_address> ring) {
  root first;
  first.ring_slots = ring.size();
  first.ring.slots = std::make_shared<const std::vector<pad_address>>(std::move(ring));
  replace_root(std::move(first), [this](result<void> made) {
    log_busy = false;
    if (made)
      return;
    if (made.error().code == errc::pad_conflict) {
      opening.reload_wanted = true;
      return;
    }
    auto refused = std::move(commits.queue);
    commits.queue.clear();
    for (auto& w : refused)
      give_up(w, made.error(), false);
  });
}

// No root is to be had: whoever has waited for one long enough gets the reason.
void index_actor_state::refuse_waiting(const error& why) {
  if (!needs_root())
    return;
  const auto latest = self->clock().now() + options.timeout - std::min(options.timeout, options.root_patience);
  const error unchanged{why.code, "this change was not made, because the index root cannot be written: " + why.message,
                        why.detail};
  for (; !commits.queue.empty() && commits.queue.front().until <= latest; commits.queue.pop_front())
    give_up(commits.queue.front(), unchanged, false);
  if (known_root.counter == 0)  // nor is the log read meanwhile
    for (auto& promise : std::exchange(syncs.waiting, {}))
      promise.deliver(to_caf({why.code, "the index is being made, and its root cannot be written: " + why.message,
                              why.detail}));
}

}  // namespace mutant
