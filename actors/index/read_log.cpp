// Reading the log forward, from the commit that the state has to the first slot that is not written yet.
#include <algorithm>
#include <cassert>

#include "actors/caf/ask.hpp"
#include "actors/index/index.hpp"
#include "core/index/codec.hpp"
#include "core/index/ring.hpp"

namespace mutant {

namespace {

constexpr unsigned max_hole_checks = 4;
constexpr std::size_t max_window = 32;      // log slots read at once

error damaged_commit(std::uint64_t sequence, error e) {
  if (e.code == errc::pad_conflict)
    return {errc::index_corrupt, "commit " + std::to_string(sequence) + ": " + e.message
                                     + ". Nothing was written. Restore the store from a copy"};
  return e;
}

}  // namespace

void index_actor_state::with_slot_addresses(std::uint64_t first, std::size_t count,
                                            std::function<void(std::vector<pad_address>)> then) {
  const auto slots = known_root.what.ring_slots != 0 ? known_root.what.ring_slots : options.ring_slots;
  std::vector<std::uint64_t> numbers;
  for (std::size_t i = 0; i < count; ++i)
    numbers.push_back(slot_of(first + i, slots));
  if (const auto& ring = known_root.what.ring.slots) {
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
  syncs.served.insert(syncs.served.end(), syncs.waiting.begin(), syncs.waiting.end());
  syncs.waiting.clear();
}

void index_actor_state::read_forward(std::size_t window, next_step then) {
  window = std::min<std::size_t>(window, std::min<std::uint64_t>(max_window, known_root.what.ring_slots));
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
  const auto slots = known_root.what.ring_slots;
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
      syncs.incoming.reloaded = true;
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
    if (++opening.hole_checks > max_hole_checks)
      return fail_all({errc::index_corrupt, "commit " + std::to_string(first)
                                                + " is missing from the log, but a later one is there. Nothing was "
                                                  "written. Restore the store from a copy"});
    return read_forward(records.size(), then);
  }
  const auto all = present == records.size();
  auto at_end = all ? then : [this, then, end = first + present, there = records[present]] { check_end(end, there, then); };
  if (present == 0) {
    opening.hole_checks = 0;
    return at_end();
  }
  auto decoded = std::make_shared<std::vector<opened_commit>>(present);
  auto left = std::make_shared<std::size_t>(present);
  auto window = records.size();
  for (std::size_t i = 0; i < present; ++i) {
    snapshots.log_bytes += records[i]->size();
    ask(self, options.crypto, options.timeout, open_atom_v,
        open_commit_job{std::move(*records[i]), first + i, slots, known_root.what.slot_address(first + i)})
        .then(
            [this, decoded, left, i, all, later, window, then, at_end](opened_commit& opened) {
              (*decoded)[i] = std::move(opened);
              if (failure || --*left != 0)
                return;
              for (const auto& c : *decoded)
                if (auto applied = apply_commit(c); !applied)
                  return fail_all(applied.error());
              opening.hole_checks = 0;
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
  const auto slots = known_root.what.ring_slots;
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
      open_commit_job{record, sequence, known_root.what.ring_slots, known_root.what.slot_address(sequence)})
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
  commits.fruitless_races = 0;
  ++syncs.incoming.commits;
  pads.applied(data, c.operations);
  assert(pads.is_consistent());
  return {};
}

void index_actor_state::sync(caf::typed_response_promise<sync_report> promise) {
  syncs.waiting.push_back(promise);
  if (!log_busy)
    pump();
}

}  // namespace mutant
