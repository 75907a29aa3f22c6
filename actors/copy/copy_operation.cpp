#include "actors/copy/copy_operation.hpp"

#include <algorithm>

#include "actors/caf/ask.hpp"
#include "actors/workers/damage_memory.hpp"
#include "core/index/ring.hpp"
#include "core/outcome.hpp"

namespace mutant {

namespace {

constexpr std::uint32_t keys_at_once = 1000;
constexpr std::size_t addresses_at_once = 256;
constexpr std::size_t max_damaged_keys = 10'000;

// For a message: any bytes may be in a key.
std::string shown(const std::string& key) {
  constexpr std::size_t max_bytes = 100;
  auto text = key.substr(0, max_bytes);
  std::ranges::replace_if(text, [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
  return "'" + text + (key.size() > max_bytes ? "…'" : "'");
}

std::string describe(pad_space space, const pad_ref& pad) {
  switch (space) {
    case pad_space::root: return "the index root";
    case pad_space::log: return "log slot " + std::to_string(pad.number);
    case pad_space::part: return "index snapshot part " + std::to_string(pad.number);
    case pad_space::data: break;
  }
  return "data pad " + std::to_string(pad.number);
}

}  // namespace

void copy_operation_state::start(caf::typed_response_promise<copy_result> p) {
  promise = p;
  ask(self, options.crypto, options.timeout, address_atom_v, address_job{pad_space::root, {0}})
      .then(
          [this](address_list& addresses) {
            root_address = addresses.front();
            recall();
          },
          failing());
}

// -- one pass ---------------------------------------------------------------------------------------------------------

void copy_operation_state::pass() {
  if (over)
    return;
  if (++totals.passes > options.max_passes)
    return fail_with({errc::overloaded, "the source changes faster than it is copied; let its writers rest and copy again"});
  ask(self, options.from_index, options.timeout, sync_atom_v)
      .then(
          [this](sync_report&) {
            ask(self, options.from_index, options.timeout, count_atom_v)
                .then(
                    [this](index_stats& stats) {
                      sequence = stats.sequence;
                      last_commit = stats.last_commit;
                      ring_slots = stats.ring_slots;
                      totals.keys = stats.totals.keys;
                      if (sequence == 0)
                        return fail_with({errc::key_not_found, "the source holds nothing of this identity"});
                      read_root();
                    },
                    failing());
          },
          failing());
}

void copy_operation_state::read_root() {
  ask(self, options.from, options.timeout, get_atom_v, pad_query{root_address})
      .then(
          [this](bytes& record) {
            ask(self, options.crypto, options.timeout, open_atom_v, open_root_job{std::move(record)})
                .then(
                    [this](opened_root& opened) {
                      // The same state as the pass before, and yet pads of it were not there: they will not come.
                      stands_still = moved && sequence == last_moved_sequence && opened.counter == root_there.counter;
                      if (stands_still && !lost_is_data)
                        return fail_with({errc::index_corrupt, "the source lacks " + lost
                                                                   + ", which its index names. What could be copied is "
                                                                     "copied"});
                      moved = opened.what.sequence > sequence;
                      last_moved_sequence = sequence;
                      root_there = std::move(opened);
                      data_pads.clear();
                      each_value({},
                                 [this](const std::string&, const found& what) {
                                   collect(what, [this](const pad_ref& pad) { data_pads.push_back(pad); });
                                 },
                                 [this] { pads_listed(); });
                    },
                    failing());
          },
          failing());
}

void copy_operation_state::each_value(std::string after, key_visit visit, step then) {
  ask(self, options.from_index, options.timeout, list_atom_v, list_request{{}, std::move(after), keys_at_once, true})
      .then(
          [this, visit, then](list_page& page) {
            page.empty() ? then() : visit_page(std::make_shared<const list_page>(std::move(page)), visit, then);
          },
          failing());
}

void copy_operation_state::visit_page(std::shared_ptr<const list_page> page, key_visit visit, step then) {
  auto left = std::make_shared<std::size_t>(1);
  auto answered = [this, page, left, visit, then] {
    if (--*left == 0 && !over)
      each_value(page->back().key, visit, then);
  };
  for (const auto& listed : *page) {
    if (listed.chunks == 0 && !listed.pending)
      continue;
    ++*left;
    ask(self, options.from_index, options.timeout, find_atom_v, find_request{listed.key, false})
        .then(
            [answered, visit, key = listed.key](found& what) {
              visit(key, what);
              answered();
            },
            failing());
  }
  answered();
}

void copy_operation_state::pads_listed() {
  ask(self, options.from_index, options.timeout, count_atom_v)
      .then(
          [this](index_stats& now) {
            if (now.sequence != sequence) {  // a writer in this very process
              moved_on();
              return pass();
            }
            std::ranges::sort(data_pads);
            totals.data_pads = data_pads.size();
            copy_all(pad_space::data, data_pads, [this] { copy_parts(); });
          },
          failing());
}

void copy_operation_state::collect(const found& what, const std::function<void(const pad_ref&)>& each) {
  const auto add = [&each](const chunk_list& chunks) {
    for (const auto& c : chunks)
      if (!c.inherited())
        each(c.pad);
  };
  if (what.complete && what.complete->chunks)
    add(*what.complete->chunks);
  if (what.pending)
    for (const auto& piece : what.pending->pieces)
      add(*piece);
}

void copy_operation_state::copy_parts() {
  std::vector<pad_ref> parts;
  for (const auto& part : root_there.what.parts)
    parts.push_back(part.pad);
  copy_all(pad_space::part, std::move(parts), [this] { copy_ring(); });
}

// All slots: whoever reads the log to its end looks at what the slot behind it held a lap before.
void copy_operation_state::copy_ring() {
  if (moved)
    return pass();
  std::vector<pad_ref> commits;
  const auto first = sequence > ring_slots ? sequence - ring_slots + 1 : 1;
  for (auto n = first; n <= sequence; ++n)
    commits.push_back({slot_of(n, ring_slots), counter_of(n, ring_slots)});
  copy_all(pad_space::log, std::move(commits), [this] { moved ? pass() : check_end(); });
}

// Is commit sequence + 1 there by now?
void copy_operation_state::check_end() {
  ask(self, options.crypto, options.timeout, address_atom_v, address_job{pad_space::log, {slot_of(sequence + 1, ring_slots)}})
      .then(
          [this](address_list& slot) {
            ask(self, options.from, options.timeout, head_atom_v, pad_query{slot.front()})
                .then(
                    [this, slot_address = slot.front()](bytes& head) {
                      auto header = verify_head(head, slot_address);
                      if (header && header->counter >= counter_of(sequence + 1, ring_slots))
                        moved_on();
                      moved ? pass() : copy_root();
                    },
                    [this](caf::error& cause) {
                      if (from_caf(cause).code != errc::pad_not_found)
                        return fail_with(from_caf(cause));
                      copy_root();
                    });
          },
          failing());
}

void copy_operation_state::copy_root() {
  copy_all(pad_space::root, {{0, root_there.counter}}, [this] {
    if (moved)
      return pass();
    name_damaged([this] { options.read_back ? read_back() : finish(); });
  });
}

// -- pads, so many at a time ------------------------------------------------------------------------------------------

void copy_operation_state::copy_all(pad_space what, std::vector<pad_ref> pads, step then) {
  space = what;
  todo = std::move(pads);
  next_todo = 0;
  all_done = std::move(then);
  next_items();
}

void copy_operation_state::next_items() {
  if (over)
    return;
  while (under_way < options.window && !ready.empty()) {
    auto next = ready.front();
    ready.pop_front();
    ++under_way;
    copy(next);
  }
  if (deriving || !ready.empty())
    return;
  const auto& there = have[static_cast<std::size_t>(space)];
  std::vector<pad_ref> batch;
  for (; next_todo < todo.size() && batch.size() < addresses_at_once; ++next_todo) {
    if (space == pad_space::data && bad.contains(todo[next_todo]))
      continue;
    const auto at = there.find(todo[next_todo].number);
    if (reading_back || at == there.end() || at->second != todo[next_todo].counter)
      batch.push_back(todo[next_todo]);
  }
  if (batch.empty()) {
    if (under_way == 0)
      if (auto then = std::exchange(all_done, nullptr))
        then();
    return;
  }
  deriving = true;
  address_job job{space, {}};
  for (const auto& pad : batch)
    job.numbers.push_back(pad.number);
  ask(self, options.crypto, options.timeout, address_atom_v, std::move(job))
      .then(
          [this, batch](address_list& addresses) {
            deriving = false;
            for (std::size_t i = 0; i < batch.size(); ++i)
              ready.push_back({space, batch[i], addresses[i]});
            next_items();
          },
          failing());
}

void copy_operation_state::item_done() {
  --under_way;
  next_items();
}

// The source holds something else there by now. What the index says next is what counts.
void copy_operation_state::moved_on(const std::string& what) {
  if (!moved) {
    lost = what;
    lost_is_data = space == pad_space::data;
  }
  moved = true;
}

// The source does not hold this version of the pad. Usually it has gone on; where it has not, that is damage.
void copy_operation_state::not_as_named(const item& what, error e) {
  if (stands_still && what.space == pad_space::data)
    return unreadable(what, {errc::corrupt_record, "it is missing: " + e.message});
  moved_on(describe(what.space, what.pad));
  item_done();
}

// A record of the source that cannot be read or is not whole.
void copy_operation_state::unreadable(const item& what, error e) {
  if (over)
    return;
  if (what.space != pad_space::data || !says_unreadable(e.code))
    return fail_with(explain(what, false, std::move(e)));
  bad.insert(what.pad);
  if (options.skip_damaged)
    return item_done();
  if (bad.size() > 1)   // the first one is being named
    return;
  name_damaged([this, what, e] {
    auto named = explain(what, false, e);
    for (const auto& key : totals.damaged_keys)
      named.message += ". It is of the key " + shown(key);
    named.message += ". Put that value again, or copy all the others with --skip-damaged";
    fail_with(std::move(named));
  });
}

// Finds the keys of the bad pads.
void copy_operation_state::name_damaged(step then) {
  totals.damaged_pads = bad.size();
  if (bad.empty())
    return then();
  each_value({},
             [this](const std::string& key, const found& what) {
               auto is_hit = false;
               collect(what, [&](const pad_ref& pad) { is_hit = is_hit || bad.contains(pad); });
               if (is_hit && totals.damaged_keys.size() < max_damaged_keys)
                 totals.damaged_keys.push_back(key);
             },
             then);
}

void copy_operation_state::copy(const item& what) {
  if (over)
    return;
  if (reading_back)
    return check_copy(what);
  if (moved)  // of an index that is no more: the next pass will say
    return item_done();
  ask(self, options.to, options.timeout, head_atom_v, pad_query{what.address})
      .then(
          [this, what](bytes& head) {
            auto header = verify_head(head, what.address);
            if (!header || header->counter < what.pad.counter)
              return transfer(what);
            compare(what, head);
          },
          [this, what](caf::error& cause) {
            auto e = from_caf(cause);
            if (e.code == errc::pad_not_found)
              return transfer(what);
            fail_with(explain(what, true, std::move(e)));
          });
}

// The target has this version or a later one.
void copy_operation_state::compare(const item& what, const bytes& there) {
  ask(self, options.from, options.timeout, head_atom_v, pad_query{what.address})
      .then(
          [this, what, there](bytes& head) {
            auto header = verify_head(head, what.address);
            if (header && header->counter > what.pad.counter) {
              moved_on(describe(what.space, what.pad));
              return item_done();
            }
            if (head == there)
              return arrived(what, 0, true);
            fail_with({errc::version_mismatch, "the target holds another version of " + describe(what.space, what.pad)
                                                   + " than the source: somebody has written to it. Copy to an empty place"});
          },
          [this, what](caf::error& cause) {
            auto e = from_caf(cause);
            e.code == errc::pad_not_found ? not_as_named(what, std::move(e)) : unreadable(what, std::move(e));
          });
}

void copy_operation_state::transfer(const item& what) {
  ask(self, options.from, options.timeout, get_atom_v, pad_query{what.address})
      .then(
          [this, what](bytes& record) {
            auto header = verify_head(record, what.address);
            if (header && header->counter != what.pad.counter)
              return not_as_named(what, {errc::corrupt_record, "another version is in its place"});
            deliver(what, std::move(record));
          },
          [this, what](caf::error& cause) {
            auto e = from_caf(cause);
            e.code == errc::pad_not_found ? not_as_named(what, std::move(e)) : unreadable(what, std::move(e));
          });
}

void copy_operation_state::deliver(const item& what, bytes record) {
  verify_job job;
  job.items.push_back({record, false});
  ask(self, options.verifiers, options.timeout, verify_atom_v, std::move(job))
      .then(
          [this, what, record](verify_result& verdict) mutable {
            if (!verdict.front())
              return unreadable(what, verdict.front().error());
            const auto size = record.size();
            ask(self, options.to, options.timeout, put_atom_v, std::move(record))
                .then([this, what, size](done) { arrived(what, size, false); },
                      [this, what](caf::error& cause) { fail_with(explain(what, true, from_caf(cause))); });
          },
          failing());
}

void copy_operation_state::arrived(const item& what, std::size_t size_bytes, bool was_there) {
  if (over)
    return;
  have[static_cast<std::size_t>(what.space)][what.pad.number] = what.pad.counter;
  ++(was_there ? totals.kept_records : totals.copied_records);
  totals.copied_bytes += size_bytes;
  if (listener && size_bytes != 0)
    self->send(listener, progress_atom_v, progress{totals.copied_bytes, std::nullopt, 0});
  item_done();
}

// -- the end ----------------------------------------------------------------------------------------------------------

void copy_operation_state::read_back() {
  reading_back = true;
  copy_all(pad_space::data, data_pads, [this] {
    std::vector<pad_ref> parts;
    for (const auto& part : root_there.what.parts)
      parts.push_back(part.pad);
    copy_all(pad_space::part, std::move(parts), [this] { finish(); });
  });
}

void copy_operation_state::check_copy(const item& what) {
  ask(self, options.to, options.timeout, get_atom_v, pad_query{what.address})
      .then(
          [this, what](bytes& record) {
            verify_job job;
            job.items.push_back({std::move(record), false});
            ask(self, options.verifiers, options.timeout, verify_atom_v, std::move(job))
                .then(
                    [this, what](verify_result& verdict) {
                      if (!verdict.front())
                        return fail_with(explain(what, true, verdict.front().error()));
                      if (verdict.front()->counter != what.pad.counter)
                        return fail_with({errc::version_mismatch,
                                          "the target holds another version of " + describe(what.space, what.pad)
                                              + " than was copied: somebody has written to it meanwhile"});
                      ++totals.read_back;
                      item_done();
                    },
                    failing());
          },
          [this, what](caf::error& cause) { fail_with(explain(what, true, from_caf(cause))); });
}

void copy_operation_state::finish() {
  totals.sequence = sequence;
  remember({root_there.counter, root_there.hash, sequence, last_commit, 0, {}}, [this] {
    over = true;
    promise.deliver(totals);
    self->quit();
  });
}

error copy_operation_state::explain(const item& what, bool of_target, error e) const {
  e.message = (of_target ? "the target, " : "the source, ") + describe(what.space, what.pad) + ": " + e.message;
  if (of_target && is_refusal_by_rule(e.code)) {
    e.code = errc::version_mismatch;
    e.message += ". Somebody has written to the target; copy to an empty place";
  }
  return e;
}

void copy_operation_state::fail_with(error e) {
  if (over)
    return;
  over = true;
  promise.deliver(to_caf(e));
  self->quit();
}

copy_operation_actor::behavior_type copy_operation(copy_operation_state::self_pointer self, copy_options options) {
  auto* s = &self->state;
  s->options = std::move(options);
  return {
      [s, self](put_atom, progress_listener& listener) -> caf::result<copy_result> {
        s->listener = std::move(listener);
        auto promise = self->make_response_promise<copy_result>();
        s->start(promise);
        return promise;
      },
      [s](cancel_atom) {
        s->fail_with({errc::cancelled, "the copy was cut off; give the same command again to go on with it"});
      },
  };
}

}  // namespace mutant
