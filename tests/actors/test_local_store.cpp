#include "actors/pads/local_store.hpp"
#include "core/engine/write_rule.hpp"

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

// Refuses the records of one pad, and knows nothing of broken batches.
class refusing_engine final : public pad_engine {
 public:
  result<void> put(const bytes& record) override {
    return parse_header(record)->address == refused ? fail(with) : inner->put(record);
  }
  result<void> erase(const bytes& blank) override { return inner->erase(blank); }
  result<void> commit() override { return inner->commit(); }
  result<bytes> get(const pad_address& address) override { return inner->get(address); }
  result<bytes> head(const pad_address& address) override { return inner->head(address); }
  result<engine_stats> stats() override { return inner->stats(); }

  std::unique_ptr<pad_engine> inner = make_memory_engine(1u << 20);
  pad_address refused{};
  error with{errc::io_error, ""};
};

// Holds a batch back until its commit, as an engine on a disk does. The first commits fail with these errors; a record that is
// larger than `room` breaks its batch.
class batching_engine final : public pad_engine {
 public:
  result<void> put(const bytes& record) override {
    if (record.size() > room) {
      batch.clear();
      broken = error{errc::store_full, "no room for that"};
      return fail(*broken);
    }
    const auto header = parse_record(record);
    auto stored = get(header->address);
    for (const auto& earlier : batch)
      if (parse_record(earlier)->address == header->address)
        stored = earlier;
    if (stored) {
      const auto verdict = check_write(*parse_record(*stored), header->counter, [&] { return *stored == record; });
      if (!verdict)
        return fail(verdict.error());
    }
    batch.push_back(record);
    return {};
  }
  // The first of these gives up the reserve.
  result<void> put_making_room(const bytes& record) override {
    if (!reserve)
      return put(record);
    reserve = false;
    batch.clear();
    broken = error{errc::store_full, "no room for that"};
    return fail(*broken);
  }
  result<void> erase(const bytes&) override { return fail(errc::unsupported, "not for this test"); }
  result<void> tidy() override {
    ++tidied;
    return tidy_failure ? fail(*tidy_failure) : result<void>();
  }
  result<void> commit() override {
    auto writes = std::exchange(batch, {});
    if (auto why = std::exchange(broken, {}))
      return fail(*why);
    if (!failures.empty()) {
      auto why = failures.front();
      failures.erase(failures.begin());
      return fail(why);
    }
    for (const auto& record : writes)
      if (auto put = inner->put(record); !put)
        return put;
    return inner->commit();
  }
  result<bytes> get(const pad_address& address) override { return inner->get(address); }
  result<bytes> head(const pad_address& address) override { return inner->head(address); }
  result<engine_stats> stats() override { return inner->stats(); }

  std::unique_ptr<pad_engine> inner = make_memory_engine(1u << 20);
  std::vector<bytes> batch;
  std::vector<error> failures;
  std::optional<error> broken;
  std::size_t room = max_record_bytes;
  bool reserve = false;
  unsigned tidied = 0;
  std::optional<error> tidy_failure;
};

