// The embedded store when single system calls fail: every one of them, one after the other.
#include <cerrno>
#include <map>

#include "tests/core/io_faults.hpp"
#include "tests/core/test_engine_segment_support.hpp"

namespace {

using namespace mutant;
using namespace mutant::engine_test;

// The counter of each pad, as the store has it.
using pads = std::map<std::uint64_t, std::uint64_t>;

constexpr std::size_t size_of(std::uint64_t pad) { return pad % 3 == 0 ? 70'000 : pad % 3 == 1 ? 5'000 : 300; }

// Puts a few pads of all kinds at these counters, blanks one and commits.
result<void> change(pad_engine& engine, std::uint64_t counter) {
  for (std::uint64_t pad = 0; pad < 6; ++pad)
    if (auto put = engine.put(make_record(pad, counter, size_of(pad))); !put) {
      static_cast<void>(engine.commit());
      return put;
    }
  if (auto blank = engine.put(make_blank(0, counter + 1)); !blank) {
    static_cast<void>(engine.commit());
    return blank;
  }
  return engine.commit();
}

bool is_there(pad_engine& engine, std::uint64_t counter) {
  for (std::uint64_t pad = 1; pad < 6; ++pad)
    if (!holds(engine, make_record(pad, counter, size_of(pad))))
      return false;
  return holds(engine, make_blank(0, counter + 1));
}

BOOST_AUTO_TEST_SUITE(engine_io_faults)

BOOST_AUTO_TEST_CASE(a_batch_in_which_any_call_fails_is_there_or_not_and_the_store_goes_on) {
  for (auto number : {EIO, ENOSPC}) {
    std::uint64_t refused = 0, calls = 0;
    for (auto happened = true; happened; ++calls) {
      const auto nth = calls + 1;
      BOOST_TEST_CONTEXT("call " << nth << " fails with " << number) {
        temporary_directory temporary;
        auto engine = open(temporary.file("store"));
        REQUIRE_OK(change(*engine, 1));
        result<void> outcome;
        {
          nth_call_fails fault(nth, number);
          outcome = change(*engine, 10);
          static_cast<void>(engine->tidy());
          happened = fault.made() >= nth;
        }
        refused += outcome ? 0 : 1;
        if (!outcome)
          BOOST_CHECK(outcome.error().code == errc::io_error || outcome.error().code == errc::store_full);
        // The same engine goes on.
        BOOST_CHECK(is_there(*engine, outcome || !is_there(*engine, 1) ? 10 : 1));
        BOOST_CHECK(outcome || outcome.error().code == errc::io_error || is_there(*engine, 1));
        REQUIRE_OK(change(*engine, 20));
        BOOST_CHECK(is_there(*engine, 20));
        REQUIRE_OK(engine->tidy());
        engine.reset();
        BOOST_CHECK_EQUAL(check_store(temporary.file("store")), "");
        BOOST_CHECK(is_there(*open(temporary.file("store")), 20));
      }
    }
    BOOST_CHECK_GT(calls, 8u);
    BOOST_CHECK_GT(refused, 3u);
  }
}

// A disk that is broken from some call on, until it is another's turn: queued writes, and those done again at once, fail alike.
BOOST_AUTO_TEST_CASE(a_batch_on_a_disk_that_fails_from_any_call_on_is_there_or_not_and_the_store_goes_on) {
  for (auto number : {EIO, ENOSPC}) {
    std::uint64_t refused = 0;
    for (std::uint64_t from = 1, made = from; made >= from; ++from) {
      BOOST_TEST_CONTEXT("from call " << from << " on all fail with " << number) {
        temporary_directory temporary;
        auto engine = open(temporary.file("store"));
        REQUIRE_OK(change(*engine, 1));
        made = 0;
        result<void> outcome;
        {
          io_faults fault([&](const io_event&) { return ++made >= from ? number : 0; });
          outcome = change(*engine, 10);
        }
        refused += outcome ? 0 : 1;
        BOOST_CHECK(outcome.has_value() == (made < from));
        BOOST_CHECK(outcome || outcome.error().code == errc::io_error || outcome.error().code == errc::store_full);
        BOOST_CHECK(is_there(*engine, 10) || (!outcome && is_there(*engine, 1)));
        REQUIRE_OK(change(*engine, 20));
        engine.reset();
        BOOST_CHECK_EQUAL(check_store(temporary.file("store")), "");
        BOOST_CHECK(is_there(*open(temporary.file("store")), 20));
      }
    }
    BOOST_CHECK_GT(refused, 8u);
  }
}

// The kernel reports it, and so does the engine's own attempt: nothing names that payload afterwards.
BOOST_AUTO_TEST_CASE(a_queued_write_that_fails_fails_its_batch) {
  temporary_directory temporary;
  auto engine = open(temporary.file("store"));
  put_and_commit(*engine, make_record(1, 1, 500'000));
  auto completed = 0;
  {
    io_faults fault([&](const io_event& event) {
      completed += event.call == io_call::completed ? 1 : 0;
      const auto again = completed != 0 && event.call == io_call::write && event.queued == 0;
      return event.call == io_call::completed || again ? EIO : 0;
    });
    for (std::uint64_t pad = 1; pad < 9; ++pad)  // more than are under way at once
      if (!engine->put(make_record(pad, 2, 500'000)))
        break;
    CHECK_FAILS(engine->commit(), errc::io_error);
  }
  BOOST_CHECK_GT(completed, 0);
  BOOST_CHECK(holds(*engine, make_record(1, 1, 500'000)));
  put_and_commit(*engine, make_record(1, 3, 500'000));
  engine.reset();
  BOOST_CHECK_EQUAL(check_store(temporary.file("store")), "");
}

// The write of the meta page, which LMDB takes back as well as it can: nothing is certain after it.
BOOST_AUTO_TEST_CASE(an_engine_goes_on_after_a_meta_page_that_could_not_be_written) {
  for (const auto also_taking_it_back : {false, true}) {
    temporary_directory temporary;
    auto engine = open(temporary.file("store")), reader = open(temporary.file("store"));
    put_and_commit(*engine, make_record(1, 1, 300));
    auto failed = 0;
    {
      io_faults fault([&](const io_event& event) {
        const auto meta = event.call == io_call::write && event.offset < 2 * 4096 && (also_taking_it_back || failed == 0);
        failed += meta ? 1 : 0;
        return meta ? EIO : 0;
      });
      REQUIRE_OK(engine->put(make_record(1, 2, 300)));
      CHECK_FAILS(engine->commit(), errc::io_error);
      BOOST_CHECK_EQUAL(failed, also_taking_it_back ? 2 : 1);
    }
    BOOST_CHECK(holds(*reader, make_record(1, 1, 300)) || holds(*reader, make_record(1, 2, 300)));
    put_and_commit(*engine, make_record(1, 3, 300));
    BOOST_CHECK(holds(*reader, make_record(1, 3, 300)));
    REQUIRE_OK(reader->stats());
    put_and_commit(*reader, make_record(2, 1, 300));
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
