// What every engine promises (core/engine/engine.hpp), asked of each of them. To add an engine, add a line to `engines`.
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <functional>
#include <map>
#include <set>
#include <thread>
#include <vector>

#include "tests/core/test_engine_support.hpp"

namespace {

using namespace mutant;
using namespace mutant::engine_test;

using engine_pointer = std::unique_ptr<pad_engine>;

struct engine_kind {
  const char* name;
  bool durable;  // opening the same directory again finds what was committed
  std::function<engine_pointer(const std::string& directory)> open;
};

engine_pointer open_lmdb(const lmdb_options& options) {
  auto engine = open_lmdb_engine(options);
  REQUIRE_OK(engine);
  return std::move(*engine);
}

const std::vector<engine_kind> engines = {
    {"memory", false, [](const std::string&) { return make_memory_engine(std::uint64_t{1} << 30); }},
    {"lmdb", true, [](const std::string& directory) { return open_lmdb({.directory = directory}); }},
    {"lmdb alone", true,
     [](const std::string& directory) { return open_lmdb({.directory = directory, .segment_from_bytes = 0}); }},
    {"lmdb, much in segments", true,
     [](const std::string& directory) { return open_lmdb({.directory = directory, .segment_from_bytes = 1}); }},
};

constexpr std::size_t header_only = record_header_bytes;

// One engine in a fresh directory.
struct fixture {
  explicit fixture(const engine_kind& k) : kind(k), engine(kind.open(directory.file("store"))) {}

  void reopen() {
    engine.reset();
    engine = kind.open(directory.file("store"));
  }
  void put_and_commit(const bytes& record) {
    REQUIRE_OK(engine->put(record));
    REQUIRE_OK(engine->commit());
  }
  bytes get(std::uint64_t pad) {
    auto record = engine->get(address_of(pad));
    REQUIRE_OK(record);
    return *record;
  }

