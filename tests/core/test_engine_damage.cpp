// Damage anywhere in a store's files: what the engine says then is right or an error, and never "there is no such pad".
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <vector>

#include <sys/stat.h>

#include "core/engine/lmdb_file.hpp"
#include "core/engine/store_format.hpp"
#include "tests/core/test_engine_support.hpp"

namespace {

using namespace mutant;
using namespace mutant::engine_test;

namespace fs = std::filesystem;
constexpr std::size_t page_bytes = 4096;

// Sizes of every kind: in a leaf, in overflow pages, in a segment.
std::size_t size_of_pad(std::uint64_t pad) {
  return pad % 50 == 0 ? 70'000 : pad % 7 == 0 ? 3'000 + pad : 200 + pad % 500;
}

// A store with a tree of three levels, and free pages.
void make_example(const std::string& directory, std::uint64_t pads) {
  auto engine = open_lmdb_engine({.directory = directory});
  REQUIRE_OK(engine);
  for (std::uint64_t pad = 0; pad < pads + 20; ++pad)
    REQUIRE_OK((*engine)->put(make_record(pad, 1, size_of_pad(pad))));
  REQUIRE_OK((*engine)->commit());
  for (std::uint64_t pad = pads; pad < pads + 20; ++pad)
    REQUIRE_OK((*engine)->erase(make_blank(pad, 2)));
  REQUIRE_OK((*engine)->commit());
  REQUIRE_OK((*engine)->put(make_record(0, 2, size_of_pad(0))));
  REQUIRE_OK((*engine)->commit());
}

bytes expected_record(std::uint64_t pad) {
  return make_record(pad, pad == 0 ? 2 : 1, size_of_pad(pad));
}

std::vector<char> content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_content(const std::string& path, const std::vector<char>& content) {
  std::ofstream(path, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
}

struct damaged_range {
  std::size_t first = 0, size = 0;
};

damaged_range damage_a_page(std::vector<char>& content, std::mt19937_64& random) {
  const auto pages = content.size() / page_bytes;
  const auto page = random() % pages * page_bytes;
  auto noise = [&](std::size_t at, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i)
      content[at + i] = static_cast<char>(random());
    return damaged_range{at, size};
  };
  switch (random() % 6) {
    case 0: {  // one bit anywhere
      const auto at = random() % content.size();
      content[at] = static_cast<char>(content[at] ^ (1 << random() % 8));
      return {at, 1};
    }
    case 1: return noise(page + random() % 16, 1);              // the page's head
    case 2: return noise(page + 16 + random() % 128, 2);        // the table of its entries
    case 3: return noise(page + random() % (page_bytes - 8), 8);
    case 4: std::fill_n(content.begin() + static_cast<std::ptrdiff_t>(page), page_bytes, '\0'); return {page, page_bytes};
    default:
      std::copy_n(content.begin() + static_cast<std::ptrdiff_t>(random() % pages * page_bytes), page_bytes,
                  content.begin() + static_cast<std::ptrdiff_t>(page));
      return {page, page_bytes};
  }
}

// An engine does not look at payloads: who reads them checks their hash. So damage inside a record may come through, no more.
bool differs_in_at_most(const bytes& found, const bytes& expected, std::size_t most) {
  if (found.size() != expected.size())
    return false;
  std::size_t differing = 0;
  for (std::size_t i = 0; i < found.size(); ++i)
    differing += found.view()[i] != expected.view()[i] ? 1 : 0;
  return differing <= most;
}

bool is_damage(errc code) {
  return code == errc::store_damaged || code == errc::corrupt_record;
}

BOOST_AUTO_TEST_SUITE(engine_damage)

// Where LMDB could not write a meta page it puts back the old transaction and last page, and leaves the new roots: nobody
// follows them, and they are no damage.
BOOST_AUTO_TEST_CASE(what_a_failed_commit_left_in_the_older_meta_page_is_no_damage) {
  temporary_directory temporary;
  const auto path = temporary.file("store");
  make_example(path, 100);
  const auto data = path + "/data.mdb";
  auto content = content_of(data);
  auto number_at = [&](std::size_t at) {
    std::uint64_t out = 0;
    std::memcpy(&out, content.data() + at, sizeof out);
    return out;
  };
  constexpr std::size_t last_page_at = 136, transaction_at = 144, root_at = 128;
  const auto older = number_at(transaction_at) < number_at(page_bytes + transaction_at) ? 0 : page_bytes;
  const auto root = number_at(older + last_page_at) + 7;
  std::memcpy(content.data() + older + root_at, &root, sizeof root);
  write_content(data, content);
  auto engine = open_lmdb_engine({.directory = path, .create = false});
  REQUIRE_OK(engine);
  for (std::uint64_t pad = 0; pad < 100; ++pad)
    BOOST_TEST(((*engine)->get(address_of(pad)) == expected_record(pad)));
  REQUIRE_OK((*engine)->put(make_record(1, 9, 300)));
  REQUIRE_OK((*engine)->commit());
  BOOST_TEST(((*engine)->get(address_of(1)) == make_record(1, 9, 300)));
}

BOOST_AUTO_TEST_CASE(damage_anywhere_in_the_data_file_is_an_error_or_harms_nothing) {
  temporary_directory temporary;
  constexpr std::uint64_t pads = 600;
  const auto path = temporary.file("store");
  make_example(path, pads);
  const auto data = path + "/data.mdb";
  const auto whole = content_of(data);
  std::mt19937_64 random(20261128);
  std::size_t noticed = 0;
  for (int round = 0; round < 400; ++round) {
    auto content = whole;
    const auto damage = damage_a_page(content, random);
    if (content == whole)
      continue;
    write_content(data, content);
    auto said = [&](const char* what) {
      return "round " + std::to_string(round) + ", " + std::to_string(damage.size) + " bytes at "
             + std::to_string(damage.first) + ": " + what;
    };
    auto engine = open_lmdb_engine({.directory = path, .create = false});
    if (!engine) {
      // unsupported: the version itself may be what was hit.
      BOOST_CHECK_MESSAGE(is_damage(engine.error().code) || engine.error().code == errc::unsupported,
                          said(to_string(engine.error()).c_str()));
      ++noticed;
      continue;
    }
    for (std::uint64_t pad = 0; pad < pads; pad += 1 + random() % 4) {
      auto record = (*engine)->get(address_of(pad));
      if (!record)
        BOOST_CHECK_MESSAGE(is_damage(record.error().code), said(to_string(record.error()).c_str()));
      else
        BOOST_CHECK_MESSAGE(differs_in_at_most(*record, expected_record(pad), damage.size), said("another record"));
      noticed += record ? 0 : 1;
    }
    auto absent = (*engine)->get(address_of(1'000'000 + random() % 1000));
    BOOST_CHECK_MESSAGE(!absent && (absent.error().code == errc::pad_not_found || is_damage(absent.error().code)),
                        said("a pad that never was"));
  }
  BOOST_CHECK_GT(noticed, 200u);
}

BOOST_AUTO_TEST_CASE(a_writer_meets_no_damage_with_its_eyes_shut) {
  temporary_directory temporary;
  constexpr std::uint64_t pads = 300;
  const auto path = temporary.file("store");
  make_example(path, pads);
  const auto data = path + "/data.mdb";
  const auto whole = content_of(data);
  const auto keep = temporary.file("keep");
  fs::copy(path, keep, fs::copy_options::recursive);
  std::mt19937_64 random(7);
  std::size_t refused = 0;
  for (int round = 0; round < 150; ++round) {
    fs::remove_all(path);
    fs::copy(keep, path, fs::copy_options::recursive);
    auto content = whole;
    const auto damage = damage_a_page(content, random);
    if (content == whole)
      continue;
    write_content(data, content);
    auto engine = open_lmdb_engine({.directory = path, .create = false});
    auto wrote = [&]() -> result<void> {
      if (!engine)
        return fail(engine.error());
      for (std::uint64_t i = 0; i < 30; ++i) {
        const auto pad = random() % pads;
        auto done = i % 3 == 0 ? (*engine)->erase(make_blank(pad, 9 + i))
                               : (*engine)->put(make_record(pad, 9 + i, size_of_pad(i)));
        if (!done)
          return done;
      }
      return (*engine)->commit();
    }();
    if (!wrote) {
      BOOST_CHECK_MESSAGE(is_damage(wrote.error().code) || wrote.error().code == errc::unsupported
                              || wrote.error().code == errc::stale_counter,
                          "round " << round << ", " << damage.size << " bytes at " << damage.first << ": "
                                   << to_string(wrote.error()));
      ++refused;
      continue;
    }
    // What it left is sound, but for damage inside of records.
    engine = open_lmdb_engine({.directory = path});
    REQUIRE_OK(engine);
    REQUIRE_OK((*engine)->put(make_record(5'000, 1, 300)));
    REQUIRE_OK((*engine)->commit());
  }
  BOOST_CHECK_GT(refused, 50u);
}

BOOST_AUTO_TEST_CASE(a_sound_store_passes_every_check_whatever_was_done_to_it) {
  temporary_directory temporary;
  const auto path = temporary.file("store");
  std::mt19937_64 random(3);
  for (int opened = 0; opened < 4; ++opened) {
    auto engine = open_lmdb_engine({.directory = path});
    REQUIRE_OK(engine);
    auto file = lmdb_file::open(path + "/data.mdb");
    REQUIRE_OK(file);
    for (std::uint64_t batch = 0; batch < 60; ++batch) {
      const auto counter = 1 + static_cast<std::uint64_t>(opened) * 1000 + batch;
      for (std::uint64_t i = 0; i < random() % 60; ++i) {
        const auto pad = random() % 400;
        if (random() % 3 == 0)
          static_cast<void>((*engine)->erase(make_blank(pad, counter)));
        else
          static_cast<void>((*engine)->put(make_record(pad, counter, 160 + random() % (i == 0 ? 200'000 : 6'000))));
      }
      REQUIRE_OK((*engine)->commit());
      REQUIRE_OK(file->read([&](const lmdb_file::state& now) -> result<void> {
        if (auto sized = file->check_size(now); !sized)
          return sized;
        return file->check_all(now, store_format::pads_database, 1'000'000);
      }));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_data_file_cut_anywhere_is_damage) {
  temporary_directory temporary;
  const auto path = temporary.file("store");
  make_example(path, 100);
  const auto data = path + "/data.mdb";
  const auto whole = content_of(data);
  for (std::size_t size = 0; size < whole.size(); size += size < 3 * page_bytes ? 512 : 3 * page_bytes + 11) {
    write_content(data, {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
    for (bool create : {false, true}) {
      auto engine = open_lmdb_engine({.directory = path, .create = create});
      if (engine) {  // only free pages are missing
        BOOST_CHECK_GT(size, whole.size() / 2);
        for (std::uint64_t pad = 0; pad < 100; ++pad)
          BOOST_CHECK(*(*engine)->get(address_of(pad)) == expected_record(pad));
      } else {
        CHECK_FAILS(engine, errc::store_damaged);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_data_file_cut_off_while_it_is_open_is_damage) {
  temporary_directory temporary;
  const auto path = temporary.file("store");
  make_example(path, 100);
  auto engine = open_lmdb_engine({.directory = path});
  REQUIRE_OK(engine);
  for (std::uintmax_t size : {fs::file_size(path + "/data.mdb") / 2, std::uintmax_t{2 * page_bytes}, std::uintmax_t{0}}) {
    fs::resize_file(path + "/data.mdb", size);
    bool lost = false;
    for (std::uint64_t pad = 0; pad < 100; ++pad)
      if (auto record = (*engine)->get(address_of(pad)); !record) {
        CHECK_FAILS(record, errc::store_damaged);
        lost = true;
      }
    BOOST_CHECK(lost);
    CHECK_FAILS((*engine)->put(make_record(1, 5, 1000)), errc::store_damaged);
    CHECK_FAILS((*engine)->commit(), errc::store_damaged);
  }
}

BOOST_AUTO_TEST_CASE(a_segment_that_is_missing_or_short_costs_its_pads_alone) {
  temporary_directory temporary;
  const auto path = temporary.file("store");
  make_example(path, 100);
  const auto segment = path + "/" + store_format::segment_file_name(1);
  BOOST_REQUIRE(fs::exists(segment));
  fs::resize_file(segment, 5000);
  CHECK_FAILS((*open_lmdb_engine({.directory = path}))->get(address_of(50)), errc::corrupt_record);
  fs::remove(segment);
  auto engine = open_lmdb_engine({.directory = path});
  REQUIRE_OK(engine);
  CHECK_FAILS((*engine)->get(address_of(50)), errc::corrupt_record);
  BOOST_CHECK(*(*engine)->get(address_of(1)) == expected_record(1));
}

BOOST_AUTO_TEST_CASE(a_store_without_its_data_file_is_damaged_and_not_made_anew) {
  temporary_directory temporary;
  for (std::uint64_t size : {300u, 80'000u}) {  // with a segment and without one
    const auto path = temporary.file(size < 1000 ? "small" : "large");
    {
      auto engine = open_lmdb_engine({.directory = path});
      REQUIRE_OK(engine);
      REQUIRE_OK((*engine)->put(make_record(1, 1, size)));
      REQUIRE_OK((*engine)->commit());
    }
    fs::remove(path + "/data.mdb");
    for (bool create : {false, true}) {
      CHECK_FAILS(open_lmdb_engine({.directory = path, .create = create}), errc::store_damaged);
      BOOST_CHECK(!fs::exists(path + "/data.mdb"));
    }
    std::ofstream(path + "/data.mdb").flush();
    for (bool create : {false, true})
      CHECK_FAILS(open_lmdb_engine({.directory = path, .create = create}), errc::store_damaged);
  }
}

// -- reading alone --------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(reading_leaves_no_trace_and_needs_no_lock_file) {
  temporary_directory temporary;
  const auto path = temporary.file("store");
  make_example(path, 100);
  fs::remove(path + "/lock.mdb");
  const auto before = content_of(path + "/data.mdb");
  auto engine = open_lmdb_engine({.directory = path, .create = false});
  REQUIRE_OK(engine);
  for (std::uint64_t pad = 0; pad < 100; ++pad)
    BOOST_CHECK(*(*engine)->get(address_of(pad)) == expected_record(pad));
  CHECK_FAILS((*engine)->head(address_of(100)), errc::pad_not_found);
  BOOST_CHECK_EQUAL((*engine)->stats()->pads, 100u);
  BOOST_CHECK(!fs::exists(path + "/lock.mdb"));
  BOOST_CHECK(content_of(path + "/data.mdb") == before);
  REQUIRE_OK((*engine)->put(make_record(0, 3, 300)));  // opened for writing now
  REQUIRE_OK((*engine)->commit());
  BOOST_CHECK(*(*engine)->get(address_of(0)) == make_record(0, 3, 300));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
