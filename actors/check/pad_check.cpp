#include "actors/check/pad_check.hpp"

#include <algorithm>

#include "core/identity.hpp"
#include "core/outcome.hpp"
#include "core/record.hpp"

namespace mutant {

namespace {

using clock = std::chrono::steady_clock;

// Above every counter that is used.
constexpr std::uint64_t last_counter = 1000;

error breaks_rule(const std::string& what) {
  return {errc::unsupported, "the store breaks the write rule: " + what
                                 + ". Writers would overwrite each other there without a word"};
}

measured_latency latency_of(std::vector<std::chrono::nanoseconds> times) {
  measured_latency out;
  out.count = times.size();
  if (times.empty())
    return out;
  std::ranges::sort(times);
  out.p50 = times[times.size() / 2];
  out.p99 = times[std::min(times.size() - 1, times.size() * 99 / 100)];
  return out;
}

double per_second(double amount, clock::duration time) {
  return amount / std::max(1e-9, std::chrono::duration<double>(time).count());
}

class trial {
 public:
  trial(caf::scoped_actor& self, const pad_store_actor& pads, const pad_check_options& options,
        std::vector<pad_address>& used)
      : self_(self), pads_(pads), options_(options), used_(used), keys_(generate_seed()) {}

  result<pad_check_result> run() {
    auto outcome = check();
    auto removed = erase_all();
    if (!outcome)
      return fail(outcome.error());
    if (!removed)
      return fail(removed.error().code, "what was tried could not be removed again: " + removed.error().message);
    return found_;
  }

 private:
  result<void> check() {
    for (auto step : {&trial::check_rule, &trial::check_new_race, &trial::check_old_race, &trial::measure_small,
                      &trial::measure_large, &trial::read_traffic}) {
      if (stopped())
        return fail(interrupted());
      if (auto done = (this->*step)(); !done)
        return done;
    }
    return {};
  }

  bool stopped() const { return options_.stop != nullptr && *options_.stop; }
  static error interrupted() { return {errc::cancelled, "interrupted; what was tried is removed"}; }

  // -- requests --------------------------------------------------------------------------------------------------------

  // Its content is told apart by `mark`.
  bytes record(std::uint64_t pad, std::uint64_t counter, unsigned mark, std::size_t size) {
    std::vector<std::byte> plain(size, static_cast<std::byte>(mark));
    const auto keys = keys_.data(pad);
    if (std::ranges::find(used_, keys.address) == used_.end())
      used_.push_back(keys.address);
    pads_used_ = std::max(pads_used_, pad + 1);
    return seal_private(keys, counter, plain);
  }
  bytes small(std::uint64_t pad, std::uint64_t counter, unsigned mark = 0) {
    return record(pad, counter, mark, options_.small_bytes);
  }
  pad_query query(std::uint64_t pad) const { return {keys_.data(pad).address}; }

  auto send_put(const bytes& r) { return self_->request(pads_, caf::infinite, put_atom_v, r); }
  auto send_get(std::uint64_t pad) { return self_->request(pads_, caf::infinite, get_atom_v, query(pad)); }
  auto send_head(std::uint64_t pad) { return self_->request(pads_, caf::infinite, head_atom_v, query(pad)); }
  auto send_erase(std::uint64_t pad) {
    return self_->request(pads_, caf::infinite, erase_atom_v, seal_blank(keys_.data(pad), last_counter));
  }
  template <class Out, class Handle>
  result<Out> wait(Handle&& asked) {
    std::optional<result<Out>> out;
    asked.receive([&](Out& x) { out.emplace(std::move(x)); }, [&](caf::error& e) { out.emplace(fail(from_caf(e))); });
    return std::move(*out);
  }
  result<done> put(const bytes& r) { return wait<done>(send_put(r)); }
  result<bytes> get(std::uint64_t pad) { return wait<bytes>(send_get(pad)); }

  // All at once; what came of each.
  template <class Out, class Send>
  std::vector<result<Out>> together(std::size_t count, Send send) {
    std::vector<decltype(send(std::size_t{0}))> asked;
    asked.reserve(count);
    for (std::size_t i = 0; i < count; ++i)
      asked.push_back(send(i));
    std::vector<result<Out>> out;
    for (auto& one : asked)
      out.push_back(wait<Out>(std::move(one)));
    return out;
  }
  template <class Out>
  static result<void> all_well(const std::vector<result<Out>>& outcomes) {
    for (const auto& one : outcomes)
      if (!one)
        return fail(one.error());
    return {};
  }

  // -- the rule --------------------------------------------------------------------------------------------------------

