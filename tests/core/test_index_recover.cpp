// Recovering an index from what is left of it: whatever records are lost, what is there is true, what is missing is named, and
// what the others prove is there. The truth is a plain model, moved on beside the log; the records are what a store would hold.
#include <boost/test/unit_test.hpp>

#include "core/index/codec.hpp"
#include "core/index/recover.hpp"
#include "core/index/ring.hpp"
#include "tests/core/index_model.hpp"

using namespace mutant;
using mutant::testing::index_model;
using mutant::testing::operation_source;

namespace {

constexpr std::uint64_t ring_slots = 8;
constexpr std::size_t part_bytes = 400;

using entries = std::map<std::string, entry>;

// All that a store and a machine hold of one index, whole; and what was true after each commit.
struct history {
  index_evidence whole;
  std::vector<entries> truth{entries()};                       // by sequence
  std::vector<commit> commits{commit()};                       // likewise
  std::vector<content_hash> hashes{content_hash()};

  std::uint64_t last() const { return truth.size() - 1; }
};

class history_maker {
 public:
  explicit history_maker(std::uint64_t seed) : source_(seed), next_id_(1000) {}

  history make(std::uint64_t commits) {
    h_.whole.ring_slots = ring_slots;
    h_.whole.unreadable_slots.resize(ring_slots);
    write_root(true);
    for (std::uint64_t n = 1; n <= commits; ++n) {
      if (n > h_.whole.last_root->what.sequence + ring_slots || source_.below(6) == 0)
        write_root(source_.below(3) == 0);
      if (source_.below(9) == 0)
        cache();
      write_commit(n);
    }
    if (source_.below(3) != 0)
      see();
    if (source_.below(8) == 0) {
      cache();
      see();
    }
    for (auto n = commits > ring_slots ? commits - ring_slots + 1 : 1; n <= commits; ++n)
      h_.whole.log.emplace(n, index_evidence::logged_commit{h_.commits[n], h_.hashes[n]});
    if (!h_.whole.seen)
      h_.whole.cached.reset();
    return std::move(h_);
  }

 private:
  void write_commit(std::uint64_t n) {
    index_batch batch(state_);
    for (auto left = 1 + source_.below(3); left > 0 || batch.empty();) {
      auto op = source_.next(model_);
      // An id is never used twice.
      if (auto* begin = std::get_if<begin_upload_op>(&op))
        begin->id = ++next_id_;
      if (auto* adopt = std::get_if<adopt_upload_op>(&op))
        adopt->new_id = ++next_id_;
      if (model_.apply(op, n))
        continue;
      BOOST_REQUIRE(batch.add(op));
      left -= left > 0 ? 1 : 0;
    }
    commit c;
    c.sequence = n;
    c.previous = h_.hashes.back();
    c.operations = batch.operations();
    state_.apply(std::move(batch));
    h_.hashes.push_back(hash_of(encode(c)));
    h_.commits.push_back(std::move(c));
    h_.truth.push_back(model_.entries);
  }

  void write_root(bool is_base) {
    auto& e = h_.whole;
    root next = e.last_root ? e.last_root->what : root();
    std::vector<snapshot_part> parts;
    const auto sequence = state_.sequence();
    auto changes = state_.take_changes();
    if (is_base) {
      next.parts.clear();
      e.parts.clear();
      part_cutter cutter(state_.freeze(), part_bytes);
      while (auto part = cutter.next())
        parts.push_back(std::move(*part));
    } else {
      parts = delta_parts(std::move(changes), part_bytes);
    }
    for (auto& part : parts) {
      part_ref at;
      at.pad = {next.next_part++, 1};
      at.sequence = sequence;
      at.base = is_base;
      next.parts.push_back(at);
      e.parts.emplace_back(std::move(part));
    }
    next.sequence = sequence;
    next.last_commit = h_.hashes.back();
    next.next_pad = state_.next_pad();
    next.ring_slots = ring_slots;
    e.last_root = index_evidence::named_root{std::move(next), (e.last_root ? e.last_root->counter : 0) + 1, {}};
  }

  void cache() {
    index_evidence::cached_state cached{state_.sequence(), h_.hashes.back(), state_.next_pad(), {}};
    part_cutter cutter(state_.freeze(), part_bytes);
    while (auto part = cutter.next())
      cached.parts.push_back(std::move(*part));
    h_.whole.cached = std::move(cached);
    see();
  }

  void see() {
    seen_state seen;
    seen.root_counter = h_.whole.last_root->counter;
    seen.sequence = state_.sequence();
    seen.last_commit = h_.hashes.back();
    h_.whole.seen = seen;
  }

  operation_source source_;
  std::uint64_t next_id_;
  index_model model_;
  index_state state_;
  history h_;
};

// Records that a machine or a store may lose, one by one.
struct damage {
  explicit damage(const history& from) : e(from.whole) {}

