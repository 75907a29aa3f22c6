// The index: commits in groups, preconditions, reservations, pins, other writers.
#include "core/index/codec.hpp"
#include "tests/actors/fixture.hpp"

namespace mutant::testing {

namespace {

struct index_fixture : fixture {
  using fixture::fixture;

  answer_ptr<commit_result> ask_commit(const index_actor& index, commit_request request) {
    return ask<commit_result>(index, commit_atom_v, std::move(request));
  }
  std::uint64_t commit(const index_actor& index, commit_request request) {
    return get<commit_result>(index, commit_atom_v, std::move(request)).version;
  }
  void hold_log_writes() {
    door->hold = [this](pad_op op, const pad_address& a) { return op == pad_op::put && is_log(a); };
  }
  std::size_t log_writes() const {
    std::size_t n = 0;
    for (std::uint64_t i = 0; i < 8; ++i)
      n += engine->get(log_slot(i)).has_value();
    return n;
  }
  // A second writer over the same pads.
  index_actor spawn_other() {
    auto o = small_index();
    o.writer[0] = std::byte{2};
    return spawn_index(o);
  }
  commit_request put_chunk(std::string key, pad_ref pad) {
    entry e;
    e.size = 10;
    e.chunks = std::make_shared<const chunk_list>(chunk_list{chunk{pad, 10, {}}});
    return {{put_op{std::move(key), std::move(e)}}, {}};
  }
};

// Reserves pads and keeps them until told otherwise.
struct holder {
  caf::actor actor;
  std::shared_ptr<pad_list> pads = std::make_shared<pad_list>();
};

holder reserve(fixture& f, const index_actor& index, std::uint32_t count) {
  holder h;
  h.actor = f.det.system().spawn([index, count, pads = h.pads](caf::event_based_actor* self) -> caf::behavior {
    self->request(index, caf::infinite, reserve_atom_v, count).then([pads](pad_list& got) { *pads = got; });
    return {
        [self, index](const returned_pads& back) { self->send(index, release_atom_v, back); },
        [self, index](commit_request& request) {
          self->request(index, caf::infinite, commit_atom_v, std::move(request)).then([](commit_result) {}, [](caf::error&) {});
        }};
  });
  f.det.run_messages();
  return h;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(index_commits, index_fixture)

BOOST_AUTO_TEST_CASE(requests_that_wait_share_one_log_write) {
  auto index = spawn_index();
  commit(index, put_inline("zero", "0"));
  hold_log_writes();
  auto first = ask_commit(index, put_inline("first", "1"));
  det.run_messages();
  std::vector<answer_ptr<commit_result>> others;
  for (int i = 0; i < 50; ++i)
    others.push_back(ask_commit(index, put_inline("key" + std::to_string(i), "x")));
  det.run_messages();
  BOOST_TEST(door->held.size() == 1u);
  BOOST_TEST(first->pending());
  door->release_all();
  det.run_messages();
  BOOST_TEST(first->value.has_value());
  BOOST_TEST(door->held.size() == 1u);
  for (const auto& a : others)
    BOOST_TEST(a->pending());
  door->release_all();
  det.run_messages();
  for (const auto& a : others) {
    BOOST_REQUIRE(a->value.has_value());
    BOOST_TEST(a->value->version == 3u);
  }
  BOOST_TEST(log_writes() == 3u);
  auto stats = get<index_stats>(index, count_atom_v);
  BOOST_TEST(stats.commits == 3u);
  BOOST_TEST(stats.commit_requests == 52u);
}

BOOST_AUTO_TEST_CASE(a_look_up_does_not_wait_for_a_write) {
  auto index = spawn_index();
  commit(index, put_inline("key", "old"));
  hold_log_writes();
  auto write = ask_commit(index, put_inline("key", "new"));
  det.run_messages();
  auto there = get<found>(index, find_atom_v, find_request{"key", false});
  BOOST_TEST(std::string(as_text(there.complete->inline_value)) == "old");
  BOOST_TEST(write->pending());
}

BOOST_AUTO_TEST_CASE(a_request_whose_condition_fails_is_refused_and_does_not_harm_its_batch) {
  auto index = spawn_index();
  commit(index, put_inline("there", "1"));
  auto absent = put_inline("there", "2");
  absent.conditions = {{"there", 0}};
  auto other = put_inline("other", "3");
  auto wrong = put_inline("there", "4");
  wrong.conditions = {{"there", 9}};
  auto right = put_inline("there", "5");
  right.conditions = {{"there", 1}};
  auto a = ask_commit(index, absent), b = ask_commit(index, other), c = ask_commit(index, wrong), d = ask_commit(index, right);
  det.run_messages();
  BOOST_TEST((a->code() == errc::key_exists));
  BOOST_TEST(b->value.has_value());
  BOOST_TEST((c->code() == errc::version_mismatch));
  BOOST_TEST(d->value.has_value());
  BOOST_TEST(std::string(as_text(get<found>(index, find_atom_v, find_request{"there", false}).complete->inline_value)) == "5");
}

BOOST_AUTO_TEST_CASE(of_two_requests_with_the_same_condition_one_wins) {
  auto index = spawn_index();
  auto one = put_inline("key", "1"), two = put_inline("key", "2");
  one.conditions = two.conditions = {{"key", 0}};
  hold_log_writes();
  auto a = ask_commit(index, one), b = ask_commit(index, two);
  det.run_messages();
  while (!door->held.empty()) {
    door->release_all();
    det.run_messages();
  }
  BOOST_TEST(a->value.has_value() != b->value.has_value());
}

BOOST_AUTO_TEST_CASE(a_request_is_taken_whole_or_not_at_all) {
  auto index = spawn_index();
  auto both = put_inline("one", "1");
  both.operations.push_back(remove_op{"no such key"});
  BOOST_TEST((get_error<commit_result>(index, commit_atom_v, both).code == errc::key_not_found));
  BOOST_TEST(!get<found>(index, find_atom_v, find_request{"one", false}).complete.has_value());
}

BOOST_AUTO_TEST_CASE(too_many_waiting_requests_are_overloaded) {
  auto o = small_index();
  o.max_waiting_commits = 3;
  auto index = spawn_index(o);
  commit(index, put_inline("zero", "0"));
  hold_log_writes();
  std::vector<answer_ptr<commit_result>> answers;
  for (int i = 0; i < 6; ++i) {
    answers.push_back(ask_commit(index, put_inline("key" + std::to_string(i), "x")));
    det.run_messages();
  }
  BOOST_TEST((answers.back()->code() == errc::overloaded));
  door->hold = nullptr;
  door->release_all();
  det.run_messages();
  for (const auto& a : answers)
    BOOST_TEST(!a->pending());
}

BOOST_AUTO_TEST_CASE(a_refused_log_write_is_told_and_the_next_one_goes_on) {
  auto index = spawn_index();
  commit(index, put_inline("zero", "0"));
  door->refuse = [this](pad_op op, const pad_address& a) -> std::optional<error> {
    return op == pad_op::put && is_log(a) ? std::optional(error{errc::store_full, "full"}) : std::nullopt;
  };
  BOOST_TEST((get_error<commit_result>(index, commit_atom_v, put_inline("key", "x")).code == errc::store_full));
  door->refuse = nullptr;
  BOOST_TEST(commit(index, put_inline("key", "y")) == 2u);
}

// The store did it, and said nothing: the outcome is unknown, and whatever it was, the log goes on behind it.
BOOST_AUTO_TEST_CASE(a_commit_of_unknown_outcome_is_found_by_the_next_one) {
  auto index = spawn_index();
  commit(index, put_inline("zero", "0"));
  door->lose_answer = [this](pad_op op, const pad_address& a) { return op == pad_op::put && is_log(a); };
  auto lost = ask_commit(index, put_inline("lost", "x"));
  det.run_for(std::chrono::seconds(301));
  BOOST_TEST((lost->code() == errc::timeout));
  door->lose_answer = nullptr;
  BOOST_TEST(commit(index, put_inline("next", "y")) == 3u);
  BOOST_TEST(get<found>(index, find_atom_v, find_request{"lost", false}).complete.has_value());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(index_writers, index_fixture)

BOOST_AUTO_TEST_CASE(a_lost_race_is_applied_and_the_request_committed_behind_it) {
  auto one = spawn_index(), two = spawn_other();
  commit(one, put_inline("a", "1"));
  BOOST_TEST(commit(two, put_inline("b", "2")) == 2u);
  BOOST_TEST(commit(one, put_inline("c", "3")) == 3u);
  BOOST_TEST(get<index_stats>(one, count_atom_v).lost_races == 1u);
  BOOST_TEST(get<found>(one, find_atom_v, find_request{"b", false}).complete.has_value());
}

BOOST_AUTO_TEST_CASE(conditions_hold_against_other_writers) {
  auto one = spawn_index(), two = spawn_other();
  commit(one, put_inline("key", "1"));
  get<sync_report>(two, sync_atom_v);
  auto mine = put_inline("key", "2"), theirs = put_inline("key", "3");
  mine.conditions = theirs.conditions = {{"key", 1}};
  commit(two, theirs);
  BOOST_TEST((get_error<commit_result>(one, commit_atom_v, mine).code == errc::version_mismatch));
}

BOOST_AUTO_TEST_CASE(a_sync_sees_what_was_committed_before_it_began) {
  auto one = spawn_index(), two = spawn_other();
  commit(one, put_inline("a", "1"));
  get<sync_report>(two, sync_atom_v);
  // A sync is under way and has looked at the log's end already …
  door->hold = [this](pad_op op, const pad_address& a) { return op == pad_op::get && is_log(a); };
  auto early = ask<sync_report>(two, sync_atom_v);
  det.run_messages();
  BOOST_REQUIRE(!door->held.empty());
  auto looked = std::move(door->held);
  door->held.clear();
  door->hold = nullptr;
  // … when another commit comes, and another sync is asked for.
  door->release(std::move(looked));
  commit(one, put_inline("b", "2"));
  auto late = ask<sync_report>(two, sync_atom_v);
  det.run_messages();
  BOOST_REQUIRE(late->value.has_value());
  BOOST_TEST(late->value->sequence == 2u);
  BOOST_TEST(early->value.has_value());
}

BOOST_AUTO_TEST_CASE(a_writer_a_whole_ring_behind_starts_again_from_the_root) {
  auto one = spawn_index(), two = spawn_other();
  commit(one, put_inline("a", "1"));
  get<sync_report>(two, sync_atom_v);
  for (int i = 0; i < 40; ++i)
    commit(one, put_inline("key" + std::to_string(i % 7), std::to_string(i)));
  BOOST_TEST(commit(two, put_inline("behind", "x")) == 42u);
  auto report = get<sync_report>(two, sync_atom_v);
  BOOST_TEST(report.sequence == 42u);
  BOOST_TEST(std::string(as_text(get<found>(two, find_atom_v, find_request{"key4", false}).complete->inline_value)) == "39");
}

BOOST_AUTO_TEST_CASE(two_writers_make_one_index) {
  auto one = spawn_index(), two = spawn_other();
  auto a = ask_commit(one, put_inline("a", "1")), b = ask_commit(two, put_inline("b", "2"));
  det.run_until([&] { return !a->pending() && !b->pending(); });
  BOOST_REQUIRE(a->value && b->value);
  BOOST_TEST(a->value->version + b->value->version == 3u);
  BOOST_TEST(get<list_page>(spawn_other(), list_atom_v, list_request{}).size() == 2u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(index_reservations, index_fixture)

BOOST_AUTO_TEST_CASE(no_pad_is_handed_out_twice) {
  auto index = spawn_index();
  auto a = reserve(*this, index, 5), b = reserve(*this, index, 5);
  std::set<std::uint64_t> numbers;
  for (const auto* list : {a.pads.get(), b.pads.get()})
    for (const auto& pad : *list) {
      BOOST_TEST(pad.counter == 1u);
      BOOST_TEST(numbers.insert(pad.number).second);
    }
  BOOST_TEST(numbers.size() == 10u);
}

BOOST_AUTO_TEST_CASE(unused_pads_come_back_when_they_are_returned) {
  auto index = spawn_index();
  auto a = reserve(*this, index, 3);
  std::reverse(a.pads->begin(), a.pads->end());
  caf::anon_send(a.actor, returned_pads{*a.pads, returned_pads::state::unused});
  det.run_messages();
  auto b = reserve(*this, index, 3);
  std::reverse(a.pads->begin(), a.pads->end());
  BOOST_TEST((*b.pads == *a.pads));
}

BOOST_AUTO_TEST_CASE(written_pads_come_back_one_counter_higher) {
  auto index = spawn_index();
  auto a = reserve(*this, index, 1);
  caf::anon_send(a.actor, returned_pads{*a.pads, returned_pads::state::written});
  det.run_messages();
  auto b = reserve(*this, index, 1);
  BOOST_TEST(b.pads->front().number == a.pads->front().number);
  BOOST_TEST(b.pads->front().counter == 2u);
}

// It may hold another writer's committed chunk at that counter: one above would write over it.
BOOST_AUTO_TEST_CASE(pads_of_unknown_content_come_back_at_the_same_counter) {
  auto index = spawn_index();
  auto a = reserve(*this, index, 1);
  caf::anon_send(a.actor, returned_pads{*a.pads, returned_pads::state::sent});
  det.run_messages();
  auto b = reserve(*this, index, 1);
  BOOST_TEST((b.pads->front() == a.pads->front()));
  caf::anon_send_exit(b.actor, caf::exit_reason::kill);
  det.run_messages();
  auto c = reserve(*this, index, 1);
  BOOST_TEST((c.pads->front() == a.pads->front()));
}

BOOST_AUTO_TEST_CASE(contested_pads_are_left_alone) {
  auto index = spawn_index();
  auto a = reserve(*this, index, 1);
  caf::anon_send(a.actor, returned_pads{{{a.pads->front().number, 1}}, returned_pads::state::contested});
  det.run_messages();
  auto b = reserve(*this, index, 20);
  for (const auto& pad : *b.pads)
    BOOST_TEST(pad.number != a.pads->front().number);
}

// What a commit took over is not its asker's any more, whatever that does.
BOOST_AUTO_TEST_CASE(committed_pads_do_not_come_back_with_their_owner) {
  auto index = spawn_index();
  commit(index, put_inline("zero", "0"));
  auto a = reserve(*this, index, 2);
  const auto pad = a.pads->front();
  hold_log_writes();
  caf::anon_send(a.actor, put_chunk("key", pad));
  det.run_messages();
  BOOST_TEST(door->held.size() == 1u);
  caf::anon_send(a.actor, returned_pads{*a.pads, returned_pads::state::written});
  det.run_messages();
  caf::anon_send_exit(a.actor, caf::exit_reason::kill);
  det.run_messages();
  auto b = reserve(*this, index, 20);
  for (const auto& other : *b.pads)
    BOOST_TEST(other.number != pad.number);
  door->hold = nullptr;
  door->release_all();
  det.run_messages();
  BOOST_TEST(get<found>(index, find_atom_v, find_request{"key", false}).complete.has_value());
}

BOOST_AUTO_TEST_CASE(pads_of_a_refused_commit_come_back) {
  auto index = spawn_index();
  auto a = reserve(*this, index, 1);
  auto request = put_chunk("key", a.pads->front());
  request.conditions = {{"key", 5}};
  caf::anon_send(a.actor, request);
  det.run_messages();
  auto b = reserve(*this, index, 1);
  BOOST_TEST(b.pads->front().number == a.pads->front().number);
  BOOST_TEST(b.pads->front().counter == 2u);
}

BOOST_AUTO_TEST_CASE(pads_of_a_removed_value_are_used_again_one_counter_higher) {
  auto index = spawn_index();
  auto a = reserve(*this, index, 1);
  caf::anon_send(a.actor, put_chunk("key", a.pads->front()));
  det.run_messages();
  commit(index, {{remove_op{"key"}}, {}});
  auto b = reserve(*this, index, 1);
  BOOST_TEST(b.pads->front().number == a.pads->front().number);
  BOOST_TEST(b.pads->front().counter == 2u);
}

BOOST_AUTO_TEST_CASE(a_pinned_value_keeps_its_freed_pads_from_being_used_until_released) {
  for (auto released : {true, false}) {
    auto index = spawn_index();
    auto a = reserve(*this, index, 1);
    const auto pad = a.pads->front();
    caf::anon_send(a.actor, put_chunk("key", pad));
    det.run_messages();
    auto pin = std::make_shared<std::uint64_t>(0);
    auto reader = det.system().spawn([index, pin](caf::event_based_actor* self) -> caf::behavior {
      self->request(index, caf::infinite, find_atom_v, find_request{"key", true}).then([pin](found& f) { *pin = f.pin; });
      return {[](float) {}};
    });
    det.run_messages();
    BOOST_REQUIRE(*pin != 0u);
    commit(index, {{remove_op{"key"}}, {}});
    const auto others = reserve(*this, index, 20);
    for (const auto& other : *others.pads)
      BOOST_TEST(other.number != pad.number);
    if (released)
      caf::anon_send(index, release_atom_v, *pin);
    else
      caf::anon_send_exit(reader, caf::exit_reason::kill);
    det.run_messages();
    BOOST_TEST(reserve(*this, index, 1).pads->front().number == pad.number);
    caf::anon_send_exit(index, caf::exit_reason::kill);
    det.run_messages();
    engine = std::make_shared<damaged_engine>(*this);
    store = det.system().spawn(gated_store, std::static_pointer_cast<pad_engine>(engine), door);
  }
}

// After a fault that passes, the index is read anew: a store that shows an older one then is not believed.
BOOST_AUTO_TEST_CASE(what_this_process_has_seen_must_be_there_when_the_index_is_read_anew) {
  auto index = spawn_index();
  for (const auto* key : {"a", "b", "c"})
    commit(index, put_inline(key, "value"));
  missing.insert(log_slot(3));
  door->refuse = [&, failed = false](pad_op op, const pad_address& a) mutable -> std::optional<error> {
    if (op != pad_op::get || a != log_slot(4) || std::exchange(failed, true))
      return std::nullopt;
    return error{errc::unreachable, "for a moment"};
  };
  BOOST_TEST((get_error<sync_report>(index, sync_atom_v).code == errc::unreachable));
  BOOST_TEST((get_error<found>(index, find_atom_v, find_request{"c", false}).code == errc::rollback_detected));
  BOOST_TEST((get_error<commit_result>(index, commit_atom_v, put_inline("d", "value")).code == errc::rollback_detected));
  BOOST_TEST(engine->writes == 4u);   // the root and three commits
  missing.clear();
  det.run_for(std::chrono::seconds(10));
  BOOST_TEST(get<found>(index, find_atom_v, find_request{"c", false}).complete.has_value());
  BOOST_TEST(commit(index, put_inline("d", "value")) == 4u);
}

// The answer to our root is lost and another writer builds on it; when ours is refused, the store shows the one before.
BOOST_AUTO_TEST_CASE(parts_that_a_root_names_stay_though_the_store_shows_an_older_root) {
  auto index = spawn_index();
  const auto root_pad = keys->root();
  auto root_counter = [&] { return parse_header(engine->get(root_pad.address).value())->counter; };
  for (const auto* key : {"a", "b", "c"})
    commit(index, put_inline(key, "value"));
  const auto before = engine->get(root_pad.address).value();
  BOOST_REQUIRE(root_counter() == 1u);
  door->lose_answer = [&](pad_op op, const pad_address& a) { return op == pad_op::put && a == root_pad.address; };
  commit(index, put_inline("d", "value"));   // half of the ring: a snapshot is due
  det.run_until([&] { return root_counter() == 2; });
  door->lose_answer = nullptr;
  const auto ours = decode_root(open_private(root_pad, 2, engine->get(root_pad.address).value()).value()).value();
  BOOST_REQUIRE(!ours.parts.empty());
  BOOST_REQUIRE(engine->put(seal_private(root_pad, 3, encode(ours))).has_value());
  BOOST_REQUIRE(engine->commit().has_value());
  broken[root_pad.address] = before;
  auto parts_are_there = [&] {
    return std::ranges::none_of(ours.parts, [&](const part_ref& part) {
      return parse_header(engine->get(part_pad(part.pad.number)).value())->blank;
    });
  };
  std::size_t roots = 0, others = 0;
  door->refuse = [&](pad_op op, const pad_address& a) -> std::optional<error> {
    if (op != pad_op::get && op != pad_op::head)
      ++(a == root_pad.address ? roots : others);
    return std::nullopt;
  };
  det.run_for(std::chrono::seconds(310));
  door->refuse = nullptr;
  BOOST_TEST(roots > 0u);   // our root again, and nothing else
  BOOST_TEST(others == 0u);
  BOOST_TEST(parts_are_there());
  broken.clear();
  det.run_for(std::chrono::seconds(10));
  BOOST_TEST(parts_are_there());
  BOOST_TEST(commit(index, put_inline("e", "value")) == 5u);
}

// Whatever the writes of a root meet, once or for good: who waits for one is answered in bounded time, and when the store is
// well again, so is the index.
BOOST_AUTO_TEST_CASE(who_waits_for_a_root_is_answered_whatever_its_writes_meet) {
  const auto root_address = keys->root().address;
  for (const auto code : {errc::io_error, errc::store_full, errc::timeout, errc::unreachable, errc::overloaded,
                          errc::pad_conflict, errc::stale_counter})
    for (const auto for_good : {false, true})
      for (const auto stored : {false, true}) {
        if (stored && code == errc::store_full)
          continue;  // that says that nothing was stored
        BOOST_TEST_CONTEXT(name_of(code) << (for_good ? " for good" : " once") << (stored ? ", stored" : "")) {
          caf::anon_send_exit(store, caf::exit_reason::kill);
          det.run_messages();
          engine = std::make_shared<damaged_engine>(*this);
          store = det.system().spawn(gated_store, std::static_pointer_cast<pad_engine>(engine), door);
          auto index = spawn_index();
          auto failing = true;
          auto meets_it = [&](pad_op op, const pad_address& a) {
            return op == pad_op::put && a == root_address && (for_good ? failing : std::exchange(failing, false));
          };
          // Refused, or done in the store but not answered so.
          door->refuse = [&](pad_op op, const pad_address& a) -> std::optional<error> {
            return !stored && meets_it(op, a) ? std::optional(error{code, "injected"}) : std::nullopt;
          };
          door->answer_instead = [&](pad_op op, const pad_address& a) -> std::optional<error> {
            return stored && meets_it(op, a) ? std::optional(error{code, "injected"}) : std::nullopt;
          };
          auto first = ask_commit(index, put_inline("first", "value"));
          det.run_for(std::chrono::seconds(30));
          BOOST_TEST(!first->pending());
          failing = false;
          det.run_for(std::chrono::seconds(30));
          commit(index, put_inline("a", "value"));
          failing = true;
          auto purged = ask<std::uint64_t>(index, purge_atom_v, false);
          det.run_for(std::chrono::seconds(30));
          BOOST_TEST(!purged->pending());
          failing = false;
          det.run_for(std::chrono::seconds(30));
          get<std::uint64_t>(index, purge_atom_v, false);
          failing = true;
          // More than the ring holds.
          for (auto i = 0; i < 10; ++i) {
            auto a = ask_commit(index, put_inline("b", "value"));
            det.run_for(std::chrono::seconds(30));
            BOOST_TEST(!a->pending());
          }
          failing = false;
          det.run_for(std::chrono::seconds(30));
          const auto last = commit(index, put_inline("c", "value"));
          caf::anon_send_exit(index, caf::exit_reason::kill);
          det.run_messages();
          auto again = spawn_index();
          BOOST_TEST(get<found>(again, find_atom_v, find_request{"c", false}).complete->version == last);
          caf::anon_send_exit(again, caf::exit_reason::kill);
          det.run_messages();
          door->refuse = nullptr;
          door->answer_instead = nullptr;
        }
      }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