  result<void> expect_refused(const bytes& r, errc code, const std::string& what) {
    auto outcome = put(r);
    if (outcome)
      return fail(breaks_rule("it took " + what));
    if (outcome.error().code == code)
      return {};
    // Which of the two refusals it is tells a writer whether the pad is another's.
    if (is_refusal_by_rule(outcome.error().code))
      return fail(breaks_rule("it refused " + what + " with " + std::string(name_of(outcome.error().code)) + " instead of "
                              + std::string(name_of(code))));
    return fail(outcome.error());
  }

  result<void> expect_taken(const bytes& r, const std::string& what) {
    auto outcome = put(r);
    if (outcome)
      return {};
    if (is_refusal_by_rule(outcome.error().code))
      return fail(breaks_rule("it refused " + what));
    return fail(outcome.error());
  }

  result<void> expect_shown(std::uint64_t pad, const bytes& r, const std::string& what) {
    auto whole = get(pad);
    if (!whole && whole.error().code != errc::pad_not_found)
      return fail(whole.error());
    if (!whole || *whole != r)
      return fail(breaks_rule("it does not show " + what));
    auto head = wait<bytes>(send_head(pad));
    if (!head)
      return fail(head.error());
    if (*head != r.slice(0, record_header_bytes))
      return fail(breaks_rule("the header that it shows is not that of " + what));
    return {};
  }

  result<void> expect_absent(std::uint64_t pad, const std::string& what) {
    auto there = get(pad);
    if (there)
      return fail(breaks_rule("it shows a record of " + what));
    return there.error().code == errc::pad_not_found ? result<void>() : fail(there.error());
  }

  result<void> check_rule() {
    const std::uint64_t pad = 0;
    const auto second = small(pad, 2), third = small(pad, 3), fourth = small(pad, 7);
    result<void> ok = expect_absent(pad, "a pad that was never written to");
    const auto then = [&](auto expectation, auto&&... args) {
      if (ok)
        ok = (this->*expectation)(std::forward<decltype(args)>(args)...);
    };
    then(&trial::expect_taken, second, "a record of a new pad");
    then(&trial::expect_shown, pad, second, "a record right after it was taken");
    then(&trial::expect_taken, second, "the very same record once more");
    then(&trial::expect_refused, small(pad, 2, 1), errc::pad_conflict, "another record with the counter of the stored one");
    then(&trial::expect_refused, small(pad, 1, 2), errc::stale_counter, "a record with a lower counter than the stored one");
    then(&trial::expect_shown, pad, second, "the record that was taken, after it refused others");
    then(&trial::expect_taken, third, "a record with a higher counter");
    then(&trial::expect_taken, fourth, "a record with a counter that is higher by more than one");
    then(&trial::expect_refused, third, errc::stale_counter, "an older record again");
    then(&trial::expect_shown, pad, fourth, "the record with the highest counter");
    if (!ok)
      return ok;
    if (auto erased = wait<done>(send_erase(pad)); !erased)
      return fail(erased.error());
    return expect_absent(pad, "a pad that was erased");
  }

  // -- races -----------------------------------------------------------------------------------------------------------

  result<void> check_new_race() { return race(1, 1, "a new pad"); }
  result<void> check_old_race() { return race(1, 2, "a pad that had a lower one"); }

  result<void> race(std::uint64_t pad, std::uint64_t counter, const std::string& what) {
    std::vector<bytes> records;
    for (std::size_t i = 0; i < options_.racers; ++i)
      records.push_back(small(pad, counter, static_cast<unsigned>(i + 16 * counter)));
    auto outcomes = together<done>(records.size(), [&](std::size_t i) { return send_put(records[i]); });
    std::optional<std::size_t> winner;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      if (outcomes[i] && winner)
        return fail(breaks_rule("of " + std::to_string(records.size()) + " writers at once of one counter of " + what
                                + " it told more than one that theirs was taken"));
      if (outcomes[i])
        winner = i;
      else if (outcomes[i].error().code == errc::stale_counter)
        return fail(breaks_rule("in a race for one counter it refused a record as older than itself"));
      else if (outcomes[i].error().code != errc::pad_conflict)
        return fail(outcomes[i].error());
    }
    if (!winner)
      return fail(breaks_rule("of " + std::to_string(records.size()) + " writers at once of " + what + " it took none"));
    return expect_shown(pad, records[*winner], "the record that won a race");
  }

  // -- how fast --------------------------------------------------------------------------------------------------------

  static constexpr std::uint64_t first_small = 2;

