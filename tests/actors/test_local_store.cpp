#include "actors/local_store.hpp"

#include "tests/actors/fixture.hpp"

namespace mutant::testing {

namespace {

// Counts commits, and fails them when told to.
class counting_engine final : public pad_engine {
 public:
  result<void> put(const bytes& record) override { return inner->put(record); }
  result<void> erase(const bytes& blank) override { return inner->erase(blank); }
  result<void> commit() override {
    ++commits;
    auto stored = inner->commit();
    if (fail_commits)
      return fail(errc::io_error, "the disk failed");
    return stored;
  }
  result<bytes> get(const pad_address& address) override { return inner->get(address); }
  result<bytes> head(const pad_address& address) override { return inner->head(address); }
  result<engine_stats> stats() override { return inner->stats(); }

  std::unique_ptr<pad_engine> inner = make_memory_engine(1u << 20);
  unsigned commits = 0;
  bool fail_commits = false;
};

struct local_fixture : fixture {
  explicit local_fixture() { spawn(); }
  void spawn() {
    local_store_options o;
    o.engine = counting;
    o.detached = false;
    o.max_batch_bytes = 10'000;
    local = det.system().spawn(local_store, o);
    det.run_messages();
  }
  bytes record(std::uint64_t number, std::uint64_t counter, std::string_view text = "x") const {
    return seal_private(keys->data(number), counter, as_byte_view(text));
  }
  answer_ptr<done> ask_put(std::uint64_t number, std::uint64_t counter, std::string_view text = "x") {
    return ask<done>(local, put_atom_v, record(number, counter, text));
  }

  std::shared_ptr<counting_engine> counting = std::make_shared<counting_engine>();
  pad_store_actor local;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(local_store_tests, local_fixture)

BOOST_AUTO_TEST_CASE(puts_that_wait_together_share_one_commit) {
  std::vector<answer_ptr<done>> answers;
  for (std::uint64_t i = 0; i < 20; ++i)
    answers.push_back(ask_put(i, 1));
  det.run_messages();
  for (const auto& a : answers)
    BOOST_TEST(a->value.has_value());
  BOOST_TEST(counting->commits < 20u);
  BOOST_TEST(counting->commits >= 1u);
}

BOOST_AUTO_TEST_CASE(a_put_is_answered_only_after_its_commit) {
  auto a = ask_put(1, 1);
  while (det.scheduler().has_job()) {
    det.step();
    if (a->value)
      break;
    BOOST_TEST((counting->commits == 0u || !a->value));
  }
  BOOST_TEST(a->value.has_value());
  BOOST_TEST(counting->commits == 1u);
  BOOST_TEST(counting->get(data_pad(1)).has_value());
}

BOOST_AUTO_TEST_CASE(a_batch_that_grows_large_is_committed_early) {
  const std::string large(6'000, 'x');
  std::vector<answer_ptr<done>> answers;
  for (std::uint64_t i = 0; i < 6; ++i)
    answers.push_back(ask_put(i, 1, large));
  det.run_messages();
  for (const auto& a : answers)
    BOOST_TEST(a->value.has_value());
  BOOST_TEST(counting->commits >= 3u);
}

BOOST_AUTO_TEST_CASE(a_refused_put_does_not_hold_up_the_others) {
  auto first = ask_put(1, 5);
  det.run_messages();
  auto stale = ask_put(1, 4);
  auto conflict = ask_put(1, 5, "other");
  auto again = ask<done>(local, put_atom_v, counting->get(data_pad(1)).value());
  auto good = ask_put(2, 1);
  det.run_messages();
  BOOST_TEST((stale->code() == errc::stale_counter));
  BOOST_TEST(stale->failure->detail == 5u);
  BOOST_TEST((conflict->code() == errc::pad_conflict));
  BOOST_TEST(again->value.has_value());
  BOOST_TEST(good->value.has_value());
}

BOOST_AUTO_TEST_CASE(a_failed_commit_is_told_to_everyone_in_the_batch) {
  counting->fail_commits = true;
  std::vector<answer_ptr<done>> answers;
  for (std::uint64_t i = 0; i < 3; ++i)
    answers.push_back(ask_put(i, 1));
  det.run_messages();
  for (const auto& a : answers)
    BOOST_TEST((a->code() == errc::io_error));
}

BOOST_AUTO_TEST_CASE(what_was_taken_is_committed_when_the_store_ends) {
  auto a = ask_put(1, 1);
  // Up to the put itself; the writer's own commit message is still to come.
  while (counting->inner->stats()->pads == 0 && det.scheduler().has_job() && counting->commits == 0) {
    if (!counting->inner->put(record(1, 1, "probe")).has_value())
      break;  // the batch holds it
    BOOST_REQUIRE(counting->inner->commit().has_value());
    break;
  }
  caf::anon_send_exit(local, caf::exit_reason::user_shutdown);
  det.run_messages();
  BOOST_TEST(!a->pending());
}

BOOST_AUTO_TEST_CASE(reads_see_what_was_answered) {
  ask_put(1, 1, "old");
  det.run_messages();
  auto read = get<bytes>(local, get_atom_v, pad_query{data_pad(1)});
  BOOST_TEST(read.size() > record_header_bytes);
  BOOST_TEST(get<bytes>(local, head_atom_v, pad_query{data_pad(1)}).size() == record_header_bytes);
  BOOST_TEST((get_error<bytes>(local, get_atom_v, pad_query{data_pad(2)}).code == errc::pad_not_found));
  BOOST_TEST(get<pad_store_stats>(local, stats_atom_v).pads == 1u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