  std::size_t count() const { return 3 + ring_slots + e.parts.size(); }
  void lose(std::size_t which, bool with_header) {
    if (which == 0) {
      e.last_root.reset();
      e.parts.clear();
    } else if (which == 1) {
      e.seen.reset();
      e.cached.reset();
    } else if (which == 2) {
      e.cached.reset();
    } else if (which < 3 + ring_slots) {
      lose_slot(which - 3, with_header);
    } else if (which - 3 - ring_slots < e.parts.size()) {
      e.parts[which - 3 - ring_slots].reset();
    }
  }
  void lose_slot(std::uint64_t slot, bool with_header) {
    for (auto at = e.log.begin(); at != e.log.end(); ++at)
      if (slot_of(at->first, ring_slots) == slot) {
        if (!with_header)
          e.headers.insert(at->first);
        e.log.erase(at);
        break;
      }
    if (with_header)
      e.unreadable_slots[slot] = true;
  }

  index_evidence e;
};

bool covers(const std::vector<recovered_index::commit_range>& ranges, std::uint64_t n) {
  return std::ranges::any_of(ranges, [n](const auto& r) { return r.first <= n && n <= r.second; });
}

entries entries_of(const index_state& state) {
  entries out;
  for (const auto& item : state.list({}, {}, 1000))
    if (item.complete != nullptr)
      out.emplace(item.key, *item.complete);
  return out;
}

bool was_ever(const history& h, const std::string& key, const entry& value) {
  return std::ranges::any_of(h.truth, [&](const entries& at) {
    const auto there = at.find(key);
    return there != at.end() && there->second == value && there->second.version == value.version;
  });
}

// Nothing is there that is not true, and nothing is missing that is not named.
void check_truth(const history& h, const recovered_index& r) {
  const auto there = entries_of(r.state);
  const auto& now = h.truth.back();
  BOOST_TEST(r.sequence >= h.last());
  for (const auto& [key, value] : there) {
    if (std::ranges::find(r.uncertain, key) != r.uncertain.end()) {
      BOOST_TEST(was_ever(h, key, value), key << " of version " << value.version << " never was");
      continue;
    }
    const auto truth = now.find(key);
    BOOST_REQUIRE_MESSAGE(truth != now.end(), key << " is there, and is not said to be uncertain");
    BOOST_TEST((truth->second == value), key << " has version " << value.version << ", and is not said to be uncertain");
    BOOST_TEST(truth->second.version == value.version);
  }
  for (const auto& item : now) {
    const auto& key = item.first;
    const auto& value = item.second;
    const auto found = there.find(key);
    if (found != there.end() && found->second.version == value.version)
      continue;
    const auto is_named = std::ranges::any_of(r.lost_values, [&](const auto& v) { return v.key == key; });
    const auto is_in_range = std::ranges::any_of(r.lost_keys, [&](const auto& range) {
      return range.first < key && (range.second.empty() || key < range.second);
    });
    BOOST_TEST((is_named || is_in_range || covers(r.lost_commits, value.version)), key << " of version " << value.version
                                                                                       << " is missing without a word");
  }
}

// Commits that the chain joins to something known, told a second time.
std::set<std::uint64_t> provable(const index_evidence& e) {
  std::set<std::uint64_t> known{0};
  if (e.last_root)
    known.insert(e.last_root->what.sequence);
  if (e.seen)
    known.insert(e.seen->sequence);
  if (e.cached)
    known.insert(e.cached->sequence);
  std::set<std::uint64_t> out;
  for (const auto& [n, logged] : e.log) {
    auto first = n;   // all of first … last can be read
    auto last = n;
    while (e.log.contains(first - 1))
      --first;
    while (e.log.contains(last + 1))
      ++last;
    if (std::ranges::any_of(known, [&](auto k) { return k + 1 >= first && k <= last; }))
      out.insert(n);
  }
  return out;
}

std::string why_lost(const recovered_index& r, const std::string& key) {
  for (const auto& lost : r.lost_values)
    if (lost.key == key)
      return ": " + lost.why;
  return {};
}

// What the records that are left prove by themselves is there.
void check_completeness(const history& h, const index_evidence& e, const recovered_index& r) {
  const auto there = entries_of(r.state);
  const auto commits = provable(e);
  for (const auto& item : h.truth.back()) {
    const auto& key = item.first;
    const auto& value = item.second;
    const auto is_put = std::ranges::any_of(h.commits[value.version].operations, [&](const operation& op) {
      const auto* put = std::get_if<put_op>(&op);
      return put != nullptr && put->key == key && put->value.chunks == value.chunks
             && put->value.modified_ms == value.modified_ms;
    });
    if (commits.contains(value.version) && is_put) {
      const auto found = there.find(key);
      BOOST_TEST((found != there.end() && found->second.version == value.version),
                 key << " was put by commit " << value.version << ", which is there, and is lost" << why_lost(r, key));
    }
  }
  const auto parts_are_whole = e.last_root && std::ranges::all_of(e.parts, [](const auto& p) { return p.has_value(); });
  auto from = parts_are_whole ? e.last_root->what.sequence : 0;
  auto end = from;
  while (commits.contains(end + 1))
    ++end;
  if (e.cached) {
    auto by_cache = e.cached->sequence;
    while (commits.contains(by_cache + 1))
      ++by_cache;
    end = std::max(end, by_cache);
  }
  BOOST_TEST(r.whole_until >= end);
  if (parts_are_whole || e.cached || end > 0)
    for (const auto& [key, value] : h.truth[end]) {
      const auto now = h.truth.back().find(key);
      if (now == h.truth.back().end() || now->second.version != value.version)
        continue;    // replaced since
      const auto found = there.find(key);
      BOOST_TEST((found != there.end() && found->second == value),
                 key << " was there at commit " << end << " and is lost" << why_lost(r, key));
    }
}

void check(const history& h, const index_evidence& e) {
  auto r = recover_index(e);
  if (!r) {
    BOOST_TEST(to_string(r.error()).find("nothing of it can be proven") != std::string::npos, to_string(r.error()));
    BOOST_TEST(provable(e).empty());
    BOOST_TEST(!e.last_root);
    return;
  }
  check_truth(h, *r);
  check_completeness(h, e, *r);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(index_recover)

BOOST_AUTO_TEST_CASE(an_index_of_which_nothing_is_lost_is_the_same) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const auto h = history_maker(seed).make(seed);
    auto r = recover_index(h.whole);
    BOOST_REQUIRE(r);
    BOOST_TEST(r->is_complete());
    BOOST_TEST(r->sequence == h.last());
    BOOST_TEST(r->uncertain.empty());
    BOOST_TEST((r->whole_commit == h.hashes.back()));
    BOOST_TEST((entries_of(r->state) == h.truth.back()));
  }
}