  // One after the other, as many as there is time for. `send` gets a pad's number.
  template <class Out, class Send>
  result<measured_latency> one_by_one(std::size_t count, Send send) {
    std::vector<std::chrono::nanoseconds> times;
    const auto end = clock::now() + options_.max_step_time;
    while (times.size() < count && (times.empty() || clock::now() < end)) {
      if (stopped())
        return fail(interrupted());
      const auto begin = clock::now();
      if (auto outcome = wait<Out>(send(first_small + times.size())); !outcome)
        return fail(outcome.error());
      times.push_back(clock::now() - begin);
    }
    return latency_of(std::move(times));
  }

  result<void> measure_small() {
    std::vector<bytes> records;
    for (std::size_t i = 0; i < options_.samples + options_.small_at_once; ++i)
      records.push_back(small(first_small + i, 1));
    auto puts = one_by_one<done>(options_.samples, [&](auto pad) { return send_put(records[pad - first_small]); });
    if (!puts)
      return fail(puts.error());
    auto gets = one_by_one<bytes>(puts->count, [&](auto pad) { return send_get(pad); });
    auto heads = gets ? one_by_one<bytes>(puts->count, [&](auto pad) { return send_head(pad); }) : gets;
    if (!heads)
      return fail(heads.error());
    found_.put = *puts, found_.get = *gets, found_.head = *heads;

    const auto first = options_.samples, count = options_.small_at_once;
    const auto begin = clock::now();
    if (auto ok = all_well(together<done>(count, [&](auto i) { return send_put(records[first + i]); })); !ok)
      return ok;
    const auto middle = clock::now();
    if (auto ok = all_well(together<bytes>(count, [&](auto i) { return send_get(first_small + first + i); })); !ok)
      return ok;
    found_.small_puts_per_s = per_second(static_cast<double>(count), middle - begin);
    found_.small_gets_per_s = per_second(static_cast<double>(count), clock::now() - middle);
    return {};
  }

  // Of the largest records that there are; the same pads again and again.
  result<void> measure_large() {
    const auto first = first_small + options_.samples + options_.small_at_once;
    double written = 0, read = 0;
    clock::duration writing{0}, reading{0};
    std::vector<bytes> records;
    for (std::uint64_t round = 1; round <= 4 && writing < options_.max_step_time; ++round) {
      if (stopped())
        return fail(interrupted());
      records.clear();
      for (std::size_t i = 0; i < options_.large_at_once; ++i)
        records.push_back(record(first + i, round, static_cast<unsigned>(i), max_plaintext_bytes));
      const auto begin = clock::now();
      if (auto ok = all_well(together<done>(records.size(), [&](auto i) { return send_put(records[i]); })); !ok)
        return ok;
      writing += clock::now() - begin;
      written += static_cast<double>(records.size() * records.front().size());
    }
    const auto begin = clock::now();
    auto got = together<bytes>(records.size(), [&](auto i) { return send_get(first + i); });
    reading = clock::now() - begin;
    if (auto ok = all_well(got); !ok)
      return ok;
    for (std::size_t i = 0; i < records.size(); ++i) {
      if (*got[i] != records[i])
        return fail(breaks_rule("a record of 4 MiB that it shows is not the one that it took"));
      read += static_cast<double>(records[i].size());
    }
    found_.put_bytes_per_s = per_second(written, writing);
    found_.get_bytes_per_s = per_second(read, reading);
    return {};
  }

  result<void> read_traffic() {
    auto stats = wait<pad_store_stats>(self_->request(pads_, caf::infinite, stats_atom_v));
    // Who may not list a bucket can use it all the same.
    if (!stats)
      return stats.error().code == errc::access_denied ? result<void>() : fail(stats.error());
    found_.traffic = stats->traffic;
    return {};
  }

  result<void> erase_all() {
    constexpr std::size_t at_once = 16;
    result<void> outcome;
    for (std::uint64_t first = 0; first < pads_used_; first += at_once) {
      const auto count = std::min<std::size_t>(at_once, pads_used_ - first);
      if (auto ok = all_well(together<done>(count, [&](auto i) { return send_erase(first + i); })); !ok)
        outcome = ok;
    }
    // Room that nothing uses goes back now; a store that cannot do so will do it later.
    static_cast<void>(wait<std::uint64_t>(self_->request(pads_, caf::infinite, trim_atom_v)));
    return outcome;
  }

  caf::scoped_actor& self_;
  const pad_store_actor& pads_;
  const pad_check_options& options_;
  std::vector<pad_address>& used_;
  keyring keys_;
  std::uint64_t pads_used_ = 0;
  pad_check_result found_;
};

}  // namespace

result<pad_check_result> check_pads(caf::scoped_actor& self, const pad_store_actor& pads, const pad_check_options& options,
                                    std::vector<pad_address>& used) {
  return trial(self, pads, options, used).run();
}

}  // namespace mutant
