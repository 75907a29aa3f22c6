// check_pads: a store that keeps the rule is measured and left as it was; one that breaks it in any way is found out.
#include "actors/check/pad_check.hpp"

#include "core/engine/write_rule.hpp"
#include "tests/actors/network.hpp"

namespace mutant::testing {

namespace {

enum class lie {
  none,
  takes_the_same_counter,        // and replaces what has it
  takes_a_lower_counter,
  takes_an_older_record_again,
  refuses_the_same_record,
  has_two_winners,               // of a new pad, and shows the first
  lets_the_last_winner_replace,  // of a new pad, and refuses nobody
  loses_the_race_of_old_pads,    // refuses all
  calls_conflicts_stale,
  forgets,
  shows_an_erased_pad,
  shows_other_headers,
  shows_what_was_never_written,
  damages_large_records,
};

constexpr lie every_lie[] = {
    lie::takes_the_same_counter, lie::takes_a_lower_counter,        lie::takes_an_older_record_again,
    lie::refuses_the_same_record, lie::has_two_winners,             lie::lets_the_last_winner_replace,
    lie::loses_the_race_of_old_pads, lie::calls_conflicts_stale,    lie::forgets,
    lie::shows_an_erased_pad,    lie::shows_other_headers,          lie::shows_what_was_never_written,
    lie::damages_large_records,
};

// Records by address; answers by the rule but where it lies.
struct liar {
  lie how = lie::none;
  std::map<pad_address, bytes> records;
  std::map<pad_address, unsigned> writes;
  bytes some_record;

  result<done> put(const bytes& record) {
    const auto header = parse_record(record);
    auto& there = records[header->address];
    const auto first_ever = ++writes[header->address] == 1;
    some_record = record;
    if (there.size() == 0 || first_ever) {
      there = how == lie::forgets ? bytes() : record;
      return done{};
    }
    const auto stored = parse_record(there);
    if (header->counter < stored->counter) {
      const auto taken = how == lie::takes_a_lower_counter || (how == lie::takes_an_older_record_again && header->counter > 1);
      return taken ? result<done>(done{}) : fail(errc::stale_counter, "older", stored->counter);
    }
    if (header->counter > stored->counter) {
      if (how == lie::loses_the_race_of_old_pads && header->counter == 2)
        return fail(errc::pad_conflict, "busy", 2);
      there = record;
      return done{};
    }
    if (there == record && how != lie::refuses_the_same_record)
      return done{};
    if (how == lie::takes_the_same_counter || (how == lie::lets_the_last_winner_replace && header->counter == 1))
      there = record;
    else if (!(how == lie::has_two_winners && header->counter == 1))
      return fail(how == lie::calls_conflicts_stale ? errc::stale_counter : errc::pad_conflict, "another", stored->counter);
    return done{};
  }
  result<bytes> get(const pad_address& pad) const {
    const auto at = records.find(pad);
    if (at == records.end() || at->second.size() == 0) {
      if (how == lie::shows_what_was_never_written)
        return some_record;
      return fail(errc::pad_not_found, "absent");
    }
    if (how == lie::damages_large_records && at->second.size() > 1'000'000)
      return at->second.slice(0, at->second.size() - 1);
    return at->second;
  }
  result<bytes> head(const pad_address& pad) const {
    auto whole = get(how == lie::shows_other_headers ? records.rbegin()->first : pad);
    return whole ? result<bytes>(whole->slice(how == lie::shows_other_headers ? 1 : 0, record_header_bytes)) : whole;
  }
  result<done> erase(const bytes& blank) {
    if (how != lie::shows_an_erased_pad)
      records.erase(parse_blank(blank)->address);
    return done{};
  }
};

pad_store_actor::behavior_type lying_store(pad_store_actor::pointer, const std::shared_ptr<liar>& l) {
  const auto answer = [](auto outcome) -> caf::result<std::decay_t<decltype(*outcome)>> {
    if (outcome)
      return std::move(*outcome);
    return to_caf(outcome.error());
  };
  return {
      [=](put_atom, const bytes& record) { return answer(l->put(record)); },
      [=](put_atom, room_atom, const bytes& record) { return answer(l->put(record)); },
      [=](get_atom, const pad_query& q) { return answer(l->get(q.address)); },
      [=](head_atom, const pad_query& q) { return answer(l->head(q.address)); },
      [=](erase_atom, const bytes& blank) { return answer(l->erase(blank)); },
      [](stats_atom) { return pad_store_stats{}; },
      [](trim_atom) { return std::uint64_t{0}; },
  };
}

struct trial_run {
  std::shared_ptr<liar> store = std::make_shared<liar>();
  std::vector<pad_address> used;
  std::optional<result<pad_check_result>> outcome;

  explicit trial_run(networked_system& system, lie how, pad_check_options options = {}) {
    store->how = how;
    options.samples = 10;
    options.large_at_once = 2;
    pad_store_actor actor = system.keep(system.system().spawn(lying_store, store));
    caf::scoped_actor self{system.system()};
    outcome.emplace(check_pads(self, actor, options, used));
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(pad_check)

BOOST_AUTO_TEST_CASE(a_store_that_keeps_the_rule_is_measured_and_left_as_it_was) {
  networked_system system;
  trial_run t(system, lie::none);
  BOOST_REQUIRE_MESSAGE(*t.outcome, (*t.outcome ? std::string() : to_string(t.outcome->error())));
  const auto& found = **t.outcome;
  BOOST_TEST(found.put.count == 10u);
  BOOST_TEST(found.get.count == 10u);
  BOOST_TEST(found.head.count == 10u);
  BOOST_CHECK(found.put.p50.count() > 0 && found.put.p50 <= found.put.p99);
  BOOST_TEST(found.small_puts_per_s > 0);
  BOOST_TEST(found.get_bytes_per_s > 0);
  BOOST_TEST(t.store->records.empty());
  BOOST_TEST(t.used.size() >= 2u + 10u + 2u);
}

BOOST_AUTO_TEST_CASE(every_way_to_break_the_rule_is_found_and_what_was_written_removed) {
  networked_system system;
  for (const auto how : every_lie) {
    BOOST_TEST_CONTEXT("lie " << static_cast<int>(how)) {
      trial_run t(system, how);
      BOOST_REQUIRE(!*t.outcome);
      BOOST_TEST(name_of(t.outcome->error().code) == name_of(errc::unsupported), t.outcome->error().message);
      BOOST_TEST(t.outcome->error().message.find("breaks the write rule") != std::string::npos);
      BOOST_CHECK(t.store->records.empty() || how == lie::shows_an_erased_pad);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_check_that_is_stopped_removes_what_it_wrote) {
  networked_system system;
  const std::atomic<bool> stop = true;
  pad_check_options options;
  options.stop = &stop;
  trial_run t(system, lie::none, options);
  BOOST_REQUIRE(!*t.outcome);
  BOOST_TEST(name_of(t.outcome->error().code) == name_of(errc::cancelled));
  BOOST_TEST(t.store->records.empty());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
