// Whether what the store shows is of one history, and of the one that this machine has seen.
//
// Every commit names the payload hash of the one before it, and the root that of its last commit. One hash stands for a whole
// history: what is read must lead through the commit seen last. A store can keep what it was sent and show any of it, but it
// cannot join two histories. docs/format.md, "Log"; docs/design.md, "Threat model".
#include <algorithm>

#include "actors/caf/ask.hpp"
#include "actors/index/index.hpp"
#include "core/index/ring.hpp"

namespace mutant {

namespace {

constexpr std::size_t max_walk_window = 32;   // records of the log that are fetched at once

// What a store shows is not what it must be, rather than that there is trouble on the way to it.
bool shows_another(errc code) noexcept {
  return code == errc::pad_not_found || code == errc::pad_conflict || code == errc::corrupt_record
         || code == errc::bad_signature || code == errc::decrypt_failed || code == errc::index_corrupt
         || code == errc::unsupported;
}

error rollback(const seen_state& seen, const std::string& shown) {
  return {errc::rollback_detected,
          "this machine has seen commit " + std::to_string(seen.sequence) + " (root " + std::to_string(seen.root_counter)
              + "), and the store now shows " + shown
              + ". It was put back to an older state, or another one is in its place; what was committed in between is not "
                "there. Nothing was written. Bring the newer store back, or take it as it is with: sync --accept-rollback"};
}

}  // namespace

// -- links of the log ----------------------------------------------------------------------------------------------------

struct index_actor_state::link_walk {
  std::uint64_t first = 0;
  std::uint64_t ring_slots = 0;
  address_list addresses;       // of their slots
  chain_links links;            // in the order of the commits
  std::size_t next = 0;         // to be fetched
  std::size_t missing = 0;
  std::function<void(result<std::optional<chain_links>>)> then;   // null: answered

