// The power fails at every sync, and between them: what was committed is there, and what was not is there whole or not at all.
#include <map>
#include <optional>
#include <random>

#include "tests/core/power_cut.hpp"
#include "tests/core/test_engine_segment_support.hpp"

namespace {

using namespace mutant;
using namespace mutant::engine_test;

// Of each pad that there is: what was put last.
using pads = std::map<std::uint64_t, bytes>;

struct milestone {
  std::size_t point;  // from here on
  pads state;         // this is durable
};

// Pads of all kinds: inside LMDB, in overflow pages, in segments; blank ones.
class writer {
 public:
  writer(pad_engine& engine, std::uint64_t seed) : engine_(engine), random_(seed) {}

  // One batch, perhaps tidied. The state that it leads to.
  pads batch(const pads& before) {
    auto after = before;
    for (auto n = random_() % 4 + 1; n > 0; --n) {
      const auto pad = random_() % 8;
      const auto counter = ++counters_[pad];
      if (const auto what = random_() % 8; what == 0) {
        REQUIRE_OK(engine_.erase(make_blank(pad, counter)));
        after.erase(pad);
      } else {
        constexpr std::size_t sizes[] = {160, 300, 5'000, 70'000, 90'000, 200'000, 300'000};
        auto record = what == 1 ? make_blank(pad, counter) : make_record(pad, counter, sizes[random_() % std::size(sizes)]);
        REQUIRE_OK(engine_.put(record));
        after[pad] = record;
      }
    }
    return after;
  }
  std::uint64_t draw() { return random_(); }

 private:
  pad_engine& engine_;
  std::mt19937_64 random_;
  std::map<std::uint64_t, std::uint64_t> counters_;
};

bool is_state(pad_engine& engine, const pads& wanted) {
  for (std::uint64_t pad = 0; pad < 8; ++pad) {
    const auto at = wanted.find(pad);
    const auto found = engine.get(address_of(pad));
    if (at == wanted.end() ? found || found.error().code != errc::pad_not_found : !found || !(*found == at->second))
      return false;
  }
  return true;
}

BOOST_AUTO_TEST_SUITE(engine_power_cut)

BOOST_AUTO_TEST_CASE(whenever_the_power_fails_the_last_commit_or_the_one_under_way_is_there_whole) {
  constexpr auto batches = 30;
  temporary_directory temporary;
  temporary_directory images(temporary_directory::place::in_memory);
  const auto path = temporary.file("store"), image = images.file("store");
  auto engine = open(path);
  put_and_commit(*engine, make_record(100, 1, 100'000));
  put_and_commit(*engine, make_record(101, 1, 300));
  std::vector<milestone> milestones{{0, {}}};
  power_cut_recorder recorder(path);
  writer writes(*engine, 11);
  for (auto n = 0; n < batches; ++n) {
    auto state = writes.batch(milestones.back().state);
    REQUIRE_OK(engine->commit());
    milestones.push_back({recorder.now(), std::move(state)});
    if (writes.draw() % 3 == 0)
      REQUIRE_OK(engine->tidy());
    if (writes.draw() % 10 == 0)
      REQUIRE_OK(engine->trim());
  }
  engine.reset();
  std::mt19937_64 random(5);
  auto points = recorder.syncs();
  BOOST_REQUIRE_GT(points.size(), batches * 2u);
  for (const auto n = points.size(); points.size() < n + n / 2;)
    points.push_back(random() % recorder.now());
  for (const auto point : points)
    for (const auto likely : {0u, 128u, 256u}) {
      const auto last = std::ranges::upper_bound(milestones, point, {}, &milestone::point) - 1;
      BOOST_TEST_CONTEXT("the power fails at call " << point << " of " << recorder.now() << ", batch "
                                                    << last - milestones.begin() << ", " << likely << " of 256") {
        recorder.replay(point, likely, random, image);
        auto left = open(image);
        const auto next = last + 1 == milestones.end() ? last : last + 1;
        BOOST_CHECK(is_state(*left, last->state) || is_state(*left, next->state));
        BOOST_CHECK(holds(*left, make_record(100, 1, 100'000)) && holds(*left, make_record(101, 1, 300)));
        // And it goes on.
        put_and_commit(*left, make_record(102, 1, 150'000));
        REQUIRE_OK(left->tidy());
        BOOST_CHECK(is_state(*left, last->state) || is_state(*left, next->state));
        left.reset();
        BOOST_CHECK_EQUAL(check_store(image), "");
        std::filesystem::remove_all(image);
      }
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
