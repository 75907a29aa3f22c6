// Clients and the nodes that they cannot trust: some go away, some come back, some lie.
#include "tests/actors/network.hpp"

#include <future>

namespace mutant::testing {

namespace {

struct remote_fixture : owner_keys {
  networked_system system;

  remote_store_options quick(const std::vector<std::uint16_t>& ports) const { return networked_system::quick(ports); }
};

// A node that answers as the test likes, one connection at a time.
class lying_node {
 public:
  // Gets a request and answers it (or not). False: hangs up.
  using answerer = std::function<bool(raw_socket&, const wire::frame&)>;

  explicit lying_node(networked_system& system, answerer answer) : listener_(raw_socket::listen(port_)) {
    const auto messages = system.system().message_types<pad_store_actor>();
    thread_ = std::thread([this, answer, names = std::vector<std::string>(messages.begin(), messages.end())] {
      while (!over_) {
        auto client = listener_.accept(std::chrono::milliseconds(20));
        if (!client.valid())
          continue;
        ++connections_;
        client.send(wire::greeting_of_server({wire::random_peer_id(), {"generic-caf-app"}, 12, names}));
        wire::reader in(wire::side::node);
        while (!over_) {
          auto frame = client.receive(in, std::chrono::milliseconds(20));
          if (!frame) {
            char byte = 0;
            if (::recv(client.descriptor(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
              break;
            continue;
          }
          if (frame->head.kind == wire::frame_kind::message && !answer(client, *frame))
            break;
        }
      }
    });
  }
  ~lying_node() {
    over_ = true;
    thread_.join();
  }
  std::uint16_t port() const noexcept { return port_; }
  unsigned connections() const noexcept { return connections_; }

 private:
  std::uint16_t port_ = 0;
  raw_socket listener_;
  std::atomic<bool> over_ = false;
  std::atomic<unsigned> connections_ = 0;
  std::thread thread_;
};

bool send_record(raw_socket& to, const wire::frame& request, const bytes& record) {
  return to.send(wire::answer_record(request.head, record.size())) && to.send(record);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(remote_store_tests, remote_fixture)

BOOST_AUTO_TEST_CASE(without_a_node_requests_are_unreachable_in_time_and_name_the_hosts) {
  std::uint16_t closed_port = 0;
  raw_socket::listen(closed_port).close();
  auto options = quick({closed_port});
  options.hosts.push_back({"no-such-host.invalid", 4711});
  options.unreachable_after = std::chrono::milliseconds(400);
  auto client = system.remote(options);
  const auto start = std::chrono::steady_clock::now();
  auto outcome = system.get(client, address(1));
  const auto took = std::chrono::steady_clock::now() - start;
  BOOST_REQUIRE(!outcome);
  BOOST_CHECK(outcome.error().code == errc::unreachable);
  BOOST_CHECK(outcome.error().message.find("127.0.0.1:" + std::to_string(closed_port)) != std::string::npos);
  BOOST_CHECK(outcome.error().message.find("no-such-host.invalid") != std::string::npos);
  BOOST_CHECK(outcome.error().message.find("refused") != std::string::npos);
  BOOST_CHECK_GE(took.count(), std::chrono::nanoseconds(std::chrono::milliseconds(300)).count());
  BOOST_CHECK_LT(took.count(), std::chrono::nanoseconds(std::chrono::seconds(10)).count());
  // From then on at once.
  const auto again = std::chrono::steady_clock::now();
  BOOST_CHECK(!system.get(client, address(1)));
  BOOST_CHECK_LT((std::chrono::steady_clock::now() - again).count(),
                 std::chrono::nanoseconds(std::chrono::milliseconds(300)).count());
}

BOOST_AUTO_TEST_CASE(a_host_that_swallows_everything_is_unreachable_in_time) {
  std::uint16_t port = 0;
  auto silent = raw_socket::listen(port);   // the kernel accepts; nobody greets
  auto options = quick({port});
  options.connect_timeout = std::chrono::milliseconds(200);
  options.unreachable_after = std::chrono::milliseconds(900);
  auto client = system.remote(options);
  auto outcome = system.get(client, address(1));
  BOOST_REQUIRE(!outcome);
  BOOST_CHECK(outcome.error().code == errc::unreachable);
  BOOST_CHECK(outcome.error().message.find("no answer within") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_node_that_comes_back_is_used_again) {
  auto store = system.memory();
  std::optional<node_server> server = start_node(system, node_options_for(store));
  const auto port = server->port();
  auto options = quick({port});
  options.unreachable_after = std::chrono::milliseconds(300);
  auto client = system.remote(options);
  REQUIRE_OK(system.put(client, record(1, 1, 500)));
  for (int round = 0; round < 3; ++round) {
    BOOST_CHECK(server->stop(patience));
    BOOST_CHECK(eventually([&] {
      auto gone = system.get(client, address(1));
      return !gone && gone.error().code == errc::unreachable;
    }));
    auto again = node_options_for(store);
    again.listen.port = port;
    server = start_node(system, again);
    BOOST_CHECK(eventually([&] { return system.get(client, address(1)).has_value(); }));
  }
}

BOOST_AUTO_TEST_CASE(what_is_in_flight_when_a_node_goes_is_done_by_another) {
  auto engine = std::shared_ptr<pad_engine>(make_memory_engine(std::uint64_t{1} << 32));
  auto store = system.memory(engine);
  // Takes requests and never answers them.
  std::atomic<unsigned> swallowed = 0;
  std::atomic<bool> hang_up = false;
  lying_node deaf(system, [&](raw_socket&, const wire::frame&) {
    ++swallowed;
    return !hang_up;
  });
  auto good = start_node(system, node_options_for(store));
  auto client = system.remote({deaf.port(), good.port()});
  BOOST_REQUIRE(eventually([&] { return deaf.connections() == 1; }));
  std::vector<std::future<result<done>>> outcomes;
  for (std::uint64_t pad = 0; pad < 12; ++pad)
    outcomes.push_back(std::async(std::launch::async, [&, pad] { return system.put(client, record(pad, 1, 30'000)); }));
  BOOST_CHECK(eventually([&] { return swallowed > 0; }));
  hang_up = true;
  // The next request makes it hang up; it may take one more.
  auto one_more = std::async(std::launch::async, [&] { return system.get(client, address(0)); });
  auto another = std::async(std::launch::async, [&] { return system.head(client, address(0)); });
  for (auto& outcome : outcomes)
    REQUIRE_OK(outcome.get());
  one_more.get();
  another.get();
  for (std::uint64_t pad = 0; pad < 12; ++pad)
    BOOST_CHECK(engine->get(address(pad)).has_value());
}

BOOST_AUTO_TEST_CASE(a_node_that_stops_answering_is_given_up_for_another) {
  auto store = system.memory();
  lying_node deaf(system, [](raw_socket&, const wire::frame&) { return true; });
  auto good = start_node(system, node_options_for(store));
  auto options = quick({deaf.port(), good.port()});
  options.stall_timeout = std::chrono::milliseconds(600);
  auto client = system.remote(options);
  BOOST_REQUIRE(eventually([&] { return deaf.connections() == 1; }));
  for (std::uint64_t pad = 0; pad < 6; ++pad)
    REQUIRE_OK(system.put(client, record(pad, 1, 2'000)));
}

BOOST_AUTO_TEST_CASE(requests_are_spread_over_the_nodes) {
  auto store = system.memory();
  log_book logs[2];
  std::vector<std::uint16_t> ports;
  for (auto& log : logs) {
    auto options = node_options_for(store);
    options.log = log.sink();
    ports.push_back(start_node(system, options).port());
  }
  auto client = system.remote(ports);
  BOOST_REQUIRE(eventually([&] { return logs[0].has({"client connected"}) && logs[1].has({"client connected"}); }));
  for (std::uint64_t pad = 0; pad < 40; ++pad)
    REQUIRE_OK(system.put(client, record(pad, 1, 1'000)));
  system.end(caf::actor_cast<caf::actor>(client));
  for (auto& log : logs)
    BOOST_CHECK_MESSAGE(eventually([&] { return log.has({"client disconnected"}) && !log.has({"answered=0"}); }), log.text());
}

// -- lies --------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_record_of_another_pad_is_never_taken) {
  lying_node liar(system,
                  [&](raw_socket& to, const wire::frame& request) { return send_record(to, request, record(2, 1, 900)); });
  auto client = system.remote({liar.port()});
  for (auto outcome : {system.get(client, address(1)), system.head(client, address(1))}) {
    BOOST_REQUIRE(!outcome);
    BOOST_CHECK_EQUAL(name_of(outcome.error().code), "corrupt_record");
    BOOST_CHECK(outcome.error().message.find(std::to_string(liar.port())) != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(what_is_no_record_is_never_taken) {
  std::atomic<int> round = 0;
  lying_node liar(system, [&](raw_socket& to, const wire::frame& request) {
    switch (round) {
      case 0: return send_record(to, request, bytes());
      case 1: return send_record(to, request, bytes::copy_of("hello"));
      case 2: return send_record(to, request, record(1, 1, 900).slice(0, 899));
      case 3: return send_record(to, request, with_flipped_bit(record(1, 1, 900), 0));
      case 4: return to.send(wire::answer_done(request.head));
      default: return to.send(wire::answer_totals(request.head, {}));
    }
  });
  auto client = system.remote({liar.port()});
  for (; round < 6; ++round) {
    auto outcome = system.get(client, address(1));
    BOOST_REQUIRE(!outcome);
    BOOST_CHECK_EQUAL(name_of(outcome.error().code), "corrupt_record");
  }
}

BOOST_AUTO_TEST_CASE(a_wrong_answer_to_a_read_is_asked_for_again_elsewhere) {
  auto store = system.memory();
  lying_node liar(system,
                  [&](raw_socket& to, const wire::frame& request) { return send_record(to, request, record(2, 1, 900)); });
  auto good = start_node(system, node_options_for(store));
  auto client = system.remote({liar.port(), good.port()});
  REQUIRE_OK(system.put(store, record(1, 1, 900)));
  BOOST_REQUIRE(eventually([&] { return liar.connections() == 1; }));
  for (int i = 0; i < 10; ++i)
    BOOST_CHECK(*system.get(client, address(1)) == record(1, 1, 900));
}

BOOST_AUTO_TEST_CASE(an_oversized_answer_ends_the_connection_and_not_the_client) {
  std::atomic<bool> lie = true;
  auto real = record(1, 1, 900);
  lying_node liar(system, [&](raw_socket& to, const wire::frame& request) {
    if (!lie)
      return send_record(to, request, real);
    // Claims 4 GiB, and begins to send them.
    auto front = wire::answer_record(request.head, UINT32_MAX - 200);
    return to.send(front) && to.send(std::vector<std::byte>(1'000'000)) && false;
  });
  auto client = system.remote({liar.port()});
  auto outcome = system.get(client, address(1));
  BOOST_REQUIRE(!outcome);
  BOOST_CHECK(outcome.error().code == errc::unreachable);
  lie = false;
  BOOST_CHECK(eventually([&] { return system.get(client, address(1)).has_value(); }));
}

BOOST_AUTO_TEST_CASE(an_answer_without_an_end_is_given_up) {
  lying_node drip(system, [&](raw_socket& to, const wire::frame& request) {
    to.send(wire::answer_record(request.head, max_record_bytes));
    for (int i = 0; i < 100; ++i) {
      const std::byte one[1] = {std::byte{1}};
      if (!to.send(one))
        return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(30));
    }
    return true;
  });
  auto options = quick({drip.port()});
  options.answer_timeout = std::chrono::milliseconds(500);
  options.request_timeout = std::chrono::milliseconds(500);
  auto client = system.remote(options);
  auto outcome = system.get(client, address(1));
  BOOST_REQUIRE(!outcome);
  BOOST_CHECK_EQUAL(name_of(outcome.error().code), "timeout");
}

BOOST_AUTO_TEST_CASE(something_else_than_a_node_is_unreachable_and_says_why) {
  std::uint16_t port = 0;
  auto listener = raw_socket::listen(port);
  std::atomic<bool> over = false;
  std::thread web([&] {
    while (!over)
      if (auto client = listener.accept(std::chrono::milliseconds(20)); client.valid())
        client.send(as_byte_view("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"));
  });
  auto options = quick({port});
  options.unreachable_after = std::chrono::milliseconds(300);
  auto outcome = system.get(system.remote(options), address(1));
  over = true;
  web.join();
  BOOST_REQUIRE(!outcome);
  BOOST_CHECK(outcome.error().code == errc::unreachable);
  BOOST_CHECK_MESSAGE(outcome.error().message.find("protocol") != std::string::npos, outcome.error().message);
}

BOOST_AUTO_TEST_CASE(other_actors_than_pad_stores_are_refused) {
  networked_system other;
  auto echo =
      other.keep(other.system().spawn([](caf::event_based_actor*) -> caf::behavior { return {[](int x) { return x; }}; }));
  auto port = other.system().middleman().publish(echo, 0, "127.0.0.1");
  BOOST_REQUIRE(port);
  auto options = quick({*port});
  options.unreachable_after = std::chrono::milliseconds(300);
  auto outcome = system.get(system.remote(options), address(1));
  BOOST_REQUIRE(!outcome);
  BOOST_CHECK(outcome.error().message.find("something else than pads") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
