// What a store does that keeps all it was sent: each of these was done to format 1, and went through. None of it needs a key.
#include <stdlib.h>

#include <filesystem>

#include "actors/operations/purge_operation.hpp"
#include "core/index/codec.hpp"
#include "testing/hostile_store.hpp"
#include "tests/actors/fixture.hpp"
#include "tests/temporary_directory.hpp"

namespace mutant::testing {

namespace {

struct hostile_store_fixture : fixture {
  hostile_store_fixture() {
    behind = store;
    hostile_store_options o;
    o.store = behind;
    enemy = det.system().spawn(hostile_store, o);
    store = caf::actor_cast<pad_store_actor>(enemy);
  }

  // The write is refused, and kept.
  void refuse(pad_op op, std::function<bool(const pad_address&)> which) {
    door->refuse = [op, which](pad_op what, const pad_address& a) -> std::optional<error> {
      if (what == op && which(a))
        return error{errc::store_full, "the store is full"};
      return std::nullopt;
    };
  }
  void refuse_nothing() { door->refuse = nullptr; }
  record_list kept(const pad_address& a) { return get<record_list>(enemy, kept_query{a}); }
  void show(const pad_address& a, const bytes& record) {
    caf::anon_send(enemy, show_instead{a, record});
    det.run_messages();
  }
  void show_truth(const pad_address& a) { show(a, {}); }

  index_options remembering() const {
    auto o = small_index();
    o.cache_path = folder + "/index";
    return o;
  }
  std::uint64_t commit(const index_actor& index, std::string key, std::string_view value) {
    return get<commit_result>(index, commit_atom_v, put_inline(std::move(key), value)).version;
  }
  error refused_commit(const index_actor& index, std::string key, std::string_view value) {
    return get_error<commit_result>(index, commit_atom_v, put_inline(std::move(key), value));
  }
  void end(const index_actor& index) {
    get<done>(index, flush_atom_v);
    caf::anon_send_exit(index, caf::exit_reason::user_shutdown);
    det.run_messages();
  }
  std::vector<std::string> keys_in(const index_actor& index) {
    std::vector<std::string> names;
    for (const auto& item : get<list_page>(index, list_atom_v, list_request{}))
      names.push_back(item.key);
    return names;
  }
  static bool is_integrity(const error& e) {
    return e.code == errc::index_corrupt || e.code == errc::rollback_detected || e.code == errc::decrypt_failed
           || e.code == errc::corrupt_record;
  }
  void expect_integrity(const error& e) { BOOST_TEST(is_integrity(e), to_string(e)); }
  // A copy of the record whose header says something else.
  static bytes with_byte(const bytes& record, std::size_t at) {
    buffer out(record.size());
    copy_bytes(record, out.span());
    out.data()[at] ^= std::byte{1};
    return std::move(out).freeze();
  }

