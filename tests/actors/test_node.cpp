// A node and what strangers may do to it: lie, flood, hang up, hang on, and speak something else.
#include "tests/actors/network.hpp"

#include <caf/io/middleman.hpp>
#include <future>

namespace mutant::testing {

namespace {

// Holds every request back until the test lets it go.
struct held_store_state {
  static inline const char* name = "held_store";
  held_store_state() = default;
  std::vector<caf::typed_response_promise<done>> puts;
  std::vector<caf::typed_response_promise<bytes>> gets;
  std::vector<pad_address> put_to;
};

struct held_counts {
  std::atomic<std::size_t> puts = 0, gets = 0;
};

using held_store_actor = pad_store_actor::extend<reacts_to<release_atom>>;

held_store_actor::behavior_type held_store(held_store_actor::stateful_pointer<held_store_state> self,
                                           std::shared_ptr<held_counts> counts, bytes answer) {
  auto take = [=](const bytes& record) -> caf::result<done> {
    auto promise = self->make_response_promise<done>();
    self->state.puts.push_back(promise);
    self->state.put_to.push_back(parse_header(record)->address);
    ++counts->puts;
    return promise;
  };
  return {
      [=](put_atom, const bytes& record) { return take(record); },
      [=](put_atom, room_atom, const bytes& record) { return take(record); },
      [=](get_atom, const pad_query&) -> caf::result<bytes> {
        auto promise = self->make_response_promise<bytes>();
        self->state.gets.push_back(promise);
        ++counts->gets;
        return promise;
      },
      [](head_atom, const pad_query&) -> caf::result<bytes> { return to_caf({errc::pad_not_found, "none"}); },
      [](erase_atom, const bytes&) { return done{}; },
      [](stats_atom) { return pad_store_stats{}; },
      [](trim_atom) { return std::uint64_t{0}; },
      [=](release_atom) {
        for (auto& p : std::exchange(self->state.puts, {}))
          p.deliver(done{});
        for (auto& p : std::exchange(self->state.gets, {}))
          p.deliver(answer);
      },
  };
}

struct node_fixture : owner_keys {
  networked_system system;
  log_book log;

