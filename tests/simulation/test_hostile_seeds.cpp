// Stores that mean harm, by seed. As a test: some in two parts. By hand, through scripts/simulate --hostile: any.
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <iostream>

#include "tests/simulation/hostile.hpp"

namespace mutant::simulation {

namespace {

constexpr std::uint64_t seeds_per_part = 60;

hostile_report meet(std::uint64_t seed) {
  auto r = run_hostile(seed);
  if (r.violation)
    BOOST_ERROR("seed " << seed << ": " << *r.violation << "\n  replay with: scripts/simulate --hostile --seed " << seed);
  return r;
}

void part(std::uint64_t number) {
  std::uint64_t acknowledged = 0, read = 0, refused = 0;
  for (std::uint64_t seed = number * 1000 + 1; seed <= number * 1000 + seeds_per_part; ++seed) {
    const auto r = meet(seed);
    acknowledged += r.acknowledged;
    read += r.read;
    refused += r.refused;
  }
  // There was something to lie about, and the lies were met.
  BOOST_TEST(acknowledged > seeds_per_part * 3);
  BOOST_TEST(read > seeds_per_part);
  BOOST_TEST(refused > seeds_per_part);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(first_hostile_seeds)
BOOST_AUTO_TEST_CASE(show_what_was_acknowledged_or_an_error) { part(0); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(second_hostile_seeds)
BOOST_AUTO_TEST_CASE(show_what_was_acknowledged_or_an_error) { part(1); }
BOOST_AUTO_TEST_SUITE_END()

// What scripts/simulate --hostile runs: MUTANT_SIMULATION_FROM and MUTANT_SIMULATION_SEEDS say which.
BOOST_AUTO_TEST_SUITE(hostile_by_hand, *boost::unit_test::disabled())

BOOST_AUTO_TEST_CASE(seeds) {
  auto number = [](const char* name, std::uint64_t otherwise) {
    const auto* value = std::getenv(name);
    return value != nullptr ? std::strtoull(value, nullptr, 10) : otherwise;
  };
  const auto from = number("MUTANT_SIMULATION_FROM", 1);
  const auto count = number("MUTANT_SIMULATION_SEEDS", 1);
  const auto max_failures = number("MUTANT_SIMULATION_FAILURES", 5);
  std::uint64_t failures = 0, acknowledged = 0, read = 0, refused = 0, torn = 0, ran = 0;
  for (auto seed = from; seed < from + count && failures < max_failures; ++seed) {
    const auto r = meet(seed);
    ++ran;
    failures += r.violation ? 1 : 0;
    acknowledged += r.acknowledged;
    read += r.read;
    refused += r.refused;
    torn += r.torn ? 1 : 0;
    if (count == 1)
      for (const auto& [name, times] : r.errors)
        std::cout << name << ' ' << times << '\n';
  }
  std::cout << ran << " seeds from " << from << ": " << failures << " failed; " << acknowledged << " puts acknowledged, "
            << read << " values read, " << refused << " requests refused, " << torn << " stores torn in the end" << std::endl;
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::simulation
