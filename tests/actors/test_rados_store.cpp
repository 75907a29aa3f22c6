// The RADOS store over a pool whose operations end when and how the test says: races, answers that do not come, bounds.
#include <boost/test/unit_test.hpp>
#include <deque>

#include "actors/pads/rados_store.hpp"
#include "tests/actors/pad_store_fixture.hpp"

namespace mutant::testing {

namespace {

// Objects in memory. An operation waits in `pending` until the test lets it happen, or answers it without.
class scripted_pool final : public rados_pool {
 public:
  struct object {
    std::uint64_t counter = 0;
    bytes record;
  };
  struct operation {
    std::string what;
    std::size_t bytes_moved = 0;
    std::function<void()> happen;                 // does it and answers
    std::function<void()> happen_unanswered;      // does it, and answers `timeout`
    std::function<void(const error&)> fail;       // does nothing
  };

  void replace(const pad_address& pad, std::uint64_t counter, const bytes& record, callback<rados_outcome> done) override {
    add<rados_outcome>("replace", record.size(), done, [=, this] {
      const auto at = objects.find(pad);
      if (at == objects.end())
        return rados_outcome::absent;
      if (counter <= at->second.counter)
        return rados_outcome::refused;
      at->second = {counter, record};
      return rados_outcome::done;
    });
  }
  void create(const pad_address& pad, std::uint64_t counter, const bytes& record, callback<rados_outcome> done) override {
    add<rados_outcome>("create", record.size(), done, [=, this] {
      return objects.try_emplace(pad, object{counter, record}).second ? rados_outcome::done : rados_outcome::present;
    });
  }
  void remove(const pad_address& pad, std::uint64_t counter, callback<rados_outcome> done) override {
    add<rados_outcome>("remove", 0, done, [=, this] {
      const auto at = objects.find(pad);
      if (at == objects.end())
        return rados_outcome::absent;
      if (counter <= at->second.counter)
        return rados_outcome::refused;
      objects.erase(at);
      return rados_outcome::done;
    });
  }
  void read(const pad_address& pad, std::size_t max_bytes, callback<bytes> done) override {
    add<bytes>("read", max_bytes, done, [=, this]() -> result<bytes> {
      const auto at = objects.find(pad);
      if (at == objects.end())
        return fail(errc::pad_not_found, "not there");
      return at->second.record.slice(0, max_bytes);
    });
  }
  result<rados_usage> usage() override { return rados_usage{objects.size(), 0, 0}; }
  result<std::string> ailment(const pad_address&) override { return why; }
  void close() noexcept override { closed = true; }

  operation next() {
    BOOST_REQUIRE(!pending.empty());
    auto first = std::move(pending.front());
    pending.pop_front();
    return first;
  }

  std::map<pad_address, object> objects;
  std::deque<operation> pending;
  std::string why;
  bool closed = false;

