// The embedded store beyond the common contract: its directory, full disks, several processes, crashes.
#include <boost/test/unit_test.hpp>

#include <fstream>
#include <functional>
#include <set>
#include <thread>
#include <vector>

#include <lmdb.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "core/engine/store_directory.hpp"
#include "core/engine/store_format.hpp"
#include "tests/core/test_engine_processes.hpp"
#include "tests/core/test_engine_support.hpp"

namespace {

using namespace mutant;
using namespace mutant::engine_test;

using engine_pointer = std::unique_ptr<pad_engine>;

engine_pointer open(const std::string& directory) {
  auto engine = open_lmdb_engine({.directory = directory});
  REQUIRE_OK(engine);
  return std::move(*engine);
}

void put_and_commit(pad_engine& engine, const bytes& record) {
  REQUIRE_OK(engine.put(record));
  REQUIRE_OK(engine.commit());
}

bool holds(pad_engine& engine, const bytes& expected) {
  auto record = engine.get(parse_record(expected)->address);
  return record && *record == expected;
}

std::set<std::string> files_in(const std::filesystem::path& directory) {
  std::set<std::string> names;
  for (auto& entry : std::filesystem::directory_iterator(directory))
    names.insert(entry.path().filename().string());
  return names;
}

// Puts `value` under "store" in the main database of an LMDB environment, as another program might.
void write_lmdb(const std::string& directory, byte_view value) {
  std::filesystem::create_directory(directory);
  MDB_env* env = nullptr;
  MDB_txn* txn = nullptr;
  MDB_dbi dbi = 0;
  BOOST_REQUIRE_EQUAL(mdb_env_create(&env), 0);
  BOOST_REQUIRE_EQUAL(mdb_env_open(env, directory.c_str(), 0, 0600), 0);
  BOOST_REQUIRE_EQUAL(mdb_txn_begin(env, nullptr, 0, &txn), 0);
  BOOST_REQUIRE_EQUAL(mdb_dbi_open(txn, nullptr, 0, &dbi), 0);
  std::string name(store_format::meta_key);
  MDB_val key{name.size(), name.data()}, data{value.size(), const_cast<std::byte*>(value.data())};
  BOOST_REQUIRE_EQUAL(mdb_put(txn, dbi, &key, &data, 0), 0);
  BOOST_REQUIRE_EQUAL(mdb_txn_commit(txn), 0);
  mdb_env_close(env);
}

BOOST_AUTO_TEST_SUITE(engine_lmdb)

// -- the directory -------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_missing_directory_is_created_for_the_owner_alone) {
  temporary_directory temporary;
  auto path = temporary.file("a/b/store");
  open(path);
  struct stat info {};
  BOOST_REQUIRE_EQUAL(::stat(path.c_str(), &info), 0);
  BOOST_CHECK_EQUAL(info.st_mode & 0777, 0700u);
}

BOOST_AUTO_TEST_CASE(a_missing_store_is_unreachable_when_it_may_not_be_created) {
  temporary_directory temporary;
  auto path = temporary.file("store");
  CHECK_FAILS(open_lmdb_engine({.directory = path, .create = false}), errc::unreachable);
  BOOST_CHECK(!std::filesystem::exists(path));
  std::filesystem::create_directory(path);
  CHECK_FAILS(open_lmdb_engine({.directory = path, .create = false}), errc::unreachable);
  BOOST_CHECK(files_in(path).empty());
  open(path);
  REQUIRE_OK(open_lmdb_engine({.directory = path, .create = false}));
}

