// Puts of one small pad each, many at a time: they share look-ups, sealing and commits, and each has its own outcome.
#include "tests/actors/fixture.hpp"

namespace mutant::testing {

namespace {

struct small_puts_fixture : fixture {
  small_puts_fixture() : whole(spawn_small_store()) {
    get<put_result>(whole, put_atom_v, put_of("first", "1"));  // the root is there, and the first commit
    before = stats();
    door->counts.clear();
  }

  static std::string name(std::size_t i) { return "key " + std::to_string(i); }
  static std::string value(std::size_t i) { return "value " + std::to_string(1000 + i); }   // 10 bytes: one chunk

  std::string value_of_key(std::string key) {
    return std::string(as_text(get<get_result>(whole, get_atom_v, get_of(std::move(key))).value));
  }
  index_stats stats() { return get<store_stats>(whole, stats_atom_v).index; }
  // Pads that are stored and that no value names.
  std::uint64_t leaked() {
    purge_request look;
    look.dry_run = true;
    return get<purge_result>(whole, purge_atom_v, look).leaked_pads;
  }
  void refuse_data(error with) {
    door->refuse = [this, with](pad_op op, const pad_address& a) {
      return op == pad_op::put && is_data(a) ? std::optional(with) : std::nullopt;
    };
  }