  const engine_kind& kind;
  temporary_directory directory;
  engine_pointer engine;
};

template <class Test>
void for_every_engine(Test&& test) {
  for (auto& kind : engines) {
    BOOST_TEST_CONTEXT("engine " << kind.name) {
      fixture f(kind);
      test(f);
    }
  }
}

BOOST_AUTO_TEST_SUITE(engine_conformance)

BOOST_AUTO_TEST_CASE(a_committed_record_comes_back_whole_at_every_size) {
  for_every_engine([](fixture& f) {
    std::vector<std::size_t> sizes = {header_only,    161,           192,           193,           4096,
                                      65'536 + 159,   65'536 + 160,  65'536 + 161,  262'144 - 4096 + 160,
                                      262'144 + 160,  1'000'003,     max_record_bytes - 1, max_record_bytes};
    for (std::size_t i = 0; i < sizes.size(); ++i)
      REQUIRE_OK(f.engine->put(make_record(i, 1, sizes[i])));
    REQUIRE_OK(f.engine->commit());
    for (std::size_t i = 0; i < sizes.size(); ++i)
      BOOST_TEST_CONTEXT("size " << sizes[i]) BOOST_CHECK(f.get(i) == make_record(i, 1, sizes[i]));
  });
}

BOOST_AUTO_TEST_CASE(the_head_is_the_first_160_bytes) {
  for_every_engine([](fixture& f) {
    for (auto size : {header_only, std::size_t{5000}, std::size_t{3'000'000}}) {
      auto record = make_record(size, 7, size);
      f.put_and_commit(record);
      auto head = f.engine->head(address_of(size));
      REQUIRE_OK(head);
      BOOST_CHECK(*head == record.slice(0, record_header_bytes));
    }
  });
}

BOOST_AUTO_TEST_CASE(an_absent_pad_is_not_found) {
  for_every_engine([](fixture& f) {
    CHECK_FAILS(f.engine->get(address_of(1)), errc::pad_not_found);
    CHECK_FAILS(f.engine->head(address_of(1)), errc::pad_not_found);
    f.put_and_commit(make_record(2, 1, 500));
    CHECK_FAILS(f.engine->get(address_of(1)), errc::pad_not_found);
  });
}

BOOST_AUTO_TEST_CASE(a_higher_counter_replaces_whatever_its_size) {
  for_every_engine([](fixture& f) {
    std::uint64_t counter = 0;
    for (std::size_t size : {200u, 100'000u, 160u, 4'000'000u, 4'000'000u, 70'000u, 300u}) {
      auto record = make_record(1, counter += 3, size);
      f.put_and_commit(record);
      BOOST_CHECK(f.get(1) == record);
    }
  });
}

BOOST_AUTO_TEST_CASE(the_same_record_again_is_acknowledged_again) {
  for_every_engine([](fixture& f) {
    for (std::size_t size : {160u, 1000u, 200'000u}) {
      auto record = make_record(size, 5, size);
      REQUIRE_OK(f.engine->put(record));
      REQUIRE_OK(f.engine->put(make_record(size, 5, size)));  // within the batch
      REQUIRE_OK(f.engine->commit());
      REQUIRE_OK(f.engine->put(make_record(size, 5, size)));  // and after it
      REQUIRE_OK(f.engine->commit());
      BOOST_CHECK(f.get(size) == record);
    }
    BOOST_CHECK_EQUAL(f.engine->stats()->pads, 3u);
  });
}

BOOST_AUTO_TEST_CASE(other_content_under_the_same_counter_is_a_conflict) {
  for_every_engine([](fixture& f) {
    for (std::size_t size : {160u, 1000u, 200'000u}) {
      auto record = make_record(size, 5, size);
      auto check = [&] {
        for (auto& other : {make_record(size, 5, size, 1), make_record(size, 5, size + 1), make_record(size, 5, 5'000, 2)}) {
          auto outcome = f.engine->put(other);
          CHECK_FAILS(outcome, errc::pad_conflict);
          BOOST_CHECK_EQUAL(outcome.error().detail, 5u);
        }
      };
      REQUIRE_OK(f.engine->put(record));
      check();
      REQUIRE_OK(f.engine->commit());
      check();
      REQUIRE_OK(f.engine->commit());
      BOOST_CHECK(f.get(size) == record);
    }
  });
}

BOOST_AUTO_TEST_CASE(one_changed_byte_of_the_payload_is_a_conflict) {
  for_every_engine([](fixture& f) {
    for (std::size_t size : {1000u, 300'000u}) {
      auto record = make_record(size, 5, size);
      f.put_and_commit(record);
      auto changed = buffer::for_record(size);
      std::memcpy(changed.data(), record.data(), size);
      changed.data()[size - 1] ^= std::byte{1};
      CHECK_FAILS(f.engine->put(std::move(changed).freeze()), errc::pad_conflict);
      REQUIRE_OK(f.engine->commit());
    }
  });
}

BOOST_AUTO_TEST_CASE(a_lower_counter_is_stale) {
  for_every_engine([](fixture& f) {
    REQUIRE_OK(f.engine->put(make_record(1, 9, 1000)));
    auto check = [&] {
      auto outcome = f.engine->put(make_record(1, 8, 1000));
      CHECK_FAILS(outcome, errc::stale_counter);
      BOOST_CHECK_EQUAL(outcome.error().detail, 9u);
    };
    check();
    REQUIRE_OK(f.engine->commit());
    check();
    REQUIRE_OK(f.engine->commit());
    BOOST_CHECK(f.get(1) == make_record(1, 9, 1000));
  });
}

BOOST_AUTO_TEST_CASE(a_refused_write_leaves_the_rest_of_its_batch) {
  for_every_engine([](fixture& f) {
    f.put_and_commit(make_record(1, 9, 1000));
    REQUIRE_OK(f.engine->put(make_record(2, 1, 1000)));
    CHECK_FAILS(f.engine->put(make_record(1, 8, 1000)), errc::stale_counter);
    CHECK_FAILS(f.engine->put(bytes::copy_of("not a record")), errc::corrupt_record);
    REQUIRE_OK(f.engine->put(make_record(3, 1, 100'000)));
    REQUIRE_OK(f.engine->commit());
    BOOST_CHECK(f.get(2) == make_record(2, 1, 1000));
    BOOST_CHECK(f.get(3) == make_record(3, 1, 100'000));
  });
}

BOOST_AUTO_TEST_CASE(a_malformed_record_is_corrupt) {
  for_every_engine([](fixture& f) {
    CHECK_FAILS(f.engine->put({}), errc::corrupt_record);
    CHECK_FAILS(f.engine->put(make_record(1, 1, 1000).slice(0, 999)), errc::corrupt_record);
    CHECK_FAILS(f.engine->put(make_record(1, 0, 1000)), errc::corrupt_record);
    CHECK_FAILS(f.engine->put(make_record(1, 1, max_record_bytes + 1)), errc::corrupt_record);
    CHECK_FAILS(f.engine->erase(make_blank(1, 1).slice(0, 100)), errc::corrupt_record);
    REQUIRE_OK(f.engine->commit());
    BOOST_CHECK_EQUAL(f.engine->stats()->pads, 0u);
  });
}

BOOST_AUTO_TEST_CASE(nothing_of_a_batch_is_seen_before_its_commit_and_all_after) {
  for_every_engine([](fixture& f) {
    f.put_and_commit(make_record(1, 1, 80'000));
    f.put_and_commit(make_record(2, 1, 80'000));
    REQUIRE_OK(f.engine->put(make_record(1, 2, 90'000)));
    REQUIRE_OK(f.engine->erase(make_blank(2, 2)));
    REQUIRE_OK(f.engine->put(make_record(3, 1, 1'000)));
    BOOST_CHECK(f.get(1) == make_record(1, 1, 80'000));
    BOOST_CHECK(f.get(2) == make_record(2, 1, 80'000));
    CHECK_FAILS(f.engine->head(address_of(3)), errc::pad_not_found);
    BOOST_CHECK_EQUAL(f.engine->stats()->pads, 2u);
    REQUIRE_OK(f.engine->commit());
    BOOST_CHECK(f.get(1) == make_record(1, 2, 90'000));
    CHECK_FAILS(f.engine->get(address_of(2)), errc::pad_not_found);
    BOOST_CHECK(f.get(3) == make_record(3, 1, 1'000));
  });
}

BOOST_AUTO_TEST_CASE(an_abandoned_batch_leaves_nothing) {
  for_every_engine([](fixture& f) {
    if (!f.kind.durable)
      return;
    f.put_and_commit(make_record(1, 1, 100'000));
    REQUIRE_OK(f.engine->put(make_record(1, 2, 100'000)));
    REQUIRE_OK(f.engine->put(make_record(2, 1, 100'000)));
    f.reopen();
    BOOST_CHECK(f.get(1) == make_record(1, 1, 100'000));
    CHECK_FAILS(f.engine->get(address_of(2)), errc::pad_not_found);
    f.put_and_commit(make_record(2, 1, 1000));
    BOOST_CHECK(f.get(2) == make_record(2, 1, 1000));
  });
}

BOOST_AUTO_TEST_CASE(the_last_of_several_writes_in_a_batch_stays) {
  for_every_engine([](fixture& f) {
    for (std::uint64_t counter = 1; counter <= 5; ++counter)
      REQUIRE_OK(f.engine->put(make_record(1, counter, 70'000 * counter)));
    REQUIRE_OK(f.engine->put(make_record(2, 1, 70'000)));
    REQUIRE_OK(f.engine->erase(make_blank(2, 2)));
    REQUIRE_OK(f.engine->put(make_record(2, 1, 80'000)));
    REQUIRE_OK(f.engine->commit());
    BOOST_CHECK(f.get(1) == make_record(1, 5, 350'000));
    BOOST_CHECK(f.get(2) == make_record(2, 1, 80'000));
    BOOST_CHECK_EQUAL(f.engine->stats()->pads, 2u);
    BOOST_CHECK_EQUAL(f.engine->stats()->record_bytes, 430'000u);
  });
}

BOOST_AUTO_TEST_CASE(only_a_blank_record_with_a_higher_counter_erases) {
  for_every_engine([](fixture& f) {
    for (std::size_t size : {160u, 1000u, 200'000u}) {
      f.put_and_commit(make_record(size, 5, size));
      for (std::uint64_t counter : {4u, 5u}) {
        auto outcome = f.engine->erase(make_blank(size, counter));
        CHECK_FAILS(outcome, errc::stale_counter);
        BOOST_CHECK_EQUAL(outcome.error().detail, 5u);
      }
      CHECK_FAILS(f.engine->erase(make_record(size, 6, size)), errc::invalid_argument);
      REQUIRE_OK(f.engine->commit());
      BOOST_CHECK(f.get(size) == make_record(size, 5, size));
      REQUIRE_OK(f.engine->erase(make_blank(size, 6)));
      REQUIRE_OK(f.engine->erase(make_blank(size, 6)));  // a retry
      REQUIRE_OK(f.engine->commit());
      REQUIRE_OK(f.engine->erase(make_blank(size, 6)));
      REQUIRE_OK(f.engine->commit());
      CHECK_FAILS(f.engine->get(address_of(size)), errc::pad_not_found);
    }
    BOOST_CHECK_EQUAL(f.engine->stats()->pads, 0u);
    BOOST_CHECK_EQUAL(f.engine->stats()->record_bytes, 0u);
  });
}

BOOST_AUTO_TEST_CASE(a_blank_record_can_be_stored_like_any_other) {
  for_every_engine([](fixture& f) {
    f.put_and_commit(make_record(1, 5, 100'000));
    f.put_and_commit(make_blank(1, 6));
    BOOST_CHECK(f.get(1) == make_blank(1, 6));
    BOOST_CHECK_EQUAL(f.engine->stats()->record_bytes, record_header_bytes);
  });
}

BOOST_AUTO_TEST_CASE(trimming_between_batches_loses_nothing) {
  for_every_engine([](fixture& f) {
    for (std::uint64_t pad = 0; pad < 6; ++pad)
      f.put_and_commit(make_record(pad, 1, 200'000));
    for (std::uint64_t pad = 0; pad < 6; pad += 2)
      REQUIRE_OK(f.engine->erase(make_blank(pad, 2)));
    REQUIRE_OK(f.engine->commit());
    REQUIRE_OK(f.engine->trim());
    for (std::uint64_t pad = 1; pad < 6; pad += 2)
      BOOST_CHECK(f.get(pad) == make_record(pad, 1, 200'000));
    f.put_and_commit(make_record(0, 3, 250'000));
    BOOST_CHECK(f.get(0) == make_record(0, 3, 250'000));
  });
}

BOOST_AUTO_TEST_CASE(a_commit_without_a_batch_is_ok) {
  for_every_engine([](fixture& f) {
    REQUIRE_OK(f.engine->commit());
    REQUIRE_OK(f.engine->commit());
  });
}

BOOST_AUTO_TEST_CASE(opening_again_finds_what_was_committed) {
  for_every_engine([](fixture& f) {
    if (!f.kind.durable)
      return;
    std::uint64_t total = 0;
    for (std::uint64_t pad = 0; pad < 40; ++pad) {
      REQUIRE_OK(f.engine->put(make_record(pad, pad + 1, 160 + pad * 7'001)));
      total += 160 + pad * 7'001;
      if (pad % 7 == 0)
        REQUIRE_OK(f.engine->commit());
    }
    REQUIRE_OK(f.engine->commit());
    f.reopen();
    for (std::uint64_t pad = 0; pad < 40; ++pad)
      BOOST_CHECK(f.get(pad) == make_record(pad, pad + 1, 160 + pad * 7'001));
    auto stats = f.engine->stats();
    REQUIRE_OK(stats);
    BOOST_CHECK_EQUAL(stats->pads, 40u);
    BOOST_CHECK_EQUAL(stats->record_bytes, total);
    BOOST_CHECK_GE(stats->disk_bytes, total);
  });
}

// Pads 0-3 always carry the same counter within a batch: a reader that sees a mixture has seen half a commit of one pad or
// a record that was never written.
BOOST_AUTO_TEST_CASE(readers_beside_a_writer_see_whole_records_that_never_go_back) {
  for_every_engine([](fixture& f) {
    constexpr std::uint64_t pads = 4, rounds = 60;
    auto size = [](std::uint64_t pad, std::uint64_t counter) { return 160 + (pad * 97'003 + counter * 41'011) % 400'000; };
    auto write = [&](std::uint64_t counter) {
      for (std::uint64_t pad = 0; pad < pads; ++pad)
        REQUIRE_OK(f.engine->put(make_record(pad, counter, size(pad, counter))));
      REQUIRE_OK(f.engine->commit());
    };
    write(1);
    std::atomic<bool> stop{false};
    std::atomic<int> torn{0}, went_back{0}, failed{0};
    auto read = [&](std::uint64_t pad) {
      for (std::uint64_t last = 1; !stop;) {
        auto record = f.engine->get(address_of(pad));
        auto header = record ? parse_record(*record) : fail(record.error());
        if (!header) {
          ++failed;
          continue;
        }
        torn += *record != make_record(pad, header->counter, size(pad, header->counter)) ? 1 : 0;
        went_back += header->counter < last ? 1 : 0;
        last = header->counter;
      }
    };
    std::vector<std::thread> readers;
    for (std::uint64_t pad = 0; pad < pads; ++pad)
      readers.emplace_back(read, pad);
    for (std::uint64_t counter = 2; counter <= rounds; ++counter)
      write(counter);
    stop = true;
    for (auto& reader : readers)
      reader.join();
    BOOST_CHECK_EQUAL(torn, 0);
    BOOST_CHECK_EQUAL(went_back, 0);
    BOOST_CHECK_EQUAL(failed, 0);
  });
}

// -- random operations against a model -----------------------------------------------------------------------------------

struct model {
  std::map<std::uint64_t, bytes> committed, open;

  std::uint64_t counter(std::uint64_t pad) const {
    auto at = open.find(pad);
    return at == open.end() ? 0 : parse_record(at->second)->counter;
  }
  int put(std::uint64_t pad, std::uint64_t counter_now, const bytes& record) {
    auto stored = counter(pad);
    if (counter_now < stored)
      return code(errc::stale_counter);
    if (counter_now == stored)
      return open.at(pad) == record ? 0 : code(errc::pad_conflict);
    open[pad] = record;
    return 0;
  }
  int erase(std::uint64_t pad, std::uint64_t counter_now) {
    if (auto stored = counter(pad); stored != 0 && counter_now <= stored)
      return code(errc::stale_counter);
    open.erase(pad);
    return 0;
  }
};

void compare(fixture& f, const model& m, std::uint64_t pads) {
  std::uint64_t total = 0;
  for (std::uint64_t pad = 0; pad < pads; ++pad) {
    auto record = f.engine->get(address_of(pad));
    auto expected = m.committed.find(pad);
    if (expected == m.committed.end()) {
      CHECK_FAILS(record, errc::pad_not_found);
    } else {
      REQUIRE_OK(record);
      BOOST_REQUIRE(*record == expected->second);
      total += record->size();
    }
  }
  BOOST_REQUIRE_EQUAL(f.engine->stats()->pads, m.committed.size());
  BOOST_REQUIRE_EQUAL(f.engine->stats()->record_bytes, total);
}

void run_random_operations(fixture& f, std::uint64_t seed) {
  constexpr std::uint64_t pads = 25;
  std::mt19937_64 random(seed);
  auto below = [&](std::uint64_t limit) { return random() % limit; };
  const std::size_t limits[] = {400, 5'000, 70'000, 300'000, 1'500'000};
  model m;
  for (int step = 0; step < 500; ++step) {
    auto pad = below(pads);
    auto counter = m.counter(pad) + below(4);  // mostly higher, now and then the same
    counter = counter > 1 && below(10) == 0 ? counter - 2 : counter;
    counter = std::max<std::uint64_t>(counter, 1);
    auto choice = below(20);
    if (choice < 13) {
      auto record = make_record(pad, counter, record_header_bytes + below(limits[below(5)]), below(2));
      BOOST_REQUIRE_EQUAL(code_of(f.engine->put(record)), m.put(pad, counter, record));
    } else if (choice < 16) {
      BOOST_REQUIRE_EQUAL(code_of(f.engine->erase(make_blank(pad, counter))), m.erase(pad, counter));
    } else if (choice < 19) {
      REQUIRE_OK(f.engine->commit());
      m.committed = m.open;
    } else if (f.kind.durable && below(4) == 0) {
      f.reopen();
      m.open = m.committed;
    }
    if (step % 40 == 0)
      compare(f, m, pads);
  }
  REQUIRE_OK(f.engine->commit());
  m.committed = m.open;
  compare(f, m, pads);
}

BOOST_AUTO_TEST_CASE(random_operations_do_what_the_model_does) {
  for (std::uint64_t seed : {1u, 2u, 3u}) {
    BOOST_TEST_CONTEXT("seed " << seed)
    for_every_engine([seed](fixture& f) { run_random_operations(f, seed); });
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
