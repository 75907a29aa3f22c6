// Segment files: where payloads go, aborted batches, trimming, full disks, old stores.
#include <boost/test/unit_test.hpp>

#include <fstream>
#include <map>
#include <random>

#include "tests/core/test_engine_segment_support.hpp"

namespace {

using namespace mutant;
using namespace mutant::engine_test;

BOOST_AUTO_TEST_SUITE(engine_segments)

// -- placement -----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(long_payloads_go_to_segments_and_short_ones_to_lmdb) {
  temporary_directory temporary;
  auto path = temporary.file("store");
  put_and_commit(*open(path), make_record(1, 1, 65'536 + 159));
  BOOST_CHECK(segments_in(path).empty());
  BOOST_CHECK_EQUAL(raw_store(path).meta().version, store_format::version_without_segments);
  put_and_commit(*open(path), make_record(2, 1, 65'536 + 160));
  BOOST_CHECK_EQUAL(segments_in(path).size(), 1u);
  BOOST_CHECK_EQUAL(raw_store(path).meta().version, store_format::version_with_segments);
  BOOST_CHECK_EQUAL(check_store(path), "");
}

BOOST_AUTO_TEST_CASE(a_record_is_written_whole_from_wherever_it_lies_in_memory) {
  for_every_system([](const lmdb_options& options) {
    auto engine = open(options);
    for (std::size_t offset : {0u, 1u, 160u, 3936u, 4095u}) {
      for (std::size_t size : {70'000u, 69'792u, 1'000'000u, 4'194'304u}) {
        auto pad = offset * 10'000'000 + size;
        auto record = make_record(pad, 1, size);
        buffer around(size + offset + 8192);
        std::memset(around.data(), 0xEE, around.size());
        std::memcpy(around.data() + offset, record.data(), size);
        put_and_commit(*engine, std::move(around).freeze().slice(offset, size));
        BOOST_CHECK(holds(*engine, record));
      }
    }
  });
}

// What lies behind a record in memory may be anything, plaintext too.
BOOST_AUTO_TEST_CASE(nothing_but_the_payload_and_zeros_reaches_the_file) {
  for_every_system([](const lmdb_options& options) {
    constexpr std::size_t size = 300'001;
    auto memory = buffer::for_record(size + 3'000);
    std::memset(memory.data(), 0xEE, memory.size());
    auto record = make_record(1, 1, size);
    std::memcpy(memory.data(), record.data(), size);
    put_and_commit(*open(options), std::move(memory).freeze().slice(0, size));
    std::ifstream file(segments_in(options.directory).at(0), std::ios::binary);
    std::string content(size - 160 + 4096, '\xEE');
    file.read(content.data(), static_cast<std::streamsize>(content.size()));
    content.resize(static_cast<std::size_t>(file.gcount()));
    BOOST_CHECK(content.substr(0, size - 160) == as_text(payload_of(record)));
    BOOST_CHECK(content.find_first_not_of('\0', size - 160) == std::string::npos);
  });
}

BOOST_AUTO_TEST_CASE(replaced_payloads_make_room_for_new_ones) {
  for_every_system([](const lmdb_options& options) {
    auto engine = open(options);
    for (std::uint64_t counter = 1; counter <= 60; ++counter)
      put_and_commit(*engine, make_record(1, counter, 1'000'000));
    BOOST_CHECK(holds(*engine, make_record(1, 60, 1'000'000)));
    BOOST_CHECK_LE(disk_bytes(segments_in(options.directory)), 8u << 20);
  });
}

BOOST_AUTO_TEST_CASE(one_process_after_the_other_goes_on_in_the_same_segment) {
  temporary_directory temporary;
  auto path = temporary.file("store");
  for (std::uint64_t pad = 0; pad < 30; ++pad)
    put_and_commit(*open(path), make_record(pad, 1, 500'000));
  BOOST_CHECK_EQUAL(segments_in(path).size(), 1u);
  BOOST_CHECK_LE(disk_bytes(segments_in(path)), 33u << 20);
  BOOST_CHECK_EQUAL(check_store(path), "");
}

BOOST_AUTO_TEST_CASE(a_store_without_segments_opens_and_gets_them) {
  temporary_directory temporary;
  auto path = temporary.file("store");
  std::filesystem::create_directory(path);
  MDB_env* env = nullptr;
  MDB_txn* txn = nullptr;
  MDB_dbi main = 0, pads = 0;
  BOOST_REQUIRE(mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, 4) == 0);
  BOOST_REQUIRE(mdb_env_set_mapsize(env, 100 << 20) == 0 && mdb_env_open(env, path.c_str(), 0, 0600) == 0);
  BOOST_REQUIRE(mdb_txn_begin(env, nullptr, 0, &txn) == 0 && mdb_dbi_open(txn, nullptr, 0, &main) == 0);
  BOOST_REQUIRE_EQUAL(mdb_dbi_open(txn, store_format::pads_database, MDB_CREATE, &pads), 0);
  auto put = [&](MDB_dbi dbi, byte_view key, byte_view value) {
    MDB_val k{key.size(), const_cast<std::byte*>(key.data())}, v{value.size(), const_cast<std::byte*>(value.data())};
    BOOST_REQUIRE_EQUAL(mdb_put(txn, dbi, &k, &v, 0), 0);
  };
  store_format::store_meta meta;
  for (std::size_t size : {160u, 1'000u, 100'000u, 4'000'000u}) {
    put(pads, address_of(size), make_record(size, 3, size));
    meta.pads += 1;
    meta.record_bytes += size;
  }
  put(main, as_byte_view(store_format::meta_key), std::as_bytes(std::span(&meta, 1)));
  BOOST_REQUIRE_EQUAL(mdb_txn_commit(txn), 0);
  mdb_env_close(env);

  auto engine = open(lmdb_options{.directory = path, .create = false});
  for (std::size_t size : {160u, 1'000u, 100'000u, 4'000'000u})
    BOOST_CHECK(holds(*engine, make_record(size, 3, size)));
  REQUIRE_OK(engine->put(make_record(100'000, 4, 200'000)));
  REQUIRE_OK(engine->erase(make_blank(1'000, 4)));
  REQUIRE_OK(engine->commit());
  BOOST_CHECK(holds(*engine, make_record(100'000, 4, 200'000)));
  BOOST_CHECK(holds(*engine, make_record(4'000'000, 3, 4'000'000)));
  engine.reset();
  BOOST_CHECK_EQUAL(segments_in(path).size(), 1u);
  BOOST_CHECK_EQUAL(check_store(path), "");
}

BOOST_AUTO_TEST_CASE(an_engine_that_writes_no_segments_reads_and_frees_them) {
  temporary_directory temporary;
  auto path = temporary.file("store");
  put_and_commit(*open(path), make_record(1, 1, 500'000));
  put_and_commit(*open(path), make_record(2, 1, 500'000));
  auto engine = open(lmdb_options{.directory = path, .segment_from_bytes = 0});
  BOOST_CHECK(holds(*engine, make_record(1, 1, 500'000)));
  put_and_commit(*engine, make_record(1, 2, 600'000));
  BOOST_CHECK(holds(*engine, make_record(1, 2, 600'000)));
  engine.reset();
  BOOST_CHECK_EQUAL(check_store(path), "");
}

BOOST_AUTO_TEST_CASE(a_missing_segment_file_is_an_error_that_names_it) {
  temporary_directory temporary;
  auto path = temporary.file("store");
  put_and_commit(*open(path), make_record(1, 1, 500'000));
  std::filesystem::remove(segments_in(path).at(0));
  auto engine = open(path);
  auto outcome = engine->get(address_of(1));
  CHECK_FAILS(outcome, errc::corrupt_record);
  BOOST_CHECK(outcome.error().message.find("segment-0000000001") != std::string::npos);
  put_and_commit(*engine, make_record(1, 2, 500'000));  // and the store goes on
  BOOST_CHECK(holds(*engine, make_record(1, 2, 500'000)));
}

// -- an aborted batch ----------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_batch_does_not_write_over_what_it_replaces) {
  for_every_system([](const lmdb_options& options) {
    auto engine = open(options);
    for (std::uint64_t pad = 0; pad < 4; ++pad)
      REQUIRE_OK(engine->put(make_record(pad, 1, 1'000'000)));
    REQUIRE_OK(engine->commit());
    // The segment is full: what this batch frees would be the nearest room.
    for (std::uint64_t counter = 2; counter < 6; ++counter)
      for (std::uint64_t pad = 0; pad < 4; ++pad)
        REQUIRE_OK(engine->put(make_record(pad, counter, 1'000'000)));
    REQUIRE_OK(engine->erase(make_blank(3, 100)));
    engine = open(options);
    for (std::uint64_t pad = 0; pad < 4; ++pad)
      BOOST_CHECK(holds(*engine, make_record(pad, 1, 1'000'000)));
  });
}

// -- wiping --------------------------------------------------------------------------------------------------------------

// Whether any 32 bytes of the record's payload, at places spread over it, are in a segment file.
bool on_disk(const std::string& directory, const bytes& record) {
  auto payload = as_text(payload_of(record));
  for (auto& path : segments_in(directory)) {
    std::ifstream file(path, std::ios::binary);
    const std::string content(std::istreambuf_iterator<char>(file), {});
    for (std::size_t at = 0; at + 32 <= payload.size(); at += payload.size() / 16)
      if (content.find(payload.substr(at, 32)) != std::string::npos)
        return true;
  }
  return false;
}

BOOST_AUTO_TEST_CASE(what_a_blank_record_replaces_is_gone_from_the_disk) {
  for_every_system([](const lmdb_options& options) {
    auto engine = open(options);
    for (std::uint64_t pad = 0; pad < 5; ++pad)
      put_and_commit(*engine, make_record(pad, 1, 1'000'000));
    for (std::uint64_t pad : {1, 3}) {
      BOOST_CHECK(on_disk(options.directory, make_record(pad, 1, 1'000'000)));
      put_and_commit(*engine, make_blank(pad, 2));
      REQUIRE_OK(engine->tidy());
      BOOST_CHECK(!on_disk(options.directory, make_record(pad, 1, 1'000'000)));
    }
    for (std::uint64_t pad : {0, 2, 4})
      BOOST_CHECK(holds(*engine, make_record(pad, 1, 1'000'000)));
    for (std::uint64_t pad : {1, 3})
      put_and_commit(*engine, make_record(pad, 3, 900'000));  // into the holes
    for (std::uint64_t pad : {1, 3})
      BOOST_CHECK(holds(*engine, make_record(pad, 3, 900'000)));
  });
}

// Whoever wipes need not be who wrote.
BOOST_AUTO_TEST_CASE(what_another_engine_wrote_is_wiped_too) {
  temporary_directory temporary;
  auto path = temporary.file("store");
  auto first = open(path), second = open(path);
  put_and_commit(*first, make_record(1, 1, 1'000'000));
  put_and_commit(*first, make_record(2, 1, 1'000'000));
  put_and_commit(*second, make_blank(1, 2));
  REQUIRE_OK(second->tidy());
  BOOST_CHECK(!on_disk(path, make_record(1, 1, 1'000'000)));
  put_and_commit(*first, make_record(3, 1, 1'000'000));
  BOOST_CHECK(holds(*second, make_record(2, 1, 1'000'000)) && holds(*second, make_record(3, 1, 1'000'000)));
}

// -- trimming ------------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(trimming_an_emptied_store_removes_its_segments) {
  for_every_system([](const lmdb_options& options) {
    auto engine = open(options);
    for (std::uint64_t pad = 0; pad < 20; ++pad)
      REQUIRE_OK(engine->put(make_record(pad, 1, 1'000'000)));
    REQUIRE_OK(engine->commit());
    BOOST_CHECK(holds(*engine, make_record(7, 1, 1'000'000)));
    for (std::uint64_t pad = 0; pad < 20; ++pad)
      REQUIRE_OK(engine->erase(make_blank(pad, 2)));
    REQUIRE_OK(engine->commit());
    auto released = engine->trim();
    REQUIRE_OK(released);
    BOOST_CHECK_GE(*released, 20'000'000u);
    BOOST_CHECK(segments_in(options.directory).empty());
    BOOST_CHECK_EQUAL(engine->trim().value(), 0u);
    put_and_commit(*engine, make_record(1, 1, 1'000'000));
    BOOST_CHECK(holds(*engine, make_record(1, 1, 1'000'000)));
  });
}

BOOST_AUTO_TEST_CASE(trimming_gives_back_what_lies_between_payloads) {
  for_every_system([](const lmdb_options& options) {
    auto engine = open(options);
    for (std::uint64_t pad = 0; pad < 20; ++pad)
      REQUIRE_OK(engine->put(make_record(pad, 1, 1'000'000)));
    REQUIRE_OK(engine->commit());
    for (std::uint64_t pad = 0; pad < 20; pad += 2)
      REQUIRE_OK(engine->erase(make_blank(pad, 2)));
    REQUIRE_OK(engine->commit());
    auto before = engine->stats()->disk_bytes;
    auto released = engine->trim();
    REQUIRE_OK(released);
    BOOST_CHECK_GE(*released, 10'000'000u);
    BOOST_CHECK_EQUAL(engine->stats()->disk_bytes, before - *released);
    for (std::uint64_t pad = 1; pad < 20; pad += 2)
      BOOST_CHECK(holds(*engine, make_record(pad, 1, 1'000'000)));
    for (std::uint64_t pad = 0; pad < 20; pad += 2)
      put_and_commit(*engine, make_record(pad, 3, 1'000'000));  // into the holes
    for (std::uint64_t pad = 0; pad < 20; ++pad)
      BOOST_CHECK(holds(*engine, make_record(pad, pad % 2 == 0 ? 3 : 1, 1'000'000)));
  });
}

BOOST_AUTO_TEST_CASE(a_disk_that_filled_up_after_trimming_fails_the_batch_and_nothing_else) {
  temporary_directory temporary;
  small_disk disk(temporary.file("disk"), "32m");
  SKIP_UNLESS(disk.mounted(), "a full disk: mounting a tmpfs is not permitted here");
  auto path = disk.path() + "/store", filler = disk.path() + "/filler";
  auto engine = open(path);
  for (std::uint64_t pad = 0; pad < 8; ++pad)
    put_and_commit(*engine, make_record(pad, 1, 2'000'000));
  for (std::uint64_t pad = 0; pad < 8; pad += 2) {
    REQUIRE_OK(engine->erase(make_blank(pad, 2)));
    REQUIRE_OK(engine->commit());
  }
  BOOST_CHECK_GE(engine->trim().value(), 8'000'000u);
  std::ofstream(filler) << std::string(32 << 20, 'x');  // takes all there is
  auto put = engine->put(make_record(100, 1, 2'000'000));
  auto committed = engine->commit();
  CHECK_FAILS(committed, errc::store_full);
  CHECK_FAILS(engine->get(address_of(100)), errc::pad_not_found);
  for (std::uint64_t pad = 1; pad < 8; pad += 2)
    BOOST_CHECK(holds(*engine, make_record(pad, 1, 2'000'000)));
  std::filesystem::remove(filler);
  put_and_commit(*engine, make_record(100, 1, 2'000'000));
  BOOST_CHECK(holds(*engine, make_record(100, 1, 2'000'000)));
  engine.reset();
  BOOST_CHECK_EQUAL(check_store(path), "");
}

BOOST_AUTO_TEST_CASE(trimming_waits_for_the_end_of_a_batch) {
  temporary_directory temporary;
  auto engine = open(temporary.file("store"));
  REQUIRE_OK(engine->trim());
  REQUIRE_OK(engine->put(make_record(1, 1, 1'000'000)));
  CHECK_FAILS(engine->trim(), errc::invalid_argument);
  REQUIRE_OK(engine->commit());
  REQUIRE_OK(engine->trim());
  BOOST_CHECK(holds(*engine, make_record(1, 1, 1'000'000)));
}

BOOST_AUTO_TEST_CASE(trimming_leaves_the_segments_of_others_alone) {
  temporary_directory temporary;
  auto path = temporary.file("store");
  auto first = open(path), second = open(path);
  put_and_commit(*first, make_record(1, 1, 1'000'000));
  REQUIRE_OK(second->erase(make_blank(1, 2)));
  REQUIRE_OK(second->commit());
  BOOST_CHECK_GE(second->trim().value(), 900'000u);  // what was removed, but not the file
  BOOST_CHECK_EQUAL(segments_in(path).size(), 1u);
  put_and_commit(*first, make_record(2, 1, 1'000'000));
  BOOST_CHECK(holds(*second, make_record(2, 1, 1'000'000)));
}

// -- room ----------------------------------------------------------------------------------------------------------------

std::uint64_t payload_disk_bytes(const std::string& directory) { return disk_bytes(segments_in(directory)); }

BOOST_AUTO_TEST_CASE(a_store_takes_a_tenth_more_than_it_holds_at_most) {
  temporary_directory temporary;
  auto path = temporary.file("store");
  auto engine = open(path);
  std::uint64_t held = 0;
  for (std::uint64_t pad = 0; pad < 100; ++pad) {
    const auto size = 70'000 + pad * pad * 97 % 400'000;
    put_and_commit(*engine, make_record(pad, 1, size));
    held += store_format::blocks_of(size - record_header_bytes) * store_format::block_bytes;
    BOOST_CHECK_LE(payload_disk_bytes(path), held + held / 10 + store_format::block_bytes);
  }
}

BOOST_AUTO_TEST_CASE(holes_stay_holes_when_a_segment_grows) {
  temporary_directory temporary;
  auto path = temporary.file("store");
  auto engine = open(path);
  for (std::uint64_t pad = 0; pad < 100; ++pad)
    put_and_commit(*engine, make_record(pad, 1, 200'000));
  for (std::uint64_t pad = 0; pad < 100; pad += 2)
    put_and_commit(*engine, make_blank(pad, 2));
  REQUIRE_OK(engine->tidy());
  const auto half = payload_disk_bytes(path);
  BOOST_CHECK_LE(half, 12'500'000u);
  for (std::uint64_t pad = 200; pad < 206; ++pad)
    put_and_commit(*engine, make_record(pad, 1, 1'000'000));  // too long for the holes
  BOOST_CHECK_LE(payload_disk_bytes(path), half + 6'000'000 + 2'100'000);
}

// LMDB's file may fall back by one transaction (a meta page that is damaged or was never on the disk): whatever was last
// committed, all payloads of the state before it are where they were.
BOOST_AUTO_TEST_CASE(the_state_before_the_last_stays_whole) {
  temporary_directory temporary;
  auto path = temporary.file("store");
  auto engine = open(path);
  std::mt19937_64 random(7);
  std::map<std::uint64_t, std::uint64_t> counters;  // of pads; all that ever were
  // Where the payloads of a state lie, and what they are.
  using state = std::vector<std::pair<store_format::extent, std::string>>;
  auto look = [&](const store_format::extent& where, std::size_t size) {
    std::ifstream file(path + '/' + store_format::segment_file_name(where.segment), std::ios::binary);
    file.seekg(std::streamoff{where.block} * store_format::block_bytes);
    std::string found(size, '\0');
    file.read(found.data(), static_cast<std::streamsize>(size));
    return found;
  };
  auto state_now = [&] {
    state found;
    raw_store(path).for_each(store_format::pads_database, [&](const std::string&, const std::string& value) {
      if (value.size() != store_format::extent_value_bytes)
        return;
      store_format::extent where;
      std::memcpy(&where, value.data() + record_header_bytes, sizeof where);
      found.emplace_back(where, look(where, parse_header(as_byte_view(value))->payload_bytes));
    });
    return found;
  };
  state before_last, last;
  for (auto round = 0; round < 150; ++round) {
    for (auto n = random() % 4 + 1; n > 0; --n) {
      const auto pad = random() % 12;
      auto& counter = counters[pad];
      ++counter;
      if (random() % 3 == 0)
        REQUIRE_OK(engine->erase(make_blank(pad, counter)));
      else
        REQUIRE_OK(engine->put(make_record(pad, counter, 66'000 + random() % 100'000)));
    }
    for (auto& [where, payload] : before_last)
      BOOST_REQUIRE(look(where, payload.size()) == payload);
    REQUIRE_OK(engine->commit());
    engine.reset();  // LMDB looks at a store once in a process
    before_last = std::exchange(last, state_now());
    engine = open(path);
    if (random() % 5 == 0) {
      // A transaction of its own, and holes after it; not before.
      const auto fails = random() % 2 == 0;
      io_faults fault([fails](const io_event& event) { return fails && event.call == io_call::sync ? EIO : 0; });
      if (engine->tidy())
        before_last = last;
      for (auto& [where, payload] : before_last)
        BOOST_REQUIRE(look(where, payload.size()) == payload);
    }
  }
  BOOST_CHECK_LE(payload_disk_bytes(path), 5'000'000u);
}

// -- wipes that fail -------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_wipe_that_fails_is_told_and_is_done_by_whoever_comes_next) {
  temporary_directory temporary;
  auto path = temporary.file("store");
  auto engine = open(path);
  const auto secret = make_record(1, 1, 1'000'000);
  put_and_commit(*engine, secret);
  put_and_commit(*engine, make_record(2, 1, 1'000'000));
  {
    io_faults fault([](const io_event& event) { return event.call == io_call::punch ? EIO : 0; });
    put_and_commit(*engine, make_blank(1, 2));
    for (auto again = 0; again < 2; ++again) {
      auto outcome = engine->tidy();
      CHECK_FAILS(outcome, errc::io_error);
      BOOST_CHECK(outcome.error().message.find("segment-0000000001") != std::string::npos);
      CHECK_FAILS(engine->trim(), errc::io_error);
    }
    put_and_commit(*engine, make_record(3, 1, 1'000'000));  // not into these blocks
  }
  BOOST_CHECK(on_disk(path, secret));
  engine = open(path);
  REQUIRE_OK(engine->tidy());
  BOOST_CHECK(!on_disk(path, secret));
  BOOST_CHECK(holds(*engine, make_record(2, 1, 1'000'000)) && holds(*engine, make_record(3, 1, 1'000'000)));
  engine.reset();
  BOOST_CHECK_EQUAL(check_store(path), "");
}

BOOST_AUTO_TEST_CASE(a_wipe_that_a_kill_cuts_off_is_finished_by_the_next_engine) {
  temporary_directory temporary;
  auto path = temporary.file("store");
  const auto secret = make_record(1, 1, 1'000'000);
  put_and_commit(*open(path), secret);
  auto child = start_child([&] {
    io_faults fault([](const io_event& event) { return event.call == io_call::punch ? ::kill(::getpid(), SIGKILL) : 0; });
    auto engine = open_lmdb_engine({.directory = path});
    return engine && (*engine)->put(make_blank(1, 2)) && (*engine)->commit() && (*engine)->tidy() ? 1 : 2;
  });
  BOOST_CHECK_EQUAL(wait_for(child), -SIGKILL);
  BOOST_CHECK(on_disk(path, secret));
  auto engine = open(path);
  BOOST_CHECK(holds(*engine, make_blank(1, 2)));
  REQUIRE_OK(engine->tidy());
  BOOST_CHECK(!on_disk(path, secret));
}

BOOST_AUTO_TEST_CASE(zeros_are_written_where_holes_cannot_be_made) {
  temporary_directory temporary;
  auto path = temporary.file("store");
  auto engine = open(path);
  put_and_commit(*engine, make_record(1, 1, 1'000'000));
  io_faults fault([](const io_event& event) { return event.call == io_call::punch ? EOPNOTSUPP : 0; });
  put_and_commit(*engine, make_blank(1, 2));
  REQUIRE_OK(engine->tidy());
  BOOST_CHECK(!on_disk(path, make_record(1, 1, 1'000'000)));
}

BOOST_AUTO_TEST_CASE(trimming_removes_segment_files_that_no_commit_names) {
  temporary_directory temporary;
  auto path = temporary.file("store");
  put_and_commit(*open(path), make_record(1, 1, 1'000'000));
  for (auto name : {"/segment-0000000002", "/segment-0000000077"})
    std::ofstream(path + name) << std::string(100'000, 'x');
  auto engine = open(path);
  BOOST_CHECK_GE(engine->trim().value(), 200'000u);
  BOOST_CHECK_EQUAL(segments_in(path).size(), 1u);
  BOOST_CHECK(holds(*engine, make_record(1, 1, 1'000'000)));
}

BOOST_AUTO_TEST_CASE(a_segment_file_left_by_a_crash_is_taken_up_again) {
  temporary_directory temporary;
  auto path = temporary.file("store");
  open(path);
  auto child = start_child([&] {
    auto engine = open_lmdb_engine({.directory = path});
    return engine && (*engine)->put(make_record(1, 1, 1'000'000)) ? (::kill(::getpid(), SIGKILL), 0) : 1;
  });
  BOOST_CHECK_EQUAL(wait_for(child), -SIGKILL);
  BOOST_CHECK_EQUAL(segments_in(path).size(), 1u);
  put_and_commit(*open(path), make_record(2, 1, 1'000'000));
  BOOST_CHECK_EQUAL(segments_in(path).size(), 1u);
  BOOST_CHECK_EQUAL(check_store(path), "");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
