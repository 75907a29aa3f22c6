// The copy-on-write map against std::map, and its frozen views against later changes.
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "core/index/cow_map.hpp"

using namespace mutant;

namespace {

using text_map = cow_map<std::string, int>;
using number_map = cow_map<std::uint64_t, std::uint64_t>;

std::string key_of(std::uint64_t n) {
  return "key/" + std::to_string(n);
}

template <class Map, class Model>
bool same(const Map& map, const Model& model) {
  if (map.size() != model.size())
    return false;
  auto at = map.begin();
  for (const auto& [key, value] : model) {
    if (at.at_end() || at.key() != key || at.value() != value)
      return false;
    at.next();
  }
  return at.at_end();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cow_map_test)

BOOST_AUTO_TEST_CASE(random_changes_give_what_an_ordered_map_gives) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    text_map map;
    std::map<std::string, int> model;
    auto range = std::uint64_t{1} << random() % 14;
    for (int step = 0; step < 6000; ++step) {
      auto key = key_of(random() % range);
      auto erase_percent = step < 3000 ? 20u : 80u;
      if (random() % 100 < erase_percent) {
        BOOST_TEST(map.erase(key) == (model.erase(key) == 1));
      } else {
        auto fresh = !model.contains(key);
        model[key] = step;
        BOOST_TEST(map.insert_or_assign(key, step) == fresh);
      }
    }
    BOOST_TEST(same(map, model));
    BOOST_TEST(map.leaf_count() <= model.size() / 12 + 2);
    for (std::uint64_t n = 0; n < range; n += 1 + range / 200) {
      auto key = key_of(n);
      auto expected = model.find(key);
      const auto* found = map.find(key);
      BOOST_TEST((found != nullptr) == (expected != model.end()));
      auto from = model.lower_bound(key);
      auto at = map.lower_bound(key);
      BOOST_TEST(at.at_end() == (from == model.end()));
      BOOST_TEST((at.at_end() || at.key() == from->first));
      auto above = model.upper_bound(key);
      auto after = map.upper_bound(key);
      BOOST_TEST((after.at_end() ? above == model.end() : above != model.end() && after.key() == above->first));
    }
  }
}