  void finish(result<std::optional<chain_links>> out) {
    if (then)
      std::exchange(then, nullptr)(std::move(out));
  }
};

void index_actor_state::read_links(std::uint64_t first, std::uint64_t last, const root& of,
                                   std::function<void(result<std::optional<chain_links>>)> then) {
  if (last < first)
    return then(std::optional(chain_links()));
  if (last - first >= of.ring_slots)
    return then(std::optional<chain_links>());
  auto walk = std::make_shared<link_walk>();
  walk->first = first;
  walk->ring_slots = of.ring_slots;
  walk->links.resize(last - first + 1);
  walk->missing = walk->links.size();
  walk->then = std::move(then);
  auto start = [this, walk](std::vector<pad_address> addresses) {
    walk->addresses = std::move(addresses);
    for (std::size_t i = 0; i < max_walk_window && walk->next < walk->addresses.size(); ++i)
      fetch_link(walk, walk->addresses[walk->next]);
  };
  if (of.ring.slots) {
    std::vector<pad_address> addresses;
    for (auto n = first; n <= last; ++n)
      addresses.push_back(of.slot_address(n));
    return start(std::move(addresses));
  }
  address_job job{pad_space::log, {}};
  for (auto n = first; n <= last; ++n)
    job.numbers.push_back(slot_of(n, of.ring_slots));
  ask(self, options.crypto, options.timeout, address_atom_v, std::move(job))
      .then([start](address_list& addresses) { start(std::move(addresses)); },
            [walk](caf::error& cause) { walk->finish(fail(from_caf(cause))); });
}

void index_actor_state::fetch_link(const std::shared_ptr<link_walk>& walk, const pad_address& address) {
  const auto at = walk->next++;
  const auto sequence = walk->first + at;
  auto opened = [this, walk, at](opened_commit& c) {
    if (!walk->then)
      return;
    walk->links[at] = {c.hash, c.what->previous};
    if (--walk->missing == 0)
      return walk->finish(std::optional(std::move(walk->links)));
    if (walk->next < walk->addresses.size())
      fetch_link(walk, walk->addresses[walk->next]);
  };
  auto refused = [walk, sequence](caf::error& cause) {
    auto e = from_caf(cause);
    // Well signed, and of a later lap: the commit is not to be had any more.
    if (e.code == errc::pad_conflict && e.detail > counter_of(sequence, walk->ring_slots))
      return walk->finish(std::optional<chain_links>());
    walk->finish(fail(std::move(e)));
  };
  ask(self, options.pads, options.timeout, get_atom_v, pad_query{address})
      .then(
          [this, walk, sequence, address, opened, refused](bytes& record) {
            ask(self, options.crypto, options.timeout, open_atom_v,
                open_commit_job{std::move(record), sequence, walk->ring_slots, address})
                .then(opened, refused);
          },
          [walk](caf::error& cause) { walk->finish(fail(from_caf(cause))); });
}

// -- what was seen -------------------------------------------------------------------------------------------------------

bool index_actor_state::root_went_back(const std::optional<opened_root>& there) {
  if (!cache.high_water || options.accept_rollback || cache.high_water->root_counter == 0)
    return false;
  if (there && there->counter > cache.high_water->root_counter)
    return false;
  if (there && there->counter == cache.high_water->root_counter && there->hash == cache.high_water->root_hash)
    return false;
  const auto shown = !there ? std::string("no index at all")
                            : (there->counter == cache.high_water->root_counter ? "another root " : "root ")
                                  + std::to_string(there->counter) + " of commit " + std::to_string(there->what.sequence);
  fail_all(rollback(*cache.high_water, shown));
  return true;
}

void index_actor_state::prove_root(std::shared_ptr<const opened_root> from, std::function<void(bool)> then) {
  if (!cache.high_water || options.accept_rollback)
    return then(false);
  const auto seen = *cache.high_water;
  const auto& root_there = from->what;
  if (root_there.sequence < seen.sequence)  // the log will lead there; only the root seen is surely of that history before
    return then(from->counter == seen.root_counter);
  read_links(seen.sequence + 1, root_there.sequence, root_there,
             [this, from, seen, then, g = generation](result<std::optional<chain_links>> links) {
               if (g != generation)
                 return;
               const auto other = "root " + std::to_string(from->counter) + ", to whose commit "
                                  + std::to_string(from->what.sequence) + " no way leads from there";
               if (!links)
                 return fail_all(shows_another(links.error().code)
                                     ? rollback(seen, other + " (" + links.error().message + ")") : links.error());
               if (!*links)
                 return then(false);
               auto at = seen.last_commit;
               for (const auto& link : **links) {
                 if (link.previous != at)
                   return fail_all(rollback(seen, other));
                 at = link.hash;
               }
               if (at != from->what.last_commit)
                 return fail_all(rollback(seen, other));
               then(true);
             });
}

// The state is about to be loaded anew: the store must not show less than this process has seen, either. What is still to be
// proven stays: a state that was read meanwhile need not be of the same history.
void index_actor_state::remember_high_water() {
  if (data.sequence() == 0 || cache.high_water)
    return;
  cache.high_water =
      seen_state{known_root.counter, known_root.hash, data.sequence(), chain.last(), cache.sequence, cache.commit};
  cache.high_water_is_ours = true;
}

void index_actor_state::check_high_water(next_step then) {
  auto passed = [this, then] {
    if (!options.accept_rollback)
      cache.high_water.reset();  // once is enough: from here on our own state says more
    cache.high_water_is_ours = false;
    then();
  };
  if (!cache.high_water || options.accept_rollback)
    return passed();
  const auto seen = *cache.high_water;
  auto refuse = [this, seen](const std::string& shown) { fail_all(rollback(seen, shown)); };
  if (data.sequence() < seen.sequence)
    return refuse("commit " + std::to_string(data.sequence()) + " as its last");
  if (const auto there = chain.at(seen.sequence); there && *there != seen.last_commit)
    return refuse("another commit " + std::to_string(seen.sequence) + " in its place");
  // Where the state came from the cache, and nothing was behind it, the store has shown none of it yet.
  if (data.sequence() != chain.first() || known_root.what.sequence >= seen.sequence)
    return passed();
  read_links(seen.sequence, seen.sequence, known_root.what,
             [this, seen, refuse, passed, g = generation](result<std::optional<chain_links>> links) {
               if (g != generation)
                 return;
               if (!links && !shows_another(links.error().code))
                 return fail_all(links.error());
               if (!links || !*links)
                 return refuse("no commit " + std::to_string(seen.sequence)
                               + (links ? std::string(" any more") : " (" + links.error().message + ")"));
               if ((*links)->front().hash != seen.last_commit)
                 return refuse("another commit " + std::to_string(seen.sequence) + " in its place");
               passed();
             });
}

// Commit `sequence` does not name the one that was read, written or remembered before it.
error index_actor_state::broken_chain(std::uint64_t sequence) {
  const auto before = std::to_string(sequence - 1);
  if (is_open)
    remember_high_water();
  if (cache.high_water)
    return rollback(*cache.high_water, "another commit " + before + " in its place, which commit " + std::to_string(sequence)
                                     + " follows");
  return {errc::index_corrupt, "commit " + std::to_string(sequence) + " in the log does not follow the commit " + before
                                   + " that the store shows: they are of two histories. Nothing was written. Restore the "
                                     "store from a copy"};
}

// -- positions -----------------------------------------------------------------------------------------------------------

// After a sync.
void index_actor_state::check_position(const position& expected, const sync_report& report,
                                       const owed<sync_report>& promise) {
  const auto named = "commit " + std::to_string(expected.sequence) + " (" + to_hex(expected.hash) + ")";
  auto judge = [expected, report, promise, named](const content_hash& there) {
    if (std::ranges::equal(expected.hash, byte_view(there).first(expected.hash.size())))
      return void(promise->deliver(report));
    promise->deliver(to_caf({errc::rollback_detected,
                             named + " was expected, and the store's history has "
                                 + to_hex(byte_view(there).first(expected.hash.size()))
                                 + " there: it is another history. Do not write to it before you know why"}));
  };
  if (expected.sequence > report.sequence)
    return void(promise->deliver(to_caf({errc::rollback_detected, named + " was expected, and the store shows commit "
                                                                      + std::to_string(report.sequence)
                                                                      + " as its last: an older state, or another history"})));
  if (const auto known = chain.at(expected.sequence))
    return judge(*known);
  // From the commit expected to the first that is known, link by link.
  read_links(expected.sequence, chain.first(), known_root.what,
             [promise, judge, named, known = *chain.at(chain.first())](result<std::optional<chain_links>> links) {
               if (!links)
                 return void(promise->deliver(to_caf(links.error())));
               if (!*links)
                 return void(promise->deliver(to_caf({errc::unsupported, named + " is too long ago: the log does not go back "
                                                                             "that far. Compare a later position"})));
               auto previous = (*links)->front().previous;
               for (const auto& link : **links) {
                 if (link.previous != previous)
                   return void(promise->deliver(to_caf({errc::rollback_detected, "the log behind " + named
                                                                                     + " is of more than one history"})));
                 previous = link.hash;
               }
               if (previous != known)
                 return void(promise->deliver(to_caf({errc::rollback_detected,
                                                      "the log behind " + named + " leads to another history"})));
               judge((*links)->front().hash);
             });
}

}  // namespace mutant
