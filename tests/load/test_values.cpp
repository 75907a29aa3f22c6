#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>

#include "benchmarks/load/ledger.hpp"
#include "benchmarks/load/quantities.hpp"
#include "benchmarks/load/value.hpp"
#include "benchmarks/load/value_size.hpp"
#include "benchmarks/load/workload.hpp"

namespace mutant::load {

namespace {

std::string verdict(byte_view value, std::uint64_t run, std::uint64_t key, std::size_t piece = 1 << 20) {
  value_check check(run, key);
  for (std::size_t at = 0; at < value.size(); at += piece)
    check.take(value.subspan(at, std::min(piece, value.size() - at)));
  return check.finish().value_or("");
}

bytes changed(const bytes& value, std::size_t at) {
  buffer out(value.size());
  std::copy_n(value.data(), value.size(), out.data());
  out.data()[at] ^= std::byte{0x10};
  return std::move(out).freeze();
}

value_size sizes(std::string_view text) {
  auto out = value_size::parse(text, stamp_bytes);
  BOOST_REQUIRE_MESSAGE(out, (out ? std::string() : out.error().message));
  return *out;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(value_tests)

BOOST_AUTO_TEST_CASE(a_value_is_right_however_it_is_cut) {
  for (const std::uint64_t size : {40u, 41u, 47u, 48u, 100u, 1'000u, 4'099u}) {
    const stamp s{77, 5, 9, size};
    const auto value = make_value(s);
    for (const std::size_t piece : {1u, 3u, 8u, 39u, 41u, 1'000u, 100'000u})
      BOOST_REQUIRE(verdict(value, 77, 5, piece).empty());
    for (const std::uint64_t offset : {0u, 1u, 17u, 39u})
      for (const std::size_t length : {1u, 7u, 30u}) {
        buffer part(std::min<std::size_t>(length, size - offset));
        fill(s, offset, part.span());
        BOOST_REQUIRE(std::equal(part.data(), part.data() + part.size(), value.data() + offset));
      }
  }
}

BOOST_AUTO_TEST_CASE(any_changed_byte_is_found) {
  const auto value = make_value({77, 5, 9, 203});
  for (std::size_t at = 0; at < value.size(); ++at)
    BOOST_REQUIRE(!verdict(changed(value, at), 77, 5).empty());
}

BOOST_AUTO_TEST_CASE(another_key_another_run_and_another_length_are_found) {
  const auto value = make_value({77, 5, 9, 200});
  BOOST_TEST(verdict(value, 77, 6) == "belongs to key number 5");
  BOOST_TEST(verdict(value, 78, 5) == "was written by another run of mutant-load");
  BOOST_TEST(verdict(value, 0, 5).empty());
  BOOST_TEST(verdict(value.view().first(199), 77, 5) == "has 199 bytes, but 200 were written");
  BOOST_TEST(verdict(value.view().first(10), 77, 5).find("only 10 bytes") != std::string::npos);
  BOOST_TEST(verdict(as_byte_view("something that somebody else has put there, long enough for a stamp"), 77, 5)
                 .find("not written by mutant-load") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_value_of_two_writes_is_found) {
  const auto one = make_value({77, 5, 9, 400}), two = make_value({77, 5, 10, 400});
  buffer torn(400);
  std::copy_n(one.data(), 200, torn.data());
  std::copy_n(two.data() + 200, 200, torn.data() + 200);
  BOOST_TEST(verdict(torn.span(), 77, 5).find("from 200 of 400") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(sizes_follow_their_distribution) {
  draws random(1);
  BOOST_TEST(sizes("1000").draw(random) == 1'000u);
  BOOST_TEST(sizes("4KiB").draw(random) == 4'096u);

  const auto uniform = sizes("100..199");
  double sum = 0;
  for (int i = 0; i < 100'000; ++i) {
    const auto size = uniform.draw(random);
    BOOST_REQUIRE((size >= 100 && size <= 199));
    sum += static_cast<double>(size);
  }
  BOOST_TEST(sum / 100'000 == 149.5, boost::test_tools::tolerance(0.005));

  const auto list = sizes("1KiB*80,64KiB*15,100..200*5");
  int small = 0, large = 0;
  for (int i = 0; i < 100'000; ++i) {
    const auto size = list.draw(random);
    small += size == 1'024;
    large += size == 65'536;
  }
  BOOST_TEST(small / 1e5 == 0.80, boost::test_tools::tolerance(0.02));
  BOOST_TEST(large / 1e5 == 0.15, boost::test_tools::tolerance(0.05));
  BOOST_TEST(list.smallest() == 100u);
  BOOST_TEST(list.largest() == 65'536u);
}

BOOST_AUTO_TEST_CASE(lognormal_sizes_have_their_median_and_spread) {
  const auto size = sizes("lognormal:4KiB:0.5");
  draws random(2);
  std::vector<double> logs(100'000);
  for (auto& l : logs)
    l = std::log(static_cast<double>(size.draw(random)));
  std::sort(logs.begin(), logs.end());
  BOOST_TEST(logs[50'000] == std::log(4'096.0), boost::test_tools::tolerance(0.002));
  BOOST_TEST((logs[84'134] - logs[50'000]) == 0.5, boost::test_tools::tolerance(0.03));
  const auto capped = sizes("lognormal:4KiB:2:8KiB");
  for (int i = 0; i < 10'000; ++i) {
    const auto drawn = capped.draw(random);
    BOOST_REQUIRE((drawn >= stamp_bytes && drawn <= 8'192));
  }
}

BOOST_AUTO_TEST_CASE(sizes_that_cannot_be_are_refused) {
  for (auto text : {"", "39", "big", "10..", "200..100", "1KiB,2KiB", "1KiB*0", "1KiB*-1,2KiB*1", "1TiB", "100MiB", "lognormal",
                    "lognormal:1KiB", "lognormal:1KiB:0", "lognormal:1KiB:x", "lognormal:2KiB:1:1KiB", "lognormal:10:1", "1e3"})
    BOOST_TEST(!value_size::parse(text, stamp_bytes), "'" << text << "' was taken");
}

BOOST_AUTO_TEST_CASE(times_sizes_and_shares_are_read_and_written) {
  BOOST_TEST(parse_time("250us")->count() == 250'000);
  BOOST_TEST(parse_time("1.5s")->count() == 1'500'000'000);
  BOOST_TEST(parse_time("2min")->count() == 120'000'000'000);
  BOOST_TEST(!parse_time("10"));
  BOOST_TEST(*parse_size("1.5MiB") == 1'572'864u);
  BOOST_TEST(!parse_size("1e99"));
  BOOST_TEST(*parse_share("25%") == 0.25);
  BOOST_TEST(human_time(1'234) == "1.23 µs");
  BOOST_TEST(human_time(999.6e3) == "1.00 ms");
  BOOST_TEST(human_time(12.34e9) == "12.3 s");
  BOOST_TEST(with_commas(1'234'567) == "1,234,567");
  BOOST_TEST(with_commas(999) == "999");
}

BOOST_AUTO_TEST_CASE(mixes_are_drawn_with_their_shares) {
  auto mix = operation_mix::parse("read=70,update=25,scan=5");
  BOOST_REQUIRE(mix.has_value());
  draws random(3);
  per_kind<double> seen{};
  for (int i = 0; i < 100'000; ++i)
    ++seen[static_cast<std::size_t>(mix->draw(random))];
  BOOST_TEST(seen[static_cast<std::size_t>(operation_kind::read)] / 1e5 == 0.70, boost::test_tools::tolerance(0.01));
  BOOST_TEST(seen[static_cast<std::size_t>(operation_kind::scan)] / 1e5 == 0.05, boost::test_tools::tolerance(0.06));
  BOOST_TEST(seen[static_cast<std::size_t>(operation_kind::insert)] == 0.0);
  for (auto text : {"", "read", "read=", "read=x", "load=1", "read=0", "read=1,read=2", "fetch=1"})
    BOOST_TEST(!operation_mix::parse(text), "'" << text << "' was taken");
  for (auto name : {"a", "b", "c", "d", "e", "f", "upload", "download", "mixed", "read=1"})
    BOOST_TEST(workload::parse(name).has_value());
  BOOST_TEST(!workload::parse("g"));
}

BOOST_AUTO_TEST_CASE(a_ledger_remembers_the_highest_version_and_shows_inserts_without_gaps) {
  ledger l(10, 100);
  BOOST_TEST(l.visible() == 10u);
  l.acknowledge(3, 7);
  l.acknowledge(3, 5);
  BOOST_TEST(l.version(3) == 7u);
  const auto a = l.take_new(), b = l.take_new();
  BOOST_TEST(a == 10u);
  BOOST_TEST(b == 11u);
  l.acknowledge(b, 8);
  BOOST_TEST(l.visible() == 10u);   // the one before it is not there yet
  l.acknowledge(a, 9);
  BOOST_TEST(l.visible() == 12u);
  for (int i = 0; i < 200; ++i)
    BOOST_REQUIRE(l.take_new() < 100u);
  BOOST_TEST(l.version(1'000) == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::load