 private:
  template <class T, class F>
  void add(std::string what, std::size_t size, callback<T> done, F act) {
    operation op;
    op.what = std::move(what);
    op.bytes_moved = size;
    op.happen = [done, act] { done(act()); };
    op.happen_unanswered = [done, act] {
      static_cast<void>(act());
      done(mutant::fail(errc::timeout, "no answer"));
    };
    op.fail = [done](const error& e) { done(mutant::fail(e)); };
    pending.push_back(std::move(op));
  }
};

struct rados_fixture : pad_store_fixture {
  explicit rados_fixture(rados_store_options o = {}) {
    o.pool = pool;
    o.detached = false;
    handle = det.system().spawn(rados_store, std::move(o));
  }
  // Lets so many operations happen, one after the other, and names them.
  std::string run(std::size_t most = 100) {
    std::string names;
    det.run_messages();
    for (std::size_t i = 0; i < most && !pool->pending.empty(); ++i) {
      auto op = pool->next();
      names += (names.empty() ? "" : " ") + op.what;
      op.happen();
      det.run_messages();
    }
    return names;
  }
  std::shared_ptr<scripted_pool> pool = std::make_shared<scripted_pool>();
};

}  // namespace

BOOST_AUTO_TEST_SUITE(rados_store)

BOOST_AUTO_TEST_CASE(a_write_is_one_operation_in_the_usual_cases) {
  rados_fixture f;
  auto made = f.put(f.record(1, 1));
  BOOST_CHECK_EQUAL(f.run(), "create");
  auto replaced = f.put(f.record(1, 2));
  BOOST_CHECK_EQUAL(f.run(), "replace");
  auto erased = f.erase(1, 3);
  BOOST_CHECK_EQUAL(f.run(), "remove");
  BOOST_CHECK(made->value && replaced->value && erased->value);
  BOOST_CHECK(f.pool->objects.empty());
}

BOOST_AUTO_TEST_CASE(a_higher_counter_of_a_pad_that_is_not_there_makes_it) {
  rados_fixture f;
  auto put = f.put(f.record(1, 7));
  BOOST_CHECK_EQUAL(f.run(), "replace create");
  BOOST_CHECK(put->value);
}

BOOST_AUTO_TEST_CASE(a_refused_write_is_told_apart_by_what_is_stored) {
  rados_fixture f;
  const auto mine = f.record(1, 5);
  auto first = f.put(mine);
  f.run();
  auto again = f.put(mine);
  BOOST_CHECK_EQUAL(f.run(), "replace read read");   // the header is the same: all of it is compared
  BOOST_CHECK(again->value);
  auto other = f.put(f.record(1, 5, 1000, 1));
  BOOST_CHECK_EQUAL(f.run(), "replace read");
  f.check_failed(other, errc::pad_conflict, 5);
  auto late = f.put(f.record(1, 4));
  f.run();
  f.check_failed(late, errc::stale_counter, 5);
  auto refused = f.erase(1, 5);
  f.run();
  f.check_failed(refused, errc::stale_counter, 5);
}

BOOST_AUTO_TEST_CASE(the_same_header_over_other_content_is_a_conflict) {
  rados_fixture f;
  const auto mine = f.record(1, 1);
  auto raw = buffer(mine.size());
  std::copy(mine.data(), mine.data() + mine.size(), raw.data());
  raw.data()[mine.size() - 1] ^= std::byte{1};
  auto damaged = f.put(std::move(raw).freeze());
  f.run();
  auto put = f.put(mine);
  f.run();
  BOOST_CHECK(damaged->value);
  f.check_failed(put, errc::pad_conflict, 1);
}

BOOST_AUTO_TEST_CASE(a_write_that_was_not_answered_is_unknown_and_its_repetition_tells) {
  rados_fixture f;
  const auto mine = f.record(1, 1);
  auto put = f.put(mine);
  f.det.run_messages();
  f.pool->next().happen_unanswered();
  f.det.run_messages();
  f.check_failed(put, errc::timeout);
  auto again = f.put(mine);
  BOOST_CHECK_EQUAL(f.run(), "create read read");
  BOOST_CHECK(again->value);
  auto other = f.put(f.record(1, 1, 1000, 1));
  f.run();
  f.check_failed(other, errc::pad_conflict, 1);
}

BOOST_AUTO_TEST_CASE(a_write_that_arrives_late_does_not_undo_a_newer_one) {
  rados_fixture f;
  auto first = f.put(f.record(1, 1));
  f.run();
  auto slow = f.put(f.record(1, 2));
  f.det.run_messages();
  auto under_way = f.pool->next();
  auto fast = f.put(f.record(1, 3));
  f.run();
  under_way.happen();
  f.run();
  BOOST_CHECK(fast->value);
  f.check_failed(slow, errc::stale_counter, 3);
}

BOOST_AUTO_TEST_CASE(no_answer_while_too_few_osds_are_up_is_unreachable) {
  rados_fixture f;
  f.pool->why = "1 of 2 are up";
  auto put = f.put(f.record(1, 1));
  auto get = f.ask<bytes>(f.handle, get_atom_v, pad_query{f.data_pad(1)});
  f.det.run_messages();
  while (!f.pool->pending.empty())
    f.pool->next().fail({errc::timeout, "no answer"});
  f.det.run_messages();
  f.check_failed(put, errc::unreachable);
  f.check_failed(get, errc::unreachable);
  BOOST_CHECK(put->failure->message.find("1 of 2 are up") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_pad_that_goes_and_comes_under_a_write_is_followed_and_not_for_ever) {
  rados_fixture f;
  auto put = f.put(f.record(1, 2));
  f.det.run_messages();
  unsigned operations = 0;
  while (put->pending()) {
    auto op = f.pool->next();
    ++operations;
    BOOST_REQUIRE_LT(operations, 100u);
    // Gone when it is to be replaced, there when it is to be made.
    if (op.what == "create")
      f.pool->objects[f.data_pad(1)] = {1, f.record(1, 1)};
    else if (op.what == "replace")
      f.pool->objects.clear();
    op.happen();
    f.det.run_messages();
  }
  f.check_failed(put, errc::overloaded);
}

BOOST_AUTO_TEST_CASE(heads_ask_for_the_header_only_and_damage_is_named) {
  rados_fixture f;
  auto put = f.put(f.record(1, 1));
  f.run();
  auto head = f.ask<bytes>(f.handle, head_atom_v, pad_query{f.data_pad(1)});
  f.det.run_messages();
  BOOST_CHECK_EQUAL(f.pool->pending.front().bytes_moved, record_header_bytes);
  f.run();
  BOOST_CHECK_EQUAL(head->value->size(), record_header_bytes);
  f.pool->objects[f.data_pad(2)] = {1, f.record(1, 1)};              // another pad's
  f.pool->objects[f.data_pad(3)] = {1, f.record(3, 1).slice(0, 500)};
  for (auto pad : {2u, 3u}) {
    auto get = f.ask<bytes>(f.handle, get_atom_v, pad_query{f.data_pad(pad)});
    f.run();
    f.check_failed(get, errc::corrupt_record);
  }
}

BOOST_AUTO_TEST_CASE(what_is_in_flight_is_bounded_by_bytes_and_the_rest_waits_its_turn) {
  rados_store_options o;
  o.limits.max_flight_bytes = 25'000;
  o.limits.max_waiting = 6;
  rados_fixture f(std::move(o));
  std::vector<answer_ptr<done>> puts;
  for (std::uint64_t pad = 0; pad < 8; ++pad)
    puts.push_back(f.put(f.record(pad, 1, 10'000 - record_header_bytes - private_overhead_bytes)));
  f.det.run_messages();
  BOOST_CHECK_EQUAL(f.pool->pending.size(), 2u);
  auto one_too_many = f.put(f.record(9, 1));
  f.det.run_messages();
  f.check_failed(one_too_many, errc::overloaded);
  while (!f.pool->pending.empty()) {
    BOOST_CHECK_LE(f.pool->pending.size(), 2u);
    f.run(1);
  }
  for (const auto& put : puts)
    BOOST_CHECK(put->value);
}

BOOST_AUTO_TEST_CASE(a_store_that_ends_answers_everybody) {
  rados_store_options o;
  o.limits.max_flight = 1;
  rados_fixture f(std::move(o));
  auto sent = f.put(f.record(1, 1)), queued = f.put(f.record(2, 1));
  f.det.run_messages();
  caf::anon_send_exit(f.handle, caf::exit_reason::user_shutdown);
  f.det.run_messages();
  f.check_failed(sent, errc::timeout);          // it may be there
  f.check_failed(queued, errc::unreachable);
  BOOST_CHECK(f.pool->closed);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