  node_server serve(pad_store_actor store, std::function<void(node_server_options&)> change = {}) {
    auto options = node_options_for(std::move(store));
    options.log = log.sink();
    if (change)
      change(options);
    return start_node(system, std::move(options));
  }
  // Answers of one put each, asked all at once by one actor.
  std::vector<std::future<result<done>>> put_all(const pad_store_actor& store, const std::vector<bytes>& records) {
    std::vector<std::future<result<done>>> out;
    auto promises = std::make_shared<std::vector<std::promise<result<done>>>>(records.size());
    for (auto& p : *promises)
      out.push_back(p.get_future());
    auto asker = system.system().spawn([=](caf::event_based_actor* self) -> caf::behavior {
      for (std::size_t i = 0; i < records.size(); ++i)
        self->request(store, caf::infinite, put_atom_v, records[i])
            .then([=](done d) { (*promises)[i].set_value(d); },
                  [=](caf::error& e) { (*promises)[i].set_value(fail(from_caf(e))); });
      return {[](caf::unit_t) {}};
    });
    system.keep(asker);
    return out;
  }
};

std::size_t count(std::vector<std::future<result<done>>>& answers, std::optional<errc> code) {
  std::size_t n = 0;
  for (auto& a : answers) {
    if (a.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
      continue;
    auto outcome = a.get();
    const auto matches = code ? !outcome && outcome.error().code == *code : outcome.has_value();
    n += matches ? 1 : 0;
    std::promise<result<done>> again;
    again.set_value(outcome);
    a = again.get_future();
  }
  return n;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(node_tests, node_fixture)

BOOST_AUTO_TEST_CASE(others_than_this_machine_are_served_with_tls_only_unless_that_is_wanted) {
  auto options = node_options_for(system.memory());
  options.listen = {"0.0.0.0", 0};
  auto refused = node_server::start(system.system(), options);
  BOOST_REQUIRE(!refused);
  BOOST_CHECK(refused.error().code == errc::invalid_argument);
  BOOST_CHECK(refused.error().message.find("--insecure") != std::string::npos);
  options.listen = {"::", 0};
  BOOST_CHECK(!node_server::start(system.system(), options));
  options.insecure = true;
  options.listen = {"0.0.0.0", 0};
  auto server = node_server::start(system.system(), options);
  BOOST_REQUIRE(server);
  BOOST_CHECK(server->stop(patience));
}

BOOST_AUTO_TEST_CASE(a_star_listens_on_both_families) {
  auto options = node_options_for(system.memory());
  options.listen = {"*", 0};
  BOOST_CHECK(!node_server::start(system.system(), options));   // without TLS
  options.insecure = true;
  options.log = log.sink();
  auto server = start_node(system, options);
  BOOST_CHECK(server.address().starts_with("*:"));
  for (const auto* host : {"127.0.0.1", "::1"}) {
    if (std::string_view(host) == "::1" && !std::filesystem::exists("/proc/net/if_inet6"))
      continue;   // this machine has none
    auto remote = networked_system::quick({server.port()});
    remote.hosts[0].host = host;
    REQUIRE_OK(system.stats(system.remote(remote)));
  }
  BOOST_CHECK_MESSAGE(log.has({"client connected", "peer=127.0.0.1:"}), log.text());   // not as IPv6
}

BOOST_AUTO_TEST_CASE(a_port_that_is_taken_is_an_error_with_its_name) {
  auto first = serve(system.memory());
  auto options = node_options_for(system.memory());
  options.listen.port = first.port();
  auto second = node_server::start(system.system(), options);
  BOOST_REQUIRE(!second);
  BOOST_CHECK(second.error().message.find(std::to_string(first.port())) != std::string::npos);
  options.listen = {"no-such-host.invalid", 1};
  BOOST_CHECK(node_server::start(system.system(), options).error().code == errc::unreachable);
}

BOOST_AUTO_TEST_CASE(nothing_of_what_is_not_the_owners_reaches_the_store) {
  auto counts = std::make_shared<held_counts>();
  auto held = system.keep(system.system().spawn(held_store, counts, bytes()));
  auto server = serve(held);
  auto client = system.remote({server.port()});
  const auto record = this->record(1, 1, 5'000);
  for (std::size_t at : {std::size_t{0}, std::size_t{8}, std::size_t{33}, std::size_t{64}, std::size_t{100}, std::size_t{160},
                         std::size_t{4'999}}) {
    auto outcome = system.put(client, with_flipped_bit(record, at));
    BOOST_REQUIRE(!outcome);
    BOOST_CHECK(outcome.error().code == errc::bad_signature || outcome.error().code == errc::corrupt_record);
  }
  BOOST_CHECK_EQUAL(counts->puts, 0u);
  BOOST_CHECK(log.has({"refused a write", "bad_signature"}));
}

BOOST_AUTO_TEST_CASE(beyond_what_may_be_pending_writes_are_overloaded_and_then_taken_again) {
  auto counts = std::make_shared<held_counts>();
  auto held = system.keep(system.system().spawn(held_store, counts, bytes()));
  auto server = serve(held, [](auto& o) { o.node.max_pending_bytes = 8u << 20; });
  std::vector<bytes> records;
  for (std::uint64_t i = 0; i < 12; ++i)
    records.push_back(record(i, 1, 1u << 20));
  auto answers = put_all(server.node(), records);
  BOOST_CHECK(eventually([&] { return counts->puts == 8; }));
  BOOST_CHECK(eventually([&] { return count(answers, errc::overloaded) == 4; }));
  caf::anon_send(held, release_atom_v);
  BOOST_CHECK(eventually([&] { return count(answers, std::nullopt) == 8; }));
  auto more = put_all(server.node(), {records[11]});
  BOOST_CHECK(eventually([&] { return counts->puts == 9; }));
}

BOOST_AUTO_TEST_CASE(a_remote_client_waits_when_the_node_is_overloaded_and_everything_is_done_in_the_end) {
  auto counts = std::make_shared<held_counts>();
  auto held = system.keep(system.system().spawn(held_store, counts, bytes()));
  auto server = serve(held, [](auto& o) {
    o.node.max_pending_bytes = 8u << 20;
    o.window_bytes = 64u << 20;
  });
  std::vector<bytes> records;
  for (std::uint64_t i = 0; i < 20; ++i)
    records.push_back(record(i, 1, 1u << 20));
  auto client = system.remote({server.port()});
  auto answers = put_all(client, records);
  BOOST_CHECK(eventually([&] {
    caf::anon_send(held, release_atom_v);
    return count(answers, std::nullopt) == 20;
  }));
}

BOOST_AUTO_TEST_CASE(one_clients_flood_does_not_starve_another) {
  auto counts = std::make_shared<held_counts>();
  auto held = system.keep(system.system().spawn(held_store, counts, bytes()));
  auto server = serve(held, [](auto& o) { o.node.max_pending_bytes = 256u << 20; });
  // More than the store is given at a time, so that most of it queues.
  std::vector<bytes> flood;
  for (std::uint64_t i = 0; i < 60; ++i)
    flood.push_back(record(i, 1, 4u << 20));
  auto flooding = put_all(server.node(), flood);
  BOOST_REQUIRE(eventually([&] { return counts->puts >= 16; }));
  auto small = put_all(server.node(), {record(1000, 1, 4'000)});
  // It is among the next ones, not behind all of the flood.
  caf::anon_send(held, release_atom_v);
  BOOST_CHECK(eventually([&] {
    caf::anon_send(held, release_atom_v);
    return count(small, std::nullopt) == 1;
  }));
  BOOST_CHECK_LT(counts->puts, 50u);
}

BOOST_AUTO_TEST_CASE(a_flood_gives_way_to_a_client_below_its_share) {
  auto counts = std::make_shared<held_counts>();
  auto held = system.keep(system.system().spawn(held_store, counts, bytes()));
  auto server = serve(held, [](auto& o) { o.node.max_pending_bytes = 96u << 20; });
  std::vector<bytes> flood;
  for (std::uint64_t i = 0; i < 40; ++i)
    flood.push_back(record(i, 1, 4u << 20));
  auto flooding = put_all(server.node(), flood);
  BOOST_REQUIRE(eventually([&] { return count(flooding, errc::overloaded) == 16; }));
  auto other = put_all(server.node(), {record(1000, 1, 4u << 20), record(1001, 1, 4u << 20)});
  BOOST_CHECK(eventually([&] { return count(flooding, errc::overloaded) == 18; }));
  BOOST_CHECK(eventually([&] {
    caf::anon_send(held, release_atom_v);
    return count(other, std::nullopt) == 2;
  }));
}

BOOST_AUTO_TEST_CASE(a_node_keeps_no_more_than_it_may_but_lets_owners_replace_and_erase) {
  auto server = serve(system.memory(), [](auto& o) { o.node.max_bytes = 1'000'000; });
  auto client = system.remote({server.port()});
  for (std::uint64_t pad = 0; pad < 10; ++pad)
    REQUIRE_OK(system.put(client, record(pad, 1, 100'000)));
  auto full = system.put(client, record(10, 1, 70'000));
  BOOST_REQUIRE(!full);
  BOOST_CHECK(full.error().code == errc::store_full);
  REQUIRE_OK(system.put(client, record(3, 2, 100'000)));
  REQUIRE_OK(system.put(client, record(4, 2, 50'000)));
  BOOST_CHECK(system.put(client, record(5, 2, 160'000)).error().code == errc::store_full);
  REQUIRE_OK(system.put(client, record(10, 1, 300)));
  REQUIRE_OK(system.erase(client, blank(6, 2)));
  REQUIRE_OK(system.put(client, record(11, 1, 100'000)));
  BOOST_CHECK_LE(system.stats(client)->record_bytes, 1'000'000u);
}

// Removing a value takes a record of its own: there must be a place for that, whatever values have taken.
BOOST_AUTO_TEST_CASE(a_full_node_has_room_for_small_records_but_not_without_end) {
  auto server = serve(system.memory(), [](auto& o) { o.node.max_bytes = 1'000'000; });
  auto client = system.remote({server.port()});
  std::uint64_t pad = 0;
  for (std::size_t size : {100'000u, 30'000u, 5'000u, 1'000u}) {
    while (system.put(client, record(pad, 1, size)))
      ++pad;
    REQUIRE_OK(system.put(client, record(pad++, 1, 300)));
  }
  while (pad < 5000 && system.put(client, record(pad, 1, 300)))
    ++pad;
  BOOST_CHECK(system.put(client, record(pad, 1, 300)).error().code == errc::store_full);
  BOOST_CHECK_LE(system.stats(client)->record_bytes, 1'000'000u + 62'500u);
}

// -- what comes over the wire ------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_client_that_hangs_up_in_the_middle_of_a_write_leaves_nothing_behind) {
  auto engine = std::shared_ptr<pad_engine>(make_memory_engine(1u << 30));
  auto server = serve(system.memory(engine));
  const auto whole = record(1, 1, max_record_bytes);
  for (std::size_t sent : {std::size_t{0}, std::size_t{1}, std::size_t{100'000}, whole.size() - 1}) {
    raw_client client(server.port());
    BOOST_REQUIRE(client.greet());
    BOOST_REQUIRE(client.socket.send(wire::request_with_record(wire::content::put, 1, 1, client.actor, whole.size())));
    BOOST_REQUIRE(client.socket.send(whole.slice(0, sent)));
  }
  auto after = system.remote({server.port()});
  BOOST_CHECK_EQUAL(system.stats(after)->pads, 0u);
  REQUIRE_OK(system.put(after, whole));
  BOOST_CHECK(eventually([&] { return log.has({"client disconnected", "answered=0"}); }));
}

BOOST_AUTO_TEST_CASE(what_breaks_the_protocol_costs_its_connection_and_nothing_else) {
  auto server = serve(system.memory());
  auto frame = [](std::uint8_t kind, std::uint32_t size, std::uint64_t data, std::uint64_t source, std::uint64_t target) {
    std::vector<std::byte> out(wire::header_bytes);
    out[0] = static_cast<std::byte>(kind);
    const auto put = [&](std::size_t at, std::uint64_t x, unsigned bytes) {
      for (unsigned i = 0; i < bytes; ++i)
        out[at + i] = static_cast<std::byte>(x >> (8 * (bytes - 1 - i)));
    };
    put(4, size, 4);
    put(8, data, 8);
    put(16, source, 8);
    put(24, target, 8);
    return out;
  };
  auto check = [&](const char* what, const std::vector<std::byte>& bytes_sent, bool greeted) {
    BOOST_TEST_CONTEXT(what) {
      raw_client client(server.port());
      if (greeted)
        BOOST_REQUIRE(client.greet());
      BOOST_REQUIRE(client.socket.send(bytes_sent));
      BOOST_CHECK(client.socket.closed());
    }
  };
  // These end or fill a process that listens with CAF's own middleman.
  check("a message of 4 GiB", frame(2, UINT32_MAX, wire::normal_priority | 1, 1, server.node().id()), true);
  check("a greeting without a body", frame(1, 0, 0, 0, 0), false);
  check("a server's greeting", frame(0, 0, 3, 0, 0), false);
  check("a message for somebody else", wire::request_for_totals(1, 1, 4711), true);
  auto answer = wire::request_for_totals(1, 1, server.node().id());
  answer[8] |= std::byte{0x80};   // the flag of responses, the highest bit of the big-endian message id
  check("an answer", answer, true);
  check("a message to be passed on", frame(3, 100, 1, 1, server.node().id()), true);
  check("noise", std::vector<std::byte>(100, std::byte{0x5A}), false);
  check("a request before the greeting", wire::request_for_totals(1, 1, server.node().id()), false);
  // {exit_msg} would end the published actor.
  auto ends = wire::request_for_pad(wire::content::get, 1, 1, server.node().id(), {});
  const std::string_view types = "@<>+@exit";
  ends[wire::header_bytes + 3] = static_cast<std::byte>(types.size());
  std::copy_n(as_byte_view(types).begin(), types.size(), ends.begin() + wire::header_bytes + 4);
  check("an exit message", ends, true);
  check("a web browser", [] {
    auto text = as_byte_view("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    return std::vector<std::byte>(text.begin(), text.end());
  }(), false);

  auto client = system.remote({server.port()});
  REQUIRE_OK(system.put(client, record(1, 1, 500)));
  BOOST_CHECK(log.has({"broke the protocol"}));
}

BOOST_AUTO_TEST_CASE(who_does_not_greet_in_time_is_shown_out) {
  auto server = serve(system.memory(), [](auto& o) { o.greeting_timeout = std::chrono::milliseconds(200); });
  raw_client silent(server.port());
  BOOST_CHECK(silent.socket.closed(std::chrono::seconds(20)));
  BOOST_CHECK(eventually([&] { return log.has({"refused", "no greeting"}); }));
}

BOOST_AUTO_TEST_CASE(where_all_places_are_taken_whoever_is_idle_gives_way) {
  auto server = serve(system.memory(), [](auto& o) { o.max_connections = 4; });
  std::vector<std::unique_ptr<raw_client>> silent;
  for (unsigned i = 0; i < 4; ++i) {
    silent.push_back(std::make_unique<raw_client>(server.port(), 2 + i % 2));
    BOOST_REQUIRE(silent.back()->greet());
    BOOST_REQUIRE(eventually([&] { return log.count("client connected") == i + 1; }));
  }
  auto honest = system.remote({server.port()});
  REQUIRE_OK(system.put(honest, record(1, 1, 500)));
  BOOST_CHECK(silent.front()->socket.closed());
  BOOST_CHECK(log.has({"client disconnected", "gave way", "as many connections as may be"}));
  // One address does not get all of them, however few there are.
  for (unsigned i = 0; i < 12; ++i)
    BOOST_REQUIRE(raw_client(server.port(), 2).greet());
  REQUIRE_OK(system.put(honest, record(2, 1, 500)));
}

BOOST_AUTO_TEST_CASE(whoever_does_not_greet_makes_room_for_who_does_long_before_its_time_is_up) {
  auto server = serve(system.memory(), [](auto& o) {
    o.greeting_timeout = std::chrono::hours(1);
    o.max_newcomers = 8;
  });
  std::vector<std::unique_ptr<raw_client>> silent;
  for (unsigned i = 0; i < 40; ++i)
    silent.push_back(std::make_unique<raw_client>(server.port(), 2 + i % 3));
  auto honest = system.remote({server.port()});
  REQUIRE_OK(system.put(honest, record(1, 1, 500)));
  BOOST_CHECK(silent.front()->socket.closed());
  BOOST_CHECK(log.has({"refused", "gave way", "have not greeted"}));
}

BOOST_AUTO_TEST_CASE(what_a_client_queues_over_many_connections_counts_as_one_clients) {
  auto counts = std::make_shared<held_counts>();
  auto held = system.keep(system.system().spawn(held_store, counts, bytes()));
  auto server = serve(held, [](auto& o) { o.node.max_pending_bytes = 96u << 20; });
  // Ten connections of one client, four records each: more than may be pending.
  std::vector<std::unique_ptr<raw_client>> flood;
  std::vector<std::jthread> senders;   // the node does not read what has no room
  for (std::uint64_t i = 0; i < 10; ++i) {
    flood.push_back(std::make_unique<raw_client>(server.port(), 2));
    BOOST_REQUIRE(flood.back()->greet());
    senders.emplace_back([this, &client = *flood.back(), i] {
      for (std::uint64_t n = 1; n <= 4; ++n)
        if (!client.put(n, record(i * 4 + n, 1, max_record_bytes)))
          return;
    });
  }
  BOOST_CHECK(eventually([&] { return counts->puts >= 16; }));
  // By connections, an eleventh would have an eleventh of it: two records. By clients it has half.
  auto honest = system.remote({server.port()});
  std::vector<bytes> records;
  for (std::uint64_t i = 0; i < 6; ++i)
    records.push_back(record(1000 + i, 1, max_record_bytes));
  auto answers = put_all(honest, records);
  BOOST_CHECK(eventually([&] {
    caf::anon_send(held, release_atom_v);
    return count(answers, std::nullopt) == 6;
  }));
  for (auto& client : flood)
    client->socket.shut_down();
}

BOOST_AUTO_TEST_CASE(a_client_that_asks_and_never_reads_is_given_only_its_window) {
  auto counts = std::make_shared<held_counts>();
  const auto large = record(1, 1, max_record_bytes);
  auto held = system.keep(system.system().spawn(held_store, counts, large));
  auto server = serve(held, [](auto& o) { o.window_bytes = 16u << 20; });
  raw_client greedy(server.port());
  BOOST_REQUIRE(greedy.greet());
  std::thread asking([&] {
    for (std::uint64_t i = 1; i <= 3'000; ++i)
      if (!greedy.get(i, address(1)))
        return;
  });
  // Four reads of 4 MiB fill the window.
  BOOST_CHECK(eventually([&] { return counts->gets >= 4; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  BOOST_CHECK_EQUAL(counts->gets, 4u);
  // Answered, they wait for the client to read; what the kernel took makes a little room.
  for (int i = 0; i < 20; ++i) {
    caf::anon_send(held, release_atom_v);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  BOOST_CHECK_LE(counts->gets, 10u);
  auto other = system.remote({server.port()});
  auto answer = std::async(std::launch::async, [&] { return system.get(other, address(1)); });
  BOOST_CHECK(eventually([&] {
    caf::anon_send(held, release_atom_v);
    return answer.wait_for(std::chrono::milliseconds(1)) == std::future_status::ready;
  }));
  BOOST_CHECK(answer.get().value() == large);
  greedy.socket.close();
  asking.join();
}

BOOST_AUTO_TEST_CASE(readers_that_never_read_hold_no_more_together_than_the_sessions_may) {
  auto counts = std::make_shared<held_counts>();
  auto held = system.keep(system.system().spawn(held_store, counts, record(1, 1, max_record_bytes)));
  auto server = serve(held, [](auto& o) {
    o.transfer_bytes = 16u << 20;
    o.transfer_timeout = std::chrono::milliseconds(1'000);
  });
  std::vector<std::unique_ptr<raw_client>> greedy;
  for (int i = 0; i < 6; ++i) {
    greedy.push_back(std::make_unique<raw_client>(server.port(), 2 + static_cast<unsigned>(i) / 3));
    BOOST_REQUIRE(greedy.back()->greet());
    for (std::uint64_t n = 1; n <= 8; ++n)
      BOOST_REQUIRE(greedy.back()->get(n, address(1)));
  }
  // Alone each would have its window's worth, eight; together they have four, three of them one client's.
  BOOST_CHECK(eventually([&] { return counts->gets == 4; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  BOOST_CHECK_EQUAL(counts->gets, 4u);
  // Answered, and not taken by anybody: they are shown out, and who reads gets in.
  auto other = system.remote({server.port()});
  auto answer = std::async(std::launch::async, [&] { return system.get(other, address(1)); });
  BOOST_CHECK(eventually([&] {
    caf::anon_send(held, release_atom_v);
    return answer.wait_for(std::chrono::milliseconds(1)) == std::future_status::ready;
  }));
  REQUIRE_OK(answer.get());
  BOOST_CHECK(log.has({"client disconnected", "did not take an answer"}));
}

BOOST_AUTO_TEST_CASE(records_that_stop_halfway_hold_no_more_than_the_sessions_may_and_not_when_others_need_the_room) {
  auto engine = std::shared_ptr<pad_engine>(make_memory_engine(1u << 30));
  auto server = serve(system.memory(engine), [](auto& o) {
    o.transfer_bytes = 16u << 20;                      // 8 MiB for what comes in
    o.transfer_timeout = std::chrono::hours(1);
  });
  const auto whole = record(1, 1, max_record_bytes);
  std::vector<std::unique_ptr<raw_client>> halves;
  for (unsigned i = 0; i < 40; ++i) {
    halves.push_back(std::make_unique<raw_client>(server.port(), 1 + i % 4));   // the honest client's address is one of them
    BOOST_REQUIRE(halves.back()->greet());
    const auto front = wire::request_with_record(wire::content::put, 1, 1, halves.back()->actor, whole.size());
    BOOST_REQUIRE(halves.back()->socket.send(front));
    BOOST_REQUIRE(halves.back()->socket.send(whole.slice(0, 1'000'000)));
  }
  auto other = system.remote({server.port()});
  // Small ones need no room that the others hold, and a large one gets it long before anybody's time is up.
  REQUIRE_OK(system.put(other, record(2, 1, 5'000)));
  REQUIRE_OK(system.put(other, whole));
  BOOST_CHECK_MESSAGE(log.has({"client disconnected", "did not send its record while others waited"}), log.text());
  BOOST_CHECK_EQUAL(engine->stats()->pads, 2u);
}

BOOST_AUTO_TEST_CASE(a_record_that_stops_halfway_is_not_waited_for_for_ever_where_nobody_else_needs_the_room) {
  auto server = serve(system.memory(), [](auto& o) { o.transfer_timeout = std::chrono::milliseconds(300); });
  raw_client half(server.port());
  BOOST_REQUIRE(half.greet());
  BOOST_REQUIRE(half.socket.send(wire::request_with_record(wire::content::put, 1, 1, half.actor, max_record_bytes)));
  BOOST_REQUIRE(half.socket.send(record(1, 1, 1'000)));
  BOOST_CHECK(half.socket.closed());
  BOOST_CHECK(log.has({"client disconnected", "did not send all of a record"}));
}

BOOST_AUTO_TEST_CASE(a_slow_store_is_not_held_against_a_client_in_the_middle_of_a_record) {
  auto counts = std::make_shared<held_counts>();
  auto held = system.keep(system.system().spawn(held_store, counts, bytes()));
  auto server = serve(held, [](auto& o) {
    o.window_bytes = 8u << 20;
    o.transfer_timeout = std::chrono::milliseconds(300);
  });
  auto client = system.remote({server.port()});
  std::vector<bytes> records;
  for (std::uint64_t i = 0; i < 6; ++i)
    records.push_back(record(i, 1, max_record_bytes));
  auto answers = put_all(client, records);
  BOOST_REQUIRE(eventually([&] { return counts->puts == 2; }));   // the window is full, and the third on its way
  std::this_thread::sleep_for(std::chrono::milliseconds(1'000));
  BOOST_CHECK(eventually([&] {
    caf::anon_send(held, release_atom_v);
    return count(answers, std::nullopt) == 6;
  }));
  BOOST_CHECK_MESSAGE(!log.has({"disconnected"}), log.text());
}

BOOST_AUTO_TEST_CASE(stopping_answers_what_was_taken_and_takes_no_more) {
  auto counts = std::make_shared<held_counts>();
  auto held = system.keep(system.system().spawn(held_store, counts, bytes()));
  auto server = serve(held);
  auto options = networked_system::quick({server.port()});
  options.unreachable_after = std::chrono::milliseconds(300);
  auto client = system.remote(options);
  auto taken = put_all(client, {record(1, 1, 1'000), record(2, 1, max_record_bytes)});
  BOOST_REQUIRE(eventually([&] { return counts->puts == 2; }));
  auto stopped = std::async(std::launch::async, [&] { return server.stop(patience); });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  auto late = put_all(client, {record(3, 1, 1'000)});
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  caf::anon_send(held, release_atom_v);
  BOOST_CHECK(stopped.get());
  BOOST_CHECK(eventually([&] { return count(taken, std::nullopt) == 2; }));
  BOOST_CHECK(eventually([&] { return count(late, errc::unreachable) == 1; }));
  BOOST_CHECK_EQUAL(counts->puts, 2u);
}

// -- CAF's own middleman on the other side -----------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_program_with_cafs_own_middleman_can_use_a_node) {
  auto server = serve(system.memory());
  networked_system other;
  auto found = other.system().middleman().remote_actor<node_interface_actor>("127.0.0.1", server.port());
  BOOST_REQUIRE_MESSAGE(found, (found ? std::string() : other.system().render(found.error())));
  const auto large = record(1, 3, max_record_bytes);
  REQUIRE_OK(other.put(caf::actor_cast<pad_store_actor>(*found), large));
  BOOST_CHECK(*other.get(caf::actor_cast<pad_store_actor>(*found), address(1)) == large);
  BOOST_CHECK(*other.head(caf::actor_cast<pad_store_actor>(*found), address(1)) == large.slice(0, record_header_bytes));
  auto stale = other.put(caf::actor_cast<pad_store_actor>(*found), record(1, 2, 400));
  BOOST_REQUIRE(!stale);
  BOOST_CHECK(stale.error().code == errc::stale_counter);
  BOOST_CHECK_EQUAL(stale.error().detail, 3u);
  REQUIRE_OK(other.erase(caf::actor_cast<pad_store_actor>(*found), blank(1, 4)));
  BOOST_CHECK_EQUAL(other.stats(caf::actor_cast<pad_store_actor>(*found))->pads, 0u);
}

BOOST_AUTO_TEST_CASE(a_pad_store_published_by_cafs_own_middleman_can_be_used) {
  networked_system other;
  auto store = other.memory();
  auto port = other.system().middleman().publish(store, 0, "127.0.0.1");
  BOOST_REQUIRE(port);
  auto client = system.remote({*port});
  const auto large = record(1, 3, max_record_bytes);
  REQUIRE_OK(system.put(client, large));
  BOOST_CHECK(*system.get(client, address(1)) == large);
  auto conflict = system.put(client, record(1, 3, 400));
  BOOST_REQUIRE(!conflict);
  BOOST_CHECK(conflict.error().code == errc::pad_conflict);
  BOOST_CHECK_EQUAL(conflict.error().detail, 3u);
  BOOST_CHECK_EQUAL(system.stats(client)->pads, 1u);
  other.system().middleman().unpublish(store, *port);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
