// When operations start and what is counted as their latency, to the nanosecond, under the test's clock.
#include "tests/load/stub_store.hpp"

namespace mutant::load {

namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr std::uint64_t ms = 1'000'000;

}  // namespace

BOOST_FIXTURE_TEST_SUITE(pace_tests, load_fixture)

BOOST_AUTO_TEST_CASE(constant_arrivals_of_all_clients_are_evenly_spaced) {
  std::vector<nanoseconds> all;
  for (std::uint64_t client = 0; client < 4; ++client) {
    schedule s(arrival::constant, 1'000, client, 4, client);
    for (int i = 0; i < 250; ++i, s.advance())
      all.push_back(s.next());
  }
  std::sort(all.begin(), all.end());
  for (std::size_t i = 0; i < all.size(); ++i)
    BOOST_REQUIRE(all[i] == milliseconds(i));
}

BOOST_AUTO_TEST_CASE(poisson_arrivals_have_their_rate_and_no_memory) {
  // Counts in 10,000 stretches of 10 ms at 1,000 a second over 8 clients: mean and variance of a Poisson variable are both 10.
  std::vector<double> counts(10'000);
  for (std::uint64_t client = 0; client < 8; ++client) {
    schedule s(arrival::poisson, 1'000, client, 8, seed_of(5, client));
    for (; s.next() < std::chrono::seconds(100); s.advance())
      ++counts[static_cast<std::size_t>(s.next() / milliseconds(10))];
  }
  double sum = 0, squares = 0;
  for (auto n : counts)
    sum += n, squares += n * n;
  const auto mean = sum / 1e4, variance = squares / 1e4 - mean * mean;
  BOOST_TEST(mean == 10, boost::test_tools::tolerance(0.013));      // four standard errors
  BOOST_TEST(variance == 10, boost::test_tools::tolerance(0.06));
}

BOOST_AUTO_TEST_CASE(in_a_closed_loop_each_client_waits_for_its_answer) {
  without_load();
  setup.client.clients = 4;
  run();
  const auto reads = of(operation_kind::read).count(), updates = of(operation_kind::update).count();
  BOOST_TEST(reads + updates == 400u);
  BOOST_TEST(there->gets + there->puts == 400u);
  BOOST_TEST(of(operation_kind::read).service.smallest() == 10 * ms);
  BOOST_TEST(of(operation_kind::read).service.largest() == 10 * ms);
  BOOST_TEST(outcome->run_seconds == 1.0);
  BOOST_TEST((outcome->how == run_outcome::ending::done));
}

BOOST_AUTO_TEST_CASE(an_open_loop_that_keeps_up_has_the_response_time_of_the_service) {
  without_load();
  setup.client.open_loop = arrival::constant;
  setup.client.rate = 50;
  run();
  BOOST_TEST(there->gets + there->puts == 50u);
  BOOST_TEST(of(operation_kind::read).response.largest() == 10 * ms);
  BOOST_TEST(outcome->total.max_waiting == 0u);
  BOOST_TEST(outcome->total.not_started == 0u);
}

BOOST_AUTO_TEST_CASE(what_a_stall_holds_up_counts_from_its_intended_start) {
  without_load();
  mix("read=1");
  // Nothing is answered from 100 to 400 ms after the beginning; otherwise a read takes 1 ms. One read is meant every 10 ms.
  there->delay = [](nanoseconds at) -> nanoseconds {
    const auto free_again = milliseconds(400);
    return at >= milliseconds(100) && at < free_again ? free_again - at + milliseconds(1) : milliseconds(1);
  };
  setup.client.open_loop = arrival::constant;
  setup.client.rate = 100;
  run();
  const auto& read = of(operation_kind::read);
  BOOST_TEST(read.count() == 100u);
  // Meant at 100 + 10 k ms (k = 0 … 33), they are done one after the other from 401 ms on, 1 ms each: response 301 - 9 k.
  std::uint64_t expected_sum = 66 * ms;   // all the others take 1 ms
  for (std::uint64_t k = 0; k <= 33; ++k)
    expected_sum += (301 - 9 * k) * ms;
  BOOST_TEST(read.response.largest() == 301 * ms);
  BOOST_TEST(read.response.mean() == static_cast<double>(expected_sum) / 100, boost::test_tools::tolerance(1e-12));
  // From sending on, it looks as if only one had been slow: that is what coordinated omission hides.
  BOOST_TEST(read.service.quantile(0.99) <= ms * 129 / 128);
  BOOST_TEST(read.service.largest() == 301 * ms);
  // When the one meant at 110 starts, at 401, those of 120 to 400 wait.
  BOOST_TEST(outcome->total.max_waiting == 29u);
}

BOOST_AUTO_TEST_CASE(a_rate_beyond_what_the_store_takes_grows_a_backlog_that_is_reported) {
  without_load();
  mix("read=1");
  setup.client.open_loop = arrival::constant;
  setup.client.rate = 200;    // the stub takes 100
  run();
  const auto& read = of(operation_kind::read);
  // The k-th is meant at 5 k ms and starts at 10 k ms.
  BOOST_TEST(read.count() == 100u);
  BOOST_TEST(outcome->total.not_started == 100u);
  BOOST_TEST(outcome->total.dropped == 0u);
  BOOST_TEST(read.response.largest() == (10 + 5 * 99) * ms);
}

BOOST_AUTO_TEST_CASE(beyond_its_bound_the_backlog_drops_the_oldest) {
  without_load();
  mix("read=1");
  setup.client.open_loop = arrival::constant;
  setup.client.rate = 200;
  setup.client.max_waiting = 10;
  run();
  BOOST_TEST(outcome->total.max_waiting <= 12u);
  BOOST_TEST(of(operation_kind::read).count() + outcome->total.dropped + outcome->total.not_started == 200u);
  BOOST_TEST(outcome->total.dropped > 80u);
  BOOST_TEST(of(operation_kind::read).response.largest() <= 65 * ms);
}

BOOST_AUTO_TEST_CASE(a_number_of_operations_is_shared_by_the_clients) {
  without_load();
  setup.duration = nanoseconds(0);
  setup.operations = 103;
  setup.client.clients = 4;
  run();
  BOOST_TEST(there->gets + there->puts == 103u);
  BOOST_TEST(outcome->run_seconds == 0.26);   // 26 of the client that has most
}

BOOST_AUTO_TEST_CASE(the_warm_up_is_not_counted_and_the_load_phase_by_itself) {
  setup.warm_up = milliseconds(500);
  setup.client.clients = 3;
  run();
  BOOST_TEST(outcome->loaded == 10u);
  BOOST_TEST(outcome->load_seconds == 0.04);  // four rounds of three
  BOOST_TEST(of(operation_kind::load).count() == 10u);
  BOOST_TEST(of(operation_kind::read).count() + of(operation_kind::update).count() == 300u);
  BOOST_TEST(there->gets + there->puts == 10u + 150u + 300u);
}

BOOST_AUTO_TEST_CASE(the_same_seed_does_the_same_operations) {
  std::vector<std::string> first, second;
  for (auto* keys : {&first, &second}) {
    load_fixture f;
    f.without_load();
    f.mix("read=1");
    f.there->spoil_read = [keys](const std::string& key, stub::held&) { keys->push_back(key); };
    f.setup.client.seed = 99;
    f.run();
  }
  BOOST_TEST(first.size() == 100u);
  BOOST_TEST(first == second, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(errors_are_counted_by_code_and_the_loop_goes_on_slower) {
  without_load();
  int asked = 0;
  there->refuse = [&]() -> std::optional<error> {
    return ++asked % 2 == 0 ? std::optional(error{errc::overloaded, "busy"}) : std::nullopt;
  };
  run();
  std::uint64_t failed = 0;
  for (auto kind : {operation_kind::read, operation_kind::update})
    for (auto [code, times] : of(kind).errors) {
      BOOST_TEST((code == errc::overloaded));
      failed += times;
    }
  BOOST_TEST(failed > 40u);
  BOOST_TEST((outcome->how == run_outcome::ending::done));
}

BOOST_AUTO_TEST_CASE(a_store_that_never_answers_well_ends_the_run) {
  without_load();
  there->refuse = [] { return std::optional(error{errc::unreachable, "nobody there"}); };
  setup.duration = std::chrono::hours(1);
  setup.give_up_after = std::chrono::seconds(30);
  run();
  BOOST_TEST((outcome->how == run_outcome::ending::failed));
  BOOST_TEST((outcome->why->code == errc::timeout));
  BOOST_TEST(outcome->run_seconds < 35);
}

BOOST_AUTO_TEST_CASE(a_stop_ends_the_run_in_order_with_what_was_measured) {
  without_load();
  setup.duration = std::chrono::hours(1);
  start();
  det.run_for(milliseconds(205));
  caf::anon_send(leader, stop_order{});
  det.run_until([&] { return outcome != nullptr; });
  BOOST_REQUIRE(outcome);
  BOOST_TEST((outcome->how == run_outcome::ending::interrupted));
  BOOST_TEST(of(operation_kind::read).count() + of(operation_kind::update).count() == 21u);   // the last one was awaited
  BOOST_TEST(outcome->total.abandoned == 0u);
}

BOOST_AUTO_TEST_CASE(a_stop_does_not_wait_for_an_answer_that_does_not_come) {
  without_load();
  there->delay = [](nanoseconds at) -> nanoseconds {
    return at < milliseconds(100) ? milliseconds(10) : std::chrono::hours(1);
  };
  setup.client.timeout = std::chrono::hours(2);
  setup.give_up_after = std::chrono::hours(3);
  start();
  det.run_for(milliseconds(500));
  caf::anon_send(leader, stop_order{});
  det.run_for(std::chrono::seconds(6));
  BOOST_REQUIRE(outcome);
  BOOST_TEST(outcome->total.abandoned == 1u);
  BOOST_TEST(of(operation_kind::read).count() + of(operation_kind::update).count() == 10u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::load
