// Snapshots: delta parts and full ones ("compaction"), and the root that names them.
//
// A delta holds the present state of all that was touched since the root before it, so its cost follows the changes, not the
// index. When the deltas outweigh the full snapshot under them, a new full one is written from a frozen view while commits
// and deltas go on; the root that names it keeps the deltas that are younger than it.
#include <algorithm>

#include "actors/caf/ask.hpp"
#include "actors/index/index.hpp"
#include "core/outcome.hpp"

namespace mutant {

namespace {

constexpr int max_root_pauses = 16;  // from retry_pause on, the pauses between tries double up to so many
constexpr unsigned max_taken_parts = 64;   // part numbers in a row that others are said to have taken

}  // namespace

void index_actor_state::snapshot_if_due() {
  if (is_open && !failure && !saving_cache && !options.cache_path.empty() && cache_is_due())
    save_cache(true, [](result<void>) {});  // the next flush tells what is wrong
  // A known root may be newer than our state: then that comes first, and no root of ours before.
  if (!is_open || failure || options.reader || reload_wanted || snapshots_paused || root_busy || delta_running
      || root_counter == 0)
    return;
  if (compacting && compacting->complete)
    return finish_compaction();
  const auto behind = data.sequence() - known_root.sequence;
  if (behind >= known_root.ring_slots / 2 || (behind > 0 && log_bytes_since_root >= options.snapshot_log_bytes)) {
    if (changes_since <= known_root.sequence)
      return start_delta();
    // The state came from the cache, so what lies between the root and it is not among the changes: a delta would lose that.
    if (!compacting)
      start_compaction();
    return;
  }
  if (compacting)
    return;
  std::uint64_t base_bytes = 0, delta_bytes = 0, deltas = 0;
  for (const auto& part : known_root.parts) {
    (part.base ? base_bytes : delta_bytes) += part.size;
    deltas += part.base ? 0 : 1;
  }
  if (delta_bytes > std::max(base_bytes, options.min_compaction_bytes) || deltas > options.max_delta_parts)
    start_compaction();
}

// Freed by a crypto worker: a hundred thousand keys are some milliseconds.
void index_actor_state::drop(std::shared_ptr<const void> what) {
  ask(self, options.background, options.timeout, drop_atom_v, drop_job{std::move(what)}).then([](done) {}, [](caf::error&) {});
}

// While no commit can be written without a root, those who wait for one learn why there is none.
void index_actor_state::pause_snapshots(const error& why) {
  refuse_waiting(why);
  snapshots_paused = true;
  self->delayed_send(self, options.retry_pause, deferred{[this] {
                       snapshots_paused = false;
                       snapshot_if_due();
                       pump();
                     }});
}

// -- deltas --------------------------------------------------------------------------------------------------------------

void index_actor_state::start_delta() {
  delta_running = true;
  delta_load = loads;
  delta_changes = std::make_shared<const index_changes>(data.take_changes());
  const delta_end end{data.sequence(), chain.last(), data.next_pad(), root_counter};
  ask(self, options.background, options.timeout, cut_atom_v, cut_delta_job{delta_changes, options.max_part_bytes})
      .then(
          [=, this](part_list& parts) {
            write_parts(std::move(parts), false, end.sequence, {}, [=, this](result<void> ok, std::vector<part_ref> written) {
              if (ok)
                return finish_delta(end, std::move(written));
              delta_lost(written);
              pause_snapshots(ok.error());
            });
          },
          [this](caf::error& cause) {
            delta_lost({});
            pause_snapshots(from_caf(cause));
          });
}

void index_actor_state::finish_delta(const delta_end& end, std::vector<part_ref> written) {
  if (root_counter != end.lineage) {
    // The index was loaded anew under us; what we wrote is of the past.
    delta_lost(written);
    return pump();
  }
  auto next = known_root;
  next.sequence = end.sequence;
  next.last_commit = end.last_commit;
  next.next_pad = end.next_pad;
  next.next_part = next_part;
  next.parts.insert(next.parts.end(), written.begin(), written.end());
  replace_root(std::move(next), [this, written = std::move(written)](result<void> replaced) {
    if (!replaced) {
      // That the root is not there is the store's word alone, unless it showed another one: then our parts are in no root.
      delta_lost(replaced.error().code == errc::pad_conflict ? written : std::vector<part_ref>());
      if (replaced.error().code != errc::pad_conflict)
        pause_snapshots(replaced.error());
      return;
    }
    ++counts.snapshots;
    drop(std::move(delta_changes));
    log_bytes_since_root = 0;
    delta_running = false;
  });
}

// No root names it: what it held is for the next one.
void index_actor_state::delta_lost(const std::vector<part_ref>& written) {
  blank_parts(written);
  // A state that was loaded anew has them, and may have gone on: they would be older than it.
  if (delta_load == loads)
    data.restore_changes(index_changes(*delta_changes));
  drop(std::move(delta_changes));
  delta_running = false;
}

// -- compaction ----------------------------------------------------------------------------------------------------------

void index_actor_state::start_compaction() {
  auto frozen = data.freeze();
  compacting.emplace();
  compacting->sequence = frozen.sequence;
  compacting->last_commit = chain.last();
  compacting->next_pad = frozen.next_pad;
  compacting->cutter = std::make_shared<part_cutter>(std::move(frozen), options.max_part_bytes);
  compact_next();
}

void index_actor_state::compact_next() {
  ask(self, options.background, options.timeout, cut_atom_v, cut_part_job{compacting->cutter})
      .then(
          [this](part_ptr& part) {
            if (!compacting)
              return;
            if (part == nullptr) {
              compacting->complete = true;
              return snapshot_if_due();
            }
            write_part(part, true, compacting->sequence, 0, [this](result<part_ref> at) {
              if (!at)
                return abandon_compaction(at.error());
              compacting->written.push_back(*at);
              compact_next();
            });
          },
          [this](caf::error& cause) { abandon_compaction(from_caf(cause)); });
}

void index_actor_state::abandon_compaction(const error& why) {
  blank_parts(compacting->written);
  drop(std::move(compacting->cutter));
  compacting.reset();
  pause_snapshots(why);
}

void index_actor_state::finish_compaction() {
  auto next = known_root;
  const auto sequence = compacting->sequence;
  const error outdone{errc::pad_conflict, "another writer was faster with a snapshot of the index"};
  for (const auto& part : next.parts)
    if (part.base && part.sequence >= sequence)
      return abandon_compaction(outdone);  // another writer's is as young
  // A purge has been here meanwhile: it may have erased what no root named.
  for (const auto& part : compacting->written)
    if (part.pad.number < known_root.parts_floor)
      return abandon_compaction(outdone);
  std::vector<part_ref> dropped;
  std::erase_if(next.parts, [&](const part_ref& part) {
    if (part.sequence > sequence)
      return false;
    dropped.push_back(part);
    return true;
  });
  next.parts.insert(next.parts.begin(), compacting->written.begin(), compacting->written.end());
  if (sequence > next.sequence) {
    next.sequence = sequence;
    next.last_commit = compacting->last_commit;
    next.next_pad = compacting->next_pad;
  }
  next.next_part = next_part;
  replace_root(std::move(next), [this, dropped](result<void> replaced) {
    if (!replaced) {
      if (replaced.error().code != errc::pad_conflict)
        compacting->written.clear();  // as with a delta's parts: a root that names them may be there
      return abandon_compaction(replaced.error());
    }
    ++counts.snapshots;
    compacting.reset();
    blank_parts(dropped);
  });
}

// -- parts and root ------------------------------------------------------------------------------------------------------

void index_actor_state::write_parts(part_list parts, bool base, std::uint64_t sequence, std::vector<part_ref> written,
                                    std::function<void(result<void>, std::vector<part_ref>)> then) {
  if (written.size() == parts.size())
    return then({}, std::move(written));
  auto part = parts[written.size()];
  write_part(std::move(part), base, sequence, 0, [=, this](result<part_ref> at) mutable {
    if (!at)
      return then(fail(at.error()), std::move(written));
    written.push_back(*at);
    write_parts(std::move(parts), base, sequence, std::move(written), then);
  });
}

void index_actor_state::write_part(part_ptr part, bool base, std::uint64_t sequence, unsigned taken,
                                   std::function<void(result<part_ref>)> then) {
  const auto number = next_part++;
  ask(self, options.background, options.timeout, seal_atom_v, seal_part_job{part, number})
      .then(
          [=, this](sealed_part& sealed) {
            auto at = sealed.at;
            at.sequence = sequence;
            at.base = base;
            ask(self, options.pads, options.timeout, put_atom_v, std::move(sealed.record))
                .then([then, at](done) { then(at); },
                      [=, this](caf::error& cause) {
                        auto e = from_caf(cause);
                        // Another writer took this number: never fight for it.
                        if (is_refusal_by_rule(e.code) && taken < max_taken_parts)
                          return write_part(part, base, sequence, taken + 1, then);
                        if (e.code == errc::store_full && next_part == number + 1 && number >= known_root.next_part)
                          --next_part;  // nothing is there, and a store may stay full for long
                        then(fail(std::move(e)));
                      });
          },
          [then](caf::error& cause) { then(fail(from_caf(cause))); });
}

// A blank record stays where a part was, so that its number is never taken again: a part that a slower writer put there could
// fall to a blank of ours that arrives late. A root of unknown outcome may have come to be, and others may have built on it:
// what the present root names stays.
void index_actor_state::blank_parts(const std::vector<part_ref>& parts) {
  if (failure)
    return;  // nothing is written any more
  seal_blank_job job{pad_space::part, {}};
  for (const auto& part : parts)
    if (std::ranges::find(known_root.parts, part) == known_root.parts.end())
      job.pads.push_back({part.pad.number, part.pad.counter + 1});
  if (job.pads.empty())
    return;
  ask(self, options.background, options.timeout, seal_atom_v, std::move(job))
      .then(
          [this](record_list& blanks) {
            for (auto& blank : blanks)
              ask(self, options.pads, options.timeout, put_atom_v, std::move(blank))
                  .then([](done) {}, [](caf::error&) {});
          },
          [](caf::error&) {});
}

void index_actor_state::erase_parts(const std::vector<part_ref>& parts) {
  if (parts.empty())
    return;
  seal_blank_job job{pad_space::part, {}};
  for (const auto& part : parts)
    job.pads.push_back({part.pad.number, part.pad.counter + 1});
  ask(self, options.background, options.timeout, seal_atom_v, std::move(job))
      .then(
          [this](record_list& blanks) {
            for (auto& blank : blanks)
              ask(self, options.pads, options.timeout, erase_atom_v, std::move(blank))
                  .then([](done) {}, [](caf::error&) {});
          },
          [](caf::error&) {});
}

void index_actor_state::replace_root(root next, root_written then, std::function<void(const error&)> late) {
  root_busy = true;
  auto w = std::make_shared<root_write>();
  w->next = std::make_shared<opened_root>(opened_root{std::move(next), root_counter + 1, {}});
  w->then = std::move(then);
  w->late = std::move(late);
  w->until = self->clock().now() + options.root_patience;
  w->pause = options.retry_pause;
  const seal_root_job job{std::shared_ptr<const root>(w->next, &w->next->what), w->next->counter};
  ask(self, options.background, options.timeout, seal_atom_v, job)
      .then(
          [this, w](bytes& record) {
            w->next->hash = parse_header(record)->hash;  // we have just sealed it
            w->record = std::move(record);
            put_root(w);
          },
          [this, w](caf::error& cause) { root_settled(w->then, fail(from_caf(cause))); });
}

// The one end of every replacement. Snapshots and commits wait while one runs: now they go on.
void index_actor_state::root_settled(const root_written& then, result<void> outcome) {
  root_busy = false;
  root_trouble.reset();
  then(std::move(outcome));
  snapshot_if_due();
  pump();
}

void index_actor_state::put_root(const root_write_ptr& w) {
  if (failure)
    return root_settled(w->then, fail(*failure));  // nothing is written any more
  ask(self, options.pads, options.timeout, put_atom_v, room_atom_v, w->record)
      .then(
          [this, w](done) {
            // The index may have been loaded anew meanwhile, from this root or from one that was built on it.
            if (w->next->counter > root_counter)
              know_root(*w->next);
            root_settled(w->then, {});
          },
          [this, w](caf::error& cause) {
            auto e = from_caf(cause);
            if (is_refusal_by_rule(e.code))
              return learn_root(w);
            // It may be there or may come to be: only the same record settles it. Its parts must not be erased before. A
            // refusal of this try says nothing of the ones before.
            if (outcome_unknown(e.code) || w->sent_before)
              return put_root_again(w, e);
            root_settled(w->then, fail(std::move(e)));
          });
}

void index_actor_state::put_root_again(const root_write_ptr& w, const error& why) {
  w->sent_before = true;
  if (self->clock().now() >= w->until) {
    const auto lied_to = why.code == errc::rollback_detected;
    if (lied_to)
      remember_seen();
    root_trouble = error{lied_to ? why.code : errc::timeout, "whether the index root was replaced is not known: "
                                                                 + to_string(why)
                                                                 + "; it shows when the store is opened again"};
    if (auto late = std::exchange(w->late, nullptr))
      late(*root_trouble);
    refuse_waiting(why);
  }
  self->delayed_send(self, w->pause, deferred{[this, w] { put_root(w); }});
  w->pause = std::min(2 * w->pause, max_root_pauses * options.retry_pause);
}

void index_actor_state::know_root(const opened_root& there) {
  known_root = there.what;
  root_counter = there.counter;
  root_hash = there.hash;
  next_part = std::max(next_part, known_root.next_part);
  chain.forget_before(known_root.sequence);
}

// A root is in the place where ours was to be, at this counter or above: another writer's, or one that was built on ours. A
// store that shows an older one shows what was, and by that, parts that the present root names would be given up; or its
// refusal rested on a write that failed later. The same record again tells which.
void index_actor_state::learn_root(const root_write_ptr& w) {
  auto fail_with = [this, w](error e) {
    fail_all(e);
    root_settled(w->then, fail(std::move(e)));
  };
  load_root(
      [this, w, fail_with](std::optional<opened_root> theirs) {
        const auto counter = w->next->counter;
        if (!theirs && counter > 1)
          return fail_with({errc::index_corrupt, "the index root was there, and is gone"});
        if (!theirs || theirs->counter < counter)
          return put_root_again(w, {errc::rollback_detected, "the store says that root " + std::to_string(counter)
                                                                 + " is there, and goes on showing "
                                                                 + (theirs ? "an older one" : "none")});
        if (theirs->counter == counter && theirs->hash == w->next->hash) {
          if (counter > root_counter)
            know_root(*theirs);
          return root_settled(w->then, {});  // the store has it, whatever it says
        }
        if (theirs->counter > root_counter) {
          // Whoever learns of a root newer than its own state loads it: a root never goes back.
          const auto ours = chain.at(theirs->what.sequence);
          if (theirs->what.sequence > data.sequence()) {
            reload_wanted = true;
          } else if (theirs->what.sequence < known_root.sequence || (ours && *ours != theirs->what.last_commit)) {
            remember_seen();
            return fail_with({errc::rollback_detected, "the store shows a root " + std::to_string(theirs->counter)
                                                           + " of another history. Nothing was written"});
          }
          know_root(*theirs);
        }
        root_settled(w->then, fail(errc::pad_conflict, "another writer replaced the index root"));
      },
      [this, w](error e) {
        if (e.code == errc::index_corrupt || e.code == errc::unsupported)
          fail_all(e);
        if (failure)
          return root_settled(w->then, fail(std::move(e)));
        put_root_again(w, e);
      });
}

}  // namespace mutant
