// How many round trips to a bucket a change costs: what its latency makes of a store.
#include "tests/actors/scripted_bucket.hpp"

namespace mutant::testing {

namespace {

// Another process over what is in the bucket by now: it has seen nothing of it.
void go_on_with(s3_fixture& fresh, const s3_fixture& before) {
  fresh.bucket->objects = before.bucket->objects;
  fresh.bucket->writes = 1'000'000;
}

index_actor spawn_index_over(s3_fixture& f, std::uint64_t ring_slots, bool look_ahead) {
  auto o = f.small_index();
  o.pads = f.handle;
  o.ring_slots = ring_slots;
  o.look_ahead = look_ahead;
  return f.spawn_index(o);
}

unsigned commit(s3_fixture& f, const index_actor& index, unsigned number) {
  auto a = f.ask<commit_result>(index, commit_atom_v, fixture::put_inline("key" + std::to_string(number), "x"));
  const auto trips = f.round_trips(a);
  BOOST_REQUIRE(a->value);
  f.run(1000);   // snapshots and roots, which nobody waits for
  return trips;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(bucket_round_trips)

BOOST_AUTO_TEST_CASE(every_commit_is_one_whatever_the_ring_holds) {
  s3_fixture first;
  auto index = spawn_index_over(first, 32, true);
  commit(first, index, 0);   // makes the root
  for (unsigned i = 1; i < 40; ++i)
    BOOST_TEST(commit(first, index, i) == 1u);
  for (const auto look_ahead : {true, false}) {
    s3_fixture fresh;
    go_on_with(fresh, first);
    auto again = spawn_index_over(fresh, 32, look_ahead);
    commit(fresh, again, 100);   // opens it
    // A ring and more: slots that were written by another process, and then those of our own.
    unsigned most = 0;
    for (unsigned i = 0; i < 40; ++i)
      most = std::max(most, commit(fresh, again, 101 + i));
    BOOST_TEST(most == (look_ahead ? 1u : 2u));
  }
}

// But for slot 0, which nobody has written to before its second lap.
BOOST_AUTO_TEST_CASE(slots_that_were_seen_are_not_looked_at) {
  s3_fixture f;
  auto index = spawn_index_over(f, 32, true);
  commit(f, index, 0);
  std::string asked;
  for (unsigned i = 1; i < 70; ++i) {
    auto a = f.ask<commit_result>(index, commit_atom_v, fixture::put_inline("key" + std::to_string(i), "x"));
    f.det.run_messages();
    asked += f.run(1000) + " ";
  }
  const auto first = asked.find("look");
  BOOST_TEST(first != std::string::npos);
  BOOST_TEST(asked.find("look", first + 1) == std::string::npos, asked);
}

BOOST_AUTO_TEST_CASE(a_small_value_in_a_pad_is_two) {
  s3_fixture f;
  auto config = f.small_store();
  config.pads = f.handle;
  auto store = spawn_store(f.det.system(), config);
  BOOST_REQUIRE(store.has_value());
  auto first = f.ask<put_result>(*store, put_atom_v, fixture::put_of("first", "longer"));
  f.round_trips(first);
  for (unsigned i = 0; i < 5; ++i) {
    // A new key, and one whose value was replaced before, so that a pad is used again.
    auto fresh = f.ask<put_result>(*store, put_atom_v, fixture::put_of("key" + std::to_string(i), "longer"));
    BOOST_TEST(f.round_trips(fresh) == 2u);
    auto replaced = f.ask<put_result>(*store, put_atom_v, fixture::put_of("first", "longer" + std::to_string(i)));
    BOOST_TEST(f.round_trips(replaced) == 2u);
    BOOST_TEST(replaced->value.has_value());
    f.run(1000);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