BOOST_AUTO_TEST_CASE(whatever_one_record_is_lost_the_rest_is_there_and_nothing_else) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const auto h = history_maker(seed).make(3 + seed % 40);
    for (std::size_t which = 0; which < damage(h).count(); ++which)
      for (const auto with_header : {true, false}) {
        BOOST_TEST_CONTEXT("seed " << seed << ", record " << which << (with_header ? " with its header" : "")) {
          damage d(h);
          d.lose(which, with_header);
          check(h, d.e);
        }
      }
  }
}

BOOST_AUTO_TEST_CASE(whatever_records_are_lost_the_rest_is_there_and_nothing_else) {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    const auto h = history_maker(seed).make(3 + seed % 50);
    std::mt19937_64 random(seed);
    damage d(h);
    for (auto left = 1 + random() % 6; left > 0; --left)
      d.lose(random() % d.count(), random() % 2 == 0);
    BOOST_TEST_CONTEXT("seed " << seed) { check(h, d.e); }
  }
}

// The same slot and counter may have been sealed twice: a commit that was refused, and kept by the store.
BOOST_AUTO_TEST_CASE(a_commit_of_another_history_is_not_taken) {
  for (std::uint64_t seed = 100; seed < 140; ++seed) {
    const auto h = history_maker(seed).make(20 + seed % 20);
    auto e = h.whole;
    e.cached.reset();
    seen_state seen;
    seen.root_counter = e.last_root->counter;
    seen.sequence = h.last();
    seen.last_commit = h.hashes.back();
    e.seen = seen;
    std::mt19937_64 random(seed);
    auto at = std::next(e.log.begin(), static_cast<std::ptrdiff_t>(random() % e.log.size()));
    at->second.what.operations = {put_op{"forged", inline_entry(bytes::copy_of("never"))}};
    at->second.hash = hash_of(encode(at->second.what));
    auto r = recover_index(e);
    if (!r) {
      BOOST_TEST((r.error().code == errc::rollback_detected));
      continue;
    }
    BOOST_TEST(r->state.find("forged") == nullptr);
    check_truth(h, *r);
  }
}

// Behind a gap, where nothing that this machine has seen names them.
BOOST_AUTO_TEST_CASE(commits_that_nothing_names_are_left_aside_and_told) {
  history_maker maker(7);
  auto h = maker.make(6);
  auto e = h.whole;
  e.last_root->what.sequence = 0;
  e.last_root->what.last_commit = {};
  e.last_root->what.parts.clear();
  e.parts.clear();
  e.seen.reset();
  e.cached.reset();
  e.log.erase(3);
  e.unreadable_slots[3] = true;
  auto r = recover_index(e);
  BOOST_REQUIRE(r);
  BOOST_TEST(r->whole_until == 2u);
  BOOST_TEST((r->lost_commits == std::vector<recovered_index::commit_range>{{3, 6}}));
  BOOST_TEST((r->unproven_commits == std::vector<recovered_index::commit_range>{{4, 6}}));
  BOOST_TEST((entries_of(r->state) == h.truth[2]));
}

BOOST_AUTO_TEST_SUITE_END()
