// What CAF's brokers lack.
#include "actors/caf/broker.hpp"

#include "actors/caf/spawn.hpp"
#include "tests/actors/network.hpp"

namespace mutant::testing {

namespace {

struct idle_state {
  static inline const char* name = "idle";
};
caf::behavior idle(stateful_broker<idle_state>*) {
  return {[](deferred&) {}};
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(brokers, networked_system)

BOOST_AUTO_TEST_CASE(one_that_has_ended_keeps_no_message_and_leaves_no_request_unanswered) {
  const auto broker = system().middleman().spawn_broker(guarded(idle));
  end(broker);
  auto sent = std::make_shared<int>(0);
  const auto kept = std::weak_ptr(sent);
  caf::anon_send(broker, deferred{[sent = std::move(sent)] {}});
  BOOST_TEST(eventually([&] { return kept.expired(); }, std::chrono::seconds(5)));
  caf::scoped_actor self{system()};
  self->request(broker, std::chrono::seconds(5), open_atom_v)
      .receive([](done) { BOOST_TEST(false); }, [](const caf::error& e) { BOOST_TEST((e != caf::sec::request_timeout)); });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
