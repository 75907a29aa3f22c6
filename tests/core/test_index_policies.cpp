// What the index decides by itself, apart from the actor: how long a commit waits, in which order parts are taken, when a
// snapshot is due and what the root names then.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <memory>
#include <random>
#include <set>

#include "core/index/commit_delay.hpp"
#include "core/index/part_intake.hpp"
#include "core/index/snapshot_plan.hpp"

using namespace mutant;
using namespace std::chrono_literals;

namespace {

std::uint32_t below(std::mt19937& random, std::uint32_t n) {
  return std::uniform_int_distribution<std::uint32_t>(0, n - 1)(random);
}

part_ref part(std::uint64_t number, std::uint64_t sequence, bool base, std::uint64_t size = 1) {
  part_ref p;
  p.pad = {number, 1};
  p.sequence = sequence;
  p.base = base;
  p.size = size;
  return p;
}

}  // namespace

// -- group commit --------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_SUITE(group_commit_delay)

BOOST_AUTO_TEST_CASE(a_commit_never_waits_longer_than_half_of_the_last_one_or_the_limit) {
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    commit_delay delay;
    commit_delay::time_point now{};
    for (int i = 0; i < 50; ++i) {
      const auto ready = now;
      std::size_t queued = 1 + below(random, 20);
      const auto last_took = i == 0 ? 0us : std::chrono::microseconds(below(random, 50'000));
      delay.began(now - last_took);
      const std::size_t returning = below(random, 20);
      delay.committed(now, returning, queued, 256, 20ms);
      std::optional<commit_delay::time_point> until;
      while ((until = delay.wait_until(now, queued))) {
        BOOST_REQUIRE_LT(queued, returning + queued);
        BOOST_REQUIRE(*until > now);
        BOOST_REQUIRE(*until - ready <= std::min<std::chrono::microseconds>(20ms, last_took / 2 + 1us));
        now = below(random, 3) == 0 ? *until : now + (*until - now) / 2 + 1ns;
        queued += below(random, 4);
      }
      BOOST_REQUIRE(!delay.wait_until(now, queued));   // that holds until the next commit
    }
  }
}

BOOST_AUTO_TEST_CASE(all_who_come_back_share_the_next_commit) {
  commit_delay delay;
  commit_delay::time_point now{};
  delay.began(now);
  now += 10ms;
  delay.committed(now, 8, 0, 256, 20ms);
  for (std::size_t queued = 1; queued < 8; ++queued)
    BOOST_TEST((delay.wait_until(now, queued) == now + 5ms));
  BOOST_TEST(!delay.wait_until(now, 8));
}

BOOST_AUTO_TEST_CASE(who_waits_in_vain_waits_ever_more_seldom_and_never_gives_up) {
  commit_delay delay;
  commit_delay::time_point now{};
  unsigned without = 0;   // commits in a row that did not wait
  std::vector<unsigned> pauses;
  for (int i = 0; i < 1000; ++i) {
    delay.began(now);
    now += 10ms;
    delay.committed(now, 8, 1, 256, 20ms);
    if (const auto until = delay.wait_until(now, 1)) {
      pauses.push_back(std::exchange(without, 0));
      now = *until;
      BOOST_REQUIRE(!delay.wait_until(now, 1));   // nobody came
    } else {
      ++without;
    }
  }
  BOOST_REQUIRE_GE(pauses.size(), 10u);
  BOOST_TEST(std::ranges::is_sorted(pauses));
  BOOST_TEST(pauses.front() == 0u);
  BOOST_TEST(pauses.back() == 1u << commit_delay::max_skip_doublings);
}

BOOST_AUTO_TEST_CASE(those_who_write_a_pad_first_are_not_waited_for) {
  commit_delay delay;
  commit_delay::time_point now{};
  delay.began(now);
  delay.committed(now + 10ms, 0, 3, 256, 20ms);
  BOOST_TEST(!delay.wait_until(now + 10ms, 3));
}

BOOST_AUTO_TEST_SUITE_END()

// -- parts ---------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_SUITE(intake_of_parts)

// Whatever order they arrive in.
BOOST_AUTO_TEST_CASE(parts_are_applied_in_order_once_each_and_few_at_a_time) {
  using intake = part_intake<std::shared_ptr<std::size_t>>;
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    const std::size_t count = below(random, 30);
    intake parts(count);
    std::vector<std::size_t> under_way, applied;
    std::size_t fetched = 0;
    while (!parts.is_complete()) {
      while (const auto next = parts.next_to_fetch()) {
        BOOST_REQUIRE_EQUAL(*next, fetched++);
        under_way.push_back(*next);
      }
      BOOST_REQUIRE_LE(fetched - applied.size(), intake::window);
      BOOST_REQUIRE(!under_way.empty());
      const auto at = under_way.begin() + below(random, static_cast<std::uint32_t>(under_way.size()));
      parts.arrived(*at, std::make_shared<std::size_t>(*at));
      under_way.erase(at);
      while (const auto part = parts.next_to_apply())
        applied.push_back(*part);
    }
    BOOST_REQUIRE_EQUAL(applied.size(), count);
    for (std::size_t i = 0; i < count; ++i)
      BOOST_REQUIRE_EQUAL(applied[i], i);
    BOOST_REQUIRE(!parts.next_to_fetch());
  }
}

