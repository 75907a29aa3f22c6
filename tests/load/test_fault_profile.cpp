#include <boost/test/unit_test.hpp>

#include "benchmarks/load/fault_profile.hpp"

namespace mutant::load {

namespace {

using std::chrono::microseconds;

fault_options parsed(std::string_view text) {
  auto f = parse_faults(text);
  BOOST_REQUIRE_MESSAGE(f, (f ? std::string() : f.error().message));
  return *f;
}

void refused(std::string_view text, std::string_view because) {
  auto f = parse_faults(text);
  BOOST_REQUIRE_MESSAGE(!f, "'" << text << "' was taken");
  BOOST_TEST((f.error().code == errc::invalid_argument));
  BOOST_TEST(f.error().message.find(because) != std::string::npos, f.error().message << " does not say " << because);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(fault_profile_tests)

BOOST_AUTO_TEST_CASE(a_delay_may_be_fixed_spread_or_a_range) {
  BOOST_TEST(parsed("delay=5ms").min_delay.count() == 5'000);
  BOOST_TEST(parsed("delay=5ms").max_delay.count() == 5'000);
  for (auto text : {"delay=5ms±2", "delay=5ms+-2", "delay=5ms±2ms", "delay=5ms+-2000us", "delay=3ms..7ms", "delay=3..7ms"}) {
    BOOST_TEST_CONTEXT(text) {
      const auto f = parsed(text);
      BOOST_TEST(f.min_delay.count() == 3'000);
      BOOST_TEST(f.max_delay.count() == 7'000);
    }
  }
  BOOST_TEST(parsed("delay=250us±50").max_delay.count() == 300);
  BOOST_TEST(parsed("delay=1.5s").max_delay.count() == 1'500'000);
}

BOOST_AUTO_TEST_CASE(every_field_of_the_options_has_a_name) {
  const auto f = parsed("delay=1ms..2ms, straggle=1%:200ms, drop-requests=0.1%, drop-answers=0.002, repeat=3%, overloaded=4%, "
                        "full=5%, io-error=6%, corrupt=7%, stale=8%");
  BOOST_TEST(f.lose_request == 0.001);
  BOOST_TEST(f.lose_answer == 0.002);
  BOOST_TEST(f.repeat_write == 0.03);
  BOOST_TEST(f.refuse_overloaded == 0.04);
  BOOST_TEST(f.refuse_full == 0.05);
  BOOST_TEST(f.fail_io == 0.06);
  BOOST_TEST(f.corrupt_read == 0.07, boost::test_tools::tolerance(1e-15));
  BOOST_TEST(f.stale_read == 0.08);
  BOOST_TEST(f.min_delay.count() == 1'000);
  BOOST_TEST(f.max_delay.count() == 2'000);
  BOOST_TEST(f.straggle == 0.01);
  BOOST_TEST(f.max_straggle.count() == 200'000);
}

BOOST_AUTO_TEST_CASE(drop_is_both_ways) {
  const auto f = parsed("drop=0.1%");
  BOOST_TEST(f.lose_request == 0.001);
  BOOST_TEST(f.lose_answer == 0.001);
}

BOOST_AUTO_TEST_CASE(the_text_of_a_profile_parses_to_the_same_profile) {
  for (auto text : {"delay=5ms±2,drop=0.1%", "straggle=2.5%:1s,corrupt=0.01%", "delay=0us..1500us", "repeat=100%,full=0.5"}) {
    BOOST_TEST_CONTEXT(text) {
      const auto once = parsed(text), twice = parsed(to_string(once));
      BOOST_TEST(to_string(once) == to_string(twice));
      BOOST_TEST(once.max_delay.count() == twice.max_delay.count());
      BOOST_TEST(once.lose_answer == twice.lose_answer);
      BOOST_TEST(once.corrupt_read == twice.corrupt_read);
    }
  }
  BOOST_TEST(to_string(fault_options{}).empty());
}

BOOST_AUTO_TEST_CASE(what_cannot_be_is_refused_with_the_reason) {
  refused("", "NAME=VALUE");
  refused("delay", "NAME=VALUE");
  refused("delay=", "NAME=VALUE");
  refused("=5ms", "NAME=VALUE");
  refused("drop=0.1%,", "NAME=VALUE");
  refused("dealy=5ms", "there are delay, straggle, drop");
  refused("delay=5", "no time");
  refused("delay=fast", "no time");
  refused("delay=-5ms", "no time");
  refused("delay=5ms±9ms", "spread is larger");
  refused("delay=9ms..5ms", "ends before it begins");
  refused("delay=2h", "more than an hour");
  refused("drop=101%", "more than 100%");
  refused("drop=5", "more than 100%");
  refused("drop=-1%", "no share");
  refused("drop=nan", "no share");
  refused("drop=often", "no share");
  refused("straggle=1%", "straggle=1%:200ms");
  refused("straggle=1%:often", "no time");
  refused("drop=1%,drop=2%", "twice");
  refused("drop=1%,drop-answers=2%", "twice");
  refused("drop-requests=1%,drop=2%", "twice");
  refused("delay=1ms,delay=2ms", "twice");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::load
