// What the clients check in what they read: every way to be wrong ends the run, and what is only late or lost does not.
#include "tests/load/stub_store.hpp"

namespace mutant::load {

namespace {

bool says(const run_outcome& o, std::string_view text) {
  return o.why && o.why->message.find(text) != std::string::npos;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(check_tests, load_fixture)

BOOST_AUTO_TEST_CASE(right_values_are_right) {
  mix("read=30,update=30,insert=10,scan=20,modify=10");
  setup.client.clients = 5;
  run();
  BOOST_TEST((outcome->how == run_outcome::ending::done), (outcome->why ? outcome->why->message : ""));
  BOOST_TEST(there->lists > 0u);
  BOOST_TEST(of(operation_kind::insert).count() > 0u);
  BOOST_TEST(of(operation_kind::modify).count() > 0u);
}

BOOST_AUTO_TEST_CASE(a_changed_byte_ends_the_run) {
  there->spoil_read = [](const std::string&, stub::held& h) {
    buffer other(h.value.size());
    std::copy_n(h.value.data(), h.value.size(), other.data());
    other.data()[70] ^= std::byte{1};
    h.value = std::move(other).freeze();
  };
  run();
  BOOST_TEST((outcome->how == run_outcome::ending::wrong_value));
  BOOST_TEST(says(*outcome, "differs from what was written"));
}

BOOST_AUTO_TEST_CASE(the_value_of_another_key_ends_the_run) {
  there->spoil_read = [this](const std::string& key, stub::held& h) {
    h.value = there->values[key.ends_with('3') ? "small/000000000004" : "small/000000000003"].value;
  };
  run();
  BOOST_TEST((outcome->how == run_outcome::ending::wrong_value));
  BOOST_TEST(says(*outcome, "belongs to key number"));
}

BOOST_AUTO_TEST_CASE(an_older_value_than_the_acknowledged_one_ends_the_run) {
  std::map<std::string, stub::held> first;
  there->spoil_read = [&](const std::string& key, stub::held& h) { h = first.emplace(key, h).first->second; };
  run();
  BOOST_TEST((outcome->how == run_outcome::ending::wrong_value));
  BOOST_TEST(says(*outcome, "is an old one"));
}

BOOST_AUTO_TEST_CASE(a_value_of_somebody_else_ends_the_run) {
  there->spoil_read = [](const std::string&, stub::held& h) { h.value = bytes::copy_of("hello"); };
  run();
  BOOST_TEST((outcome->how == run_outcome::ending::wrong_value));
  BOOST_TEST(says(*outcome, "not written by mutant-load"));
}

BOOST_AUTO_TEST_CASE(a_lost_key_ends_the_run) {
  std::uint64_t reads = 0;
  there->spoil_read = [&](const std::string&, stub::held&) {
    if (++reads == 20)
      there->values.clear();
  };
  mix("read=1");
  run();
  BOOST_TEST((outcome->how == run_outcome::ending::wrong_value));
  BOOST_TEST(says(*outcome, "is gone"));
}

BOOST_AUTO_TEST_CASE(a_key_missing_in_a_scan_ends_the_run) {
  mix("scan=1");
  setup.client.max_scan = 5;
  there->spoil_page = [](list_page& page) {
    if (page.size() > 3)
      page.erase(page.begin() + 1);
  };
  run();
  BOOST_TEST((outcome->how == run_outcome::ending::wrong_value));
  BOOST_TEST(says(*outcome, "is missing in a scan"));
}

BOOST_AUTO_TEST_CASE(a_scan_that_ends_too_early_ends_the_run) {
  mix("scan=1");
  setup.client.max_scan = 5;
  there->spoil_page = [](list_page& page) {
    if (page.size() > 1)
      page.pop_back();
  };
  run();
  BOOST_TEST((outcome->how == run_outcome::ending::wrong_value));
  BOOST_TEST(says(*outcome, "is missing in a scan"));
}

BOOST_AUTO_TEST_CASE(an_old_version_in_a_scan_ends_the_run) {
  mix("scan=50,update=50");
  there->spoil_page = [](list_page& page) {
    for (auto& item : page)
      item.version = std::min<std::uint64_t>(item.version, 12);
  };
  run();
  BOOST_TEST((outcome->how == run_outcome::ending::wrong_value));
  BOOST_TEST(says(*outcome, "is an old one in a scan"));
}

BOOST_AUTO_TEST_CASE(without_loading_absent_keys_are_an_error_and_not_a_wrong_value) {
  setup.load = false;
  mix("read=1");
  run();
  BOOST_TEST((outcome->how == run_outcome::ending::failed));
  BOOST_TEST(says(*outcome, "--no-load"));
}

BOOST_AUTO_TEST_CASE(read_modify_write_goes_on_when_another_client_was_faster) {
  auto one_key = value_size::parse("100", stamp_bytes);
  setup.client.small = {"small/", std::make_shared<ledger>(1, 1), *one_key};
  setup.client.clients = 8;
  mix("modify=1");
  run();
  BOOST_TEST((outcome->how == run_outcome::ending::done));
  const auto& m = of(operation_kind::modify);
  BOOST_TEST(m.count() > 20u);
  BOOST_TEST(m.retries > m.count());
  BOOST_TEST(there->values.begin()->second.version == there->version);
}

BOOST_AUTO_TEST_CASE(a_failed_insert_is_made_up_for_before_others_see_it) {
  mix("insert=50,scan=50");
  int asked = 0;
  there->refuse = [&]() -> std::optional<error> {
    return ++asked > 15 && asked % 3 == 0 ? std::optional(error{errc::timeout, "lost"}) : std::nullopt;
  };
  run();
  BOOST_TEST((outcome->how == run_outcome::ending::done), (outcome->why ? outcome->why->message : ""));
  BOOST_TEST(of(operation_kind::insert).failed() > 0u);
  BOOST_TEST(setup.client.small.keys->visible() + 1 >= there->values.size());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::load
