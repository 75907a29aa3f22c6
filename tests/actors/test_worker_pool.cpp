#include "actors/caf/worker_pool.hpp"

#include "tests/actors/fixture.hpp"

namespace mutant::testing {

namespace {

struct pool_fixture : fixture {
  // A pool of gated stores: one gate for all of them.
  pad_store_actor make(std::size_t workers, std::size_t max_queued = 100, std::size_t max_assigned = 1, std::size_t kept = 0) {
    worker_pool_options<pad_store_actor> o;
    o.name = "the pool under test";
    o.workers = workers;
    o.max_queued = max_queued;
    o.max_assigned = max_assigned;
    o.kept_for_short = kept;
    o.timeout = std::chrono::seconds(60);
    o.spawn = [this] {
      auto worker = det.system().spawn(gated_store, std::static_pointer_cast<pad_engine>(engine), door);
      spawned.push_back(worker);
      return worker;
    };
    auto pool = det.system().spawn(worker_pool<pad_store_actor>, o);
    det.run_messages();
    return pool;
  }
  answer_ptr<bytes> ask_get(const pad_store_actor& pool, std::uint64_t number) {
    auto a = ask<bytes>(pool, get_atom_v, pad_query{data_pad(number)});
    det.run_messages();
    return a;
  }
  answer_ptr<done> ask_long_put(const pad_store_actor& pool, std::uint64_t number) {
    auto a = ask<done>(pool, put_atom_v,
                       seal_private(keys->data(number), 1, as_byte_view(std::string(short_work_bytes, 'x'))));
    det.run_messages();
    return a;
  }
  void hold_everything() {
    door->hold = [](pad_op, const pad_address&) { return true; };
  }
  // Lets go what is held; what comes to be sent because of that is held again, or not any more.
  void serve() {
    door->release_all();
    det.run_messages();
  }
  void serve_all_at_once() {
    door->hold = nullptr;
    serve();
  }

