// Values behind a node that tampers: whatever it answers, a get is right or an error.
#include <random>

#include "testing/faulty_store.hpp"
#include "tests/actors/network.hpp"

namespace mutant::testing {

namespace {

struct hostile_fixture {
  networked_system system;
  std::shared_ptr<pad_engine> engine = make_memory_engine(std::uint64_t{1} << 30);
  faulty_store_actor faults;
  std::optional<node_server> server;
  store_actor store;

  hostile_fixture() {
    faulty_store_options faulty;
    faulty.store = system.memory(engine);
    faults = system.keep(system.system().spawn(faulty_store, faulty));
    server = start_node(system, node_options_for(faults));
    store = open();
  }
  ~hostile_fixture() {
    tamper({});
    BOOST_CHECK(server->stop(patience));
  }
  store_actor open() {
    store_config config;
    config.owner.value.fill(std::byte{3});
    config.url = "caf://127.0.0.1:" + std::to_string(server->port());
    config.chunk_bytes = 16 * 1024;
    auto opened = spawn_store(system.system(), config);
    BOOST_REQUIRE_MESSAGE(opened, (opened ? std::string() : to_string(opened.error())));
    return system.keep(*opened);
  }
  void tamper(const fault_options& how) { caf::anon_send(faults, how); }
  // From here on the node keeps what pads held before.
  void remember() {
    fault_options hardly_ever;
    hardly_ever.stale_read = 1e-12;
    tamper(hardly_ever);
  }
  result<put_result> put(const std::string& key, const std::string& value) {
    put_request request;
    request.key = key;
    request.source = bytes::copy_of(value);
    return system.call<put_result>(store, put_atom_v, std::move(request));
  }
  result<std::string> get(const std::string& key, std::uint64_t offset = 0, std::optional<std::uint64_t> length = {}) {
    get_request request;
    request.key = key;
    request.offset = offset;
    request.length = length;
    auto got = system.call<get_result>(store, get_atom_v, std::move(request));
    if (!got)
      return fail(got.error());
    return std::string(as_text(got->value));
  }
};

// Another one for each letter; nothing of it can be compressed.
std::string value_of(char c) {
  std::mt19937 random(static_cast<unsigned char>(c));
  std::string value(50'000, '\0');
  for (auto& byte : value)
    byte = static_cast<char>(random() & 0xff);
  return value;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(hostile_node_tests, hostile_fixture)

BOOST_AUTO_TEST_CASE(flipped_bits_are_an_error_that_names_the_chunk) {
  REQUIRE_OK(put("film", value_of('a')));
  fault_options faulty;
  faulty.corrupt_read = 1;
  tamper(faulty);
  // All chunks are damaged, and of several the one that is opened first is told: so one is read at a time.
  for (auto number : {0u, 2u}) {
    auto outcome = get("film", number * 16 * 1024, 100);
    BOOST_REQUIRE(!outcome);
    BOOST_CHECK(outcome.error().code == errc::decrypt_failed || outcome.error().code == errc::corrupt_record);
    BOOST_CHECK_MESSAGE(outcome.error().message.find("chunk " + std::to_string(number)) != std::string::npos,
                        outcome.error().message);
  }
  tamper({});
  BOOST_CHECK(get("film").value() == value_of('a'));
}

BOOST_AUTO_TEST_CASE(an_older_version_of_a_pad_is_never_taken_for_the_present_one) {
  // Pads are used again, with higher counters.
  remember();
  for (char c = 'a'; c <= 'f'; ++c)
    REQUIRE_OK(put("film", value_of(c)));
  fault_options stale;
  stale.stale_read = 1;
  tamper(stale);
  auto outcome = get("film");
  BOOST_REQUIRE(!outcome);
  BOOST_TEST_MESSAGE(to_string(outcome.error()));
  tamper({});
  BOOST_CHECK(get("film").value() == value_of('f'));
}

BOOST_AUTO_TEST_CASE(with_some_of_the_answers_wrong_a_get_is_right_or_an_error) {
  remember();
  for (char c = 'a'; c <= 'f'; ++c)
    for (const auto* key : {"one", "two"})
      REQUIRE_OK(put(key, value_of(c)));
  fault_options both;
  both.corrupt_read = 0.1;
  both.stale_read = 0.1;
  tamper(both);
  unsigned right = 0, errors = 0;
  for (int i = 0; i < 60; ++i) {
    auto got = get(i % 2 == 0 ? "one" : "two");
    BOOST_CHECK(!got || *got == value_of('f'));
    ++(got ? right : errors);
  }
  BOOST_CHECK_GT(right, 0u);
  BOOST_CHECK_GT(errors, 0u);
  tamper({});
  BOOST_CHECK(get("one").value() == value_of('f'));
}

BOOST_AUTO_TEST_CASE(an_index_that_was_tampered_with_is_an_error_and_nothing_is_written) {
  REQUIRE_OK(put("film", value_of('a')));
  fault_options faulty;
  faulty.corrupt_read = 1;
  tamper(faulty);
  store = open();
  BOOST_CHECK(!get("film"));
  BOOST_CHECK(!put("other", value_of('b')));
  tamper({});
  store = open();
  BOOST_CHECK(get("film").value() == value_of('a'));
  BOOST_CHECK(!get("other"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
