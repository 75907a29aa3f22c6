// Snapshots: delta parts and full ones ("compaction"), whose places a root then names. When which is due, and what the root
// says, is in core/index/snapshot_plan.hpp.
#include <algorithm>

#include "actors/caf/ask.hpp"
#include "actors/index/index.hpp"
#include "core/outcome.hpp"

namespace mutant {

namespace {

constexpr unsigned max_taken_parts = 64;   // part numbers in a row that others are said to have taken

}  // namespace

void index_actor_state::snapshot_if_due() {
  if (is_open && !failure && !cache.saving && !options.cache_path.empty() && cache_is_due())
    save_cache(true, [](result<void>) {});  // the next flush tells what is wrong
  // A known root may be newer than our state: then that comes first, and no root of ours before.
  if (!is_open || failure || options.reader || opening.reload_wanted || snapshots.paused || known_root.busy
      || snapshots.delta_under_way || known_root.counter == 0)
    return;
  if (snapshots.compacting && snapshots.compacting->complete)
    return finish_compaction();
  // Where the state came from the cache, what lies between the root and it is not among the changes.
  const snapshot_progress now{data.sequence(), snapshots.log_bytes, snapshots.changes_since <= known_root.what.sequence,
                              snapshots.compacting.has_value()};
  const snapshot_limits limits{options.snapshot_log_bytes, options.min_compaction_bytes, options.max_delta_parts};
  switch (due_snapshot(known_root.what, now, limits)) {
    case snapshot_step::none: return;
    case snapshot_step::delta: return start_delta();
    case snapshot_step::full: return start_compaction();
  }
}

// Freed by a crypto worker: a hundred thousand keys are some milliseconds.
void index_actor_state::drop(std::shared_ptr<const void> what) {
  ask(self, options.background, options.timeout, drop_atom_v, drop_job{std::move(what)}).then([](done) {}, [](caf::error&) {});
}

// While no commit can be written without a root, those who wait for one learn why there is none.
void index_actor_state::pause_snapshots(const error& why) {
  refuse_waiting(why);
  snapshots.paused = true;
  self->delayed_send(self, options.retry_pause, deferred{[this] {
                       snapshots.paused = false;
                       snapshot_if_due();
                       pump();
                     }});
}

// -- deltas --------------------------------------------------------------------------------------------------------------

void index_actor_state::start_delta() {
  auto& delta = snapshots.delta_under_way.emplace();
  delta.changes = std::make_shared<const index_changes>(data.take_changes());
  delta.point = {data.sequence(), chain.last(), data.next_pad()};
  delta.load = snapshots.loads;
  delta.lineage = known_root.counter;
  const auto sequence = delta.point.sequence;
  ask(self, options.background, options.timeout, cut_atom_v, cut_delta_job{delta.changes, options.max_part_bytes})
      .then(
          [this, sequence](part_list& parts) {
            write_parts(std::move(parts), false, sequence, {}, [this](result<void> ok, const std::vector<part_ref>& written) {
              if (ok)
                return finish_delta(written);
              delta_lost(written);
              pause_snapshots(ok.error());
            });
          },
          [this](caf::error& cause) {
            delta_lost({});
            pause_snapshots(from_caf(cause));
          });
}

void index_actor_state::finish_delta(const std::vector<part_ref>& written) {
  const auto& delta = *snapshots.delta_under_way;
  if (known_root.counter != delta.lineage) {
    // The index was loaded anew under us; what we wrote is of the past.
    delta_lost(written);
    return pump();
  }
  auto next = with_delta(known_root.what, delta.point, written, known_root.unused_part);
  replace_root(std::move(next), [this, written](result<void> replaced) {
    if (!replaced) {
      // That the root is not there is the store's word alone, unless it showed another one: then our parts are in no root.
      delta_lost(replaced.error().code == errc::pad_conflict ? written : std::vector<part_ref>());
      if (replaced.error().code != errc::pad_conflict)
        pause_snapshots(replaced.error());
      return;
    }
    ++counts.snapshots;
    drop(std::move(snapshots.delta_under_way->changes));
    snapshots.delta_under_way.reset();
    snapshots.log_bytes = 0;
  });
}

// No root names it: what it held is for the next one.
void index_actor_state::delta_lost(const std::vector<part_ref>& written) {
  blank_parts(written);
  auto& delta = *snapshots.delta_under_way;
  // A state that was loaded anew has them, and may have gone on: they would be older than it.
  if (delta.load == snapshots.loads)
    data.restore_changes(index_changes(*delta.changes));
  drop(std::move(delta.changes));
  snapshots.delta_under_way.reset();
}

// -- compaction ----------------------------------------------------------------------------------------------------------

void index_actor_state::start_compaction() {
  auto frozen = data.freeze();
  auto& full = snapshots.compacting.emplace();
  full.point = {frozen.sequence, chain.last(), frozen.next_pad};
  full.cutter = std::make_shared<part_cutter>(std::move(frozen), options.max_part_bytes);
  compact_next();
}

void index_actor_state::compact_next() {
  ask(self, options.background, options.timeout, cut_atom_v, cut_part_job{snapshots.compacting->cutter})
      .then(
          [this](part_ptr& part) {
            if (!snapshots.compacting)
              return;
            if (part == nullptr) {
              snapshots.compacting->complete = true;
              return snapshot_if_due();
            }
            write_part(part, true, snapshots.compacting->point.sequence, 0, [this](result<part_ref> at) {
              if (!at)
                return abandon_compaction(at.error());
              snapshots.compacting->written.push_back(*at);
              compact_next();
            });
          },
          [this](caf::error& cause) { abandon_compaction(from_caf(cause)); });
}

void index_actor_state::abandon_compaction(const error& why) {
  blank_parts(snapshots.compacting->written);
  drop(std::move(snapshots.compacting->cutter));
  snapshots.compacting.reset();
  pause_snapshots(why);
}

void index_actor_state::finish_compaction() {
  const auto& full = *snapshots.compacting;
  auto merged = with_full(known_root.what, full.point, full.written, known_root.unused_part);
  if (!merged)
    return abandon_compaction({errc::pad_conflict, "another writer was faster with a snapshot of the index"});
  replace_root(std::move(merged->next), [this, dropped = std::move(merged->dropped)](result<void> replaced) {
    if (!replaced) {
      if (replaced.error().code != errc::pad_conflict)
        snapshots.compacting->written.clear();  // as with a delta's parts: a root that names them may be there
      return abandon_compaction(replaced.error());
    }
    ++counts.snapshots;
    snapshots.compacting.reset();
    blank_parts(dropped);
  });
}

// -- parts ---------------------------------------------------------------------------------------------------------------

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
  const auto number = known_root.unused_part++;
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
                        // Nothing is there, and a store may stay full for long.
                        if (auto& next = known_root.unused_part;
                            e.code == errc::store_full && next == number + 1 && number >= known_root.what.next_part)
                          --next;
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
    if (std::ranges::find(known_root.what.parts, part) == known_root.what.parts.end())
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

}  // namespace mutant