  std::vector<pad_store_actor> spawned;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(worker_pool_tests, pool_fixture)

BOOST_AUTO_TEST_CASE(work_is_done_first_come_first_served) {
  auto pool = make(1);
  std::vector<int> order;
  hold_everything();
  std::vector<answer_ptr<bytes>> answers;
  for (std::uint64_t i = 0; i < 4; ++i)
    answers.push_back(ask_get(pool, i));
  BOOST_TEST(door->held.size() == 1u);
  for (std::size_t i = 0; i < 4; ++i) {
    serve();
    for (std::size_t k = 0; k < 4; ++k)
      BOOST_TEST(answers[k]->pending() == (k > i));
  }
}

BOOST_AUTO_TEST_CASE(short_work_goes_ahead_of_long_work_but_not_for_ever) {
  auto pool = make(1);
  hold_everything();
  auto first = ask_long_put(pool, 1000);  // keeps the worker while the others queue; the count begins behind it
  auto long_one = ask_long_put(pool, 1);
  auto other_long_one = ask_long_put(pool, 2);
  std::vector<answer_ptr<bytes>> short_ones;
  for (std::uint64_t i = 0; i < 2 * max_short_in_a_row; ++i)
    short_ones.push_back(ask_get(pool, i));
  auto answered = [&] { return std::ranges::count_if(short_ones, [](const auto& a) { return !a->pending(); }); };
  auto serve_short = [&] {
    for (unsigned i = 0; i < max_short_in_a_row; ++i)
      serve();
  };
  serve();
  BOOST_TEST(!first->pending());
  serve_short();
  BOOST_TEST(answered() == max_short_in_a_row);
  BOOST_TEST(long_one->pending());
  serve();
  BOOST_TEST(!long_one->pending());
  serve_short();
  BOOST_TEST(answered() == 2 * max_short_in_a_row);
  BOOST_TEST(other_long_one->pending());
  serve();
  BOOST_TEST(!other_long_one->pending());
}

BOOST_AUTO_TEST_CASE(each_worker_has_one_message_at_a_time) {
  auto pool = make(3);
  hold_everything();
  for (std::uint64_t i = 0; i < 10; ++i)
    ask_get(pool, i);
  BOOST_TEST(door->held.size() == 3u);
  while (!door->held.empty()) {
    BOOST_TEST(door->held.size() <= 3u);
    serve();
  }
  BOOST_TEST(door->max_in_flight == 3u);
  BOOST_TEST(door->counts[pad_op::get] == 10u);
}

BOOST_AUTO_TEST_CASE(a_worker_gets_some_short_work_ahead_and_nothing_behind_long_work) {
  auto pool = make(2, 100, 3);
  hold_everything();
  auto first_long = ask_long_put(pool, 1000);
  BOOST_TEST(door->held.size() == 1u);
  for (std::uint64_t i = 0; i < 5; ++i)
    ask_get(pool, i);
  BOOST_TEST(door->held.size() == 4u);   // the long one, and three for the other worker
  auto second_long = ask_long_put(pool, 1001);
  BOOST_TEST(door->held.size() == 4u);
  BOOST_TEST(second_long->pending());
  while (!door->held.empty()) {
    BOOST_TEST(door->held.size() <= 6u);
    serve();
  }
  BOOST_TEST(!first_long->pending());
  BOOST_TEST(!second_long->pending());
  BOOST_TEST(door->counts[pad_op::get] == 5u);
}

BOOST_AUTO_TEST_CASE(long_work_leaves_workers_to_short_work) {
  auto pool = make(8, 100, 1, 2);
  hold_everything();
  for (std::uint64_t i = 0; i < 10; ++i)
    ask_long_put(pool, i);
  BOOST_TEST(door->held.size() == 6u);
  ask_get(pool, 1);
  ask_get(pool, 2);
  BOOST_TEST(door->held.size() == 8u);
  while (!door->held.empty())
    serve();
  BOOST_TEST(door->counts[pad_op::put] == 10u);
}

BOOST_AUTO_TEST_CASE(work_ahead_is_shared_out_evenly) {
  auto pool = make(3, 100, 3);
  hold_everything();
  for (std::uint64_t i = 0; i < 6; ++i)
    ask_get(pool, i);
  std::map<caf::actor_addr, std::size_t> each;
  for (const auto& h : door->held)
    ++each[h.store];
  BOOST_TEST(each.size() == 3u);
  for (const auto& [worker, count] : each)
    BOOST_TEST(count == 2u);
}

BOOST_AUTO_TEST_CASE(what_stands_behind_unanswered_work_is_answered_with_it) {
  auto pool = make(1, 100, 2);
  hold_everything();
  auto slow = ask_get(pool, 1);
  auto behind = ask_get(pool, 2);
  auto next = ask_get(pool, 3);
  det.run_for(std::chrono::seconds(66));
  BOOST_TEST((slow->code() == errc::timeout));
  BOOST_TEST((behind->code() == errc::timeout));
  BOOST_TEST(next->pending());
  BOOST_TEST(door->held.size() == 2u);
  serve_all_at_once();
  BOOST_TEST((next->code() == errc::pad_not_found));
}

BOOST_AUTO_TEST_CASE(a_worker_that_dies_answers_for_all_that_it_had) {
  auto pool = make(1, 100, 2);
  hold_everything();
  auto first = ask_get(pool, 1);
  auto second = ask_get(pool, 2);
  caf::anon_send_exit(spawned.front(), caf::exit_reason::kill);
  det.run_messages();
  BOOST_TEST((first->code() == errc::unreachable));
  BOOST_TEST((second->code() == errc::unreachable));
  BOOST_TEST(spawned.size() == 2u);
}

BOOST_AUTO_TEST_CASE(beyond_the_queue_work_is_refused_as_overloaded) {
  auto pool = make(1, 2);
  hold_everything();
  std::vector<answer_ptr<bytes>> answers;
  for (std::uint64_t i = 0; i < 4; ++i)
    answers.push_back(ask_get(pool, i));
  BOOST_TEST((answers[3]->code() == errc::overloaded));
  for (std::size_t i = 0; i < 3; ++i)
    BOOST_TEST(answers[i]->pending());
}

BOOST_AUTO_TEST_CASE(a_worker_that_dies_is_replaced_and_its_message_is_answered) {
  auto pool = make(1);
  hold_everything();
  auto lost = ask_get(pool, 1);
  auto next = ask_get(pool, 2);
  BOOST_TEST(spawned.size() == 1u);
  caf::anon_send_exit(spawned.front(), caf::exit_reason::kill);
  det.run_messages();
  BOOST_TEST((lost->code() == errc::unreachable));
  BOOST_TEST(spawned.size() == 2u);
  BOOST_TEST(next->pending());
  serve_all_at_once();
  BOOST_TEST((next->code() == errc::pad_not_found));
}

BOOST_AUTO_TEST_CASE(an_idle_worker_that_dies_is_replaced) {
  auto pool = make(2);
  caf::anon_send_exit(spawned.front(), caf::exit_reason::kill);
  det.run_messages();
  BOOST_TEST(spawned.size() == 3u);
  for (std::uint64_t i = 0; i < 4; ++i)
    BOOST_TEST((ask_get(pool, i)->code() == errc::pad_not_found));
}

BOOST_AUTO_TEST_CASE(what_takes_too_long_is_answered_with_timeout_and_the_worker_gets_nothing_new) {
  auto pool = make(1);
  hold_everything();
  auto slow = ask_get(pool, 1);
  auto next = ask_get(pool, 2);
  det.run_for(std::chrono::seconds(61));
  BOOST_TEST((slow->code() == errc::timeout));
  BOOST_TEST(next->pending());
  BOOST_TEST(door->held.size() == 1u);
  serve_all_at_once();
  BOOST_TEST((next->code() == errc::pad_not_found));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
