// The record of a put under way, over random courses of puts that go on, differ, and are taken over: against the index itself.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <map>
#include <random>

#include "core/index/state.hpp"
#include "core/index/upload_record.hpp"

using namespace mutant;

namespace {

const std::string key = "k";

chunk_list chunks_of(const upload& u) {
  chunk_list out;
  for (const auto& piece : u.pieces)
    out.insert(out.end(), piece->begin(), piece->end());
  return out;
}

struct puts_under_way {
  explicit puts_under_way(std::uint32_t seed) : random(seed) {}

  std::mt19937 random;
  index_state state;
  upload_record record;
  std::uint64_t next_pad = 0;
  std::uint64_t last_id = 0;
  std::map<std::uint64_t, chunk_list> seen;   // by id: what a look at the index showed last

  std::uint32_t below(std::uint32_t n) { return std::uniform_int_distribution<std::uint32_t>(0, n - 1)(random); }

  void commit(std::vector<operation> operations) {
    index_batch batch(state);
    for (auto& op : operations) {
      const auto added = batch.add(std::move(op));
      BOOST_REQUIRE_MESSAGE(added.has_value(), (added ? std::string() : to_string(added.error())));
    }
    state.apply(std::move(batch));
    look();
  }

  // Under one id a record only grows.
  void look() {
    const auto* there = state.find_upload(key);
    if (there == nullptr)
      return;
    const auto now = chunks_of(*there);
    auto& before = seen[there->id];
    BOOST_REQUIRE_LE(before.size(), now.size());
    BOOST_REQUIRE(std::equal(before.begin(), before.end(), now.begin()));
    before = now;
  }

  chunk_list some_chunks() {
    chunk_list out;
    for (auto n = below(4); n > 0; --n) {
      chunk c;
      c.pad = {next_pad++, 1};
      c.length = 8;
      out.push_back(c);
    }
    return out;
  }

  void extend() {
    const auto finished = some_chunks();
    commit(record.extend(key, std::nullopt, 8, 0, finished, ++last_id));
    record.added(finished);
    const auto* there = state.find_upload(key);
    BOOST_REQUIRE(there != nullptr);
    BOOST_REQUIRE((chunks_of(*there) == record.chunks()));
  }

  // Another attempt begins from what the index shows.
  void take_over() {
    const auto* there = state.find_upload(key);
    auto taken = there != nullptr ? upload_record::taken_over(*there, std::nullopt, 0) : std::nullopt;
    if (!taken)
      return;
    record = std::move(*taken);
    BOOST_REQUIRE((chunks_of(*there) == record.chunks()));
    commit({record.adopt(key, ++last_id)});
    BOOST_REQUIRE_EQUAL(state.find_upload(key)->id, last_id);
  }

  // Chunks that were finished since, on top of those on record.
  void complete() {
    if (!record.is_begun())
      return;
    const auto finished = some_chunks();
    auto all = record.chunks();
    all.insert(all.end(), finished.begin(), finished.end());
    if (all.empty())
      return;
    commit(record.complete(key, 8 * all.size(), {}, finished, ++last_id));
    BOOST_REQUIRE(state.find_upload(key) == nullptr);
    BOOST_REQUIRE((*state.find(key)->chunks == all));
    record = {};
  }

  void step() {
    switch (below(8)) {
      case 0: case 1: case 2: extend(); break;
      case 3: case 4:
        if (!record.chunks().empty())
          record.cut_at(below(static_cast<std::uint32_t>(record.chunks().size() + 1)));
        break;
      case 5: take_over(); break;
      case 6: complete(); break;
      default:
        if (record.is_begun() && below(3) == 0) {
          commit({record.drop(key)});
          record = {};
        }
    }
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(record_of_an_upload)

BOOST_AUTO_TEST_CASE(it_says_what_the_index_holds_and_under_one_id_only_grows) {
  for (std::uint32_t seed = 1; seed <= 200; ++seed)
    BOOST_TEST_CONTEXT("seed " << seed) {
      puts_under_way w(seed);
      for (int i = 0; i < 60; ++i)
        w.step();
    }
}

BOOST_AUTO_TEST_CASE(an_earlier_attempt_counts_only_where_it_fits) {
  upload pending;
  pending.id = 3;
  pending.size = 16;
  pending.chunk_size = 8;
  pending.base_version = 5;
  BOOST_TEST(!upload_record::taken_over(pending, 16, 5));   // it holds nothing
  chunk own, inherited;
  own.pad = {1, 1};
  own.length = inherited.length = 8;
  pending.chunks_done = 1;
  pending.pieces = {std::make_shared<const chunk_list>(chunk_list{own})};
  BOOST_TEST(upload_record::taken_over(pending, 16, 5).has_value());
  BOOST_TEST(upload_record::taken_over(pending, std::nullopt, 5).has_value());
  BOOST_TEST(!upload_record::taken_over(pending, 17, 5));                   // another source
  BOOST_TEST(upload_record::taken_over(pending, 16, 6).has_value());        // nothing of it was the old value's
  pending.pieces = {std::make_shared<const chunk_list>(chunk_list{own, inherited})};
  pending.chunks_done = 2;
  BOOST_TEST(upload_record::taken_over(pending, 16, 5).has_value());
  BOOST_TEST(!upload_record::taken_over(pending, 16, 6));                   // what it inherited is gone
}

BOOST_AUTO_TEST_SUITE_END()
