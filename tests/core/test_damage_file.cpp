// What a machine remembers of damaged pads: it comes back, several may add to it, and damage to it costs only what it hits.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/index/damage_file.hpp"
#include "tests/temporary_directory.hpp"

using namespace mutant;

namespace {

struct folder {
  folder() {
    BOOST_REQUIRE(init_crypto().has_value());
    key.value[3] = std::byte{9};
  }
  std::string file() const { return path + "/store.damaged"; }
  std::set<pad_ref> read() const {
    auto pads = read_damaged(file(), key);
    BOOST_REQUIRE_MESSAGE(pads, (pads ? std::string() : to_string(pads.error())));
    return *pads;
  }
  void note(const std::vector<pad_ref>& pads) const { BOOST_REQUIRE(note_damaged(file(), key, pads).has_value()); }
  std::string content() const {
    std::ifstream in(file(), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& text) const { std::ofstream(file(), std::ios::binary | std::ios::trunc) << text; }

  const testing::temporary_directory directory;
  const std::string path = directory.path();
  aead_key key;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(damage_file)

BOOST_AUTO_TEST_CASE(what_is_noted_is_known_once) {
  folder f;
  BOOST_TEST(f.read().empty());
  f.note({{1, 2}, {3, 4}});
  f.note({{3, 4}, {3, 5}});
  const auto size = f.content().size();
  f.note({{1, 2}});
  BOOST_TEST(f.content().size() == size);
  BOOST_TEST((f.read() == std::set<pad_ref>{{1, 2}, {3, 4}, {3, 5}}));
  aead_key other;
  BOOST_TEST(read_damaged(f.file(), other).value().empty());
}

BOOST_AUTO_TEST_CASE(a_file_that_is_cut_off_or_damaged_forgets_only_what_was_hit) {
  folder f;
  const std::set<pad_ref> all{{1, 1}, {2, 1}, {3, 1}};
  f.note({all.begin(), all.end()});
  const auto whole = f.content();
  for (std::size_t length = 0; length <= whole.size(); ++length) {
    f.write(whole.substr(0, length));
    const auto left = f.read();
    BOOST_TEST(std::ranges::includes(all, left));
    f.note({{9, 9}});
    BOOST_TEST(f.read().contains({9, 9}));
    BOOST_TEST(std::ranges::includes(f.read(), left));
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    auto damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    f.write(damaged);
    BOOST_TEST(f.read().size() == (at < 8 ? 0u : 2u));
    BOOST_TEST(std::ranges::includes(all, f.read()));
  }
}

BOOST_AUTO_TEST_CASE(it_does_not_grow_without_end) {
  folder f;
  std::vector<pad_ref> many;
  for (std::uint64_t i = 0; i < max_damaged_pads; ++i)
    many.push_back({i, 1});
  f.note(many);
  BOOST_TEST(f.read().size() == max_damaged_pads);
  f.note({{1u << 30, 7}});
  const auto left = f.read();
  BOOST_TEST(left.size() <= max_damaged_pads);
  BOOST_TEST(left.contains({1u << 30, 7}));
  BOOST_TEST(left.contains(many.back()));
}

BOOST_AUTO_TEST_SUITE_END()
