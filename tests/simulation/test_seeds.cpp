// Runs seeds. As a test: a few hundred, in four parts. By hand, through scripts/simulate: any.
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdlib>
#include <iostream>

#include "tests/simulation/world.hpp"

namespace mutant::simulation {

namespace {

constexpr std::uint64_t seeds_per_part = 60;

report simulate(std::uint64_t seed) {
  auto s = draw_settings(seed);
  world w(s);
  auto r = w.run();
  if (r.violation)
    BOOST_ERROR(to_string(s) << "\n  " << *r.violation << "\n  replay with: scripts/simulate --seed " << seed);
  return r;
}

void part(std::uint64_t number) {
  std::uint64_t commits = 0;
  for (std::uint64_t seed = number * 1000 + 1; seed <= number * 1000 + seeds_per_part; ++seed)
    commits += simulate(seed).commits;
  BOOST_TEST(commits > seeds_per_part * 5);   // something happened
}

void print(std::uint64_t seed, const report& r, double seconds) {
  std::cout << "seed " << seed << ": " << (r.violation ? "FAILED" : "ok") << ", " << r.steps << " steps, " << r.commits
            << " commits, " << r.roots << " roots, " << r.crashes << " crashes, trace " << std::hex << r.trace << std::dec
            << ", " << seconds << " s;";
  for (const auto& [name, count] : r.outcomes)
    std::cout << ' ' << name << ' ' << count;
  std::cout << std::endl;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(first_seeds)
BOOST_AUTO_TEST_CASE(keep_every_promise) { part(0); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(second_seeds)
BOOST_AUTO_TEST_CASE(keep_every_promise) { part(1); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(third_seeds)
BOOST_AUTO_TEST_CASE(keep_every_promise) { part(2); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(fourth_seeds)
BOOST_AUTO_TEST_CASE(keep_every_promise) { part(3); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(replay)

BOOST_AUTO_TEST_CASE(a_seed_takes_the_same_steps_again) {
  for (std::uint64_t seed : {11, 12, 13, 14, 15, 16}) {
    auto once = simulate(seed);
    auto again = simulate(seed);
    BOOST_TEST(once.trace == again.trace);
    BOOST_TEST(once.steps == again.steps);
    BOOST_TEST(once.commits == again.commits);
  }
}

BOOST_AUTO_TEST_SUITE_END()

// What scripts/simulate runs: MUTANT_SIMULATION_FROM and MUTANT_SIMULATION_SEEDS say which.
BOOST_AUTO_TEST_SUITE(by_hand, *boost::unit_test::disabled())

BOOST_AUTO_TEST_CASE(seeds) {
  auto number = [](const char* name, std::uint64_t otherwise) {
    const auto* value = std::getenv(name);
    return value != nullptr ? std::strtoull(value, nullptr, 10) : otherwise;
  };
  const auto from = number("MUTANT_SIMULATION_FROM", 1);
  const auto count = number("MUTANT_SIMULATION_SEEDS", 1);
  const auto max_failures = number("MUTANT_SIMULATION_FAILURES", 5);
  std::uint64_t failures = 0;
  for (auto seed = from; seed < from + count && failures < max_failures; ++seed) {
    if (count == 1)
      std::cout << to_string(draw_settings(seed)) << std::endl;
    const auto begin = std::chrono::steady_clock::now();
    auto r = simulate(seed);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    failures += r.violation ? 1 : 0;
    if (count == 1 || r.violation || seed % 50 == 0)
      print(seed, r, took.count());
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::simulation
