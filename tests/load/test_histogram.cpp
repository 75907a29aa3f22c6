#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

#include "benchmarks/load/draws.hpp"
#include "benchmarks/load/histogram.hpp"
#include "benchmarks/load/recorder.hpp"

namespace mutant::load {

namespace {

// Latencies as they are: from a microsecond to a minute, most of them short.
std::vector<std::uint64_t> some_latencies(std::size_t count, std::uint64_t seed) {
  draws random(seed);
  std::vector<std::uint64_t> out(count);
  for (auto& ns : out)
    ns = static_cast<std::uint64_t>(1e3 * std::pow(6e7, std::pow(random.unit(), 3)));
  return out;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(histogram_tests)

BOOST_AUTO_TEST_CASE(a_quantile_is_never_too_low_and_at_most_one_part_in_128_too_high) {
  auto values = some_latencies(100'000, 1);
  histogram h;
  for (auto v : values)
    h.record(v);
  std::sort(values.begin(), values.end());
  for (const auto q : {0.0001, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0}) {
    const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(values.size())));
    const auto exact = values[std::max<std::size_t>(rank, 1) - 1];
    BOOST_TEST(h.quantile(q) >= exact);
    BOOST_TEST(static_cast<double>(h.quantile(q)) <= static_cast<double>(exact) * (1 + 1.0 / 128));
  }
}

BOOST_AUTO_TEST_CASE(every_value_up_to_the_longest_stays_within_the_error) {
  draws random(2);
  for (int i = 0; i < 100'000; ++i) {
    const auto value = random.bits() >> (22 + random.below(42));
    histogram h;
    h.record(value);
    h.record(histogram::max_ns);
    const auto told = h.quantile(0.5);
    BOOST_REQUIRE(told >= value);
    BOOST_REQUIRE(told - value <= value / 128);
  }
}

BOOST_AUTO_TEST_CASE(small_values_count_smallest_largest_and_mean_are_exact) {
  histogram h;
  BOOST_TEST(h.quantile(0.5) == 0u);
  for (std::uint64_t v = 0; v < 100; ++v)
    h.record(v);
  h.record(1'000'000'007);
  BOOST_TEST(h.count() == 101u);
  BOOST_TEST(h.smallest() == 0u);
  BOOST_TEST(h.largest() == 1'000'000'007u);
  BOOST_TEST(h.quantile(1) == 1'000'000'007u);
  BOOST_TEST(h.quantile(0.5) == 50u);
  BOOST_TEST(h.mean() == (99.0 * 100 / 2 + 1'000'000'007) / 101, boost::test_tools::tolerance(1e-12));
}

BOOST_AUTO_TEST_CASE(what_is_longer_than_the_longest_counts_as_the_longest) {
  histogram h;
  h.record(~std::uint64_t{0});
  BOOST_TEST(h.quantile(1) == histogram::max_ns);
}

BOOST_AUTO_TEST_CASE(histograms_add_up) {
  const auto one = some_latencies(5'000, 3), two = some_latencies(700, 4);
  histogram a, b, both;
  for (auto v : one)
    a.record(v), both.record(v);
  for (auto v : two)
    b.record(v), both.record(v);
  a.add(b);
  BOOST_TEST(a.count() == both.count());
  BOOST_TEST(a.smallest() == both.smallest());
  BOOST_TEST(a.largest() == both.largest());
  for (double q = 0; q <= 1; q += 0.001)
    BOOST_REQUIRE(a.quantile(q) == both.quantile(q));
}

BOOST_AUTO_TEST_CASE(a_timeline_of_any_length_keeps_every_count_in_its_place) {
  timeline t(std::chrono::milliseconds(250));
  constexpr std::uint64_t last = 5'000;
  for (std::uint64_t i = 0; i <= last; ++i) {
    interval one;
    one.kinds[1].latency.record(1'000);
    t.add(i, one);
  }
  BOOST_TEST(t.all().size() <= 256u);
  const auto joined = static_cast<std::uint64_t>(t.width() / std::chrono::milliseconds(250));
  BOOST_TEST(joined == 32u);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < t.all().size(); ++i) {
    const auto count = t.all()[i].kinds[1].latency.count();
    if (i + 1 < t.all().size())
      BOOST_REQUIRE(count == joined);
    sum += count;
  }
  BOOST_TEST(sum == last + 1);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::load
