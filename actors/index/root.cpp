// The root: replaced by whoever writes a snapshot, and learnt from others who did.
#include <algorithm>

#include "actors/caf/ask.hpp"
#include "actors/index/index.hpp"
#include "core/outcome.hpp"

namespace mutant {

namespace {

constexpr int max_root_pauses = 16;  // from retry_pause on, the pauses between tries double up to so many

}  // namespace

void index_actor_state::replace_root(root next, root_written then, std::function<void(const error&)> late) {
  known_root.busy = true;
  auto w = std::make_shared<index_parts::root_write>();
  w->next = std::make_shared<opened_root>(opened_root{std::move(next), known_root.counter + 1, {}});
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
  known_root.busy = false;
  known_root.trouble.reset();
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
            if (w->next->counter > known_root.counter)
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
      remember_high_water();
    known_root.trouble = error{lied_to ? why.code : errc::timeout, "whether the index root was replaced is not known: "
                                                                 + to_string(why)
                                                                 + "; it shows when the store is opened again"};
    if (auto late = std::exchange(w->late, nullptr))
      late(*known_root.trouble);
    refuse_waiting(why);
  }
  self->delayed_send(self, w->pause, deferred{[this, w] { put_root(w); }});
  w->pause = std::min(2 * w->pause, max_root_pauses * options.retry_pause);
}

void index_actor_state::know_root(const opened_root& there) {
  known_root.what = there.what;
  known_root.counter = there.counter;
  known_root.hash = there.hash;
  known_root.unused_part = std::max(known_root.unused_part, known_root.what.next_part);
  chain.forget_before(known_root.what.sequence);
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
          if (counter > known_root.counter)
            know_root(*theirs);
          return root_settled(w->then, {});  // the store has it, whatever it says
        }
        if (theirs->counter > known_root.counter) {
          // Whoever learns of a root newer than its own state loads it: a root never goes back.
          const auto ours = chain.at(theirs->what.sequence);
          if (theirs->what.sequence > data.sequence()) {
            opening.reload_wanted = true;
          } else if (theirs->what.sequence < known_root.what.sequence || (ours && *ours != theirs->what.last_commit)) {
            remember_high_water();
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
