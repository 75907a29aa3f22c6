// The files that remember an index: they come back as they were, or not at all.
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <random>

#include "core/files.hpp"
#include "core/index/cache_file.hpp"
#include "core/index/codec.hpp"
#include "random_index.hpp"
#include "tests/temporary_directory.hpp"

using namespace mutant;

namespace {

struct folder {
  folder() {
    BOOST_REQUIRE(init_crypto().has_value());
    key.value[3] = std::byte{9};
  }
  std::string file(const std::string& name) const { return directory.file(name); }
  const testing::temporary_directory directory;
  const std::string path = directory.path();
  aead_key key;
};

std::string content_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_content(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

snapshot_part part_with(std::uint64_t number) {
  snapshot_part part;
  for (std::uint64_t i = 0; i < 5; ++i) {
    snapshot_part::entry_item item;
    item.key = "key-" + std::to_string(number) + "-" + std::to_string(i);
    item.value.size = 3;
    item.value.version = i + 1;
    item.value.inline_value = bytes::copy_of("abc");
    part.entries.push_back(std::move(item));
  }
  return part;
}

void write_parts(const folder& f, std::size_t count) {
  std::uint64_t next = 0;
  const cache_summary summary{
      .sequence = 77, .last_commit = {}, .next_pad = 9, .ring_slots = 16, .root_counter = 4, .frames = {}};
  auto written = write_cache(f.file("c"), f.key, summary, [&]() -> std::optional<snapshot_part> {
    if (next == count)
      return std::nullopt;
    return part_with(next++);
  });
  BOOST_REQUIRE(written.has_value());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cache_file)

BOOST_FIXTURE_TEST_CASE(what_was_seen_comes_back, folder) {
  seen_state seen{3, {}, 1234, {}, 1000, {}};
  seen.root_hash[3] = std::byte{78};
  seen.last_commit[5] = std::byte{77};
  seen.cached_commit[7] = std::byte{79};
  BOOST_REQUIRE(write_seen(file("s"), key, seen).has_value());
  auto back = read_seen(file("s"), key);
  BOOST_REQUIRE(back.has_value());
  BOOST_TEST((*back == seen));
  using std::filesystem::perms;
  BOOST_TEST((std::filesystem::status(file("s")).permissions() == (perms::owner_read | perms::owner_write)));
}

BOOST_FIXTURE_TEST_CASE(files_that_are_not_there_are_no_error, folder) {
  auto seen = read_seen(file("s"), key);
  BOOST_REQUIRE(seen.has_value());
  BOOST_TEST(!seen->has_value());
  auto cache = cache_reader::open(file("c"), key);
  BOOST_REQUIRE(cache.has_value());
  BOOST_TEST((*cache == nullptr));
}

BOOST_FIXTURE_TEST_CASE(parts_come_back_in_order, folder) {
  write_parts(*this, 4);
  auto cache = cache_reader::open(file("c"), key);
  BOOST_REQUIRE(cache.has_value());
  BOOST_REQUIRE((*cache)->summary().frames.size() == 4u);
  BOOST_TEST((*cache)->summary().sequence == 77u);
  BOOST_TEST((*cache)->summary().root_counter == 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    auto part = (*cache)->read_part(i);
    BOOST_REQUIRE(part.has_value());
    BOOST_TEST((encode(*part) == encode(part_with(i))));
  }
}

BOOST_FIXTURE_TEST_CASE(a_cache_without_parts_comes_back, folder) {
  write_parts(*this, 0);
  auto cache = cache_reader::open(file("c"), key);
  BOOST_REQUIRE(cache.has_value());
  BOOST_TEST((*cache)->summary().frames.empty());
}

BOOST_FIXTURE_TEST_CASE(another_owners_files_are_refused, folder) {
  write_parts(*this, 2);
  BOOST_REQUIRE(write_seen(file("s"), key, {1, {}, 2, {}, 0, {}}).has_value());
  aead_key other;
  BOOST_TEST((cache_reader::open(file("c"), other).error().code == errc::index_corrupt));
  BOOST_TEST((read_seen(file("s"), other).error().code == errc::index_corrupt));
}

// Any changed byte, and any shorter file, is refused, at opening or at the part that it hits; never another content.
BOOST_FIXTURE_TEST_CASE(a_damaged_file_never_gives_another_state, folder) {
  write_parts(*this, 3);
  const auto good = content_of(file("c"));
  auto refused = [&](const std::string& content) {
    write_content(file("c"), content);
    auto cache = cache_reader::open(file("c"), key);
    if (!cache)
      return cache.error().code == errc::index_corrupt;
    for (std::size_t i = 0; i < (*cache)->summary().frames.size(); ++i)
      if (auto part = (*cache)->read_part(i); !part)
        return part.error().code == errc::index_corrupt;
    return false;
  };
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    auto bad = good;
    bad[random() % bad.size()] ^= static_cast<char>(1 << (random() % 8));
    BOOST_TEST(refused(bad));
  }
  for (std::size_t size = 0; size < good.size(); size += 1 + random() % 37)
    BOOST_TEST(refused(good.substr(0, size)));
  BOOST_TEST(refused(good + "x"));
}

BOOST_FIXTURE_TEST_CASE(a_damaged_seen_file_is_refused, folder) {
  BOOST_REQUIRE(write_seen(file("s"), key, {3, {}, 1234, {}, 0, {}}).has_value());
  const auto good = content_of(file("s"));
  for (std::size_t i = 0; i < good.size(); ++i) {
    auto bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 4);
    write_content(file("s"), bad);
    BOOST_TEST((read_seen(file("s"), key).error().code == errc::index_corrupt));
    write_content(file("s"), good.substr(0, i));
    BOOST_TEST((read_seen(file("s"), key).error().code == errc::index_corrupt));
  }
}

BOOST_FIXTURE_TEST_CASE(a_replacement_that_is_not_finished_leaves_the_old_file, folder) {
  write_content(file("f"), "old");
  {
    auto next = replacement_file::create(file("f"));
    BOOST_REQUIRE(next.has_value());
    BOOST_REQUIRE(write_all_at(next->descriptor(), 0, as_byte_view("new content"), "f").has_value());
  }
  BOOST_TEST(content_of(file("f")) == "old");
  auto next = replacement_file::create(file("f"));
  BOOST_REQUIRE(write_all_at(next->descriptor(), 0, as_byte_view("new content"), "f").has_value());
  BOOST_REQUIRE(next->commit(3).has_value());
  BOOST_TEST(content_of(file("f")) == "new");
  BOOST_TEST(std::distance(std::filesystem::directory_iterator(path), {}) == 1);
}

BOOST_AUTO_TEST_SUITE_END()
