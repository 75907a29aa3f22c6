// The pad ledger over random events, beside a state that changes as an index does, against a plain account of who has what.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <optional>
#include <random>

#include "core/index/pad_ledger.hpp"

using namespace mutant;

namespace {

chunk chunk_in(pad_ref pad) {
  chunk c;
  c.pad = pad;
  c.length = 1;
  return c;
}

operation put_of(const std::string& key, const std::vector<pad_ref>& pads) {
  chunk_list chunks;
  for (const auto& pad : pads)
    chunks.push_back(chunk_in(pad));
  return put_op{key, chunked_entry(std::move(chunks))};
}

// A few owners and another writer, at random. What they hold is kept here a second time, in lists that are searched.
struct owners_at_work {
  explicit owners_at_work(std::uint32_t seed) : random(seed) {}

  struct reservation {
    pad_ledger::owner_id owner = 0;
    pad_ref pad;
  };
  struct commit_under_way {
    std::vector<pad_ref> pads;
    std::vector<operation> operations;
  };
  struct pin {
    std::uint64_t number = 0;
    pad_ledger::owner_id owner = 0;
    std::string key;
    std::shared_ptr<const chunk_list> chunks;
  };

  std::mt19937 random;
  index_state state;
  pad_ledger ledger;
  std::vector<reservation> reserved;
  std::vector<commit_under_way> commits;
  std::vector<std::pair<std::uint64_t, pad_ref>> doubts;
  std::vector<pin> pins;
  std::map<std::uint64_t, std::uint64_t> contested;   // what another writer has, as an owner saw it

  std::uint32_t below(std::uint32_t n) { return std::uniform_int_distribution<std::uint32_t>(0, n - 1)(random); }
  std::string some_key() { return std::string(1, static_cast<char>('a' + below(6))); }

  bool is_in_a_hand(std::uint64_t number) const {
    auto is_it = [number](const pad_ref& pad) { return pad.number == number; };
    return std::ranges::any_of(reserved, [&](const reservation& r) { return is_it(r.pad); })
           || std::ranges::any_of(commits, [&](const commit_under_way& c) { return std::ranges::any_of(c.pads, is_it); })
           || std::ranges::any_of(doubts, [&](const auto& d) { return is_it(d.second); });
  }
  // By a pin whose key holds other chunks by now.
  bool is_read(std::uint64_t number) const {
    return std::ranges::any_of(pins, [&](const pin& p) {
      const auto* now = state.find(p.key);
      return (now == nullptr || now->chunks != p.chunks)
             && std::ranges::any_of(*p.chunks, [&](const chunk& c) { return c.pad.number == number; });
    });
  }

  void reserve() {
    const auto owner = 1 + below(4);
    const auto before = reserved.size();
    for (const auto& pad : ledger.reserve(state, 1 + below(5), owner)) {
      BOOST_REQUIRE_MESSAGE(!state.in_use(pad.number), "pad " << pad.number << " is in use");
      BOOST_REQUIRE_MESSAGE(!is_in_a_hand(pad.number), "pad " << pad.number << " is in a hand");
      BOOST_REQUIRE_MESSAGE(!is_read(pad.number), "pad " << pad.number << " is being read");
      BOOST_REQUIRE(pad.counter > state.free_counter(pad.number).value_or(0));
      if (const auto at = contested.find(pad.number); at != contested.end()) {
        BOOST_REQUIRE_MESSAGE(state.free_counter(pad.number).value_or(0) >= at->second,
                              "pad " << pad.number << " is contested");
        contested.erase(at);
      }
      reserved.push_back({owner, pad});
    }
    BOOST_REQUIRE(reserved.size() > before);
  }

  // Takes some of one owner's reservations out of the account.
  std::optional<reservation> take_one() {
    if (reserved.empty())
      return std::nullopt;
    const auto at = reserved.begin() + below(static_cast<std::uint32_t>(reserved.size()));
    const auto out = *at;
    reserved.erase(at);
    return out;
  }

  void give_back() {
    const auto one = take_one();
    if (!one)
      return;
    const auto fate = static_cast<pad_fate>(below(4));
    auto pad = one->pad;
    if (fate == pad_fate::contested) {
      pad.counter += below(3);
      contested[pad.number] = pad.counter;
    }
    ledger.give_back(state, {pad}, fate, one->owner);
    ledger.give_back(state, {pad}, pad_fate::written, one->owner);   // a second time it is not the owner's any more
  }

  void begin_commit() {
    const auto one = take_one();
    if (!one)
      return;
    // Beside the pad, one that the owner never had: it is not the commit's, either.
    std::vector<pad_ref> named{one->pad, {1'000'000, 1}};
    ledger.take_over(named, one->owner);
    BOOST_REQUIRE((named == std::vector<pad_ref>{one->pad}));
    commits.push_back({named, {put_of(some_key(), named)}});
  }

  bool apply(const std::vector<operation>& operations) {
    index_batch batch(state);
    for (const auto& op : operations)
      if (!batch.add(op))
        return false;
    state.apply(std::move(batch));
    return true;
  }

  void end_commit() {
    if (commits.empty())
      return;
    auto c = std::move(commits.back());
    commits.pop_back();
    const auto how = below(3);
    if (how == 0) {
      for (const auto& pad : c.pads)
        doubts.emplace_back(state.sequence() + 1, pad);
      ledger.in_doubt(c.pads, state.sequence() + 1);
    } else if (how == 1 || !apply(c.operations)) {
      ledger.refused(c.pads);
    } else {
      ledger.committed(c.pads);
      was_applied(c.operations);
    }
  }

