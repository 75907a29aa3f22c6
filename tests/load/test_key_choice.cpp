#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "benchmarks/load/key_choice.hpp"

namespace mutant::load {

namespace {

// The sum of 1 / i^theta for i from 1 to n: term by term up to 10^5, the rest by Euler and Maclaurin's formula.
double zeta(double n, double theta) {
  const auto exact = std::min(n, 1e5);
  double sum = 0;
  for (double i = 1; i <= exact; ++i)
    sum += std::pow(i, -theta);
  if (n > exact)
    sum += (std::pow(n, 1 - theta) - std::pow(exact, 1 - theta)) / (1 - theta)
           + (std::pow(n, -theta) - std::pow(exact, -theta)) / 2;
  return sum;
}

// Pearson's statistic over counts and expected counts, and the bound that it stays below with all but 1 in 10^5 chance
// (Wilson and Hilferty's approximation).
void check_fits(const std::vector<double>& seen, const std::vector<double>& expected) {
  double statistic = 0;
  for (std::size_t i = 0; i < seen.size(); ++i)
    statistic += (seen[i] - expected[i]) * (seen[i] - expected[i]) / expected[i];
  const auto freedom = static_cast<double>(seen.size() - 1);
  const auto bound = freedom * std::pow(1 - 2 / (9 * freedom) + 4.265 * std::sqrt(2 / (9 * freedom)), 3);
  BOOST_TEST(statistic < bound);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(key_choice_tests)

BOOST_AUTO_TEST_CASE(zeta_of_ten_billion_is_the_constant_that_ycsb_uses) {
  BOOST_TEST(zeta(1e10, 0.99) == 26.46902820178302, boost::test_tools::tolerance(1e-9));
}

BOOST_AUTO_TEST_CASE(ranks_have_the_frequencies_of_zipfs_law) {
  for (const auto theta : {0.5, 0.99, 1.0, 1.3}) {
    constexpr std::uint64_t count = 200;
    constexpr double times = 400'000;
    zipf ranks(theta);
    draws random(7);
    std::vector<double> seen(count), expected(count);
    for (double i = 0; i < times; ++i)
      ++seen[ranks.rank(random, count)];
    double sum = 0;
    for (std::uint64_t k = 0; k < count; ++k)
      sum += expected[k] = std::pow(static_cast<double>(k + 1), -theta);
    for (auto& e : expected)
      e *= times / sum;
    check_fits(seen, expected);
  }
}

BOOST_AUTO_TEST_CASE(the_most_popular_ranks_among_ten_billion_have_their_share) {
  constexpr double times = 1'000'000;
  zipf ranks(0.99);
  draws random(11);
  std::vector<double> seen(21), expected(21);
  for (double i = 0; i < times; ++i)
    ++seen[std::min<std::uint64_t>(20, ranks.rank(random, zipfian_items))];
  for (std::size_t k = 0; k < 20; ++k)
    expected[k] = times * std::pow(static_cast<double>(k + 1), -0.99) / zeta(1e10, 0.99);
  expected[20] = times - std::accumulate(expected.begin(), expected.end() - 1, 0.0);
  check_fits(seen, expected);
}

BOOST_AUTO_TEST_CASE(one_rank_among_one_is_the_first) {
  zipf ranks(0.99);
  draws random(1);
  for (int i = 0; i < 100; ++i)
    BOOST_TEST(ranks.rank(random, 1) == 0u);
}

BOOST_AUTO_TEST_CASE(the_hash_is_fnv_1a) {
  // The reference vector of an empty input is the offset basis; eight zero bytes are eight multiplications by the prime.
  std::uint64_t expected = 0xcbf29ce484222325u;
  for (int i = 0; i < 8; ++i)
    expected *= 1099511628211u;
  BOOST_TEST(fnv(0) == expected);
  // FNV-1a of "foobar" with two zero bytes behind: the published value for "foobar" goes on with the prime.
  BOOST_TEST(fnv(0x7261626f6f66) == 0x85944171f73967e8u * 1099511628211u * 1099511628211u);
}

BOOST_AUTO_TEST_CASE(scrambled_keys_are_spread_and_the_top_one_keeps_its_share) {
  constexpr double times = 300'000;
  const auto sum = zeta(1e10, 0.99);
  for (const std::uint64_t keys : {1'000u, 100'000u}) {
    key_choice choice(key_order::zipfian, 0.99, 0, 1);
    draws random(3);
    std::vector<double> seen(keys), expected(keys);
    for (double i = 0; i < times; ++i)
      ++seen[choice.next(random, keys, keys)];
    // The first ranks one by one, the rest as if the hash were even.
    constexpr std::uint64_t first = 100'000;
    for (std::uint64_t rank = 0; rank < first; ++rank)
      expected[fnv(rank) % keys] += times * std::pow(static_cast<double>(rank + 1), -0.99) / sum;
    const auto rest = times * (1 - zeta(static_cast<double>(first), 0.99) / sum) / static_cast<double>(keys);
    const auto top = fnv(0) % keys, second = fnv(1) % keys;
    for (const auto key : {top, second})
      BOOST_TEST(std::abs(seen[key] - expected[key] - rest) < 4 * std::sqrt(expected[key]));
    BOOST_TEST(seen[top] / times > 0.036);
    BOOST_TEST((top > second ? top - second : second - top) > 1u);
  }
}

BOOST_AUTO_TEST_CASE(latest_prefers_the_newest_key_as_keys_are_added) {
  key_choice choice(key_order::latest, 0.99, 0, 1);
  draws random(5);
  for (const std::uint64_t visible : {100u, 5'000u}) {
    constexpr double times = 100'000;
    double newest = 0;
    for (double i = 0; i < times; ++i) {
      const auto key = choice.next(random, 100, visible);
      BOOST_REQUIRE(key < visible);
      newest += key == visible - 1;
    }
    BOOST_TEST(newest / times == 1 / zeta(static_cast<double>(visible), 0.99), boost::test_tools::tolerance(0.05));
  }
}

BOOST_AUTO_TEST_CASE(uniform_keys_are_even) {
  key_choice choice(key_order::uniform, 0.99, 0, 1);
  draws random(9);
  std::vector<double> seen(100);
  for (int i = 0; i < 200'000; ++i)
    ++seen[choice.next(random, 100, 100)];
  check_fits(seen, std::vector<double>(100, 2'000));
}

BOOST_AUTO_TEST_CASE(own_keys_are_visited_in_turn_and_shared_with_nobody) {
  std::vector<int> owner(10, -1);
  for (int client = 0; client < 3; ++client) {
    key_choice choice(key_order::own, 0.99, static_cast<std::uint64_t>(client), 3);
    draws random(1);
    for (int i = 0; i < 20; ++i) {
      const auto key = choice.next(random, 10, 10);
      BOOST_REQUIRE(key < 10u);
      BOOST_TEST((owner[key] == -1 || owner[key] == client));
      owner[key] = client;
    }
  }
  BOOST_TEST(std::count(owner.begin(), owner.end(), -1) == 0);
}

BOOST_AUTO_TEST_CASE(the_same_seed_draws_the_same_keys) {
  for (auto order : {key_order::uniform, key_order::zipfian, key_order::latest}) {
    key_choice a(order, 0.99, 0, 4), b(order, 0.99, 0, 4);
    draws one(42), two(42), other(43);
    bool differs = false;
    for (int i = 0; i < 1'000; ++i) {
      const auto key = a.next(one, 10'000, 10'000);
      BOOST_REQUIRE(key == b.next(two, 10'000, 10'000));
      differs |= key != b.next(other, 10'000, 10'000);
    }
    BOOST_TEST(differs);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::load