BOOST_AUTO_TEST_CASE(what_is_abandoned_asks_for_nothing_and_gives_nothing) {
  part_intake<std::shared_ptr<int>> parts(9);
  BOOST_TEST(parts.next_to_fetch().value() == 0u);
  parts.arrived(0, std::make_shared<int>());
  parts.abandon();
  BOOST_TEST((parts.next_to_apply() == nullptr));
  BOOST_TEST(!parts.next_to_fetch());
  BOOST_TEST(!parts.is_complete());
}

BOOST_AUTO_TEST_SUITE_END()

// -- snapshots -----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_SUITE(snapshot_planning)

BOOST_AUTO_TEST_CASE(a_delta_is_due_after_half_the_ring_or_much_log) {
  root known;
  known.sequence = 100;
  known.ring_slots = 64;
  const snapshot_limits limits{1000, 1u << 20, 256};
  BOOST_TEST((due_snapshot(known, {100, 5000, true, false}, limits) == snapshot_step::none));   // nothing has changed
  BOOST_TEST((due_snapshot(known, {131, 999, true, false}, limits) == snapshot_step::none));
  BOOST_TEST((due_snapshot(known, {132, 0, true, false}, limits) == snapshot_step::delta));
  BOOST_TEST((due_snapshot(known, {101, 1000, true, false}, limits) == snapshot_step::delta));
  BOOST_TEST((due_snapshot(known, {132, 0, true, true}, limits) == snapshot_step::delta));    // while a full one goes on
  BOOST_TEST((due_snapshot(known, {132, 0, false, false}, limits) == snapshot_step::full));   // a delta would lose some
  BOOST_TEST((due_snapshot(known, {132, 0, false, true}, limits) == snapshot_step::none));
}