  // Another writer's commit: it may take the very pads that are in our hands.
  void other_writer() {
    std::vector<operation> operations;
    if (below(3) == 0)
      operations.push_back(remove_op{some_key()});
    else if (const auto number = below(static_cast<std::uint32_t>(state.next_pad() + 3)); !state.in_use(number))
      operations.push_back(put_of(some_key(), {{number, state.free_counter(number).value_or(0) + 1 + below(3)}}));
    if (!operations.empty() && apply(operations))
      was_applied(operations);
  }

  void was_applied(const std::vector<operation>& operations) {
    ledger.applied(state, operations);
    std::erase_if(doubts, [this](const auto& d) { return d.first <= state.sequence(); });
  }

  void read() {
    const auto key = some_key();
    const auto* e = state.find(key);
    if (e == nullptr || !e->chunks)
      return;
    const auto owner = 1 + below(4);
    pins.push_back({ledger.pin(key, e->chunks, owner), owner, key, e->chunks});
  }

  void stop_reading() {
    if (pins.empty())
      return;
    const auto at = pins.begin() + below(static_cast<std::uint32_t>(pins.size()));
    ledger.release(at->number);
    ledger.release(at->number);   // harmless
    pins.erase(at);
  }

  void owner_gone() {
    const auto owner = 1 + below(4);
    ledger.owner_gone(owner);
    std::erase_if(reserved, [owner](const reservation& r) { return r.owner == owner; });
    std::erase_if(pins, [owner](const pin& p) { return p.owner == owner; });
  }

  void step() {
    switch (below(12)) {
      case 0: case 1: case 2: reserve(); break;
      case 3: case 4: give_back(); break;
      case 5: case 6: begin_commit(); break;
      case 7: case 8: end_commit(); break;
      case 9: other_writer(); break;
      case 10: below(2) == 0 ? read() : stop_reading(); break;
      default:
        if (below(4) == 0)
          owner_gone();
    }
    BOOST_REQUIRE(ledger.is_consistent());
    for (std::uint64_t n = 0; n < state.next_pad() + 8; ++n)
      BOOST_REQUIRE_MESSAGE(ledger.is_idle(n) == (!is_in_a_hand(n) && !is_read(n)), "pad " << n);
  }

  void all_go() {
    for (pad_ledger::owner_id owner = 1; owner <= 4; ++owner)
      ledger.owner_gone(owner);
    reserved.clear();
    pins.clear();
    while (!commits.empty())
      end_commit();
    for (int i = 0; i < 40 && !doubts.empty(); ++i)
      other_writer();
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(pads_in_hand)

BOOST_AUTO_TEST_CASE(no_pad_is_in_two_hands_or_handed_out_while_it_is_used_or_read) {
  for (std::uint32_t seed = 1; seed <= 60; ++seed) {
    BOOST_TEST_CONTEXT("seed " << seed) {
      owners_at_work w(seed);
      for (int i = 0; i < 250; ++i)
        w.step();
      w.all_go();
      BOOST_TEST(w.ledger.is_consistent());
      if (w.doubts.empty())
        for (std::uint64_t n = 0; n < w.ledger.next_new() + 8; ++n)
          BOOST_TEST(w.ledger.is_idle(n), "pad " << n << " never came back");
    }
  }
}

// What came back is used again before the store grows, and a write that is not known to have arrived is met again.
BOOST_AUTO_TEST_CASE(the_next_counter_follows_from_what_became_of_the_pad) {
  index_state state;
  struct expectation {
    pad_fate fate;
    std::uint64_t next_counter;
  };
  for (const auto& [fate, next_counter] : {expectation{pad_fate::written, 2}, expectation{pad_fate::sent, 1},
                                           expectation{pad_fate::unused, 1}}) {
    pad_ledger ledger;
    const auto first = ledger.reserve(state, 1, 7);
    BOOST_REQUIRE((first == std::vector<pad_ref>{{0, 1}}));
    ledger.give_back(state, first, fate, 7);
    BOOST_TEST((ledger.reserve(state, 1, 8) == std::vector<pad_ref>{{0, next_counter}}));
  }
  pad_ledger ledger;
  const auto first = ledger.reserve(state, 1, 7);
  ledger.give_back(state, {{first[0].number, 5}}, pad_fate::contested, 7);
  BOOST_TEST((ledger.reserve(state, 1, 7) == std::vector<pad_ref>{{1, 1}}));   // hands off
}

BOOST_AUTO_TEST_CASE(a_state_that_is_loaded_anew_keeps_readers_of_equal_chunks_unblocked) {
  auto made = [](std::uint64_t pad) {
    index_state state;
    index_batch batch(state);
    BOOST_REQUIRE(batch.add(put_of("a", {{pad, 1}})).has_value());
    state.apply(std::move(batch));
    return state;
  };
  const auto before = made(3), same = made(3), other = made(4);
  pad_ledger ledger;
  const auto pin = ledger.pin("a", before.find("a")->chunks, 1);
  ledger.reloaded(same);
  BOOST_TEST(ledger.is_idle(3));
  ledger.reloaded(other);
  BOOST_TEST(!ledger.is_idle(3));
  BOOST_TEST(ledger.is_consistent());
  ledger.release(pin);
  BOOST_TEST(ledger.is_idle(3));
}

BOOST_AUTO_TEST_SUITE_END()
