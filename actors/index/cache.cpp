// What this machine remembers of the index: how far the store had come ("seen"), and the state of some while ago ("cache").
#include <algorithm>

#include "actors/caf/ask.hpp"
#include "actors/index/index.hpp"
#include "core/index/ring.hpp"

namespace mutant {

void index_actor_state::open_cache(next_step then) {
  if (options.cache_path.empty() || cache.opened)
    return then();
  ask(self, options.crypto, options.timeout, open_atom_v, open_cache_job{options.cache_path})
      .then(
          [this, then](opened_cache& opened) {
            cache.opened = true;
            cache.high_water = opened.seen;
            cache.state = options.accept_rollback ? nullptr : std::move(opened.state);
            then();
          },
          [this, then](caf::error& cause) {
            auto e = from_caf(cause);
            if (!options.accept_rollback)
              return fail_all(std::move(e));
            cache.opened = true;  // whatever is in there will be replaced
            then();
          });
}

// -- the state -----------------------------------------------------------------------------------------------------------

bool index_actor_state::load_from_cache(std::shared_ptr<const opened_root> from) {
  if (!cache.state)
    return false;
  const auto& summary = cache.state->summary();
  const auto& parts = from->what.parts;
  const auto seen = cache.high_water.value_or(seen_state{});
  // Deltas reach over an older state; a full snapshot that is younger makes the cache useless. So does a `seen` file that does
  // not know it: then nothing says that it is of the history that the root was found to be of.
  const auto usable = summary.sequence == seen.cached_sequence && summary.last_commit == seen.cached_commit
                      && summary.ring_slots == from->what.ring_slots && summary.root_counter <= from->counter
                      && std::ranges::none_of(parts, [&](const part_ref& part) {
                           return part.base && part.sequence > summary.sequence;
                         });
  if (!usable) {
    cache.state = nullptr;
    return false;
  }
  // It saves time and no more: without it all comes from the store, and the next flush makes it anew.
  auto go_without = [this, from](const error&) {
    forget_cached_state();
    forget_state();
    load_parts(from, 0);
  };
  auto finish = [this, from, go_without] {
    const auto loaded_from = std::exchange(cache.state, nullptr);
    const auto& loaded = loaded_from->summary();
    cache.sequence = loaded.sequence;
    cache.commit = loaded.last_commit;
    chain = commit_chain(loaded.sequence, loaded.last_commit);
    if (auto finished = data.finish_load(loaded.sequence, loaded.next_pad); !finished)
      return go_without(finished.error());
    if (from->what.sequence <= loaded.sequence)
      return parts_loaded(*from);
    std::size_t first = 0;
    while (first < from->what.parts.size() && from->what.parts[first].sequence <= loaded.sequence)
      ++first;
    load_parts(from, first);
  };
  const auto frames = begin_loading(summary.frames.size(), go_without, finish);
  frames->fetch = [this, state = cache.state, weak = std::weak_ptr(frames)](std::size_t i) {
    ask(self, options.crypto, options.timeout, open_atom_v, read_cache_job{state, i})
        .then([this, to = weak.lock(), i](opened_part& part) { part_arrived(to, i, std::move(part)); },
              [this, to = weak.lock()](caf::error& cause) {
                if (!is_current(to))
                  return;
                to->parts.abandon();
                to->failed(from_caf(cause));
              });
  };
  take_parts(frames);
  return true;
}

void index_actor_state::forget_cached_state() {
  cache.state = nullptr;
  cache.sequence = 0;
  cache.commit = {};
}

// -- saving ---------------------------------------------------------------------------------------------------------------

// Writing it costs as much as the index is large: the more there is, the more must have changed.
bool index_actor_state::cache_is_due() const {
  const auto since = data.sequence() - std::min(data.sequence(), cache.sequence);
  return since >= options.min_cache_commits + data.totals().keys / 16 || (cache.sequence == 0 && since > 0);
}

void index_actor_state::flush(const owed<done>& promise) {
  if (options.cache_path.empty())
    return void(promise->deliver(done{}));
  if (cache.saving)
    return cache.flushes.push_back(promise);  // that may be of an earlier commit
  auto tell = [promise](result<void> saved) {
    if (saved)
      promise->deliver(done{});
    else
      promise->deliver(to_caf(saved.error()));
  };
  if (is_open && !failure) {
    if (known_root.counter == 0 && !options.accept_rollback)
      return void(promise->deliver(done{}));
    return save_cache(cache_is_due(), tell);
  }
  // What failed had been open: how far it had come is remembered all the same. What was read since is worth nothing.
  if (!cache.high_water_is_ours || !cache.high_water)
    return void(promise->deliver(done{}));
  save_cache_job job;
  job.path = options.cache_path;
  job.seen = cache.high_water;
  send_cache(std::move(job), tell);
}

void index_actor_state::save_cache(bool with_state, std::function<void(result<void>)> then) {
  save_cache_job job;
  job.path = options.cache_path;
  job.may_go_back = options.accept_rollback;
  const auto sequence = data.sequence();
  const auto last = chain.last();
  if (with_state) {
    job.state = std::make_shared<const frozen_index>(data.freeze());
    job.summary = {sequence, last, data.next_pad(), known_root.what.ring_slots, known_root.counter, {}};
  }
  job.seen = seen_state{known_root.counter, known_root.hash, sequence, last, with_state ? sequence : cache.sequence,
                        with_state ? last : cache.commit};
  send_cache(std::move(job), [this, with_state, sequence, last, then](result<void> saved) {
    if (saved && with_state) {
      cache.sequence = sequence;
      cache.commit = last;
    }
    then(std::move(saved));
  });
}

void index_actor_state::send_cache(save_cache_job job, std::function<void(result<void>)> then) {
  cache.saving = true;
  auto over = [this, then](result<void> saved) {
    cache.saving = false;
    then(std::move(saved));
    for (const auto& waiting : std::exchange(cache.flushes, {}))
      flush(waiting);
  };
  ask(self, options.background, options.timeout, seal_atom_v, std::move(job))
      .then([over](done) { over({}); }, [over](caf::error& cause) { over(fail(from_caf(cause))); });
}

}  // namespace mutant