BOOST_AUTO_TEST_CASE(a_full_snapshot_is_due_when_the_deltas_outweigh_the_last) {
  root known;
  known.sequence = 10;
  known.ring_slots = 64;
  known.parts = {part(0, 1, true, 2000), part(1, 5, false, 1500), part(2, 10, false, 500)};
  const snapshot_limits limits{1u << 20, 100, 3};
  BOOST_TEST((due_snapshot(known, {10, 0, true, false}, limits) == snapshot_step::none));
  known.parts.push_back(part(3, 10, false, 1));
  BOOST_TEST((due_snapshot(known, {10, 0, true, false}, limits) == snapshot_step::full));
  BOOST_TEST((due_snapshot(known, {10, 0, true, true}, limits) == snapshot_step::none));
  known.parts = {part(0, 1, false, 1), part(1, 2, false, 1), part(2, 3, false, 1)};
  BOOST_TEST((due_snapshot(known, {10, 0, true, false}, limits) == snapshot_step::none));   // small ones never cause it
  known.parts.push_back(part(3, 4, false, 1));
  BOOST_TEST((due_snapshot(known, {10, 0, true, false}, limits) == snapshot_step::full));   // but many do
}
// Deltas and full snapshots in any order, the full ones begun some time before: what the parts of the root hold is always all
// that was committed up to its sequence.
// committed up to its sequence.
BOOST_AUTO_TEST_CASE(the_parts_of_a_root_reach_from_the_beginning_to_its_sequence) {
  for (std::uint32_t seed = 1; seed <= 300; ++seed) {
    std::mt19937 random(seed);
    root known;
    known.ring_slots = 64;
    std::uint64_t sequence = 0, next_part = 0;
    std::optional<snapshot_point> full;       // under way, frozen there
    std::set<std::uint64_t> named;
    for (int i = 0; i < 60; ++i) {
      sequence += 1 + below(random, 10);
      const auto point_of = [](std::uint64_t s) {
        snapshot_point p;
        p.sequence = s;
        p.next_pad = s * 3;
        p.last_commit[0] = static_cast<std::byte>(s % 251);
        return p;
      };
      std::vector<part_ref> dropped;
      if (const auto what = below(random, 3); what == 0 && !full) {
        full = point_of(sequence);
        continue;
      } else if (what == 1 && full) {
        const std::vector<part_ref> parts{part(next_part, full->sequence, true), part(next_part + 1, full->sequence, true)};
        next_part += 2;
        auto merged = with_full(known, *full, parts, next_part);
        BOOST_REQUIRE(merged.has_value());
        known = merged->next;
        dropped = merged->dropped;
        full.reset();
      } else {
        known = with_delta(known, point_of(sequence), {part(next_part, sequence, false)}, next_part + 1);
        ++next_part;
      }
      // The base parts first, of one sequence; each delta behind it once, ascending, up to the root's own sequence.
      std::uint64_t at = 0;
      bool deltas_begun = false;
      for (const auto& p : known.parts) {
        BOOST_REQUIRE(!(p.base && deltas_begun));
        BOOST_REQUIRE_GE(p.sequence, at);
        BOOST_REQUIRE(p.base || p.sequence > at);
        deltas_begun = !p.base;
        at = p.sequence;
        named.insert(p.pad.number);
      }
      BOOST_REQUIRE_EQUAL(at, known.sequence);
      BOOST_REQUIRE_EQUAL(known.next_pad, known.sequence * 3);
      BOOST_REQUIRE((known.last_commit == point_of(known.sequence).last_commit));
      BOOST_REQUIRE_EQUAL(known.next_part, next_part);
      // What was dropped is no longer named, and nothing else is gone.
      for (const auto& p : dropped)
        BOOST_REQUIRE_EQUAL(named.erase(p.pad.number), 1u);
      BOOST_REQUIRE_EQUAL(named.size(), known.parts.size());
    }
  }
}

BOOST_AUTO_TEST_CASE(a_full_snapshot_gives_way_to_a_younger_one_and_to_a_purge) {
  root known;
  known.sequence = 50;
  known.parts = {part(7, 40, true), part(8, 50, false)};
  const snapshot_point of{40, {}, 9};
  BOOST_TEST(!with_full(known, of, {part(9, 40, true)}, 10));
  known.parts.front().sequence = 39;
  BOOST_TEST(with_full(known, of, {part(9, 40, true)}, 10).has_value());
  known.parts_floor = 10;
  BOOST_TEST(!with_full(known, of, {part(9, 40, true)}, 10));
  BOOST_TEST(with_full(known, of, {}, 10).has_value());   // an empty index has no parts
}

BOOST_AUTO_TEST_SUITE_END()