struct local_fixture : fixture {
  explicit local_fixture() { spawn(counting); }
  void spawn(std::shared_ptr<pad_engine> disk) {
    local_store_options o;
    o.engine = std::move(disk);
    o.detached = false;
    o.max_batch_bytes = 10'000;
    o.log = [this](log_level level, const std::string& what, const log_fields&) {
      logged.push_back((level == log_level::error ? "error: " : "info: ") + what);
    };
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
  std::vector<std::string> logged;
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

BOOST_AUTO_TEST_CASE(a_refusal_is_told_only_when_what_it_rests_on_is_durable) {
  auto disk = std::make_shared<batching_engine>();
  spawn(disk);
  auto first = ask_put(1, 5, "first");
  auto other = ask_put(1, 5, "other");
  auto lower = ask_put(1, 4);
  while (det.scheduler().has_job()) {
    det.step();
    if (disk->inner->stats()->pads == 0)
      BOOST_TEST((first->pending() && other->pending() && lower->pending()));
  }
  BOOST_TEST(first->value.has_value());
  BOOST_TEST((other->code() == errc::pad_conflict));
  BOOST_TEST((lower->code() == errc::stale_counter));
}

BOOST_AUTO_TEST_CASE(what_a_failed_batch_refused_is_judged_by_what_is_stored) {
  auto disk = std::make_shared<batching_engine>();
  disk->failures = {{errc::io_error, "the disk failed"}};
  spawn(disk);
  auto first = ask_put(1, 5, "first");
  auto other = ask_put(1, 5, "other");
  auto lower = ask_put(1, 4);
  det.run_messages();
  BOOST_TEST((first->code() == errc::io_error));
  BOOST_TEST(other->value.has_value());
  BOOST_TEST((lower->code() == errc::stale_counter));
  BOOST_TEST(parse_record(disk->get(data_pad(1)).value())->counter == 5u);
}

BOOST_AUTO_TEST_CASE(a_write_without_room_keeps_no_other_out) {
  auto disk = std::make_shared<batching_engine>();
  disk->room = 1000;
  spawn(disk);
  auto small = ask_put(1, 1);
  auto large = ask_put(2, 1, std::string(2000, 'x'));
  auto behind = ask_put(3, 1);
  det.run_messages();
  BOOST_TEST(small->value.has_value());
  BOOST_TEST((large->code() == errc::store_full));
  BOOST_TEST(behind->value.has_value());
  disk->failures = {{errc::store_full, "the disk is full"}};
  std::vector<answer_ptr<done>> answers{ask_put(4, 1), ask_put(5, 1)};
  det.run_messages();
  for (const auto& a : answers)
    BOOST_TEST(a->value.has_value());
}

// Whatever the engine makes of the batch afterwards.
BOOST_AUTO_TEST_CASE(a_write_that_the_engine_refused_is_never_answered_as_done) {
  for (const auto code : {errc::store_full, errc::io_error, errc::pad_conflict, errc::stale_counter, errc::corrupt_record,
                          errc::store_damaged, errc::invalid_argument})
    for (const auto beside : {false, true}) {
      auto disk = std::make_shared<refusing_engine>();
      disk->refused = keys->data(2).address;
      disk->with = {code, "not that one"};
      spawn(disk);
      auto other = beside ? ask_put(1, 1) : nullptr;
      auto refused = ask_put(2, 1);
      det.run_messages();
      BOOST_TEST((refused->code() == code), name_of(code));
      BOOST_TEST((!other || other->value.has_value()));
    }
}

BOOST_AUTO_TEST_CASE(what_makes_room_is_tried_again_with_the_reserve) {
  auto disk = std::make_shared<batching_engine>();
  disk->reserve = true;
  spawn(disk);
  auto alone = ask<done>(local, put_atom_v, room_atom_v, record(1, 1));
  det.run_messages();
  BOOST_TEST(alone->value.has_value());
  disk->reserve = true;
  auto beside = ask_put(2, 1);
  auto removal = ask<done>(local, put_atom_v, room_atom_v, record(3, 1));
  det.run_messages();
  BOOST_TEST(beside->value.has_value());
  BOOST_TEST(removal->value.has_value());
}

BOOST_AUTO_TEST_CASE(a_blank_record_is_answered_when_what_it_replaced_is_wiped) {
  auto disk = std::make_shared<batching_engine>();
  spawn(disk);
  disk->tidy_failure = error{errc::io_error, "could not be wiped"};
  auto put = ask_put(1, 1);
  auto blank = ask<done>(local, put_atom_v, seal_blank(keys->data(2), 1));
  det.run_messages();
  BOOST_TEST(put->value.has_value());
  BOOST_TEST((blank->code() == errc::io_error));
  disk->tidy_failure.reset();
  blank = ask<done>(local, put_atom_v, seal_blank(keys->data(2), 2));
  det.run_messages();
  BOOST_TEST(blank->value.has_value());
}

BOOST_AUTO_TEST_CASE(the_engine_is_tidied_at_first_when_there_is_nothing_to_do_and_at_last) {
  auto disk = std::make_shared<batching_engine>();
  spawn(disk);
  BOOST_TEST(disk->tidied == 1u);
  for (std::uint64_t i = 0; i < 20; ++i) {
    ask_put(i, 1);
    det.run_for(std::chrono::milliseconds(100));
  }
  BOOST_TEST(disk->tidied == 1u);
  det.run_for(std::chrono::seconds(10));
  BOOST_TEST(disk->tidied == 2u);
  caf::anon_send_exit(local, caf::exit_reason::user_shutdown);
  det.run_messages();
  BOOST_TEST(disk->tidied == 3u);
}

BOOST_AUTO_TEST_CASE(trouble_is_logged_once_and_so_is_its_end) {
  auto disk = std::make_shared<batching_engine>();
  disk->failures = {{errc::io_error, "the disk failed"}, {errc::io_error, "the disk failed"}, {errc::io_error, "otherwise"}};
  spawn(disk);
  for (std::uint64_t i = 0; i < 6; ++i) {
    ask_put(i, 1);
    det.run_messages();
  }
  BOOST_TEST(logged == (std::vector<std::string>{"error: the store failed", "error: the store failed",
                                                 "info: the store takes writes again"}), boost::test_tools::per_element());
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
