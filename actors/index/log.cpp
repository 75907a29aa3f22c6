// Opening the index, reading the log forward, writing commits.
#include <algorithm>

#include "actors/caf/ask.hpp"
#include "actors/index/index.hpp"
#include "core/index/codec.hpp"
#include "core/index/ring.hpp"
#include "core/index/rules.hpp"
#include "core/outcome.hpp"

namespace mutant {

namespace {

constexpr unsigned max_restarts = 32;       // of opening, because a root moved on under us
constexpr unsigned max_hole_checks = 4;
constexpr unsigned max_fruitless_races = 8;  // a commit is said to be there so often, and never shown
constexpr std::size_t max_window = 32;      // log slots read at once
constexpr std::uint64_t look_ahead_distance = 2;  // a look takes as long as a commit, and begins no earlier
constexpr unsigned max_gathering_skip = 6;  // 2^6 commits at most do not wait for others, before one tries again

// The pads that an operation refers to as new.
void collect_pads(const operation& op, std::vector<pad_ref>& out) {
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

// The key whose entry an operation replaces or takes away; null: none.
const std::string* replaced_key(const operation& op) {
  if (const auto* put = std::get_if<put_op>(&op))
    return &put->key;
  if (const auto* remove = std::get_if<remove_op>(&op))
    return &remove->key;
  if (const auto* complete = std::get_if<complete_upload_op>(&op))
    return &complete->key;
  if (const auto* assemble = std::get_if<assemble_op>(&op))
    return &assemble->key;
  return nullptr;
}

// Such changes go on in a full store: they make room, or take none.
bool makes_room(const operation& op) noexcept {
  return std::holds_alternative<remove_op>(op) || std::holds_alternative<rename_op>(op)
         || std::holds_alternative<drop_upload_op>(op) || std::holds_alternative<free_pads_op>(op);
}

bool makes_room(const std::vector<operation>& operations) noexcept {
  return std::ranges::all_of(operations, [](const operation& op) { return makes_room(op); });
}

error damaged_commit(std::uint64_t sequence, error e) {
  if (e.code == errc::pad_conflict)
    return {errc::index_corrupt, "commit " + std::to_string(sequence) + ": " + e.message
                                     + ". Nothing was written. Restore the store from a copy"};
  return e;
}

}  // namespace

// -- opening -------------------------------------------------------------------------------------------------------------

void index_actor_state::open() {
  is_open = false;
  writing = true;
  reload_wanted = false;
  remember_seen();
  serve_syncs();
  if (++restarts > max_restarts)
    return fail_all({errc::timeout, "the index kept changing while it was read; other writers are too busy, try again"});
  auto start = [this] {
    load_root([this](std::optional<opened_root> there) {
      if (there) {
        if (!root_went_back(there))
          open_from(*there);
        return;
      }
      if (seen_by_us && root_went_back(std::nullopt))
        return;  // a stale answer, perhaps
      if (options.reader) {
        if (!root_went_back(std::nullopt))
          fail_all({errc::index_corrupt, "the index root is missing, and this reader's identity was made when there was one. "
                                         "Restore the store from a copy"});
        return;
      }
      // No root: a store without an index, or one that lost it. The first commit of any index lies in slot 1, and the one seen
      // last in its own, unless a later one does.
      std::vector<std::uint64_t> commits = {1};
      if (cache.seen && cache.seen->sequence > 1)
        commits.push_back(cache.seen->sequence);
      look_for_commits(std::move(commits), [this](bool found) {
        if (found)
          return root_is_missing();
        if (root_went_back(std::nullopt))
          return;
        root_counter = 0;
        root_hash = {};
        known_root = root{};
        known_root.ring_slots = options.ring_slots;
        forget_state();
        became_open();
      });
    });
  };
  ask(self, options.crypto, options.timeout, address_atom_v, address_job{pad_space::root, {0}})
      .then(
          [this, start](address_list& addresses) {
            root_address = addresses.front();
            open_cache(start);
          },
          [this](caf::error& cause) { fail_all(from_caf(cause)); });
}

// Whether the slot of one of these holds anything.
void index_actor_state::look_for_commits(std::vector<std::uint64_t> commits, std::function<void(bool)> then) {
  if (commits.empty())
    return then(false);
  const auto sequence = commits.back();
  commits.pop_back();
  with_slot_addresses(sequence, 1, [this, commits, then](std::vector<pad_address> slot) {
    ask(self, options.pads, options.timeout, head_atom_v, pad_query{slot.front()})
        .then([then](bytes&) { then(true); },
              [this, commits, then](caf::error& cause) {
                auto e = from_caf(cause);
                if (e.code == errc::pad_not_found)
                  return look_for_commits(commits, then);
                fail_all(std::move(e));
              });
  });
}

// Data is there and no index is: that is damage, not an older state to be accepted.
void index_actor_state::root_is_missing() {
  load_root([this](std::optional<opened_root> late) {
    if (!late)
      return fail_all({errc::index_corrupt, "the index root is missing, but its log has commits. Nothing was written. Restore "
                                            "the store from a copy"});
    // Another process may have created both just now.
    if (!root_went_back(late))
      open_from(*late);
  });
}

void index_actor_state::forget_state() {
  data = index_state{};
  chain = commit_chain();
  state_is_whole = false;
  ++loads;
}

void index_actor_state::load_root(std::function<void(std::optional<opened_root>)> then) {
  load_root(std::move(then), [this](error e) { fail_all(std::move(e)); });
}

void index_actor_state::load_root(std::function<void(std::optional<opened_root>)> then, std::function<void(error)> failed) {
  ask(self, options.pads, options.timeout, get_atom_v, pad_query{root_address})
      .then(
          [this, then, failed](bytes& record) {
            ask(self, options.crypto, options.timeout, open_atom_v, open_root_job{std::move(record)})
                .then([then](opened_root& opened) { then(std::move(opened)); },
                      [this, failed](caf::error& cause) {
                        auto e = from_caf(cause);
                        if (e.code == errc::unsupported && (cache.seen || data.sequence() != 0))
                          e.code = errc::index_corrupt;  // it was of our format before
                        failed(std::move(e));
                      });
          },
          [then, failed](caf::error& cause) {
            auto e = from_caf(cause);
            if (e.code == errc::pad_not_found)
              return then(std::nullopt);
            if (e.code == errc::corrupt_record || e.code == errc::bad_signature)
              e = {errc::index_corrupt, "the index root is damaged: " + e.message
                                            + ". Nothing was written. Restore the store from a copy"};
            failed(std::move(e));
          });
}

void index_actor_state::open_from(const opened_root& opened) {
  forget_state();
  auto from = std::make_shared<const opened_root>(opened);
  prove_root(from, [this, from](bool proven) {
    if (!proven) {  // what the cache file holds may be of another history than the root
      cache.state = nullptr;
      cached_sequence = 0;
      cached_commit = {};
    }
    if (!load_from_cache(from))
      load_parts(from, 0);
  });
}

index_actor_state::intake_ptr index_actor_state::begin_intake(std::size_t count, std::function<void(const error&)> failed,
                                                              next_step then) {
  auto parts = std::make_shared<part_intake>();
  parts->count = count;
  parts->failed = std::move(failed);
  parts->then = std::move(then);
  parts->generation = generation;
  return parts;
}

void index_actor_state::take_parts(const intake_ptr& parts) {
  if (parts->applied == parts->count)
    return parts->then();
  while (parts->asked < parts->count && parts->asked - parts->applied < parts->waiting.size())
    parts->fetch(parts, parts->asked++);
}

void index_actor_state::part_arrived(const intake_ptr& parts, std::size_t number, opened_part part) {
  if (!is_current(parts))
    return;
  auto& waiting = parts->waiting;
  waiting[number % waiting.size()] = std::move(part);
  while (auto next = std::exchange(waiting[parts->applied % waiting.size()], nullptr)) {
    ++parts->applied;
    if (auto loaded = data.load(std::move(*next)); !loaded) {
      parts->abandoned = true;
      return parts->failed(loaded.error());
    }
  }
  take_parts(parts);
}

void index_actor_state::load_parts(std::shared_ptr<const opened_root> from, std::size_t at) {
  auto finish = [this, from] {
    if (auto loaded = data.finish_load(from->what.sequence, from->what.next_pad); !loaded)
      return fail_all(loaded.error());
    chain = commit_chain(from->what.sequence, from->what.last_commit);
    parts_loaded(*from);
  };
  auto parts = begin_intake(from->what.parts.size() - at, [this](const error& e) { fail_all(e); }, finish);
  parts->fetch = [this, from, at](const intake_ptr& to, std::size_t i) {
    fetch_part(to, i, from->what.parts[at + i], from->counter);
  };
  take_parts(parts);
}

void index_actor_state::fetch_part(const intake_ptr& parts, std::size_t number, const part_ref& what,
                                   std::uint64_t root_counter_then) {
  // A part that is gone was replaced together with the root; if the root is still the same, it is lost.
  auto gone = [this, parts, name = what.pad.number, root_counter_then](const error& e) {
    if (!is_current(parts))
      return;
    parts->abandoned = true;
    if (e.code != errc::pad_not_found && e.code != errc::pad_conflict && e.code != errc::corrupt_record)
      return fail_all(e);
    load_root([=, this, g = generation](std::optional<opened_root> now) {
      if (g != generation)
        return;
      if (now && now->counter != root_counter_then)
        return open();  // the root moved on
      fail_all({errc::index_corrupt, "index snapshot part " + std::to_string(name) + " is missing or damaged: " + e.message
                                         + ". Nothing was written. Restore the store from a copy"});
    });
  };
  ask(self, options.pads, options.timeout, get_atom_v, pad_query{what.address})
      .then(
          [this, parts, number, what, gone](bytes& record) {
            ask(self, options.crypto, options.timeout, open_atom_v, open_part_job{std::move(record), what})
                .then([this, parts, number](opened_part& opened) { part_arrived(parts, number, std::move(opened)); },
                      [gone](caf::error& cause) { gone(from_caf(cause)); });
          },
          [gone](caf::error& cause) { gone(from_caf(cause)); });
}

// The state is that of the root, or a later one: the rest is in the log.
void index_actor_state::parts_loaded(const opened_root& from) {
  state_is_whole = true;
  know_root(from);
  log_bytes_since_root = 0;
  changes_since = data.sequence();
  read_forward(4, [this] { check_last_seen([this] { became_open(); }); });
}

void index_actor_state::became_open() {
  if (options.salvage)
    return open_for_salvage();
  is_open = true;
  writing = false;
  restarts = 0;
  auto waiting = std::move(held_back);
  held_back.clear();
  for (auto& step : waiting)
    step();
  auto answers = std::move(syncs_served);
  syncs_served.clear();
  pins_after_reload();
  settle_doubts();
  incoming.sequence = data.sequence();
  incoming.last_commit = chain.last();
  if (options.accept_rollback && cache.seen && cache.seen->sequence > data.sequence())
    incoming.forgotten = cache.seen->sequence;
  for (auto& promise : answers)
    promise.deliver(incoming);
  snapshot_if_due();
  pump();
}

// -- reading forward -----------------------------------------------------------------------------------------------------

void index_actor_state::with_slot_addresses(std::uint64_t first, std::size_t count,
                                            std::function<void(std::vector<pad_address>)> then) {
  const auto slots = known_root.ring_slots != 0 ? known_root.ring_slots : options.ring_slots;
  std::vector<std::uint64_t> numbers;
  for (std::size_t i = 0; i < count; ++i)
    numbers.push_back(slot_of(first + i, slots));
  if (const auto& ring = known_root.ring.slots) {
    std::vector<pad_address> out;
    for (const auto slot : numbers)
      out.push_back((*ring)[slot]);
    return then(std::move(out));
  }
  ask(self, options.crypto, options.timeout, address_atom_v, address_job{pad_space::log, std::move(numbers)})
      .then([then](address_list& addresses) { then(std::move(addresses)); },
            [this](caf::error& cause) { fail_all(from_caf(cause)); });
}

// A sync is answered by a read that began after it.
void index_actor_state::serve_syncs() {
  syncs_served.insert(syncs_served.end(), syncs.begin(), syncs.end());
  syncs.clear();
}

void index_actor_state::read_forward(std::size_t window, next_step then) {
  window = std::min<std::size_t>(window, std::min<std::uint64_t>(max_window, known_root.ring_slots));
  if (options.salvage)
    window = 1;  // so that what lies before a damaged record has been applied
  const auto first = data.sequence() + 1;
  with_slot_addresses(first, window, [this, first, then](std::vector<pad_address> addresses) {
    fetch_log(first, std::move(addresses), then);
  });
}

void index_actor_state::fetch_log(std::uint64_t first, std::vector<pad_address> addresses, next_step then) {
  auto records = std::make_shared<std::vector<std::optional<bytes>>>(addresses.size());
  auto left = std::make_shared<std::size_t>(addresses.size());
  auto arrived = [this, first, records, left, then] {
    if (!failure && --*left == 0)
      apply_fetched(first, std::move(*records), then);
  };
  for (std::size_t i = 0; i < addresses.size(); ++i)
    ask(self, options.pads, options.timeout, get_atom_v, pad_query{addresses[i]})
        .then(
            [records, i, arrived](bytes& record) {
              (*records)[i] = std::move(record);
              arrived();
            },
            [this, first, i, arrived, g = generation](caf::error& cause) {
              auto e = from_caf(cause);
              if (e.code == errc::pad_not_found)
                return arrived();
              if (g != generation)
                return;
              if (e.code == errc::corrupt_record)
                e = {errc::index_corrupt, "commit " + std::to_string(first + i) + " in the log is damaged: " + e.message
                                              + ". Nothing was written. Restore the store from a copy"};
              fail_all(std::move(e));
            });
}

// Decides, for slots first, first + 1 …, which hold their commit of this lap, and applies those up to the first that does
// not. A damaged record is an error, never the end of the log; so is a gap that stays.
void index_actor_state::apply_fetched(std::uint64_t first, std::vector<std::optional<bytes>> records, next_step then) {
  const auto slots = known_root.ring_slots;
  std::size_t present = 0;
  bool later = false;
  for (std::size_t i = 0; i < records.size(); ++i) {
    std::uint64_t counter = 0;
    if (records[i]) {
      auto header = parse_header(*records[i]);
      if (!header)
        return fail_all({errc::index_corrupt, "commit " + std::to_string(first + i) + " in log slot "
                                                  + std::to_string(slot_of(first + i, slots))
                                                  + " is damaged: " + header.error().message
                                                  + ". Nothing was written. Restore the store from a copy"});
      counter = header->counter;
    }
    if (counter > counter_of(first + i, slots)) {
      incoming.reloaded = true;
      // A whole ring behind, if this is true.
      return check_slot(*records[i], (counter - 1) * slots + slot_of(first + i, slots), [this] { open(); });
    }
    if (counter == counter_of(first + i, slots)) {
      if (present == i)
        ++present;
      else
        later = true;
    }
  }
  if (present == 0 && later) {
    // The reads are not one moment: commit `first` may have been written after we looked. A gap that stays is damage.
    if (++holes_seen > max_hole_checks)
      return fail_all({errc::index_corrupt, "commit " + std::to_string(first)
                                                + " is missing from the log, but a later one is there. Nothing was "
                                                  "written. Restore the store from a copy"});
    return read_forward(records.size(), then);
  }
  const auto all = present == records.size();
  auto at_end = all ? then : [this, then, end = first + present, there = records[present]] { check_end(end, there, then); };
  if (present == 0) {
    holes_seen = 0;
    return at_end();
  }
  auto decoded = std::make_shared<std::vector<opened_commit>>(present);
  auto left = std::make_shared<std::size_t>(present);
  auto window = records.size();
  for (std::size_t i = 0; i < present; ++i) {
    log_bytes_since_root += records[i]->size();
    ask(self, options.crypto, options.timeout, open_atom_v,
        open_commit_job{std::move(*records[i]), first + i, slots, known_root.slot_address(first + i)})
        .then(
            [this, decoded, left, i, all, later, window, then, at_end](opened_commit& opened) {
              (*decoded)[i] = std::move(opened);
              if (failure || --*left != 0)
                return;
              for (const auto& c : *decoded)
                if (auto applied = apply_commit(c); !applied)
                  return fail_all(applied.error());
              holes_seen = 0;
              if (all || later)
                read_forward(window * 2, then);
              else
                at_end();
            },
            [this, first, i, g = generation](caf::error& cause) {
              if (g == generation)
                fail_all(damaged_commit(first + i, from_caf(cause)));
            });
  }
}

// Commit `end` is not there. The log ends before it only if its slot holds what it must hold then: the commit of the lap
// before, or nothing in the first lap. The counter in a header is no proof: anything may have happened to it.
void index_actor_state::check_end(std::uint64_t end, const std::optional<bytes>& there, next_step then) {
  const auto slots = known_root.ring_slots;
  const auto before = end > slots ? end - slots : 0;
  const auto counter = there ? parse_header(*there)->counter : 0;
  if (counter != (before != 0 ? counter_of(before, slots) : 0))
    return fail_all({errc::index_corrupt,
                     "log slot " + std::to_string(slot_of(end, slots)) + " should hold "
                         + (before != 0 ? "commit " + std::to_string(before) : std::string("nothing yet")) + " or commit "
                         + std::to_string(end) + ", and "
                         + (there ? "holds one of counter " + std::to_string(counter) : std::string("is empty"))
                         + ". Nothing was written. Restore the store from a copy"});
  if (!there)
    return then();
  check_slot(*there, before, std::move(then));
}

void index_actor_state::check_slot(const bytes& record, std::uint64_t sequence, next_step then) {
  ask(self, options.crypto, options.timeout, open_atom_v,
      open_commit_job{record, sequence, known_root.ring_slots, known_root.slot_address(sequence)})
      .then([then](opened_commit&) { then(); },
            [this, sequence](caf::error& cause) { fail_all(damaged_commit(sequence, from_caf(cause))); });
}

result<void> index_actor_state::apply_commit(const opened_commit& read) {
  const auto& c = *read.what;
  if (c.previous != chain.last())
    return fail(broken_chain(c.sequence));
  index_batch replayed(data);
  for (const auto& op : c.operations)
    if (auto added = replayed.add(op); !added)
      return fail(errc::index_corrupt, "commit " + std::to_string(c.sequence) + " does not fit the index before it: "
                                           + added.error().message + ". Nothing was written");
  data.apply(std::move(replayed));
  chain.add(read.hash);
  fruitless_races = 0;
  ++incoming.commits;
  after_apply(c.operations);
  return {};
}

// What the new state means for pins, and for pads whose fate was open.
void index_actor_state::after_apply(const std::vector<operation>& operations) {
  auto check = [this](const std::string& key) {
    auto [first, last] = pins_by_key.equal_range(key);
    for (auto i = first; i != last; ++i) {
      auto& pin = pins.at(i->second);
      const auto* now = data.find(key);
      if (pin.blocks || (now != nullptr && now->chunks == pin.chunks))
        continue;
      pin.blocks = true;
      for (const auto& c : *pin.chunks)
        ++blocked[c.pad.number];
    }
  };
  if (!pins.empty())
    for (const auto& op : operations) {
      if (const auto* key = replaced_key(op))
        check(*key);
      if (const auto* rename = std::get_if<rename_op>(&op))
        check(rename->from);
      else if (const auto* assemble = std::get_if<assemble_op>(&op))
        std::ranges::for_each(assemble->parts, check);
    }
  settle_doubts();
}

// A state that was loaded anew shares no chunk lists with the one before.
void index_actor_state::pins_after_reload() {
  for (auto& [number, pin] : pins) {
    const auto* now = data.find(pin.key);
    if (pin.blocks || (now != nullptr && now->chunks == pin.chunks))
      continue;
    if (now != nullptr && now->chunks && *now->chunks == *pin.chunks) {
      pin.chunks = now->chunks;
      continue;
    }
    pin.blocks = true;
    for (const auto& c : *pin.chunks)
      ++blocked[c.pad.number];
  }
}

void index_actor_state::settle_doubts() {
  while (!in_doubt.empty() && in_doubt.begin()->first <= data.sequence()) {
    const auto pad = in_doubt.begin()->second;
    held.erase(pad.number);
    if (!data.in_use(pad.number))
      dirty[pad.number] = pad.counter;
    in_doubt.erase(in_doubt.begin());
  }
}

void index_actor_state::sync(caf::typed_response_promise<sync_report> promise) {
  syncs.push_back(promise);
  if (!writing)
    pump();
}

// -- commits -------------------------------------------------------------------------------------------------------------

void index_actor_state::succeed(commit_answer& answer, std::uint64_t version) {
  if (auto* put = std::get_if<waiting_put>(&answer)) {
    put_result out;
    out.size = out.bytes_written = put->size;
    out.version = version;
    put->promise.deliver(out);
  } else if (auto* listed = std::get_if<waiting_in_list>(&answer)) {
    listed->deliver(commit_outcome{version, std::nullopt});
  } else if (auto* whole = std::get_if<caf::typed_response_promise<commit_result>>(&answer)) {
    whole->deliver(commit_result{version});
  } else {
    std::get<caf::typed_response_promise<done>>(answer).deliver(done{});
  }
}

void index_actor_state::refuse(commit_answer& answer, const error& e) {
  std::visit([&](auto& whom) { whom.deliver(to_caf(e)); }, answer);
}

caf::result<commit_outcomes> index_actor_state::enqueue_commits(commit_list requests) {
  if (failure)
    return to_caf(*failure);
  if (requests.empty())
    return commit_outcomes{};
  const auto owner = self->current_sender();  // a promise takes it with it
  auto list = std::make_shared<listed_outcomes>();
  list->promise = self->make_response_promise<commit_outcomes>();
  list->outcomes.resize(requests.size());
  list->missing = requests.size();
  for (std::size_t i = 0; i < requests.size(); ++i)
    add_to_queue(std::move(requests[i]), waiting_in_list{list, i}, owner);
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
    collect_pads(op, w.pads);
    size += encoded_bytes_bound(op);
  }
  if (auto at = w.pads.empty() ? owners.end() : owners.find(caf::actor_cast<caf::actor_addr>(owner)); at != owners.end())
    std::erase_if(w.pads, [&](const pad_ref& pad) { return at->second.reserved.erase(pad.number) == 0; });
  else
    w.pads.clear();
  if (const auto why = only_read())
    return give_up(w, *why, false);
  if (w.request.operations.empty())
    return give_up(w, {errc::invalid_argument, "a commit needs at least one operation"}, false);
  if (size > max_plaintext_bytes)
    return give_up(
        w, {errc::too_large, "a change of the index of " + std::to_string(size) + " bytes does not fit one commit"}, false);
  if (queue.size() >= options.max_waiting_commits)
    return give_up(w, {errc::overloaded, "too many changes of the index are waiting; try again later"}, false);
  queue.push_back(std::move(w));
  watch_queue();
}

// One look at the clock for all that wait, instead of a timer for each: the store may keep a commit waiting for ever, when it
// takes no root and the ring is full.
void index_actor_state::watch_queue() {
  if (watching_queue || queue.empty())
    return;
  watching_queue = true;
  self->delayed_send(self, std::max(options.timeout / 16, std::chrono::milliseconds(1)), deferred{[this] {
                       watching_queue = false;
                       for (; !queue.empty() && queue.front().until <= self->clock().now(); queue.pop_front())
                         give_up(queue.front(), {errc::timeout, "the store took no change of the index for too long; this one "
                                                                "was not made"}, false);
                       watch_queue();
                     }});
}

// The first commit makes the root, and a slot of the ring is written again only when a root covers what it holds.
bool index_actor_state::needs_root() const {
  return root_counter == 0 || data.sequence() + 1 > known_root.sequence + known_root.ring_slots;
}

// No root is to be had: whoever has waited for one long enough gets the reason.
void index_actor_state::refuse_waiting(const error& why) {
  if (!needs_root())
    return;
  const auto latest = self->clock().now() + options.timeout - std::min(options.timeout, options.root_patience);
  const error unchanged{why.code, "this change was not made, because the index root cannot be written: " + why.message,
                        why.detail};
  for (; !queue.empty() && queue.front().until <= latest; queue.pop_front())
    give_up(queue.front(), unchanged, false);
  if (root_counter == 0)  // nor is the log read meanwhile
    for (auto& promise : std::exchange(syncs, {}))
      promise.deliver(to_caf({why.code, "the index is being made, and its root cannot be written: " + why.message,
                              why.detail}));
}

// The one place that decides what the index does next: read the log for those who asked, or write the next commit.
void index_actor_state::pump() {
  if (!is_open || writing || failure)
    return;
  if (reload_wanted) {
    incoming.reloaded = true;
    return open();
  }
  if (!syncs.empty() && root_counter != 0) {
    writing = true;
    incoming = {};
    serve_syncs();
    return read_forward(1, [this] { became_open(); });
  }
  if (queue.empty() && syncs.empty())
    return;
  if (root_counter == 0) {
    // The first commit makes the root; the first sync looks whether another process did.
    writing = true;
    if (queue.empty()) {
      incoming = {};
      return open();
    }
    return with_slot_addresses(0, options.ring_slots, [this](std::vector<pad_address> ring) {
      make_root(std::move(ring));
    });
  }
  if (needs_root())
    return snapshot_if_due();  // the slot still holds a commit that no root covers; pump is called when one does
  if (!gathering())
    write_commit();
}

void index_actor_state::make_root(std::vector<pad_address> ring) {
  root first;
  first.ring_slots = ring.size();
  first.ring.slots = std::make_shared<const std::vector<pad_address>>(std::move(ring));
  replace_root(std::move(first), [this](result<void> made) {
    writing = false;
    if (made)
      return;
    if (made.error().code == errc::pad_conflict) {
      reload_wanted = true;
      return;
    }
    auto refused = std::move(queue);
    queue.clear();
    for (auto& w : refused)
      give_up(w, made.error(), false);
  });
}

// Clients that put one value after another send the next when the last is answered. A commit that began at once would hold
// those only that came while the last was written, half of them, and every put would take two commits. So the next one waits a
// moment, less than a commit takes, for as many as there were; who waits in vain soon stops waiting.
bool index_actor_state::gathering() {
  if (gather.wanted == 0)
    return false;
  const auto now = self->clock().now();
  if (queue.size() >= gather.wanted) {
    gather.in_vain = 0;
  } else if (now < gather.until) {
    if (!gather.timer_runs) {
      gather.timer_runs = true;
      self->delayed_send(self, gather.until - now, deferred{[this] {
                           gather.timer_runs = false;
                           pump();
                         }});
    }
    return true;
  } else if (2 * queue.size() < gather.wanted) {
    gather.skip = 1u << std::min(gather.in_vain++, max_gathering_skip);
  }
  gather.wanted = 0;
  return false;
}

void index_actor_state::write_commit() {
  batch.emplace(data);
  std::size_t size = commit_overhead_bytes;
  while (!queue.empty() && in_flight.size() < options.max_batch_requests) {
    auto& w = queue.front();
    std::size_t share = 0;
    for (const auto& op : w.request.operations)
      share += encoded_bytes_bound(op);
    if (!in_flight.empty() && size + share > options.max_batch_bytes)
      break;
    auto accepted = add_to_batch(w.request);
    if (accepted) {
      size += share;
      in_flight.push_back(std::move(w));
    } else {
      give_up(w, accepted.error(), false);
    }
    queue.pop_front();
  }
  if (in_flight.empty()) {
    batch.reset();
    return;
  }
  writing = true;
  gather.began = self->clock().now();
  auto what = std::make_shared<commit>();
  what->sequence = data.sequence() + 1;
  what->writer = options.writer;
  what->previous = chain.last();
  what->operations = std::move(*batch).take_operations();
  ask(self, options.crypto, options.timeout, seal_atom_v, seal_commit_job{what, known_root.ring_slots})
      .then(
          [this, what](bytes& record) {
            const auto size_bytes = record.size();
            const auto hash = parse_header(record)->hash;  // we have just sealed it
            auto stored = [this, what, size_bytes, hash](done) { committed(*what, size_bytes, hash); };
            auto refused = [this](caf::error& cause) { commit_refused(from_caf(cause)); };
            if (makes_room(what->operations))
              ask(self, options.pads, options.timeout, put_atom_v, room_atom_v, std::move(record)).then(stored, refused);
            else
              ask(self, options.pads, options.timeout, put_atom_v, std::move(record)).then(stored, refused);
          },
          [this](caf::error& cause) { commit_not_sealed(from_caf(cause)); });
  look_ahead(what->sequence);
}

// A bucket replaces just what was seen: slots that were not are looked at while the commits before them are on their way, so
// that each commit is one round trip. What was read or written since opening was seen, and so was the first slot behind it.
void index_actor_state::look_ahead(std::uint64_t writing_now) {
  if (!options.look_ahead)
    return;
  const auto slots = known_root.ring_slots;
  for (looked_ahead = std::max(looked_ahead, writing_now); looked_ahead < writing_now + look_ahead_distance;) {
    const auto next = ++looked_ahead;
    if (next < slots || next - slots > changes_since)
      continue;  // the first lap makes its slots, but for slot 0: that is written with counter 2 at first
    with_slot_addresses(next, 1, [this](const std::vector<pad_address>& slot) {
      ask(self, options.pads, options.timeout, head_atom_v, pad_query{slot.front()}).then([](bytes&) {}, [](caf::error&) {});
    });
  }
}

// A request goes into the batch whole or not at all.
result<void> index_actor_state::add_to_batch(const commit_request& request) {
  for (const auto& condition : request.conditions) {
    const auto* now = batch->find(condition.key);
    if (auto right = rules::check_version(now != nullptr ? now->version : 0, condition.version); !right)
      return right;
  }
  for (std::size_t i = 0; i < request.operations.size(); ++i) {
    auto added = batch->add(request.operations[i]);
    if (added)
      continue;
    if (i > 0) {
      // Leave no trace of the operations before: build the batch again from the requests that are in it.
      batch.emplace(data);
      for (const auto& w : in_flight)
        for (const auto& op : w.request.operations)
          if (auto again = batch->add(op); !again)
            return again;
    }
    return added;
  }
  return {};
}

void index_actor_state::give_up(waiting_commit& w, const error& e, bool doubt) {
  for (const auto& pad : w.pads) {
    if (doubt) {
      in_doubt.emplace(data.sequence() + 1, pad);
      continue;
    }
    held.erase(pad.number);
    dirty[pad.number] = pad.counter;
  }
  refuse(w.answer, e);
}

void index_actor_state::committed(const commit& what, std::size_t record_bytes, const content_hash& hash) {
  if (failure)
    return;
  data.apply(std::move(*batch));
  batch.reset();
  chain.add(hash);
  fruitless_races = 0;
  ++counts.commits;
  counts.commit_requests += in_flight.size();
  counts.log_bytes += record_bytes;
  log_bytes_since_root += record_bytes;
  for (auto& w : in_flight) {
    for (const auto& pad : w.pads)
      held.erase(pad.number);
    succeed(w.answer, data.sequence());
  }
  if (gather.skip > 0) {
    --gather.skip;
  } else {
    const auto now = self->clock().now();
    // Those of a list come back with a pad that has to be written first, which takes longer than a commit.
    const auto returning = static_cast<std::size_t>(std::ranges::count_if(
        in_flight, [](const waiting_commit& w) { return !std::holds_alternative<waiting_in_list>(w.answer); }));
    gather.wanted = returning == 0 ? 0 : std::min(returning + queue.size(), options.max_batch_requests);
    gather.until = now + std::min<caf::actor_clock::duration_type>((now - gather.began) / 2, options.max_gathering);
  }
  in_flight.clear();
  after_apply(what.operations);
  writing = false;
  snapshot_if_due();
  pump();
}

// Nothing was sent.
void index_actor_state::commit_not_sealed(const error& e) {
  batch.reset();
  if (failure)
    return;
  auto refused = std::move(in_flight);
  in_flight.clear();
  for (auto& w : refused)
    give_up(w, e, false);
  writing = false;
  pump();
}

void index_actor_state::commit_refused(const error& e) {
  batch.reset();
  if (failure)
    return;
  if (is_refusal_by_rule(e.code)) {
    // Another writer owns this sequence number: apply its commit, look at our preconditions again, try the next.
    ++counts.lost_races;
    // A store that says so and never shows that commit may be behind, or lie: it is asked a few times more, with a pause.
    if (fruitless_races++ > max_fruitless_races) {
      fruitless_races = 0;
      const error unshown{errc::timeout, "the store says that commit " + std::to_string(data.sequence() + 1)
                                             + " is there, and does not show it: whether the change was stored is not known"};
      for (auto& w : in_flight)
        give_up(w, unshown, true);
      in_flight.clear();
      writing = false;
      return pump();
    }
    for (auto w = in_flight.rbegin(); w != in_flight.rend(); ++w)
      queue.push_front(std::move(*w));
    in_flight.clear();
    serve_syncs();
    auto read = [this] { read_forward(1, [this] { became_open(); }); };
    if (fruitless_races < 2)
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
  auto tried = std::exchange(in_flight, {});
  const auto mixed = e.code == errc::store_full
                     && std::ranges::any_of(tried, [](const waiting_commit& w) { return !makes_room(w.request.operations); });
  for (auto w = tried.rbegin(); w != tried.rend(); ++w) {
    if (mixed && makes_room(w->request.operations))
      queue.push_front(std::move(*w));
    else
      give_up(*w, e, true);
  }
  writing = false;
  pump();
}

}  // namespace mutant
