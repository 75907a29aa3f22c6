// The store as a whole: its index in front, the operations behind it, and how they end together.
#include "tests/actors/fixture.hpp"

namespace mutant::testing {

namespace {

struct store_fixture : fixture {
  std::size_t running() { return det.system().registry().running(); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(store_tests, store_fixture)

BOOST_AUTO_TEST_CASE(small_and_large_values_take_their_ways_and_come_back) {
  const auto whole = spawn_small_store();
  for (const std::string value : {"", "five5", "six6 6", "a value of several chunks"}) {
    BOOST_TEST(get<put_result>(whole, put_atom_v, put_of("key", value)).size == value.size());
    const auto got = get<get_result>(whole, get_atom_v, get_of("key"));
    BOOST_TEST(std::string(as_text(got.value)) == value);
    BOOST_TEST(get<list_item>(whole, find_atom_v, std::string("key")).size == value.size());
  }
  get<done>(whole, rename_atom_v, rename_request{"key", "other"});
  BOOST_TEST((get_error<get_result>(whole, get_atom_v, get_of("key")).code == errc::key_not_found));
  BOOST_TEST((get_error<list_item>(whole, find_atom_v, std::string("key")).code == errc::key_not_found));
  BOOST_TEST((get_error<done>(whole, rename_atom_v, rename_request{"key", "other"}).code == errc::key_not_found));
  BOOST_TEST((get_error<put_result>(whole, put_atom_v, put_of("", "v")).code == errc::invalid_argument));
  BOOST_TEST(get<store_stats>(whole, stats_atom_v).index.totals.keys == 1u);
}

BOOST_AUTO_TEST_CASE(an_index_alone_keeps_what_lies_in_it_and_says_what_it_cannot_do) {
  auto options = small_index();
  options.inline_bytes = 5;
  const auto alone = mutant::spawn_index(det.system(), options);
  get<put_result>(alone, put_atom_v, put_of("key", "five5"));
  BOOST_TEST((as_text(get<get_result>(alone, get_atom_v, get_of("key")).value) == "five5"));
  BOOST_TEST((get_error<put_result>(alone, put_atom_v, put_of("key", "longer")).code == errc::unsupported));
  BOOST_TEST((get_error<store_stats>(alone, stats_atom_v).code == errc::unsupported));
}

BOOST_AUTO_TEST_CASE(a_store_that_is_ended_ends_whole_and_answers_what_runs) {
  const auto before = running();
  auto whole = spawn_small_store();
  get<put_result>(whole, put_atom_v, put_of("key", "a value of several chunks"));
  door->hold = [](pad_op op, const pad_address&) { return op == pad_op::get; };
  auto reading = ask<get_result>(whole, get_atom_v, get_of("key"));
  det.run_messages();
  BOOST_TEST(reading->pending());
  caf::anon_send_exit(whole, caf::exit_reason::user_shutdown);
  det.run_messages();
  BOOST_TEST(!reading->pending());
  BOOST_TEST(running() == before);
}

BOOST_AUTO_TEST_CASE(all_that_waits_for_a_store_is_answered_when_it_ends) {
  const auto before = running();
  auto whole = spawn_small_store();
  get<put_result>(whole, put_atom_v, put_of("key", "a value of several chunks"));
  door->hold = [](pad_op, const pad_address&) { return true; };
  auto stats = ask<store_stats>(whole, stats_atom_v);
  auto small = ask<put_result>(whole, put_atom_v, put_of("small", "v"));
  remove_request wiping;
  wiping.key = "key";
  wiping.wipe = true;
  auto removed = ask<done>(whole, remove_atom_v, wiping);
  auto large = ask<put_result>(whole, put_atom_v, put_of("other", "another value"));
  auto purged = ask<purge_result>(whole, purge_atom_v, purge_request{});
  auto renamed = ask<done>(whole, rename_atom_v, rename_request{"key", "new"});
  auto synced = ask<sync_report>(whole, sync_atom_v);
  det.run_messages();
  BOOST_TEST(small->pending());
  BOOST_TEST(removed->pending());
  caf::anon_send_exit(whole, caf::exit_reason::user_shutdown);
  det.run_messages();
  BOOST_TEST(!stats->pending());
  BOOST_TEST((small->code() == errc::timeout));   // its commit was on the way
  BOOST_TEST(!removed->pending());
  BOOST_TEST((large->code() == errc::unreachable));
  BOOST_TEST((purged->code() == errc::unreachable));
  BOOST_TEST(!renamed->pending());
  BOOST_TEST((synced->code() == errc::unreachable));
  BOOST_TEST(running() == before);
}

BOOST_AUTO_TEST_CASE(what_is_removed_is_blanked_and_where_that_fails_it_is_removed_all_the_same) {
  auto whole = spawn_small_store();
  auto is_blank = [&](std::uint64_t pad) { return parse_header(engine->get(data_pad(pad)).value())->blank; };
  for (const auto fails : {true, false}) {
    get<put_result>(whole, put_atom_v, put_of("key", "a value of several chunks"));
    door->refuse = [fails](pad_op op, const pad_address&) -> std::optional<error> {
      return fails && op == pad_op::head ? std::optional(error{errc::io_error, "the disk failed"}) : std::nullopt;
    };
    get<done>(whole, remove_atom_v, remove_request{"key", std::nullopt, false});
    door->refuse = nullptr;
    BOOST_TEST((get_error<list_item>(whole, find_atom_v, std::string("key")).code == errc::key_not_found));
    BOOST_TEST(is_blank(0) == !fails);
    BOOST_TEST(is_blank(1) == !fails);
  }
}

BOOST_AUTO_TEST_CASE(purge_blanks_what_free_pads_hold) {
  auto whole = spawn_small_store();
  get<put_result>(whole, put_atom_v, put_of("key", "a value of several chunks"));
  get<put_result>(whole, put_atom_v, put_of("key", "another one, longer than the first"));  // in other pads
  BOOST_TEST(!parse_header(engine->get(data_pad(0)).value())->blank);
  BOOST_TEST(get<purge_result>(whole, purge_atom_v, purge_request{}).wiped >= 2u);
  BOOST_TEST(parse_header(engine->get(data_pad(0)).value())->blank);
  BOOST_TEST(get<purge_result>(whole, purge_atom_v, purge_request{}).wiped == 0u);
}

BOOST_AUTO_TEST_CASE(a_put_that_finds_no_room_blanks_free_pads_and_tries_again) {
  auto whole = spawn_small_store();
  get<put_result>(whole, put_atom_v, put_of("key", "a value of several chunks"));
  get<put_result>(whole, put_atom_v, put_of("key", "another one, longer than the first"));
  auto holds_payload = [&](std::uint64_t pad) { return !parse_header(engine->get(data_pad(pad)).value())->blank; };
  BOOST_REQUIRE((holds_payload(0) && holds_payload(1)));
  std::size_t refused = 0;
  door->refuse = [&](pad_op op, const pad_address& a) -> std::optional<error> {
    if (op != pad_op::put || a != data_pad(0) || !holds_payload(1))
      return std::nullopt;
    ++refused;
    return error{errc::store_full, "no room"};
  };
  get<put_result>(whole, put_atom_v, put_of("other", "0123456789"));  // one chunk
  BOOST_TEST(refused == 2u);  // as a small put, and by the operation that then makes room
  door->refuse = [&](pad_op op, const pad_address& a) -> std::optional<error> {
    return op == pad_op::put && is_data(a) ? std::optional(error{errc::store_full, "no room"}) : std::nullopt;
  };
  BOOST_TEST((get_error<put_result>(whole, put_atom_v, put_of("third", "0123456789")).code == errc::store_full));
}

// A request that is passed on keeps the index until it is answered.
BOOST_AUTO_TEST_CASE(a_store_that_is_let_go_of_answers_what_it_was_asked) {
  auto whole = spawn_small_store();
  get<put_result>(whole, put_atom_v, put_of("key", "a value of several chunks"));
  det.run_for(std::chrono::minutes(10));
  auto stats = ask<store_stats>(whole, stats_atom_v);
  auto reading = ask<get_result>(whole, get_atom_v, get_of("key"));
  auto removed = ask<done>(whole, remove_atom_v, remove_request{"key", std::nullopt, false});
  whole = nullptr;
  det.run_messages();
  BOOST_TEST(stats->value.has_value());
  BOOST_TEST(reading->value.has_value());
  BOOST_TEST(removed->value.has_value());
}

// The operations, which the index keeps, do not keep the index.
BOOST_AUTO_TEST_CASE(a_store_that_nobody_holds_ends) {
  const auto before = running();
  {
    auto whole = spawn_small_store();
    get<put_result>(whole, put_atom_v, put_of("key", "a value of several chunks"));
    BOOST_TEST(running() > before);
  }
  det.run_for(std::chrono::minutes(10));   // timers hold who set them
  BOOST_TEST(running() == before);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
