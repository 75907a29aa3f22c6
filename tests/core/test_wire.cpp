// The node protocol: what is written is read again, whatever the cuts; what is not the protocol is a breach, and bounded.
#include <boost/test/unit_test.hpp>

#include <cstring>
#include <random>

#include "core/limits.hpp"
#include "core/record.hpp"
#include "core/wire.hpp"

namespace {

using namespace mutant;
using namespace mutant::wire;

using stream = std::vector<std::byte>;

stream joined(std::initializer_list<stream> parts) {
  stream out;
  for (const auto& part : parts)
    out.insert(out.end(), part.begin(), part.end());
  return out;
}

stream with(stream front, byte_view record) {
  front.insert(front.end(), record.begin(), record.end());
  return front;
}

bytes some_record(std::size_t size, unsigned seed) {
  buffer out(size);
  std::mt19937 random(seed);
  for (auto& b : out.span())
    b = static_cast<std::byte>(random());
  return std::move(out).freeze();
}

// Everything that comes out when the stream arrives in pieces of these sizes.
result<std::vector<frame>> read_all(side us, const stream& all, std::mt19937& random, std::size_t largest) {
  reader in(us);
  std::vector<frame> out;
  for (std::size_t at = 0; at < all.size();) {
    const auto size = std::min(all.size() - at, 1 + random() % largest);
    byte_view piece(all.data() + at, size);
    at += size;
    while (true) {
      auto frame = in.next(piece);
      if (!frame)
        return fail(frame.error());
      if (!*frame)
        break;
      out.push_back(std::move(**frame));
    }
  }
  return out;
}

result<std::vector<frame>> read_all(side us, const stream& all) {
  std::mt19937 random(1);
  return read_all(us, all, random, all.size() + 1);
}

header request_head() {
  header h;
  h.kind = frame_kind::message;
  h.data = normal_priority | 77;
  h.source = 5;
  h.target = 9;
  return h;
}

pad_address an_address() {
  pad_address a{};
  for (std::size_t i = 0; i < a.size(); ++i)
    a[i] = static_cast<std::byte>(i);
  return a;
}

stream header_of(frame_kind kind, std::uint32_t payload, std::uint8_t flags = 0) {
  stream out(header_bytes);
  out[0] = static_cast<std::byte>(kind);
  out[3] = static_cast<std::byte>(flags);
  for (unsigned i = 0; i < 4; ++i)
    out[4 + i] = static_cast<std::byte>(payload >> (24 - 8 * i));
  return out;
}

void check_breach(side us, const stream& what) {
  auto read = read_all(us, what);
  BOOST_REQUIRE(!read);
  BOOST_CHECK(read.error().code == errc::io_error);
}

BOOST_AUTO_TEST_SUITE(wire_protocol)

BOOST_AUTO_TEST_CASE(requests_are_read_as_written_whatever_the_cuts) {
  const auto small = some_record(200, 1), empty = bytes(), large = some_record(max_record_bytes, 2);
  const auto all = joined({greeting_of_client(random_peer_id()),
                           with(request_with_record(content::put, 1, 5, 9, small.size()), small),
                           request_for_pad(content::get, 2, 5, 9, an_address()),
                           with(request_with_record(content::erase, 3, 5, 9, empty.size()), empty),
                           request_for_pad(content::head, 4, 5, 9, an_address()), request_for_totals(5, 5, 9),
                           with(request_with_record(content::put, 6, 5, 9, large.size()), large)});
  std::mt19937 random(3);
  for (std::size_t largest : {std::size_t{3}, std::size_t{70}, std::size_t{5'000}, std::size_t{1} << 22}) {
    auto read = read_all(side::node, all, random, largest);
    BOOST_REQUIRE_MESSAGE(read, (read ? std::string() : read.error().message));
    BOOST_REQUIRE_EQUAL(read->size(), 7u);
    const auto& f = *read;
    BOOST_CHECK(f[0].head.kind == frame_kind::client_greeting);
    BOOST_CHECK(parse_client_greeting(f[0].payload));
    const content expected[] = {content::put, content::get, content::erase, content::head, content::stats, content::put};
    for (std::size_t i = 1; i < 7; ++i) {
      BOOST_CHECK(f[i].what == expected[i - 1]);
      BOOST_CHECK_EQUAL(f[i].number(), i);
      BOOST_CHECK_EQUAL(f[i].head.source, 5u);
      BOOST_CHECK_EQUAL(f[i].head.target, 9u);
    }
    BOOST_CHECK(f[1].record == small);
    BOOST_CHECK(f[2].address == an_address());
    BOOST_CHECK(f[3].record == empty);
    BOOST_CHECK(f[4].address == an_address());
    BOOST_CHECK(f[6].record == large);
  }
}

BOOST_AUTO_TEST_CASE(answers_are_read_as_written_whatever_the_cuts) {
  const auto head = request_head();
  const error e{errc::pad_conflict, "the pad is taken", 42};
  server_greeting greeting{random_peer_id(), {"generic-caf-app"}, 9, {"caf::replies_to<put>", "x"}};
  for (std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{40}, std::size_t{160}, std::size_t{400},
                           std::size_t{70'000}, max_record_bytes}) {
    const auto record = some_record(size, 7);
    const auto all = joined({greeting_of_server(greeting), answer_done(head), with(answer_record(head, record.size()), record),
                             answer_totals(head, {1, 2, 3}), answer_failure(head, e)});
    std::mt19937 random(4);
    for (std::size_t largest : {std::size_t{2}, std::size_t{100}, std::size_t{9'000}}) {
      if (largest == 2 && size > 100'000)
        continue;
      auto read = read_all(side::client, all, random, largest);
      BOOST_REQUIRE_MESSAGE(read, (read ? std::string() : read.error().message));
      BOOST_REQUIRE_EQUAL(read->size(), 5u);
      const auto& f = *read;
      auto greeted = parse_server_greeting(f[0].payload);
      BOOST_REQUIRE(greeted);
      BOOST_CHECK(greeted->id == greeting.id && greeted->interface == greeting.interface && greeted->actor == 9);
      BOOST_CHECK(greeted->applications == greeting.applications);
      BOOST_CHECK_EQUAL(f[0].head.data, protocol_version);
      BOOST_CHECK(f[1].what == content::done);
      BOOST_CHECK(f[2].what == content::record && f[2].record == record);
      BOOST_CHECK(f[3].what == content::totals && (f[3].totals == store_totals{1, 2, 3}));
      BOOST_CHECK(f[4].what == content::failure);
      BOOST_CHECK_EQUAL(f[4].failure.code, static_cast<unsigned>(e.code));
      BOOST_CHECK_EQUAL(f[4].failure.category, our_errors);
      BOOST_CHECK_EQUAL(f[4].failure.message, e.message);
      BOOST_CHECK_EQUAL(f[4].failure.detail, 42u);
      for (std::size_t i = 1; i < 5; ++i) {
        BOOST_CHECK_EQUAL(f[i].number(), 77u);
        BOOST_CHECK_EQUAL(f[i].head.source, 9u);
        BOOST_CHECK_EQUAL(f[i].head.target, 5u);
        BOOST_CHECK(f[i].head.data & response_flag);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_record_is_laid_out_for_direct_io) {
  const auto record = some_record(1'000'000, 5);
  auto read = read_all(side::node, with(request_with_record(content::put, 1, 5, 9, record.size()), record));
  BOOST_REQUIRE(read);
  const auto payload = reinterpret_cast<std::uintptr_t>(read->front().record.data() + record_header_bytes);
  BOOST_CHECK_EQUAL(payload % 4096, 0u);
}

BOOST_AUTO_TEST_CASE(how_large_a_record_will_be_is_known_before_it_is_there) {
  const auto record = some_record(5'000, 6);
  const auto all = with(request_with_record(content::put, 1, 5, 9, record.size()), record);
  reader in(side::node);
  BOOST_CHECK_EQUAL(in.record_bytes(), 0u);
  byte_view first(all.data(), 200);
  BOOST_REQUIRE(in.next(first));
  BOOST_CHECK_EQUAL(in.record_bytes(), 5'000u);
  byte_view rest(all.data() + 200, all.size() - 200);
  auto frame = in.next(rest);
  BOOST_REQUIRE(frame && *frame);
  BOOST_CHECK((*frame)->record == record);
  BOOST_CHECK_EQUAL(in.record_bytes(), 0u);
}

BOOST_AUTO_TEST_CASE(what_cafs_own_middleman_sends_besides_is_passed_over) {
  for (auto us : {side::node, side::client}) {
    const auto end = us == side::node ? request_for_totals(1, 5, 9) : answer_done(request_head());
    for (auto kind : {frame_kind::monitor, frame_kind::down, frame_kind::heartbeat})
      for (std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{3'000}, max_ignored_bytes}) {
        auto read = read_all(us, joined({header_of(kind, static_cast<std::uint32_t>(size)), stream(size), end}));
        BOOST_REQUIRE(read);
        BOOST_CHECK_EQUAL(read->size(), 1u);
      }
    auto named = read_all(us, joined({header_of(frame_kind::message, 100, 1), stream(100), end}));
    BOOST_REQUIRE(named);
    BOOST_CHECK_EQUAL(named->size(), 1u);
  }
}

BOOST_AUTO_TEST_CASE(a_frame_that_is_too_large_is_a_breach_before_memory_is_taken) {
  for (auto us : {side::node, side::client}) {
    const auto greeting = us == side::node ? frame_kind::client_greeting : frame_kind::server_greeting;
    for (std::uint32_t size : {UINT32_MAX, std::uint32_t{1} << 31, static_cast<std::uint32_t>(max_record_bytes + 1000)})
      for (auto kind : {frame_kind::message, greeting, frame_kind::monitor, frame_kind::down, frame_kind::heartbeat})
        check_breach(us, header_of(kind, size));
    check_breach(us, header_of(greeting, 0));
    check_breach(us, header_of(greeting, max_greeting_bytes + 1));
    check_breach(us, header_of(frame_kind::message, 0));
    check_breach(us, header_of(frame_kind::monitor, max_ignored_bytes + 1));
  }
}

BOOST_AUTO_TEST_CASE(frames_that_have_no_place_are_a_breach) {
  check_breach(side::node, header_of(frame_kind::server_greeting, 100));
  check_breach(side::client, header_of(frame_kind::client_greeting, 100));
  for (auto us : {side::node, side::client}) {
    check_breach(us, header_of(frame_kind::routed, 100));
    check_breach(us, header_of(static_cast<frame_kind>(7), 0));
    check_breach(us, header_of(static_cast<frame_kind>(255), 0));
  }
  // A node gets no answers, a client no requests.
  check_breach(side::node, answer_done(request_head()));
  check_breach(side::client, request_for_totals(1, 5, 9));
}

BOOST_AUTO_TEST_CASE(other_messages_than_the_interfaces_are_a_breach) {
  auto changed = [](stream what, std::string_view from, std::string_view to) {
    auto at = std::search(what.begin(), what.end(), as_byte_view(from).begin(), as_byte_view(from).end());
    BOOST_REQUIRE(at != what.end());
    std::memcpy(&*at, to.data(), to.size());
    return what;
  };
  const auto get = request_for_pad(content::get, 1, 5, 9, an_address());
  check_breach(side::node, changed(get, "mutant::pad_query", "mutant::pad_quers"));
  check_breach(side::node, changed(get, "@<>", "@>>"));
  auto verb = get;
  verb[header_bytes + 31 + 7] ^= std::byte{1};
  check_breach(side::node, verb);
  auto stack = get;
  stack[header_bytes] = std::byte{1};
  check_breach(side::node, stack);
  auto typed = get;
  typed[header_bytes + 2] = std::byte{1};
  check_breach(side::node, typed);
}

BOOST_AUTO_TEST_CASE(lengths_that_do_not_agree_are_a_breach) {
  const auto record = some_record(300, 1);
  const auto put = with(request_with_record(content::put, 1, 5, 9, record.size()), record);
  for (int step : {-200, -1, 1, 200}) {
    auto wrong = put;
    const auto size = static_cast<std::uint32_t>(put.size() - header_bytes) + static_cast<std::uint32_t>(step);
    for (unsigned i = 0; i < 4; ++i)
      wrong[4 + i] = static_cast<std::byte>(size >> (24 - 8 * i));
    check_breach(side::node, wrong);
  }
  auto get = request_for_pad(content::get, 1, 5, 9, an_address());
  get.push_back(std::byte{0});
  get[7] = static_cast<std::byte>(get.size() - header_bytes);
  check_breach(side::node, get);
}

// CAF would unpack errors inside errors as deep as they go.
BOOST_AUTO_TEST_CASE(an_errors_foreign_context_is_not_looked_into) {
  auto answer = answer_failure(request_head(), {errc::io_error, "hello", 1});
  const std::string_view from = "@<>+@str+@u64", to = "@<>+@err+@err";
  auto at = std::search(answer.begin(), answer.end(), as_byte_view(from).begin(), as_byte_view(from).end());
  std::memcpy(&*at, to.data(), to.size());
  auto read = read_all(side::client, answer);
  BOOST_REQUIRE(read);
  BOOST_CHECK(read->front().failure.message.empty());
  BOOST_CHECK_EQUAL(read->front().failure.code, static_cast<unsigned>(errc::io_error));
}

BOOST_AUTO_TEST_CASE(a_long_error_message_is_cut) {
  const std::string text(100'000, 'x');
  auto read = read_all(side::client, answer_failure(request_head(), {errc::io_error, text, 1}));
  BOOST_REQUIRE(read);
  BOOST_CHECK_EQUAL(read->front().failure.message.size(), max_failure_bytes / 2);
}

BOOST_AUTO_TEST_CASE(random_changes_never_do_more_than_break_the_connection) {
  const auto record = some_record(500, 1);
  const auto all = joined({greeting_of_client(random_peer_id()),
                           with(request_with_record(content::put, 1, 5, 9, record.size()), record),
                           request_for_pad(content::get, 2, 5, 9, an_address()), request_for_totals(5, 5, 9)});
  std::mt19937 random(11);
  for (int round = 0; round < 20'000; ++round) {
    auto broken = all;
    for (auto changes = 1 + random() % 4; changes > 0; --changes)
      broken[random() % broken.size()] = static_cast<std::byte>(random());
    reader in(side::node);
    byte_view rest(broken);
    while (true) {
      auto frame = in.next(rest);
      if (!frame || !*frame)
        break;
      BOOST_REQUIRE(static_cast<unsigned>((*frame)->what) <= static_cast<unsigned>(content::failure));
    }
    BOOST_REQUIRE_LE(in.held_bytes(), max_record_bytes + max_ignored_bytes);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
