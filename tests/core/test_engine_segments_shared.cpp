// Segment files under crashes, readers that look on while blocks are used again, and several writing processes.
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <map>
#include <random>
#include <thread>

#include "tests/core/test_engine_segment_support.hpp"

namespace {

using namespace mutant;
using namespace mutant::engine_test;
using namespace std::chrono_literals;

constexpr int scale = ENGINE_TEST_SANITIZED ? 1 : 2;

BOOST_AUTO_TEST_SUITE(engine_segments_shared)

// -- crashes -------------------------------------------------------------------------------------------------------------

struct acknowledged {
  std::uint64_t pad, counter;
};

constexpr std::uint64_t crash_pads = 40;

std::size_t size_of(std::uint64_t pad, std::uint64_t counter) {
  return 160 + (pad * 7'368'787 + counter * 2'038'074'743) % (pad % 4 == 0 ? 2'000'000 : 200'000);
}

// Writes for ever, and says what has been committed; counters go on from what is stored.
int write_until_killed(const lmdb_options& options, process_pipe& acks, std::uint64_t seed) {
  auto engine = open_lmdb_engine(options);
  if (!engine || !acks.send(acknowledged{}))  // from here on it may be killed
    return 1;
  std::mt19937_64 random(seed);
  for (;;) {
    std::map<std::uint64_t, std::uint64_t> batch;
    for (auto count = 1 + random() % 8; count > 0; --count) {
      auto pad = random() % crash_pads;
      auto head = (*engine)->head(address_of(pad));
      auto counter = std::max(batch[pad], head ? parse_header(*head)->counter : 0) + 1;
      if (!(*engine)->put(make_record(pad, counter, size_of(pad, counter))))
        return 2;
      batch[pad] = counter;
    }
    if (!(*engine)->commit())
      return 3;
    for (auto [pad, counter] : batch)
      if (!acks.send(acknowledged{pad, counter}))
        return 4;
    if (random() % 16 == 0 && !(*engine)->trim())
      return 5;
  }
}

BOOST_AUTO_TEST_CASE(what_was_acknowledged_before_a_kill_is_there_and_whole) {
  for_every_system([](const lmdb_options& options) {
    std::map<std::uint64_t, std::uint64_t> known;
    std::mt19937_64 random(7);
    for (std::uint64_t round = 0; round < 8 * scale; ++round) {
      process_pipe acks;
      auto child = start_child([&] { return write_until_killed(options, acks, round); });
      acks.done_sending();
      acknowledged ack{};
      BOOST_REQUIRE(acks.receive(ack));
      std::thread killer([&, after = std::chrono::microseconds(random() % 60'000)] {
        std::this_thread::sleep_for(after * (ENGINE_TEST_SANITIZED ? 5 : 1));
        ::kill(child, SIGKILL);
      });
      while (acks.receive(ack))
        known[ack.pad] = std::max(known[ack.pad], ack.counter);
      killer.join();
      BOOST_REQUIRE_EQUAL(wait_for(child), -SIGKILL);
      BOOST_REQUIRE_EQUAL(check_store(options.directory), "");
      auto engine = open(options);
      for (auto& [pad, counter] : known) {
        auto record = engine->get(address_of(pad));
        REQUIRE_OK(record);
        auto found = parse_record(*record)->counter;
        BOOST_REQUIRE_GE(found, counter);  // a commit may have been durable without its acknowledgement
        BOOST_REQUIRE(*record == make_record(pad, found, size_of(pad, found)));
      }
    }
    BOOST_CHECK_GT(known.size(), 0u);
  });
}

// -- readers and reuse ---------------------------------------------------------------------------------------------------

// Reads the pads again and again; 0: every record was whole and newer than the one before.
int read_for_a_while(const lmdb_options& options, std::uint64_t pads, process_pipe& started) {
  auto engine = open_lmdb_engine(options);
  if (!engine)
    return 1;
  started.send('r');
  std::vector<std::uint64_t> last(pads);
  auto until = std::chrono::steady_clock::now() + 700ms * scale;
  for (int reads = 0; std::chrono::steady_clock::now() < until; ++reads) {
    auto pad = static_cast<std::uint64_t>(reads) % pads;
    auto record = (*engine)->get(address_of(pad));
    auto header = record ? parse_record(*record) : fail(record.error());
    if (!header)
      return 2;
    if (header->counter < last[pad])
      return 3;
    last[pad] = header->counter;
    if (*record != make_record(pad, header->counter, size_of(pad * 4, header->counter)))
      return 4;
  }
  return 0;
}

BOOST_AUTO_TEST_CASE(readers_of_other_processes_never_see_a_payload_being_overwritten) {
  for_every_system([](const lmdb_options& options) {
    constexpr std::uint64_t pads = 2;
    auto write = [&](pad_engine& engine, std::uint64_t pad, std::uint64_t counter) {
      put_and_commit(engine, make_record(pad, counter, size_of(pad * 4, counter)));
    };
    {
      auto engine = open(options);
      for (std::uint64_t pad = 0; pad < pads; ++pad)
        write(*engine, pad, 1);
    }
    process_pipe started;
    std::vector<pid_t> readers;
    for (int i = 0; i < 2; ++i)
      readers.push_back(start_child([&] { return read_for_a_while(options, pads, started); }));
    for (char word = 0; auto reader : readers)
      BOOST_REQUIRE(reader > 0 && started.receive(word));
    // Two pads, and hardly more room than they take: nearly every commit writes where somebody may be reading.
    auto engine = open(options);
    auto until = std::chrono::steady_clock::now() + 700ms * scale;
    for (std::uint64_t counter = 2; std::chrono::steady_clock::now() < until; ++counter)
      for (std::uint64_t pad = 0; pad < pads; ++pad)
        write(*engine, pad, counter);
    for (auto reader : readers)
      BOOST_CHECK_EQUAL(wait_for(reader), 0);
    BOOST_CHECK_LE(disk_bytes(segments_in(options.directory)), 17u << 20);
  });
}

// Same address, same counter, same length, same blocks, perhaps other content: a reader that has slept through all of it
// must still see that it is not the extent it began to read.
BOOST_AUTO_TEST_CASE(a_pad_erased_and_written_again_has_another_stamp) {
  temporary_directory temporary;
  auto path = temporary.file("store");
  std::vector<store_format::extent> seen;
  for (std::uint64_t round = 0; round < 3; ++round) {
    put_and_commit(*open(path), make_record(1, 1, 1'500'000, round));
    raw_store(path).for_each(store_format::pads_database, [&](const std::string&, const std::string& value) {
      BOOST_REQUIRE_EQUAL(value.size(), store_format::extent_value_bytes);
      std::memcpy(&seen.emplace_back(), value.data() + record_header_bytes, sizeof(store_format::extent));
    });
    auto engine = open(path);
    REQUIRE_OK(engine->erase(make_blank(1, 2)));
    REQUIRE_OK(engine->commit());
    REQUIRE_OK(engine->tidy());
  }
  BOOST_REQUIRE_EQUAL(seen.size(), 3u);
  for (std::size_t i = 1; i < seen.size(); ++i) {
    BOOST_CHECK_EQUAL(seen[i].block, seen[0].block);
    BOOST_CHECK_EQUAL(seen[i].segment, seen[0].segment);
    BOOST_CHECK_GT(seen[i].stamp, seen[i - 1].stamp);
  }
}

// -- several writing processes -------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(processes_that_write_segments_at_once_lose_nothing) {
  for_every_system([](const lmdb_options& options) {
    constexpr std::uint64_t writers = 3, rounds = 25, shared = 1'000;
    std::vector<pid_t> children;
    for (std::uint64_t writer = 0; writer < writers; ++writer)
      children.push_back(start_child([&] {
        auto engine = open_lmdb_engine(options);
        for (std::uint64_t round = 0; engine && round < rounds; ++round) {
          auto pad = writer * rounds + round;
          // Their own pads, and a replacement of one that somebody else may have written: frees go across segments.
          auto counter = round * writers + writer + 1;
          auto other = (*engine)->put(make_record(shared + round % 4, counter, size_of(0, counter)));
          if ((!other && other.error().code != errc::stale_counter)
              || !(*engine)->put(make_record(pad, 1, size_of(pad, 1))) || !(*engine)->commit())
            return 1;
          if (round % 8 == 5 && !(*engine)->trim())
            return 2;
        }
        return engine ? 0 : 3;
      }));
    for (auto child : children)
      BOOST_CHECK_EQUAL(wait_for(child), 0);
    BOOST_REQUIRE_EQUAL(check_store(options.directory), "");
    auto engine = open(options);
    for (std::uint64_t pad = 0; pad < writers * rounds; ++pad)
      BOOST_CHECK(holds(*engine, make_record(pad, 1, size_of(pad, 1))));
    for (std::uint64_t pad = shared; pad < shared + 4; ++pad) {
      auto record = engine->get(address_of(pad));
      REQUIRE_OK(record);
      auto counter = parse_record(*record)->counter;
      BOOST_CHECK(*record == make_record(pad, counter, size_of(0, counter)));
    }
  });
}

BOOST_AUTO_TEST_CASE(engines_of_one_process_write_to_segments_of_their_own) {
  temporary_directory temporary;
  auto path = temporary.file("store");
  auto first = open(path), second = open(path);
  for (std::uint64_t round = 1; round < 20; ++round) {
    put_and_commit(*first, make_record(1, 2 * round, 300'000));
    put_and_commit(*second, make_record(1, 2 * round + 1, 300'000));
    BOOST_CHECK(holds(*first, make_record(1, 2 * round + 1, 300'000)));
  }
  BOOST_CHECK_EQUAL(segments_in(path).size(), 2u);
  first.reset();
  second.reset();
  BOOST_CHECK_EQUAL(check_store(path), "");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