// A store is opened for reading; the first write opens it for writing.
BOOST_AUTO_TEST_CASE(a_batch_that_cannot_be_begun_is_not_committed) {
  temporary_directory temporary;
  const auto path = temporary.file("store");
  put_and_commit(*open(path), make_record(1, 1, 1000));
  auto engine = open_lmdb_engine({.directory = path, .create = false});
  REQUIRE_OK(engine);
  const auto lock = path + '/' + std::string(store_format::lock_file);
  std::filesystem::remove(lock);
  std::filesystem::create_directory(lock);
  for (const auto& write : {make_record(2, 1, 1000), make_record(1, 2, 1000)}) {
    BOOST_REQUIRE(!(*engine)->put(write));
    BOOST_TEST(!(*engine)->commit());
  }
  BOOST_REQUIRE(!(*engine)->put_making_room(make_record(2, 1, 1000)));
  BOOST_TEST(!(*engine)->commit());
  BOOST_TEST(!(*engine)->trim());
  REQUIRE_OK((*engine)->commit());
  std::filesystem::remove(lock);
  put_and_commit(**engine, make_record(2, 1, 1000));
  BOOST_TEST(holds(**engine, make_record(2, 1, 1000)));
}

BOOST_AUTO_TEST_CASE(a_directory_with_other_files_is_refused_and_left_alone) {
  temporary_directory temporary;
  std::ofstream(temporary.file("holiday.jpg")) << "x";
  auto outcome = open_lmdb_engine({.directory = temporary.path().string()});
  CHECK_FAILS(outcome, errc::invalid_argument);
  BOOST_CHECK(outcome.error().message.find("holiday.jpg") != std::string::npos);
  BOOST_CHECK(files_in(temporary.path()) == std::set<std::string>{"holiday.jpg"});
}

