#include "actors/pads/pad_worker.hpp"

#include "core/store_claim.hpp"
#include "tests/actors/fixture.hpp"

namespace mutant::testing {

namespace {

struct worker_fixture : fixture {
  worker_fixture() {
    options.store = store;
    options.timeout = std::chrono::seconds(1);
    options.tries = 4;
    options.first_pause = std::chrono::milliseconds(100);
    options.max_pause = std::chrono::milliseconds(1000);
    options.seed = 5;
  }
  pad_store_actor make() { return caf::actor_cast<pad_store_actor>(det.system().spawn(pad_worker, options)); }
  // The first `times` puts are answered with this.
  void refuse_first(std::uint64_t times, errc code) {
    door->refuse = [this, times, code](pad_op, const pad_address&) -> std::optional<error> {
      if (tried++ < times)
        return error{code, "refused"};
      return std::nullopt;
    };
  }
  bytes record(std::uint64_t number, std::uint64_t counter, std::string_view text) const {
    return seal_private(keys->data(number), counter, as_byte_view(text));
  }

  pad_worker_options options;
  std::uint64_t tried = 0;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(pad_worker_tests, worker_fixture)

BOOST_AUTO_TEST_CASE(a_passing_fault_is_tried_again_until_it_passes) {
  for (auto code : {errc::overloaded, errc::timeout, errc::unreachable}) {
    tried = 0;
    refuse_first(3, code);
    get<done>(make(), put_atom_v, record(tried + static_cast<std::uint64_t>(code), 1, "x"));
    BOOST_TEST(tried == 4u);
  }
}

BOOST_AUTO_TEST_CASE(it_gives_up_after_so_many_tries) {
  refuse_first(1000, errc::overloaded);
  BOOST_TEST((get_error<done>(make(), put_atom_v, record(1, 1, "x")).code == errc::overloaded));
  BOOST_TEST(tried == 4u);
}

BOOST_AUTO_TEST_CASE(refusals_are_passed_on_at_once) {
  for (auto code : {errc::pad_conflict, errc::stale_counter, errc::store_full, errc::io_error, errc::corrupt_record}) {
    tried = 0;
    refuse_first(1000, code);
    BOOST_TEST((get_error<done>(make(), put_atom_v, record(1, 1, "x")).code == code));
    BOOST_TEST(tried == 1u);
  }
}

BOOST_AUTO_TEST_CASE(pauses_grow_up_to_the_longest) {
  pad_worker_state s;
  s.options = options;
  for (unsigned failed = 1; failed < 12; ++failed) {
    const auto full = std::min<std::int64_t>(100ll << (failed - 1), 1000);
    for (int i = 0; i < 50; ++i) {
      const auto pause = s.pause_after(failed).count();
      BOOST_TEST(pause >= full / 2);
      BOOST_TEST(pause <= full);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_write_whose_answer_was_lost_is_acknowledged_by_the_retry) {
  bool first = true;
  door->lose_answer = [&](pad_op, const pad_address&) { return std::exchange(first, false); };
  get<done>(make(), put_atom_v, record(1, 1, "x"));
  BOOST_TEST(door->counts[pad_op::put] == 2u);
}

// Whether the first try arrived, no later refusal can tell.
BOOST_AUTO_TEST_CASE(a_refusal_after_an_unanswered_write_leaves_it_in_doubt) {
  for (auto code : {errc::overloaded, errc::store_full, errc::io_error}) {
    tried = 0;
    door->refuse = [this, code](pad_op, const pad_address&) -> std::optional<error> {
      if (tried++ == 0)
        return error{errc::timeout, "no answer"};
      return error{code, "refused"};
    };
    BOOST_TEST((get_error<done>(make(), put_atom_v, record(1, 1, "x")).code == errc::timeout));
  }
}

BOOST_AUTO_TEST_CASE(a_higher_counter_after_an_unanswered_write_leaves_it_in_doubt_and_tells_the_counter) {
  auto worker = make();
  auto first = record(1, 1, "ours");
  bool lost = false;
  door->lose_answer = [&](pad_op, const pad_address&) {
    if (std::exchange(lost, true))
      return false;
    // Ours arrived, and another writer has built on it before we ask again.
    BOOST_REQUIRE(engine->put(record(1, 2, "theirs")) && engine->commit());
    return true;
  };
  auto e = get_error<done>(worker, put_atom_v, first);
  BOOST_TEST((e.code == errc::timeout));
  BOOST_TEST(e.detail == 2u);
}

BOOST_AUTO_TEST_CASE(other_content_under_the_same_counter_settles_an_unanswered_write) {
  tried = 0;
  BOOST_REQUIRE(engine->put(record(1, 1, "theirs")) && engine->commit());
  refuse_first(1, errc::timeout);
  BOOST_TEST((get_error<done>(make(), put_atom_v, record(1, 1, "ours")).code == errc::pad_conflict));
}

// Whatever store is behind it: this is the one place that all answers pass.
BOOST_AUTO_TEST_CASE(a_store_can_say_nothing_but_what_a_store_has_to_say_and_its_words_are_shown_as_words) {
  options.tries = 1;
  for (unsigned number = 1; number <= last_errc; ++number) {
    const auto code = static_cast<errc>(number);
    door->refuse = [code](pad_op, const pad_address&) { return error{code, "\x1b]0;owned\x07 $ sudo", 5}; };
    const auto worker = make();
    for (const auto& e : {get_error<bytes>(worker, get_atom_v, pad_query{data_pad(number)}),
                          get_error<done>(worker, put_atom_v, record(number, 1, "x"))}) {
      BOOST_TEST((e.code == (is_store_code(code) ? code : errc::io_error)), name_of(code));
      BOOST_TEST(e.message.find('\x1b') == std::string::npos);
      BOOST_TEST(e.message.find("\\033]0;owned\\007 $ sudo") != std::string::npos, e.message);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_store_that_is_gone_is_unreachable) {
  auto worker = make();
  caf::anon_send_exit(store, caf::exit_reason::kill);
  det.run_messages();
  BOOST_TEST((get_error<bytes>(worker, get_atom_v, pad_query{data_pad(1)}).code == errc::unreachable));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