  pad_store_actor behind;
  hostile_store_actor enemy;
  const temporary_directory directory;
  const std::string folder = directory.path();
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(hostile_store_attacks, hostile_store_fixture)

// 1. `put doc A` is refused, and the record of its first chunk kept; `put doc B` is stored; the store shows A's chunk.
BOOST_AUTO_TEST_CASE(a_chunk_of_a_refused_put_in_place_of_the_stored_one) {
  auto index = spawn_index();
  const std::string a = "AAAAAAAAAAaaaaaaaaaaAAAAA", b = "BBBBBBBBBBbbbbbbbbbbBBBBB";
  refuse(pad_op::put, [this](const pad_address& pad) { return is_data(pad); });
  auto no = ask_put(small_put(index), "doc", a);
  det.run_until([&] { return !no->pending(); });
  BOOST_TEST((no->code() == errc::store_full));
  refuse_nothing();
  put(small_put(index), "doc", b);
  BOOST_TEST(value_of(small_get(index), "doc") == b);
  // Of the pads of B, one that A was sent to at the same counter.
  unsigned tried = 0;
  for (std::uint64_t n = 0; n < 16; ++n) {
    const auto records = kept(data_pad(n));
    if (records.size() < 2 || parse_header(records.front())->counter != parse_header(records.back())->counter)
      continue;
    ++tried;
    show(data_pad(n), records.front());
    for (std::uint64_t offset : {0, 5, 12, 20}) {
      auto request = get_of("doc");
      request.offset = offset;
      auto got = ask_get(small_get(index), request);
      det.run_until([&] { return !got->pending(); });
      if (got->value)
        BOOST_TEST(as_text(got->value->value) == b.substr(offset));
      else
        expect_integrity(*got->failure);
    }
    BOOST_TEST(value_of(small_get(index), "doc").starts_with("decrypt_failed: chunk"));
    show_truth(data_pad(n));
  }
  BOOST_TEST(tried > 0u);
}

// 2. A commit that was refused is shown in place of the one that was acknowledged under its number.
BOOST_AUTO_TEST_CASE(a_refused_commit_in_place_of_the_acknowledged_one) {
  auto index = spawn_index(remembering());
  commit(index, "first", "1");
  refuse(pad_op::put, [this](const pad_address& pad) { return pad == log_slot(2); });
  BOOST_TEST((refused_commit(index, "withdrawn", "2").code == errc::store_full));
  refuse_nothing();
  BOOST_TEST(commit(index, "acknowledged", "2") == 2u);
  end(index);
  const auto records = kept(log_slot(2));
  BOOST_REQUIRE(records.size() == 2u);
  show(log_slot(2), records.front());
  // Who saw the acknowledged one is told.
  expect_integrity(get_error<list_page>(spawn_index(remembering()), list_atom_v, list_request{}));
  show_truth(log_slot(2));
  auto again = spawn_index(remembering());
  BOOST_TEST(keys_in(again) == (std::vector<std::string>{"acknowledged", "first"}));
  // So is who has never seen anything, as soon as there is a commit behind it.
  commit(again, "third", "3");
  show(log_slot(2), records.front());
  expect_integrity(get_error<list_page>(spawn_index(), list_atom_v, list_request{}));
  // And a writer at work, who reads it when others have gone on.
  show_truth(log_slot(2));
  auto late = spawn_index();
  BOOST_TEST(keys_in(late).size() == 3u);
}

// 3. The hash in a header is altered so that a fork looks like what was seen last.
BOOST_AUTO_TEST_CASE(an_altered_header_does_not_make_a_fork_the_history_that_was_seen) {
  auto index = spawn_index(remembering());
  commit(index, "first", "1");
  commit(index, "mine", "2");
  end(index);
  const auto mine = kept(log_slot(2)).back();
  // Another machine goes on from commit 1: the store hides commit 2 from it.
  engine = std::make_shared<damaged_engine>(*this);
  for (const auto& pad : {keys->root().address, log_slot(1)})
    BOOST_REQUIRE(engine->put(kept(pad).back()).has_value());
  BOOST_REQUIRE(engine->commit().has_value());
  const auto forked = det.system().spawn(gated_store, std::static_pointer_cast<pad_engine>(engine), door);
  auto o = small_index();
  o.pads = forked;
  commit(spawn_index(o), "theirs", "2");
  const auto theirs = engine->get(log_slot(2)).value();
  // The fork as it is, and with the hash of the commit that was seen in its header.
  buffer dressed(theirs.size());
  copy_bytes(theirs, dressed.span());
  std::copy_n(mine.data() + 64, 32, dressed.data() + 64);
  const auto altered = std::move(dressed).freeze();
  for (const auto& record : {theirs, altered}) {
    show(log_slot(2), record);
    expect_integrity(get_error<list_page>(spawn_index(remembering()), list_atom_v, list_request{}));
  }
  // No byte of the header decides anything: altered, it is an error, or what was there anyway.
  for (std::size_t at = 0; at < record_header_bytes; ++at) {
    show(log_slot(2), with_byte(mine, at));
    auto a = ask<list_page>(spawn_index(remembering()), list_atom_v, list_request{});
    det.run_until([&] { return !a->pending(); });
    BOOST_REQUIRE_MESSAGE(a->failure, "byte " << at << " was altered and taken");
    expect_integrity(*a->failure);
  }
  show_truth(log_slot(2));
  BOOST_TEST(keys_in(spawn_index(remembering())) == (std::vector<std::string>{"first", "mine"}));
}

// 4. A snapshot part that was sealed twice under one number and counter.
BOOST_AUTO_TEST_CASE(another_snapshot_part_of_the_same_number_counter_and_size) {
  auto o = small_index();
  o.snapshot_log_bytes = 1;   // a part after every commit
  auto index = spawn_index(o);
  commit(index, "key", "value A");
  det.run_for(std::chrono::seconds(1));
  const auto records = kept(part_pad(0));
  BOOST_REQUIRE(!records.empty());
  const auto root_there = decode_root(open_private(keys->root(), 2, kept(keys->root().address).back()).value()).value();
  BOOST_REQUIRE_EQUAL(root_there.parts.size(), 1u);
  const auto& named = root_there.parts.front();
  auto part = open_part(keys->part_at(named.address, 0), named, records.front()).value();
  BOOST_REQUIRE(part.entries.size() == 1u);
  part.entries.front().value.inline_value = bytes::copy_of("value B");
  const auto other = seal_part(keys->part(0), 0, part)->record;   // as a writer would who was refused
  BOOST_REQUIRE(other.size() == records.front().size());
  show(part_pad(0), other);
  expect_integrity(get_error<list_page>(spawn_index(), list_atom_v, list_request{}));
  show_truth(part_pad(0));
  BOOST_TEST(keys_in(spawn_index()) == std::vector<std::string>{"key"});
}

// 5. A counter of 2^62 - 1 in the header of a pad: purge must not take it for the pad's.
BOOST_AUTO_TEST_CASE(a_forged_counter_does_not_become_a_free_pads) {
  auto index = spawn_index();
  put(small_put(index), "doc", "0123456789abcdefghij");
  get<commit_result>(index, commit_atom_v, commit_request{{remove_op{"doc"}}, {}});
  const auto forged = max_number - 1;
  for (std::uint64_t n = 0; n < 4; ++n)
    if (auto records = kept(data_pad(n)); !records.empty()) {
      buffer out(records.back().size());
      copy_bytes(records.back(), out.span());
      std::memcpy(out.data() + 8, &forged, sizeof forged);
      show(data_pad(n), std::move(out).freeze());
    }
  purge_options o;
  o.pads = store;
  o.crypto = crypto;
  o.index = index;
  const auto operation = det.system().spawn(purge_operation, o);
  const auto done = get<purge_result>(operation, purge_atom_v, purge_request{});
  BOOST_TEST(done.stale_free == 0u);
  for (std::uint64_t n = 0; n < 4; ++n)
    show_truth(data_pad(n));
  for (int i = 0; i < 4; ++i)
    put(small_put(index), "doc" + std::to_string(i), "0123456789abcdefghij");
  for (const auto& page = get<list_page>(index, list_atom_v, list_request{}); const auto& item : page)
    BOOST_TEST(value_of(small_get(index), item.key) == "0123456789abcdefghij");
}

// -- claims that do not fit what is known --------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_conflict_about_a_commit_that_is_not_there_ends) {
  auto index = spawn_index();
  commit(index, "first", "1");
  for (auto code : {errc::pad_conflict, errc::stale_counter}) {
    door->refuse = [this, code](pad_op op, const pad_address& a) -> std::optional<error> {
      if (op == pad_op::put && is_log(a))
        return error{code, "it is there", max_number - 1};
      return std::nullopt;
    };
    const auto e = refused_commit(index, "second", "2");
    BOOST_TEST((e.code == errc::timeout), to_string(e));
    BOOST_TEST((e.message.find("does not show it") != std::string::npos), e.message);
  }
  refuse_nothing();
  BOOST_TEST(commit(index, "second", "2") == 2u);
}

BOOST_AUTO_TEST_CASE(a_conflict_about_a_root_that_is_not_there_ends) {
  refuse(pad_op::put, [](const pad_address&) { return false; });
  door->refuse = [this](pad_op op, const pad_address& a) -> std::optional<error> {
    if (op == pad_op::put && a == keys->root().address)
      return error{errc::pad_conflict, "it is there", 1};
    return std::nullopt;
  };
  auto index = spawn_index();
  expect_integrity(refused_commit(index, "first", "1"));
  // Nor does it when a root is there, and the store says that there is a newer one.
  refuse_nothing();
  auto o = small_index();
  o.snapshot_log_bytes = 1;
  auto other = spawn_index(o);
  commit(other, "first", "1");
  det.run_for(std::chrono::seconds(1));
  door->refuse = [this](pad_op op, const pad_address& a) -> std::optional<error> {
    if (op == pad_op::put && a == keys->root().address)
      return error{errc::stale_counter, "there is a newer one", max_number - 1};
    return std::nullopt;
  };
  for (int i = 0; i < 20; ++i)
    ask<commit_result>(other, commit_atom_v, put_inline("key" + std::to_string(i), "x"));
  BOOST_TEST(det.run_until([&] { return false; }, std::chrono::minutes(3)) == false);
  refuse_nothing();
  det.run_for(std::chrono::minutes(1));
  BOOST_TEST(keys_in(other).size() >= 1u);
}

BOOST_AUTO_TEST_CASE(a_root_of_format_1_is_unsupported_in_words) {
  auto index = spawn_index();
  commit(index, "first", "1");
  auto old = with_byte(kept(keys->root().address).back(), 4);
  buffer out(old.size());
  copy_bytes(old, out.span());
  out.data()[4] = std::byte{1};
  show(keys->root().address, std::move(out).freeze());
  const auto e = get_error<list_page>(spawn_index(), list_atom_v, list_request{});
  BOOST_TEST((e.code == errc::unsupported), to_string(e));
  BOOST_TEST((e.message.find("format 1") != std::string::npos), e.message);
}

// -- positions -----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_position_is_found_in_its_own_history_only) {
  auto index = spawn_index();
  std::vector<sync_report> seen;
  for (int i = 0; i < 5; ++i) {
    commit(index, "key" + std::to_string(i), "x");
    seen.push_back(get<sync_report>(index, sync_atom_v));
  }
  auto at = [](const sync_report& r, std::size_t hash_bytes = 8) {
    return position{r.sequence, {r.last_commit.begin(), r.last_commit.begin() + static_cast<std::ptrdiff_t>(hash_bytes)}};
  };
  auto fresh = spawn_index();
  for (const auto& whom : {index, fresh})
    for (const auto& r : seen) {
      BOOST_TEST(get<sync_report>(whom, sync_atom_v, at(r)).sequence == 5u);
      BOOST_TEST(get<sync_report>(whom, sync_atom_v, at(r, 32)).sequence == 5u);
      auto wrong = at(r);
      wrong.hash[3] ^= std::byte{1};
      BOOST_TEST((get_error<sync_report>(whom, sync_atom_v, wrong).code == errc::rollback_detected));
    }
  auto ahead = at(seen.back());
  ++ahead.sequence;
  BOOST_TEST((get_error<sync_report>(index, sync_atom_v, ahead).code == errc::rollback_detected));
  // A whole ring later the log no longer tells, and says so.
  for (int i = 0; i < 30; ++i)
    commit(index, "more", std::to_string(i));
  det.run_for(std::chrono::seconds(1));
  const auto e = get_error<sync_report>(spawn_index(), sync_atom_v, at(seen.front()));
  BOOST_TEST((e.code == errc::unsupported), to_string(e));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
