// free_space against a plain array of blocks.
#include <boost/test/unit_test.hpp>

#include <random>
#include <vector>

#include "core/engine/free_space.hpp"

namespace {

using mutant::free_space;

BOOST_AUTO_TEST_SUITE(engine_free_space)

BOOST_AUTO_TEST_CASE(neighbours_are_merged_on_both_sides) {
  free_space space;
  space.add(0, 10);
  space.add(20, 10);
  BOOST_CHECK_EQUAL(space.ranges().size(), 2u);
  space.add(10, 10);
  BOOST_CHECK_EQUAL(space.ranges().size(), 1u);
  BOOST_CHECK_EQUAL(space.ranges().at(0), 30u);
  BOOST_CHECK_EQUAL(space.blocks(), 30u);
}

BOOST_AUTO_TEST_CASE(the_lowest_of_the_smallest_ranges_that_fit_is_taken) {
  free_space space;
  space.add(0, 100);
  space.add(200, 8);
  space.add(300, 7);
  space.add(400, 8);
  BOOST_CHECK_EQUAL(space.take(8).value(), 200u);
  BOOST_CHECK_EQUAL(space.take(8).value(), 400u);
  BOOST_CHECK_EQUAL(space.take(8).value(), 0u);
  BOOST_CHECK_EQUAL(space.ranges().at(8), 92u);
  BOOST_CHECK(!space.take(93));
  BOOST_CHECK_EQUAL(space.take(92).value(), 8u);
  BOOST_CHECK_EQUAL(space.blocks(), 7u);
}

BOOST_AUTO_TEST_CASE(random_use_agrees_with_an_array_of_blocks) {
  constexpr std::uint32_t blocks = 500;
  std::mt19937 random(5);
  std::vector<bool> is_free(blocks, true);
  std::vector<std::pair<std::uint32_t, std::uint32_t>> taken;
  free_space space;
  space.add(0, blocks);
  for (int step = 0; step < 20'000; ++step) {
    if (random() % 2 == 0) {
      auto count = 1 + random() % 20;
      if (auto first = space.take(static_cast<std::uint32_t>(count))) {
        for (auto block = *first; block < *first + count; ++block) {
          BOOST_REQUIRE(is_free[block]);
          is_free[block] = false;
        }
        taken.emplace_back(*first, count);
      }
    } else if (!taken.empty()) {
      std::swap(taken[random() % taken.size()], taken.back());
      auto [first, count] = taken.back();
      taken.pop_back();
      space.add(first, count);
      std::fill_n(is_free.begin() + first, count, true);
    }
    BOOST_REQUIRE_EQUAL(space.blocks(), std::ranges::count(is_free, true));
    std::uint32_t end = 0;
    for (auto [first, count] : space.ranges()) {
      BOOST_REQUIRE(first == 0 || first > end);  // a used block lies between two ranges
      end = first + count;
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