BOOST_AUTO_TEST_CASE(a_data_file_that_is_not_lmdb_is_refused_and_left_alone) {
  temporary_directory temporary;
  std::ofstream(temporary.file("data.mdb")) << std::string(10'000, 'x');
  CHECK_FAILS(open_lmdb_engine({.directory = temporary.path().string()}), errc::store_damaged);
  BOOST_CHECK(files_in(temporary.path()) == std::set<std::string>{"data.mdb"});
}

BOOST_AUTO_TEST_CASE(a_file_in_place_of_the_directory_is_refused) {
  temporary_directory temporary;
  std::ofstream(temporary.file("store")) << "x";
  CHECK_FAILS(open_lmdb_engine({.directory = temporary.file("store")}), errc::invalid_argument);
  CHECK_FAILS(open_lmdb_engine({.directory = ""}), errc::invalid_argument);
}

BOOST_AUTO_TEST_CASE(the_environment_of_another_program_is_refused_and_left_alone) {
  temporary_directory temporary;
  auto path = temporary.file("theirs");
  write_lmdb(path, as_byte_view("their own record"));
  std::filesystem::remove(path + "/lock.mdb");
  CHECK_FAILS(open_lmdb_engine({.directory = path}), errc::invalid_argument);
  BOOST_CHECK(files_in(path) == std::set<std::string>{"data.mdb"});
}

BOOST_AUTO_TEST_CASE(another_format_version_is_unsupported_and_left_alone) {
  temporary_directory temporary;
  auto path = temporary.file("newer");
  store_format::store_meta meta;
  meta.version = 77;
  write_lmdb(path, std::as_bytes(std::span(&meta, 1)));
  std::filesystem::remove(path + "/lock.mdb");
  auto outcome = open_lmdb_engine({.directory = path});
  CHECK_FAILS(outcome, errc::unsupported);
  BOOST_CHECK(outcome.error().message.find("77") != std::string::npos);
  BOOST_CHECK(files_in(path) == std::set<std::string>{"data.mdb"});
}

BOOST_AUTO_TEST_CASE(a_creation_cut_off_early_is_taken_up_again) {
  temporary_directory temporary;
  std::ofstream(temporary.file("data.mdb")).flush();
  std::ofstream(temporary.file("lock.mdb")).flush();
  auto engine = open(temporary.path().string());
  put_and_commit(*engine, make_record(1, 1, 1000));
  BOOST_CHECK(holds(*engine, make_record(1, 1, 1000)));
}

BOOST_AUTO_TEST_CASE(limited_address_space_makes_the_map_smaller) {
  SKIP_UNLESS(!ENGINE_TEST_SANITIZED, "sanitizers need the address space themselves");
  temporary_directory temporary;
  auto child = start_child([&] {
    rlimit limit{std::uint64_t{1} << 30, std::uint64_t{1} << 30};
    ::setrlimit(RLIMIT_AS, &limit);
    auto engine = open_lmdb_engine({.directory = temporary.file("store")});
    return engine && (*engine)->put(make_record(1, 1, 1'000'000)) && (*engine)->commit() ? 0 : 1;
  });
  BOOST_CHECK_EQUAL(wait_for(child), 0);
  BOOST_CHECK(holds(*open(temporary.file("store")), make_record(1, 1, 1'000'000)));
}

BOOST_AUTO_TEST_CASE(a_file_system_that_machines_share_is_refused_by_name) {
  const std::pair<std::uint64_t, const char*> shared[] = {
      {0x6969, "NFS"}, {0xFF534D42, "CIFS"}, {0xFE534D42, "SMB"}, {0x01021997, "9p"}, {0x65735546, "FUSE"}};
  for (auto [type, name] : shared)
    // statfs gives a signed number.
    for (auto given : {type, type | 0xFFFFFFFF00000000u}) {
      auto outcome = check_file_system(given, "/mnt/store");
      CHECK_FAILS(outcome, errc::unsupported);
      for (const auto* word : {name, "/mnt/store", "node", "--force-filesystem"})
        BOOST_CHECK(outcome.error().message.find(word) != std::string::npos);
    }
  for (std::uint64_t type : {0xEF53u, 0x58465342u, 0x9123683Eu, 0x01021994u, 0x794C7630u, 0x2FC12FC1u, 0xF2F52010u})
    REQUIRE_OK(check_file_system(type, "/mnt/store"));
}

// -- no room -------------------------------------------------------------------------------------------------------------

// Fills the store until it is full; returns how many pads are in it.
std::uint64_t fill(pad_engine& engine, std::size_t size) {
  for (std::uint64_t pad = 0; pad < 10'000; ++pad) {
    auto put = engine.put(make_record(pad, 1, size));
    auto committed = engine.commit();
    if (committed)
      continue;
    CHECK_FAILS(committed, errc::store_full);
    if (!put)
      CHECK_FAILS(put, errc::store_full);
    return pad;
  }
  BOOST_FAIL("the store never became full");
  return 0;
}

void check_a_full_store(const std::string& directory, const lmdb_options& options, std::size_t size) {
  auto engine = open_lmdb_engine(options);
  REQUIRE_OK(engine);
  auto pads = fill(**engine, size);
  BOOST_REQUIRE_GT(pads, 3u);
  auto check_all = [&](std::uint64_t from) {
    for (auto pad = from; pad < pads; ++pad)
      BOOST_CHECK(holds(**engine, make_record(pad, 1, size)));
    CHECK_FAILS((*engine)->get(address_of(pads)), errc::pad_not_found);
  };
  check_all(0);
  REQUIRE_OK((*engine)->commit());  // the failure was reported once
  engine = open_lmdb_engine(options);
  REQUIRE_OK(engine);
  check_all(0);
  // Removing makes room again (what is freed serves the commits after the next).
  for (std::uint64_t pad : {0u, 1u}) {
    REQUIRE_OK((*engine)->erase(make_blank(pad, 2)));
    REQUIRE_OK((*engine)->commit());
  }
  REQUIRE_OK((*engine)->put(make_record(20'000, 1, size / 2)));
  REQUIRE_OK((*engine)->commit());
  check_all(2);
  BOOST_CHECK(holds(**engine, make_record(20'000, 1, size / 2)));
  BOOST_TEST_MESSAGE(directory << " held " << pads << " records of " << size << " bytes");
}

BOOST_AUTO_TEST_CASE(a_full_disk_fails_the_batch_and_nothing_else) {
  temporary_directory temporary;
  for (std::size_t size : {3'000'000u, 30'000u, 700u}) {
    for (std::uint64_t segment_from_bytes : {0u, 65536u}) {
      small_disk disk(temporary.file("disk"), size > 1'000'000 ? "20m" : "2m");
      SKIP_UNLESS(disk.mounted(), "a full disk: mounting a tmpfs is not permitted here");
      check_a_full_store(disk.path(), {.directory = disk.path(), .segment_from_bytes = segment_from_bytes}, size);
    }
  }
}

// What a removal is to an engine: a small record that may use the reserve, and a blank one.
bool remove_one(pad_engine& engine, std::uint64_t pad, std::uint64_t number) {
  for (auto& record : {make_record(1'000'000 + number, 1, 500), make_blank(pad, 2)}) {
    auto done = false;
    for (auto tries = 2; !done && tries > 0; --tries) {  // the first may give up the reserve
      auto put = engine.put_making_room(record);
      done = engine.commit().has_value() && put;
    }
    if (!done)
      return false;
    REQUIRE_OK(engine.tidy());
  }
  return true;
}

BOOST_AUTO_TEST_CASE(a_full_disk_of_any_size_lets_everything_be_removed_and_then_takes_new_records) {
  temporary_directory temporary;
  for (const auto* disk_size : {"1m", "1500k", "3012k", "8m", "60m"})
    for (std::size_t size : {700u, 30'000u, 100'000u, 1'000'000u})
      BOOST_TEST_CONTEXT("a disk of " << disk_size << " full of records of " << size << " bytes") {
        small_disk disk(temporary.file("disk"), disk_size);
        SKIP_UNLESS(disk.mounted(), "a full disk: mounting a tmpfs is not permitted here");
        if ((std::string(disk_size) == "60m" && size < 1'000'000) || (std::string(disk_size) == "8m" && size < 30'000))
          continue;  // for the time that it takes
        auto engine = open_lmdb_engine({.directory = disk.path()});
        REQUIRE_OK(engine);
        const auto pads = fill(**engine, size);
        if (pads == 0)
          continue;
        const auto removals = std::min<std::uint64_t>(pads, 20);
        for (std::uint64_t pad = 0; pad < removals; ++pad) {
          engine->reset();  // each by a process of its own
          engine = open_lmdb_engine({.directory = disk.path()});
          REQUIRE_OK(engine);
          BOOST_REQUIRE_MESSAGE(remove_one(**engine, pad, pad), "removal " << pad << " of " << removals << ", of " << pads);
        }
        for (auto pad = removals; pad < pads; ++pad)
          BOOST_CHECK(holds(**engine, make_record(pad, 1, size)));
        if (size < 4'000)
          continue;  // blank records and the log take as much
        put_and_commit(**engine, make_record(2'000'000, 1, size));
        BOOST_CHECK(holds(**engine, make_record(2'000'000, 1, size)));
      }
}

BOOST_AUTO_TEST_CASE(a_disk_without_room_for_a_store_says_so) {
  temporary_directory temporary;
  small_disk disk(temporary.file("disk"), "64k");
  SKIP_UNLESS(disk.mounted(), "a full disk: mounting a tmpfs is not permitted here");
  CHECK_FAILS(open_lmdb_engine({.directory = disk.path()}), errc::store_full);
}

BOOST_AUTO_TEST_CASE(a_full_map_fails_the_batch_and_nothing_else) {
  temporary_directory temporary;
  auto path = temporary.file("store");
  check_a_full_store(path, {.directory = path, .map_bytes = std::uint64_t{64} << 20, .segment_from_bytes = 0}, 3'000'000);
}

BOOST_AUTO_TEST_CASE(a_broken_batch_refuses_further_puts_until_its_commit) {
  temporary_directory temporary;
  auto path = temporary.file("store");
  auto engine = open_lmdb_engine({.directory = path, .map_bytes = std::uint64_t{64} << 20, .segment_from_bytes = 0});
  REQUIRE_OK(engine);
  result<void> outcome;
  for (std::uint64_t pad = 0; outcome && pad < 1'000; ++pad)
    outcome = (*engine)->put(make_record(pad, 1, max_record_bytes));
  CHECK_FAILS(outcome, errc::store_full);
  CHECK_FAILS((*engine)->put(make_record(5'000, 1, 200)), errc::store_full);
  CHECK_FAILS((*engine)->erase(make_blank(5'000, 1)), errc::store_full);
  CHECK_FAILS((*engine)->commit(), errc::store_full);
  REQUIRE_OK((*engine)->commit());
  BOOST_CHECK_EQUAL((*engine)->stats()->pads, 0u);
  put_and_commit(**engine, make_record(5'000, 1, 200));
}

// A store that is opened to be read is opened for writing by its first write, and that may fail.
BOOST_AUTO_TEST_CASE(a_batch_for_which_the_store_cannot_be_opened_for_writing_is_broken_until_its_commit) {
  temporary_directory temporary;
  const auto path = temporary.file("store"), lock = path + "/lock.mdb";
  put_and_commit(*open(path), make_record(1, 1, 300));
  const std::vector<std::function<result<void>(pad_engine&)>> writes = {
      [](pad_engine& e) { return e.put(make_record(1, 2, 300)); },
      [](pad_engine& e) { return e.put_making_room(make_record(1, 2, 300)); },
      [](pad_engine& e) { return e.erase(make_blank(1, 2)); }};
  for (const auto& write : writes) {
    auto engine = open_lmdb_engine({.directory = path, .create = false});
    REQUIRE_OK(engine);
    std::filesystem::remove(lock);
    std::filesystem::create_directory(lock);
    CHECK_FAILS(write(**engine), errc::io_error);
    std::filesystem::remove(lock);
    CHECK_FAILS(write(**engine), errc::io_error);   // still of the same batch
    CHECK_FAILS((*engine)->commit(), errc::io_error);
    REQUIRE_OK((*engine)->commit());
    BOOST_CHECK(holds(**engine, make_record(1, 1, 300)));
    put_and_commit(**engine, make_record(2, 1, 300));
    REQUIRE_OK((*engine)->erase(make_blank(2, 2)));
    REQUIRE_OK((*engine)->commit());
  }
}

// -- several engines and processes ---------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(engines_of_one_process_share_a_store) {
  temporary_directory temporary;
  auto path = temporary.file("store");
  auto first = open(path), second = open(path + "/.");
  put_and_commit(*first, make_record(1, 1, 1000));
  BOOST_CHECK(holds(*second, make_record(1, 1, 1000)));
  REQUIRE_OK(first->put(make_record(2, 1, 1000)));
  // Waiting would be for ever: this thread holds the other batch itself.
  CHECK_FAILS(second->put(make_record(3, 1, 1000)), errc::invalid_argument);
  CHECK_FAILS(second->commit(), errc::invalid_argument);
  REQUIRE_OK(first->commit());
  first.reset();
  put_and_commit(*second, make_record(3, 1, 1000));
  first = open(path);
  BOOST_CHECK(holds(*first, make_record(3, 1, 1000)));
}

BOOST_AUTO_TEST_CASE(a_write_that_changes_nothing_keeps_nobody_waiting) {
  temporary_directory temporary;
  auto path = temporary.file("store");
  auto engine = open(path);
  put_and_commit(*engine, make_record(1, 5, 1000));
  CHECK_FAILS(engine->put(make_record(1, 4, 1000)), errc::stale_counter);
  REQUIRE_OK(engine->put(make_record(1, 5, 1000)));
  REQUIRE_OK(engine->erase(make_blank(2, 1)));
  CHECK_FAILS(engine->erase(make_blank(1, 1)), errc::stale_counter);
  auto child = start_child([&] {
    ::alarm(20);  // instead of waiting for ever
    auto own = open_lmdb_engine({.directory = path});
    return own && (*own)->put(make_record(3, 1, 1000)) && (*own)->commit() ? 0 : 1;
  });
  BOOST_CHECK_EQUAL(wait_for(child), 0);
  REQUIRE_OK(engine->commit());
}

BOOST_AUTO_TEST_CASE(processes_that_write_at_once_lose_nothing) {
  temporary_directory temporary;
  auto path = temporary.file("store");
  constexpr std::uint64_t writers = 3, rounds = 40;
  auto size = [](std::uint64_t pad) { return 160 + pad * 7'919 % 200'000; };
  std::vector<pid_t> children;
  for (std::uint64_t writer = 0; writer < writers; ++writer)
    children.push_back(start_child([&] {
      auto engine = open_lmdb_engine({.directory = path});
      if (!engine)
        return 1;
      for (std::uint64_t round = 0; round < rounds; ++round) {
        auto pad = 1 + round * writers + writer;
        if (!(*engine)->put(make_record(pad, 1, size(pad))) || !(*engine)->commit())
          return 2;
        // Everybody's pad 0: a race that the counter decides.
        auto put = (*engine)->put(make_record(0, round + 1, 300));
        if ((!put && put.error().code != errc::stale_counter) || !(*engine)->commit())
          return 3;
      }
      return 0;
    }));
  for (auto child : children)
    BOOST_CHECK_EQUAL(wait_for(child), 0);
  auto engine = open(path);
  for (std::uint64_t pad = 1; pad <= writers * rounds; ++pad)
    BOOST_CHECK(holds(*engine, make_record(pad, 1, size(pad))));
  BOOST_CHECK(holds(*engine, make_record(0, rounds, 300)));
  BOOST_CHECK_EQUAL(engine->stats()->pads, writers * rounds + 1);
}

BOOST_AUTO_TEST_CASE(a_writer_killed_in_mid_batch_leaves_the_last_commit) {
  temporary_directory temporary;
  auto path = temporary.file("store");
  process_pipe ready;
  auto child = start_child([&] {
    auto engine = open_lmdb_engine({.directory = path});
    auto put = [&](std::uint64_t counter) { return (*engine)->put(make_record(1, counter, 500'000)).has_value(); };
    if (!engine || !put(1) || !(*engine)->commit() || !put(2) || !(*engine)->put(make_record(2, 1, 1000)))
      return 1;
    ready.send('r');
    ::pause();
    return 0;
  });
  char word = 0;
  ready.done_sending();
  BOOST_REQUIRE(ready.receive(word));
  ::kill(child, SIGKILL);
  BOOST_CHECK_EQUAL(wait_for(child), -SIGKILL);
  auto engine = open(path);
  BOOST_CHECK(holds(*engine, make_record(1, 1, 500'000)));
  CHECK_FAILS(engine->get(address_of(2)), errc::pad_not_found);
  put_and_commit(*engine, make_record(1, 2, 500'000));  // the dead writer's lock is free
  BOOST_CHECK(holds(*engine, make_record(1, 2, 500'000)));
}

BOOST_AUTO_TEST_CASE(another_process_goes_on_when_a_writer_dies) {
  temporary_directory temporary;
  auto path = temporary.file("store");
  auto engine = open(path);
  put_and_commit(*engine, make_record(1, 1, 1000));
  auto child = start_child([&] {
    // The parent's engine is not touched here: this process opens its own.
    auto own = open_lmdb_engine({.directory = path});
    return own && (*own)->put(make_record(2, 1, 1000)) ? (::kill(::getpid(), SIGKILL), 0) : 1;
  });
  BOOST_CHECK_EQUAL(wait_for(child), -SIGKILL);
  put_and_commit(*engine, make_record(3, 1, 1000));
  CHECK_FAILS(engine->get(address_of(2)), errc::pad_not_found);
  BOOST_CHECK(holds(*engine, make_record(3, 1, 1000)));
}

BOOST_AUTO_TEST_CASE(two_thousand_reads_at_once_find_a_reader_slot_or_say_overloaded) {
  temporary_directory temporary;
  auto engine = open(temporary.file("store"));
  put_and_commit(*engine, make_record(1, 1, 1000));
  std::atomic<int> wrong{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 16; ++i)
    readers.emplace_back([&] {
      for (int round = 0; round < 2'000; ++round)
        wrong += holds(*engine, make_record(1, 1, 1000)) ? 0 : 1;
    });
  for (auto& reader : readers)
    reader.join();
  BOOST_CHECK_EQUAL(wrong, 0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