  store_actor whole;
  index_stats before;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(small_puts_tests, small_puts_fixture)

BOOST_AUTO_TEST_CASE(what_comes_together_shares_commits_and_everything_comes_back) {
  std::vector<answer_ptr<put_result>> answers;
  for (std::size_t i = 0; i < 50; ++i)
    answers.push_back(ask<put_result>(whole, put_atom_v, put_of(name(i), value(i))));
  det.run_until([&] { return std::ranges::none_of(answers, [](const auto& a) { return a->pending(); }); });
  for (const auto& a : answers) {
    BOOST_REQUIRE(a->value.has_value());
    BOOST_TEST(a->value->size == 10u);
    BOOST_TEST(a->value->chunks_written == 1u);
    BOOST_TEST(a->value->bytes_written == 10u);
    BOOST_TEST(a->value->version > before.sequence);
  }
  const auto now = stats();
  BOOST_TEST(now.commit_requests - before.commit_requests == 50u);
  BOOST_TEST(now.commits - before.commits <= 3u);
  for (std::size_t i = 0; i < 50; ++i)
    BOOST_TEST(value_of_key(name(i)) == value(i));
  BOOST_TEST(leaked() == 0u);
}

BOOST_AUTO_TEST_CASE(the_same_value_again_writes_nothing_and_another_frees_the_pad) {
  get<put_result>(whole, put_atom_v, put_of("key", value(1)));
  door->counts.clear();
  const auto same = get<put_result>(whole, put_atom_v, put_of("key", value(1)));
  BOOST_TEST(same.chunks_kept == 1u);
  BOOST_TEST(same.bytes_kept == 10u);
  BOOST_TEST(same.chunks_written == 0u);
  BOOST_TEST(door->counts[pad_op::put] == 1u);  // the commit
  for (std::size_t i = 2; i < 9; ++i)
    BOOST_TEST(get<put_result>(whole, put_atom_v, put_of("key", value(i))).chunks_written == 1u);
  BOOST_TEST(value_of_key("key") == value(8));
  BOOST_TEST(stats().totals.pads_free <= 2u);  // they take turns, one is in use
}

BOOST_AUTO_TEST_CASE(many_puts_of_one_key_end_with_one_of_them_whole) {
  get<put_result>(whole, put_atom_v, put_of("key", value(0)));
  std::vector<answer_ptr<put_result>> answers;
  for (std::size_t i = 0; i < 12; ++i)
    answers.push_back(ask<put_result>(whole, put_atom_v, put_of("key", value(i % 3))));
  det.run_until([&] { return std::ranges::none_of(answers, [](const auto& a) { return a->pending(); }); });
  for (const auto& a : answers)
    BOOST_REQUIRE_MESSAGE(a->value, to_string(a->failure.value_or(error{})));
  const auto left = value_of_key("key");
  BOOST_TEST((left == value(0) || left == value(1) || left == value(2)));
  BOOST_TEST(leaked() == 0u);
}

BOOST_AUTO_TEST_CASE(a_condition_that_does_not_hold_is_told_before_anything_is_written) {
  const auto version = get<put_result>(whole, put_atom_v, put_of("key", value(1), 0)).version;
  door->counts.clear();
  BOOST_TEST((get_error<put_result>(whole, put_atom_v, put_of("key", value(2), 0)).code == errc::key_exists));
  BOOST_TEST((get_error<put_result>(whole, put_atom_v, put_of("key", value(2), version + 9)).code == errc::version_mismatch));
  BOOST_TEST((get_error<put_result>(whole, put_atom_v, put_of("none", value(2), 5)).code == errc::version_mismatch));
  BOOST_TEST(door->counts[pad_op::put] == 0u);
  BOOST_TEST(value_of_key("key") == value(1));
  get<put_result>(whole, put_atom_v, put_of("key", value(2), version));
  BOOST_TEST(value_of_key("key") == value(2));
}

BOOST_AUTO_TEST_CASE(of_two_that_want_one_version_one_gets_it) {
  const auto version = get<put_result>(whole, put_atom_v, put_of("key", value(1))).version;
  auto a = ask<put_result>(whole, put_atom_v, put_of("key", value(2), version));
  auto b = ask<put_result>(whole, put_atom_v, put_of("key", value(3), version));
  det.run_until([&] { return !a->pending() && !b->pending(); });
  BOOST_TEST((a->value.has_value() != b->value.has_value()));
  BOOST_TEST(((a->value ? b : a)->code() == errc::version_mismatch));
  BOOST_TEST(value_of_key("key") == value(a->value ? 2 : 3));
  // The pad that was written in vain is the next one to be used.
  get<put_result>(whole, put_atom_v, put_of("next", value(4)));
  BOOST_TEST(leaked() == 0u);
}

BOOST_AUTO_TEST_CASE(a_pad_of_another_writer_is_left_to_it_and_the_value_goes_elsewhere) {
  // Two stores that know nothing of each other's reservations write to the same pads.
  const auto other = spawn_small_store();
  get<put_result>(other, put_atom_v, put_of("second", "2"));
  door->hold = [this](pad_op op, const pad_address& a) { return op == pad_op::put && is_data(a); };
  std::vector<answer_ptr<put_result>> answers;
  for (std::size_t i = 0; i < 10; ++i)
    answers.push_back(ask<put_result>(i % 2 == 0 ? whole : other, put_atom_v, put_of(name(i), value(i))));
  det.run_messages();
  while (std::ranges::any_of(answers, [](const auto& a) { return a->pending(); })) {
    BOOST_REQUIRE(!door->held.empty());
    door->release_all();
    det.run_messages();
  }
  door->hold = nullptr;
  get<sync_report>(whole, sync_atom_v);
  for (std::size_t i = 0; i < 10; ++i) {
    BOOST_TEST(answers[i]->value.has_value());
    BOOST_TEST(value_of_key(name(i)) == value(i));
  }
  BOOST_TEST(leaked() == 0u);
}

BOOST_AUTO_TEST_CASE(one_that_the_store_keeps_waiting_holds_up_no_other) {
  bool first = true;
  door->hold = [&](pad_op op, const pad_address& a) { return op == pad_op::put && is_data(a) && std::exchange(first, false); };
  std::vector<answer_ptr<put_result>> answers;
  for (std::size_t i = 0; i < 10; ++i)
    answers.push_back(ask<put_result>(whole, put_atom_v, put_of(name(i), value(i))));
  det.run_messages();
  BOOST_TEST(std::ranges::count_if(answers, [](const auto& a) { return a->pending(); }) == 1);
  door->release_all();
  det.run_messages();
  BOOST_TEST(std::ranges::all_of(answers, [](const auto& a) { return a->value.has_value(); }));
}

BOOST_AUTO_TEST_CASE(puts_that_can_be_cancelled_need_no_actor_each) {
  door->hold = [this](pad_op op, const pad_address& a) { return op == pad_op::put && is_data(a); };
  std::vector<answer_ptr<put_result>> answers;
  for (std::size_t i = 0; i < 10; ++i) {
    auto request = put_of(name(i), value(i));
    request.options.cancellation_id = 7;
    answers.push_back(ask<put_result>(whole, put_atom_v, request));
  }
  const auto actors = det.system().registry().running();
  det.run_messages();
  BOOST_TEST(door->held.size() == 10u);
  BOOST_TEST(det.system().registry().running() == actors);
  door->hold = nullptr;
  door->release_all();
  det.run_messages();
  BOOST_TEST(std::ranges::all_of(answers, [](const auto& a) { return a->value.has_value(); }));
}

// Whatever step they are in: those with the ticket are answered at once, store nothing and leave no pad behind.
BOOST_AUTO_TEST_CASE(a_cancelled_put_ends_at_once_and_leaves_nothing) {
  get<put_result>(whole, put_atom_v, put_of(name(0), "old"));
  for (std::size_t steps = 0;; ++steps) {
    auto request = put_of(name(0), value(steps));
    request.options.cancellation_id = 7;
    const auto cancelled = ask<put_result>(whole, put_atom_v, request);
    const auto other = ask<put_result>(whole, put_atom_v, put_of(name(1), value(steps)));
    det.run_messages(steps);
    const auto over = !cancelled->pending();
    caf::anon_send(whole, cancel_atom_v, std::uint64_t{7});
    det.run_messages();
    BOOST_TEST_CONTEXT("cancelled after " << steps << " messages") {
      BOOST_REQUIRE(!cancelled->pending() && !other->pending());
      BOOST_TEST(other->value.has_value());
      BOOST_TEST((cancelled->value || cancelled->code() == errc::cancelled));
      BOOST_TEST(value_of_key(name(0)) == (cancelled->value ? value(steps) : std::string("old")));
      BOOST_TEST(leaked() == 0u);
      if (cancelled->value)
        get<put_result>(whole, put_atom_v, put_of(name(0), "old"));
    }
    if (over)
      break;
    BOOST_REQUIRE(steps < 1000u);
  }
}

BOOST_AUTO_TEST_CASE(a_full_store_is_told_and_nothing_changes) {
  get<put_result>(whole, put_atom_v, put_of("key", value(1)));
  refuse_data({errc::store_full, "full"});
  BOOST_TEST((get_error<put_result>(whole, put_atom_v, put_of("key", value(2))).code == errc::store_full));
  door->refuse = nullptr;
  BOOST_TEST(value_of_key("key") == value(1));
  get<put_result>(whole, put_atom_v, put_of("key", value(2)));
  BOOST_TEST(value_of_key("key") == value(2));
  BOOST_TEST(leaked() == 0u);
}

BOOST_AUTO_TEST_CASE(a_key_with_an_unfinished_upload_gets_its_value_and_keeps_the_upload) {
  door->hold = [this, written = 0](pad_op op, const pad_address& a) mutable {
    return op == pad_op::put && is_data(a) && ++written > 20;
  };
  caf::actor asker;
  auto cut_off = ask_as<put_result>(&asker, whole, put_atom_v, put_of("key", std::string(400, 'x')));
  det.run_messages();
  caf::anon_send_exit(asker, caf::exit_reason::kill);
  asker = nullptr;
  door->hold = nullptr;
  door->release_all();
  det.run_messages();
  const auto progress = [this] { return get<list_item>(whole, find_atom_v, std::string("key")).pending_done; };
  const auto stored = progress();
  BOOST_TEST(stored > 0u);
  get<put_result>(whole, put_atom_v, put_of("key", value(1)));
  BOOST_TEST(value_of_key("key") == value(1));
  BOOST_TEST(progress() == stored);
}

BOOST_AUTO_TEST_CASE(those_that_run_are_told_when_the_store_ends_and_whether_they_may_be_stored) {
  door->hold = [](pad_op op, const pad_address&) { return op == pad_op::put; };
  auto writing = ask<put_result>(whole, put_atom_v, put_of("key", value(1)));
  det.run_messages();
  door->hold = [this](pad_op op, const pad_address& a) { return op == pad_op::put && !is_data(a); };
  auto committing = ask<put_result>(whole, put_atom_v, put_of("other", value(2)));
  det.run_messages();
  BOOST_REQUIRE((writing->pending() && committing->pending()));
  caf::anon_send_exit(whole, caf::exit_reason::user_shutdown);
  det.run_messages();
  BOOST_TEST((writing->code() == errc::unreachable));
  BOOST_TEST((committing->code() == errc::timeout));
}

BOOST_AUTO_TEST_CASE(more_than_there_is_room_for_are_overloaded) {
  auto config = small_store();
  config.max_operations = 4;
  const auto narrow = *spawn_store(det.system(), config);
  door->hold = [this](pad_op op, const pad_address& a) { return op == pad_op::put && is_data(a); };
  std::vector<answer_ptr<put_result>> answers;
  for (std::size_t i = 0; i < 6; ++i)
    answers.push_back(ask<put_result>(narrow, put_atom_v, put_of(name(i), value(i))));
  det.run_messages();
  BOOST_TEST(std::ranges::count_if(answers, [](const auto& a) { return a->code() == errc::overloaded; }) == 2);
  door->release_all();
  det.run_messages();
  BOOST_TEST(std::ranges::count_if(answers, [](const auto& a) { return a->value.has_value(); }) == 4);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
