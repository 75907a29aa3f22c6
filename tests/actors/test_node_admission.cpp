// Who may hold a connection to a node, and who gives way; how room is shared; what of a flood reaches the log. Without sockets.
#include "actors/node/node_admission.hpp"

#include <boost/test/unit_test.hpp>
#include <random>
#include <set>

#include "actors/caf/log_limit.hpp"
#include "actors/node/handshake_queue.hpp"
#include "actors/node/session_budget.hpp"
#include "core/limits.hpp"

namespace mutant::testing {

namespace {

using time_point = std::chrono::steady_clock::time_point;
using std::chrono::milliseconds;

struct admission_fixture {
  admission_limits limits;
  std::unique_ptr<node_admission> admission;
  std::map<node_admission::id, std::shared_ptr<session_activity>> inside;   // greeted, and not shown out
  std::set<node_admission::id> outside;
  unsigned clock = 0;

  void begin() {
    admission = std::make_unique<node_admission>(limits, [this](node_admission::id who, const std::string&) {
      BOOST_CHECK(outside.insert(who).second);
      inside.erase(who);
    });
  }
  // The id of a session that is idle from now on, or nothing: it was refused.
  std::optional<node_admission::id> join(const std::string& address, const std::string& certificate = {}) {
    const auto who = admission->arrive(address);
    auto activity = std::make_shared<session_activity>();
    activity->last = time_point(milliseconds(++clock));
    if (!admission->greet(who, certificate, activity))
      return std::nullopt;
    inside.emplace(who, activity);
    return who;
  }
  void be_busy() {
    for (auto& [who, activity] : inside)
      activity->busy = true;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(node_admission_tests, admission_fixture)

BOOST_AUTO_TEST_CASE(the_oldest_newcomer_of_whoever_has_most_goes_first) {
  limits.max_newcomers = 8;
  limits.max_newcomers_per_address = 5;
  begin();
  const auto honest = admission->arrive("honest");
  std::vector<node_admission::id> flood;
  for (int i = 0; i < 100; ++i)
    flood.push_back(admission->arrive("one"));
  for (int i = 0; i < 100; ++i)
    flood.push_back(admission->arrive("two"));
  BOOST_CHECK(!outside.contains(honest));
  BOOST_CHECK_LE(admission->newcomers(), 8u);
  // Of each address the youngest are left.
  for (std::size_t i : {std::size_t{0}, std::size_t{50}, std::size_t{94}, std::size_t{100}, std::size_t{194}})
    BOOST_CHECK_MESSAGE(outside.contains(flood[i]), i);
  BOOST_CHECK(!outside.contains(flood.back()));
  BOOST_CHECK(admission->greet(honest, {}, std::make_shared<session_activity>()));
}

BOOST_AUTO_TEST_CASE(an_idle_session_gives_way_and_of_idle_ones_the_one_that_was_idle_longest) {
  limits.max_sessions = 4;
  limits.max_per_address = 4;
  begin();
  std::vector<node_admission::id> silent;
  for (int i = 0; i < 4; ++i)
    silent.push_back(*join("stranger"));
  inside.at(silent[0])->last = time_point(milliseconds(1000));   // it has just been answered
  BOOST_REQUIRE(join("honest"));
  BOOST_CHECK(outside == (std::set<node_admission::id>{silent[1]}));
  BOOST_CHECK_EQUAL(admission->sessions(), 4u);
}

BOOST_AUTO_TEST_CASE(an_address_and_a_certificate_keep_to_their_share_however_much_room_there_is) {
  limits.max_sessions = 100;
  limits.max_per_address = 10;
  limits.max_per_certificate = 6;
  begin();
  for (int i = 0; i < 50; ++i)
    BOOST_REQUIRE(join("one"));
  BOOST_CHECK_EQUAL(admission->sessions(), 10u);
  for (int i = 0; i < 50; ++i)
    BOOST_REQUIRE(join("address " + std::to_string(i), "a stolen certificate"));
  BOOST_CHECK_EQUAL(admission->sessions(), 16u);
  be_busy();
  BOOST_CHECK(!join("one"));
  BOOST_CHECK(!join("elsewhere", "a stolen certificate"));
  BOOST_CHECK(join("elsewhere"));
}

BOOST_AUTO_TEST_CASE(when_all_are_busy_whoever_holds_most_makes_room_for_who_holds_less) {
  limits.max_sessions = 8;
  limits.max_per_address = 6;
  begin();
  for (int i = 0; i < 6; ++i)
    join("one");
  join("two"), join("three");
  be_busy();
  for (int i = 4; i < 7; ++i) {
    BOOST_REQUIRE(join("honest"));
    be_busy();
  }
  // Three each by now: nobody has more than another could get.
  BOOST_CHECK(!join("honest"));
  BOOST_CHECK_EQUAL(admission->sessions(), 8u);
}

BOOST_AUTO_TEST_CASE(a_newcomer_that_shakes_hands_outlives_silent_ones_of_its_address) {
  limits.max_newcomers = 20;
  limits.max_newcomers_per_address = 4;
  begin();
  const auto honest = admission->arrive("one");
  admission->begun(honest);
  for (int i = 0; i < 100; ++i)
    admission->arrive("one");
  BOOST_CHECK(!outside.contains(honest));
  // But not those who have begun as well.
  for (int i = 0; i < 4; ++i)
    admission->begun(admission->arrive("one"));
  BOOST_CHECK(outside.contains(honest));
}

// One property for everything that can happen in any order.
BOOST_AUTO_TEST_CASE(whatever_happens_limits_hold_and_the_books_are_right) {
  limits.max_sessions = 20;
  limits.max_per_address = 9;
  limits.max_per_certificate = 7;
  limits.max_newcomers = 12;
  limits.max_newcomers_per_address = 5;
  begin();
  std::mt19937_64 random(4);
  std::map<node_admission::id, std::string> address_of, certificate_of, waiting;
  for (int step = 0; step < 20'000; ++step) {
    const auto address = "address " + std::to_string(random() % 6);
    switch (random() % 6) {
      case 0:
      case 1: {
        const auto who = admission->arrive(address);
        waiting[who] = address_of[who] = address;
        break;
      }
      case 2:
      case 3:
        if (!waiting.empty()) {
          const auto who = std::next(waiting.begin(), static_cast<std::ptrdiff_t>(random() % waiting.size()))->first;
          auto activity = std::make_shared<session_activity>();
          activity->last = time_point(milliseconds(step));
          certificate_of[who] = random() % 3 == 0 ? "certificate " + std::to_string(random() % 3) : "";
          if (admission->greet(who, certificate_of[who], activity))
            inside[who] = activity;
          else
            BOOST_REQUIRE(outside.contains(who) || std::ranges::any_of(inside, [](auto& s) { return s.second->busy; }));
          waiting.erase(who);
        }
        break;
      case 4:
        if (!inside.empty()) {
          const auto who = std::next(inside.begin(), static_cast<std::ptrdiff_t>(random() % inside.size()));
          if (random() % 3 != 0) {
            who->second->busy = !who->second->busy;
          } else {
            admission->leave(who->first);
            inside.erase(who);
          }
        }
        break;
      default: admission->make_room("a test");
    }
    std::erase_if(waiting, [&](const auto& w) { return outside.contains(w.first); });
    std::map<std::string, std::size_t> count;
    for (const auto& [who, activity] : inside) {
      ++count[address_of[who]];
      if (!certificate_of[who].empty())
        ++count[certificate_of[who]];
    }
    for (const auto& [name, number] : count)
      BOOST_REQUIRE_LE(number, name.starts_with("c") ? 7u : 9u);
    BOOST_REQUIRE_EQUAL(admission->sessions(), inside.size());
    BOOST_REQUIRE_EQUAL(admission->newcomers(), waiting.size());
    BOOST_REQUIRE_LE(inside.size(), 20u);
    BOOST_REQUIRE_LE(waiting.size(), 12u);
  }
}

BOOST_AUTO_TEST_CASE(handshakes_begin_at_a_rate_and_addresses_take_turns) {
  time_point now{};
  handshake_queue<int> queue(100, 5, now);
  for (std::uint64_t i = 0; i < 300; ++i)
    queue.push("flood", i, 0);
  queue.push("honest", 1000, 0);
  std::vector<std::uint64_t> begun;
  std::set<std::uint64_t> silent, gone;
  const auto begin_what_may = [&] {
    const auto look = [&](std::uint64_t id, int) {
      return gone.contains(id) ? peer_state::gone : silent.contains(id) ? peer_state::silent : peer_state::ready;
    };
    while (auto next = queue.next(now, look))
      begun.push_back(next->first);
  };
  begin_what_may();
  BOOST_CHECK((begun == std::vector<std::uint64_t>{0, 1000, 1, 2, 3}));   // the burst
  now += std::chrono::seconds(1);
  BOOST_CHECK(queue.drop(4));
  BOOST_CHECK(!queue.drop(4));
  for (int i = 0; i < 100; ++i, now += milliseconds(10))
    begin_what_may();
  BOOST_CHECK_LE(begun.size(), 5 + 5 + 101u);
  BOOST_CHECK_GE(begun.size(), 5 + 5 + 98u);
  // Who is silent, or has gone, costs nothing and is in nobody's way.
  begun.clear();
  for (std::uint64_t i = 0; i < 300; ++i)
    (i % 2 == 0 ? silent : gone).insert(i);
  queue.push("flood", 2000, 0);
  now += std::chrono::seconds(1);
  begin_what_may();
  BOOST_CHECK(begun == std::vector<std::uint64_t>{2000});
  BOOST_CHECK(!queue.drop(299));
  BOOST_CHECK(queue.drop(298));
}

BOOST_AUTO_TEST_CASE(a_flood_of_one_kind_of_line_is_counted_and_not_written) {
  std::vector<std::string> lines;
  const auto sink = [&](log_level, const std::string& what, const log_fields& fields) {
    lines.push_back(what);
    for (const auto& [name, value] : fields)
      if (name == "suppressed")
        lines.back() += " suppressed=" + value;
  };
  log_limiter log(sink);
  time_point now{};
  for (int i = 0; i < 10'000; ++i, now += milliseconds(1))
    log.write(log_level::warning, "refused", {{"peer", std::to_string(i)}}, now);
  log.write(log_level::info, "another kind", {}, now);
  BOOST_CHECK_LE(lines.size(), log_limiter::burst + 3u);
  BOOST_CHECK_EQUAL(lines.back(), "another kind");
  now += log_limiter::interval;
  log.flush(now);
  // Everything is written or counted.
  std::uint64_t written = 0, counted = 0;
  for (const auto& line : lines) {
    if (!line.starts_with("refused"))
      continue;
    const auto at = line.find('=');
    counted += at == std::string::npos ? 0 : std::stoull(line.substr(at + 1));
    written += 1;
  }
  BOOST_CHECK_EQUAL(written - 1 + counted, 10'000u);   // the flush has a line of its own
}

// -- room -------------------------------------------------------------------------------------------------------------------

namespace {

constexpr std::size_t quantum = 128 * 1024;

// Connections that send one record after another, piece by piece, or stop.
struct sender {
  session_budget::holder holder;
  std::size_t arrived = 0;      // of the present record
  std::size_t records = 0;
  std::size_t stops_at = SIZE_MAX;
  bool waits = false;
};

}  // namespace

// A record needs the room for all of it in the end, and gets it piece by piece: whoever comes, somebody can always finish.
BOOST_AUTO_TEST_CASE(records_that_grow_piece_by_piece_never_wait_for_each_other_for_ever) {
  std::mt19937_64 random(9);
  for (int round = 0; round < 20; ++round) {
    session_budget budget({.limit_bytes = 12u << 20, .reserve_bytes = max_record_bytes});
    std::vector<sender> senders(40);
    for (std::size_t i = 0; i < senders.size(); ++i) {
      senders[i].holder.client = random() % 6;
      senders[i].holder.session = i;
      senders[i].holder.granted = [&s = senders[i]] { s.waits = false; };
    }
    while (std::ranges::any_of(senders, [](const sender& s) { return s.records < 3; })) {
      std::vector<sender*> able;
      for (auto& s : senders)
        if (!s.waits && s.records < 3)
          able.push_back(&s);
      BOOST_REQUIRE(!able.empty());
      auto& s = *able[random() % able.size()];
      const auto needed = std::min(max_record_bytes, s.arrived + quantum);
      if (needed > s.holder.held_bytes) {
        s.waits = !budget.ask(s.holder, needed - s.holder.held_bytes);
      } else {
        s.arrived = needed;
        if (s.arrived == max_record_bytes) {
          budget.change(s.holder, s.holder.held_bytes, 0);
          s.arrived = 0;
          ++s.records;
        }
      }
      BOOST_REQUIRE_LE(budget.used_bytes(), 12u << 20);
    }
    BOOST_CHECK_EQUAL(budget.used_bytes(), 0u);
    BOOST_CHECK(!budget.waiting());
  }
}

BOOST_AUTO_TEST_CASE(who_begins_records_and_stops_leaves_room_for_others_and_is_named_when_somebody_waits) {
  session_budget budget({.limit_bytes = 64u << 20, .reserve_bytes = max_record_bytes});
  bool pressed = false;
  budget.on_pressure = [&] { pressed = true; };
  time_point now{};
  std::vector<sender> senders(200);
  for (std::size_t i = 0; i < senders.size(); ++i) {
    auto& s = senders[i];
    s.holder.client = 1;
    s.holder.session = i;
    s.holder.granted = [&s] { s.waits = false; };
    while (!s.waits && s.arrived < 3'000'000) {
      s.waits = !budget.ask(s.holder, quantum);
      s.arrived += quantum;
      session_budget::judge(s.holder, !s.waits, now);
    }
  }
  BOOST_CHECK(pressed);
  BOOST_CHECK_LE(budget.used_bytes(), (48u << 20) + max_record_bytes);
  // Another client has room at once; and those that stopped are named, when they had their time.
  session_budget::holder honest;
  honest.client = 2;
  honest.session = 1000;
  BOOST_CHECK(budget.ask(honest, max_record_bytes));
  session_budget::judge(honest, true, now);
  BOOST_CHECK(budget.slow(now + milliseconds(400)).empty());
  now += milliseconds(600);
  session_budget::moved(honest, 200'000, now);
  const auto slow = budget.slow(now);
  BOOST_CHECK_GE(slow.size(), 16u);
  BOOST_CHECK(std::ranges::find(slow, 1000u) == slow.end());
  for (auto who : slow)
    budget.withdraw(senders[who].holder);
  BOOST_CHECK_LE(budget.used_bytes(), (48u << 20) + 2 * max_record_bytes);
}

BOOST_AUTO_TEST_CASE(a_trickle_is_slow_and_a_stream_is_not) {
  session_budget budget({.limit_bytes = 16u << 20, .reserve_bytes = 0});
  session_budget::holder trickle, stream;
  trickle.client = stream.client = 1;
  trickle.session = 1;
  stream.session = 2;
  time_point now{};
  for (auto* h : {&trickle, &stream}) {
    BOOST_REQUIRE(budget.ask(*h, quantum));
    session_budget::judge(*h, true, now);
  }
  std::set<std::uint64_t> slow;
  for (int i = 0; i < 30; ++i, now += milliseconds(100)) {
    session_budget::moved(trickle, 10, now);
    session_budget::moved(stream, 100'000, now);
    for (auto who : budget.slow(now))
      slow.insert(who);
  }
  BOOST_CHECK(slow == (std::set<std::uint64_t>{1}));
}

BOOST_AUTO_TEST_CASE(clients_get_room_in_turn_however_many_connections_one_has) {
  session_budget budget({.limit_bytes = 16u << 20, .reserve_bytes = 0});
  std::vector<session_budget::holder> flood(50);
  std::vector<std::uint64_t> order;
  for (std::size_t i = 0; i < flood.size(); ++i) {
    flood[i].client = 1;
    flood[i].session = i;
    flood[i].granted = [&order, i] { order.push_back(i); };
    budget.ask(flood[i], max_record_bytes);
  }
  session_budget::holder other;
  other.client = 2;
  other.session = 100;
  other.granted = [&] { order.push_back(100); };
  session_budget::holder more;
  more.client = 2;
  more.session = 101;
  more.granted = [&] { order.push_back(101); };
  BOOST_CHECK(budget.ask(other, max_record_bytes));   // a quarter is for others than one
  BOOST_CHECK(!budget.ask(more, max_record_bytes));
  order.clear();
  budget.withdraw(flood[0]);
  budget.withdraw(flood[1]);
  // Each had one of the two places, although forty-odd of the flood came first.
  BOOST_CHECK_EQUAL(order.size(), 2u);
  BOOST_CHECK(std::ranges::find(order, 101u) != order.end());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
