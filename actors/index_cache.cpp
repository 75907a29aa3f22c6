// What this machine remembers of the index: how far the store had come ("seen"), and the state of some while ago ("cache").
#include <algorithm>

#include "actors/ask.hpp"
#include "actors/index.hpp"
#include "core/index/ring.hpp"

namespace mutant {

void index_actor_state::open_cache(next_step then) {
  if (options.cache_path.empty() || cache_opened)
    return then();
  ask(self, options.decoders, options.timeout, open_atom_v, open_cache_job{options.cache_path})
      .then(
          [this, then](opened_cache& opened) {
            cache_opened = true;
            cache = std::move(opened);
            if (options.accept_rollback)
              cache.state = nullptr;
            then();
          },
          [this, then](caf::error& cause) {
            auto e = from_caf(cause);
            if (!options.accept_rollback)
              return fail_all(std::move(e));
            cache_opened = true;  // whatever is in there will be replaced
            then();
          });
}

namespace {

error rollback(const seen_state& seen, const std::string& shown) {
  return {errc::rollback_detected,
          "this machine has seen commit " + std::to_string(seen.sequence) + " (root " + std::to_string(seen.root_counter)
              + "), and the store now shows " + shown
              + ". It was put back to an older state, or another one is in its place; what was committed in between is not "
                "there. Nothing was written. Bring the newer store back, or take it as it is with: sync --accept-rollback"};
}

}  // namespace

bool index_actor_state::root_went_back(const std::optional<opened_root>& there) {
  if (!cache.seen || options.accept_rollback || cache.seen->root_counter == 0)
    return false;
  if (there && there->counter >= cache.seen->root_counter)
    return false;
  fail_all(rollback(*cache.seen, there ? "root " + std::to_string(there->counter) + " of commit "
                                             + std::to_string(there->what.sequence)
                                       : "no index at all"));
  return true;
}

// -- the state -----------------------------------------------------------------------------------------------------------

// Whether the state in the cache is of the store's own history: the commit seen last, which is not older than that state, is
// still in its slot. Once the slot has been used again nobody can tell: the store may have been put back to before the cached
// state and have gone on from there, and a mixture of the two would be taken for the index. Then the cache is of no use.
void index_actor_state::prove_cache(std::shared_ptr<const opened_root> from, next_step then) {
  seen_is_there = false;
  if (!cache.state)
    return then();
  auto unproven = [this, then] {
    cache.state = nullptr;
    then();
  };
  const auto seen = cache.seen.value_or(seen_state{});
  const auto slots = from->what.ring_slots;
  if (seen.sequence < cache.state->summary().sequence || seen.last_commit == content_hash{})
    return unproven();
  ask(self, options.decoders, options.timeout, address_atom_v, address_job{pad_space::log, {slot_of(seen.sequence, slots)}})
      .then(
          [=, this](address_list& address) {
            ask(self, options.pads, options.timeout, head_atom_v, pad_query{address.front()})
                .then(
                    [=, this](bytes& head) {
                      auto header = parse_header(head);
                      seen_is_there = header && header->counter == counter_of(seen.sequence, slots)
                                      && header->hash == seen.last_commit;
                      seen_is_there ? then() : unproven();
                    },
                    [=, this](caf::error& cause) {
                      auto e = from_caf(cause);
                      if (e.code == errc::pad_not_found || e.code == errc::corrupt_record)
                        return unproven();  // reading the log will say what is wrong
                      fail_all(std::move(e));
                    });
          },
          [this](caf::error& cause) { fail_all(from_caf(cause)); });
}

bool index_actor_state::load_from_cache(std::shared_ptr<const opened_root> from) {
  if (!cache.state)
    return false;
  const auto& summary = cache.state->summary();
  const auto& parts = from->what.parts;
  // Deltas reach over an older state; a full snapshot that is younger makes the cache useless.
  const auto usable = summary.ring_slots == from->what.ring_slots && summary.root_counter <= from->counter
                      && std::ranges::none_of(parts, [&](const part_ref& part) {
                           return part.base && part.sequence > summary.sequence;
                         });
  if (!usable) {
    cache.state = nullptr;
    return false;
  }
  // It saves time and no more: without it all comes from the store, and the next flush makes it anew.
  auto go_without = [this, from](const error&) {
    cache.state = nullptr;
    cached_sequence = 0;
    forget_state();
    load_parts(from, 0);
  };
  auto finish = [this, from, go_without] {
    const auto loaded_from = std::exchange(cache.state, nullptr);
    const auto& loaded = loaded_from->summary();
    cached_sequence = loaded.sequence;
    if (auto finished = data.finish_load(loaded.sequence, loaded.next_pad); !finished)
      return go_without(finished.error());
    if (from->what.sequence <= loaded.sequence)
      return parts_loaded(*from);
    std::size_t first = 0;
    while (first < from->what.parts.size() && from->what.parts[first].sequence <= loaded.sequence)
      ++first;
    load_parts(from, first);
  };
  auto frames = begin_intake(summary.frames.size(), go_without, finish);
  frames->fetch = [this, state = cache.state](const intake_ptr& to, std::size_t i) {
    ask(self, options.decoders, options.timeout, open_atom_v, read_cache_job{state, i})
        .then([this, to, i](opened_part& part) { part_arrived(to, i, std::move(part)); },
              [this, to](caf::error& cause) {
                if (!is_current(to))
                  return;
                to->abandoned = true;
                to->failed(from_caf(cause));
              });
  };
  take_parts(frames);
  return true;
}

// -- seen ----------------------------------------------------------------------------------------------------------------

// The state is about to be loaded anew: the store must not show less than this process has seen, either. What is still to be
// proven stays: a state that was read meanwhile need not be of the same history.
void index_actor_state::remember_seen() {
  if (data.sequence() == 0 || cache.seen)
    return;
  cache.seen = seen_state{root_counter, data.sequence(), last_commit};
  seen_by_us = true;
}

void index_actor_state::check_last_seen(next_step then) {
  if (!cache.seen || options.accept_rollback || cache.seen->sequence == 0)
    return learn_last_commit(std::move(then));
  const auto seen = *cache.seen;
  if (data.sequence() < seen.sequence)
    return fail_all(rollback(seen, "commit " + std::to_string(data.sequence()) + " as its last"));
  auto proven = [this, seen, then](const content_hash& hash) {
    if (data.sequence() == seen.sequence)
      last_commit = hash;
    cache.seen.reset();  // once is enough: from here on our own state says more
    seen_by_us = false;
    learn_last_commit(then);
  };
  if (seen_is_there)
    return proven(seen.last_commit);
  with_slot_addresses(seen.sequence, 1, [this, seen, proven](std::vector<pad_address> address) {
    ask(self, options.pads, options.timeout, head_atom_v, pad_query{address.front()})
        .then(
            [this, seen, proven](bytes& head) {
              auto header = parse_header(head);
              const auto expected = counter_of(seen.sequence, known_root.ring_slots);
              if (!header || header->counter < expected
                  || (header->counter == expected && seen.last_commit != content_hash{} && header->hash != seen.last_commit))
                return fail_all(rollback(seen, "another commit " + std::to_string(seen.sequence) + " in its place"));
              proven(header->hash);
            },
            [this, seen](caf::error& cause) {
              auto e = from_caf(cause);
              fail_all(e.code == errc::pad_not_found
                           ? rollback(seen, "no commit " + std::to_string(seen.sequence)) : std::move(e));
            });
  });
}

// What will be remembered as seen is a commit's number and its hash, even if no commit had to be read for opening.
void index_actor_state::learn_last_commit(next_step then) {
  if (options.cache_path.empty() || last_commit != content_hash{} || data.sequence() == 0)
    return then();
  with_slot_addresses(data.sequence(), 1, [this, then](std::vector<pad_address> address) {
    ask(self, options.pads, options.timeout, head_atom_v, pad_query{address.front()})
        .then(
            [this, then](bytes& head) {
              auto header = parse_header(head);
              if (header && header->counter == counter_of(data.sequence(), known_root.ring_slots))
                last_commit = header->hash;
              then();
            },
            [then](caf::error&) { then(); });  // the next opening tries again
  });
}

// Writing it costs as much as the index is large: the more there is, the more must have changed.
bool index_actor_state::cache_is_due() const {
  const auto since = data.sequence() - std::min(data.sequence(), cached_sequence);
  return since >= options.min_cache_commits + data.totals().keys / 16 || (cached_sequence == 0 && since > 0);
}

void index_actor_state::flush(const owed<done>& promise) {
  if (options.cache_path.empty() || saving_cache || (root_counter == 0 && !options.accept_rollback)) {
    promise->deliver(done{});
    return;
  }
  save_cache(cache_is_due(), [promise](result<void> saved) {
    if (saved)
      promise->deliver(done{});
    else
      promise->deliver(to_caf(saved.error()));
  });
}

void index_actor_state::save_cache(bool with_state, std::function<void(result<void>)> then) {
  saving_cache = true;
  save_cache_job job;
  job.path = options.cache_path;
  job.seen = seen_state{root_counter, data.sequence(), last_commit};
  job.may_go_back = options.accept_rollback;
  const auto sequence = data.sequence();
  if (with_state) {
    job.state = std::make_shared<const frozen_index>(data.freeze());
    job.summary = {sequence, data.next_pad(), known_root.ring_slots, root_counter, {}};
  }
  ask(self, options.background, options.timeout, seal_atom_v, std::move(job))
      .then(
          [this, with_state, sequence, then](done) {
            saving_cache = false;
            if (with_state)
              cached_sequence = sequence;
            then({});
          },
          [this, then](caf::error& cause) {
            saving_cache = false;
            then(fail(from_caf(cause)));
          });
}

}  // namespace mutant
