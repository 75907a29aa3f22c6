// Exceptions in actors: an error for whoever waits, a word to the program, and nothing on standard output.
#include "actors/caf/spawn.hpp"

#include <iostream>
#include <sstream>

#include "tests/actors/fixture.hpp"

namespace mutant::testing {

namespace {

std::vector<std::string> faults;

struct thrower_state {
  static inline const char* name = "thrower";
};
using thrower_self = file_writer_actor::stateful_pointer<thrower_state>;

file_writer_actor::behavior_type thrower(thrower_self, bool at_once) {
  if (at_once)
    throw std::runtime_error("no thread");
  return {[](push_atom, const write_job&) -> caf::result<done> { throw std::bad_alloc(); }};
}

caf::behavior throws_a_number(caf::event_based_actor*) {
  return {[](int number) { throw number; }};
}

// CAF prints through an actor, so some time later: but into this.
struct spawn_fixture : fixture {
  spawn_fixture() : before(std::cout.rdbuf(printed.rdbuf())) {
    faults.clear();
    on_fault([](const std::string& what) noexcept { faults.push_back(what); });
  }
  ~spawn_fixture() {
    on_fault(nullptr);
    std::cout.rdbuf(before);
  }
  std::ostringstream printed;
  std::streambuf* before;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(actors_that_throw, spawn_fixture)

BOOST_AUTO_TEST_CASE(who_asked_gets_an_error_that_names_the_actor) {
  auto worker = start(det.system(), thrower, false);
  const auto e = get_error<done>(worker, push_atom_v, write_job{});
  BOOST_TEST((e.code == errc::io_error));
  BOOST_TEST((e.message.starts_with("the actor 'thrower' failed: the system gave no more memory")), e.message);
  BOOST_REQUIRE(faults.size() == 1u);
  BOOST_TEST(faults.front() == e.message);
  BOOST_TEST(printed.str() == "");
}

BOOST_AUTO_TEST_CASE(an_actor_that_throws_before_it_has_a_behaviour) {
  auto worker = start(det.system(), thrower, true);
  det.run_messages();
  BOOST_REQUIRE(faults.size() == 1u);
  BOOST_TEST(faults.front() == "the actor 'thrower' failed: no thread");
  BOOST_TEST(printed.str() == "");
}

BOOST_AUTO_TEST_CASE(what_is_no_exception_of_the_standard_library) {
  auto actor = start(det.system(), throws_a_number);
  caf::anon_send(actor, 5);
  det.run_messages();
  BOOST_REQUIRE(faults.size() == 1u);
  BOOST_TEST((faults.front().find("unknown type") != std::string::npos));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