// Keys that are hard to tell apart by their beginnings: prefixes of each other, zero bytes at the end, bytes above 127, and
// many that begin alike. So the directory's common prefix shrinks, and heads tie.
BOOST_AUTO_TEST_CASE(keys_of_any_bytes_are_found) {
  for (unsigned seed = 1; seed <= 12; ++seed) {
    std::mt19937_64 random(seed);
    const std::string parts[] = {
        "", std::string(1, '\0'), "a", "\xff", "ab", std::string("\0\0", 2), "photos/2024/", "b\x80"};
    auto any_key = [&](std::uint64_t number) {
      std::mt19937_64 r(number % 4000 * 31 + seed);
      std::string key = seed % 3 == 0 ? "" : seed % 3 == 1 ? "albums/summer/" : std::string(r() % 4, 'p');
      for (auto n = r() % 7; n-- > 0;)
        key += parts[r() % std::size(parts)];
      return key;
    };
    text_map map;
    std::map<std::string, int> model;
    for (int step = 0; step < 8000; ++step) {
      const auto key = any_key(random());
      if (random() % 100 < (step < 5000 ? 15u : 75u)) {
        BOOST_TEST(map.erase(key) == (model.erase(key) == 1));
      } else if (auto* there = map.find_for_change(key)) {
        BOOST_TEST(model.contains(key));
        model[key] = *there = step;
      } else {
        BOOST_TEST(model.emplace(key, step).second);
        BOOST_TEST(map.insert_or_assign(key, step));
      }
    }
    BOOST_TEST(same(map, model));
    for (int look = 0; look < 4000; ++look) {
      const auto key = any_key(random());
      const auto expected = model.find(key);
      const auto* found = map.find(key);
      BOOST_TEST_REQUIRE((found != nullptr) == (expected != model.end()));
      BOOST_TEST((found == nullptr || *found == expected->second));
      const auto from = model.lower_bound(key);
      const auto at = map.lower_bound(key);
      BOOST_TEST((at.at_end() ? from == model.end() : from != model.end() && at.key() == from->first));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_frozen_view_never_changes) {
  std::mt19937_64 random(7);
  number_map map;
  std::map<std::uint64_t, std::uint64_t> model;
  std::vector<std::pair<number_map::frozen, std::map<std::uint64_t, std::uint64_t>>> views;
  for (int round = 0; round < 12; ++round) {
    for (int step = 0; step < 2000; ++step) {
      auto key = random() % 3000;
      switch (random() % 3) {
        case 0:
          map.erase(key);
          model.erase(key);
          break;
        case 1:
          if (auto* value = map.find_for_change(key))
            model[key] = *value += 1;
          break;
        default:
          map.insert_or_assign(key, random() % 100);
          model[key] = *map.find(key);
      }
    }
    views.emplace_back(map.freeze(), model);
  }
  map.clear();
  BOOST_TEST(map.empty());
  for (const auto& [view, expected] : views) {
    BOOST_TEST(same(view, expected));
    for (std::uint64_t key = 0; key < 3000; key += 17) {
      const auto* found = view.find(key);
      BOOST_TEST((found != nullptr) == expected.contains(key));
      auto at = view.lower_bound(key);
      auto from = expected.lower_bound(key);
      BOOST_TEST((at.at_end() ? from == expected.end() : from != expected.end() && at.key() == from->first));
    }
  }
}

BOOST_AUTO_TEST_CASE(ascending_keys_fill_leaves) {
  number_map map;
  for (std::uint64_t n = 0; n < 100'000; ++n)
    map.insert_or_assign(n, n);
  BOOST_TEST(map.size() == 100'000u);
  BOOST_TEST(map.leaf_count() <= 100'000u / number_map::leaf_capacity + 1);
}

BOOST_AUTO_TEST_CASE(erased_items_leave_no_leaves_behind) {
  for (bool ascending : {true, false}) {
    number_map map;
    for (std::uint64_t n = 0; n < 10'000; ++n)
      map.insert_or_assign(n, n);
    for (std::uint64_t n = 0; n < 10'000; ++n)
      BOOST_TEST(map.erase(ascending ? n : 9999 - n));
    BOOST_TEST(map.leaf_count() == 0u);
    BOOST_TEST(map.insert_or_assign(5, 5));
    BOOST_TEST(*map.find(5) == 5u);
  }
}

BOOST_AUTO_TEST_CASE(a_visit_starts_where_asked_and_ends_when_told) {
  number_map map;
  for (std::uint64_t n = 0; n < 1000; n += 2)
    map.insert_or_assign(n, n);
  std::vector<std::uint64_t> seen;
  map.for_each_from(301, [&](std::uint64_t key, std::uint64_t) {
    seen.push_back(key);
    return seen.size() < 3;
  });
  BOOST_TEST(seen == (std::vector<std::uint64_t>{302, 304, 306}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_empty_map_has_nothing_anywhere) {
  text_map map;
  BOOST_TEST(map.find("a") == nullptr);
  BOOST_TEST(!map.erase("a"));
  BOOST_TEST(map.lower_bound("").at_end());
  BOOST_TEST(map.freeze().begin().at_end());
  BOOST_TEST(text_map::frozen().begin().at_end());
  BOOST_TEST(text_map::frozen().find("a") == nullptr);
}

BOOST_AUTO_TEST_CASE(other_threads_read_views_while_the_map_changes) {
  number_map map;
  for (std::uint64_t n = 0; n < 5000; ++n)
    map.insert_or_assign(n, 1);
  std::atomic<int> wrong = 0;
  for (int round = 0; round < 20; ++round) {
    auto view = map.freeze();
    std::thread reader([view = std::move(view), &wrong, round] {
      std::uint64_t sum = 0;
      for (auto at = view.begin(); !at.at_end(); at.next())
        sum += at.value();
      if (sum != 5000u * static_cast<unsigned>(round + 1))
        ++wrong;
    });
    for (std::uint64_t n = 0; n < 5000; ++n)
      *map.find_for_change(n) += 1;
    reader.join();
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_SUITE_END()
