// Copying a store: what arrives, going on with a copy that was cut off, sources in use, targets that may not be touched.
#include <boost/test/unit_test.hpp>

#include "actors/copy/copy_operation.hpp"
#include "actors/pads/memory_store.hpp"
#include "tests/actors/fixture.hpp"
#include "tests/core/test_engine_support.hpp"

namespace mutant::testing {

namespace {

struct copy_fixture : fixture {
  explicit copy_fixture(std::uint64_t random_seed = 1, deterministic_system::order how = deterministic_system::order::fifo)
      : fixture(random_seed, how) {
    target = det.system().spawn(memory_store, target_engine);
    verifiers = det.system().spawn(verifier);
    index = spawn_index();
  }

  index_actor index_of_target() {
    auto o = small_index();
    o.pads = target;
    return spawn_index(o);
  }

  copy_operation_actor operation() {
    copy_options o;
    o.from = store;
    o.to = target;
    o.from_index = spawn_index();   // of another process, as it were
    o.open_target_index = [this] { return index_of_target(); };
    o.crypto = crypto;
    o.verifiers = verifiers;
    o.memory_path = memory_path;
    o.read_back = read_back;
    o.skip_damaged = skip_damaged;
    o.window = 3;
    return det.system().spawn(copy_operation, o);
  }
  answer_ptr<copy_result> ask_copy() { return ask<copy_result>(operation(), put_atom_v, progress_listener()); }
  copy_result copied() { return get<copy_result>(operation(), put_atom_v, progress_listener()); }
  error refused() { return get_error<copy_result>(operation(), put_atom_v, progress_listener()); }

  void change(const std::string& key, const std::string& value) { put(small_put(index), key, value); }
  void remove(const std::string& key) { get<commit_result>(index, commit_atom_v, commit_request{{remove_op{key}}, {}}); }
  // More commits than the log's ring has slots.
  void go_round(unsigned times) {
    for (unsigned i = 0; i < times * 8 + 3; ++i)
      change("round" + std::to_string(i % 5), "a value that takes pads " + std::to_string(i));
  }

  // All of an index: keys, versions, unfinished uploads and values.
  std::string content(const index_actor& of, const pad_store_actor& pads) {
    std::string text;
    auto how = small_get(of);
    how.pads = pads;
    for (const auto& item : get<list_page>(of, list_atom_v, list_request{{}, {}, 1000})) {
      text += item.key + " " + std::to_string(item.version) + " " + std::to_string(item.modified_ms) + " "
              + std::to_string(item.pending_id) + " " + std::to_string(item.pending_done) + " ";
      text += (item.version != 0 ? value_of(how, item.key) : "-") + "\n";
    }
    return text;
  }
  std::string source() { return content(spawn_index(), store); }
  std::string copy() { return content(index_of_target(), target); }

  std::shared_ptr<pad_engine> target_engine = make_memory_engine(std::uint64_t{1} << 40);
  pad_store_actor target;
  verifier_actor verifiers;
  index_actor index;      // the source's, of one who writes to it
  std::string memory_path;
  bool read_back = false;
  bool skip_damaged = false;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(copy_store)

BOOST_AUTO_TEST_CASE(a_copy_holds_the_same_keys_versions_values_and_uploads) {
  copy_fixture f;
  f.go_round(3);
  f.change("small", "abc");
  f.change("gone", "a value that takes several pads");
  f.remove("gone");
  chunk c{{900, 1}, 10, {}};
  f.get<done>(f.store, put_atom_v, seal_private(f.keys->data(900), 1, std::vector<std::byte>(10)));
  f.get<commit_result>(f.index, commit_atom_v,
                       commit_request{{begin_upload_op{"half", 77, 30, 10, 5, 0}, extend_upload_op{"half", 77, 0, {c}}}, {}});
  f.read_back = true;
  const auto result = f.copied();
  BOOST_CHECK_EQUAL(f.copy(), f.source());
  BOOST_CHECK_EQUAL(result.passes, 1u);
  BOOST_CHECK_EQUAL(result.keys, 6u);
  BOOST_CHECK_GT(result.read_back, 10u);
  // It goes on as a store of its own.
  auto o = f.small_put(f.index_of_target());
  o.pads = f.target;
  for (unsigned i = 0; i < 20; ++i)
    f.put(o, "more", "written to the copy, number " + std::to_string(i));
  BOOST_CHECK(f.copy().find("written to the copy, number 19") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_copy_that_was_cut_off_goes_on_where_it_was) {
  copy_fixture f;
  f.go_round(2);
  for (unsigned steps = 40; steps < 400; steps += 90) {
    auto cut = f.operation();
    auto answer = f.ask<copy_result>(cut, put_atom_v, progress_listener());
    for (unsigned i = 0; i < steps && answer->pending(); ++i)
      f.det.step();
    caf::anon_send(cut, cancel_atom_v);
    f.det.run_messages();
  }
  const auto result = f.copied();
  BOOST_CHECK_GT(result.kept_records, 5u);
  BOOST_CHECK_EQUAL(f.copy(), f.source());
  const auto again = f.copied();
  BOOST_CHECK_EQUAL(again.copied_records, 0u);
  BOOST_CHECK_EQUAL(f.copy(), f.source());
}

BOOST_AUTO_TEST_CASE(a_source_in_use_is_copied_as_it_was_at_some_commit) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed)
    BOOST_TEST_CONTEXT("seed " << seed) {
      copy_fixture f(seed, deterministic_system::order::seeded);
      f.go_round(2);
      auto answer = f.ask_copy();
      for (unsigned n = 0; n < 30 && answer->pending(); ++n) {
        for (auto steps = f.det.random()() % 60; steps > 0 && answer->pending(); --steps)
          f.det.step();
        if (n % 4 == 3)
          f.remove("round" + std::to_string(n / 4 % 2));
        f.change("round" + std::to_string(n / 4 % 2), "while it is copied, number " + std::to_string(n));
      }
      f.det.run_until([&] { return !answer->pending(); });
      BOOST_REQUIRE_MESSAGE(answer->value, (answer->failure ? to_string(*answer->failure) : std::string("no answer")));
      BOOST_CHECK(f.copy().find("not_found") == std::string::npos);
      BOOST_CHECK(f.copy().find("conflict") == std::string::npos);
      f.copied();
      BOOST_CHECK_EQUAL(f.copy(), f.source());
    }
}

BOOST_AUTO_TEST_CASE(an_older_copy_catches_up_as_long_as_it_can_be_recognised) {
  engine_test::temporary_directory folder;
  copy_fixture f;
  f.change("key", "the first value of all");
  f.copied();
  f.change("key", "a second value, in other pads");
  f.copied();
  BOOST_CHECK_EQUAL(f.copy(), f.source());
  // Its last commit has left the source's log: only the memory of the copy tells.
  f.memory_path = folder.file("copy");
  f.copied();
  f.go_round(2);
  f.copied();
  BOOST_CHECK_EQUAL(f.copy(), f.source());
  f.go_round(2);
  const auto before = f.copy();
  f.memory_path.clear();
  const auto e = f.refused();
  BOOST_CHECK_EQUAL(name_of(e.code), name_of(errc::version_mismatch));
  BOOST_CHECK_EQUAL(f.copy(), before);
}

BOOST_AUTO_TEST_CASE(a_target_that_somebody_wrote_to_is_left_alone) {
  engine_test::temporary_directory folder;
  copy_fixture f;
  f.memory_path = folder.file("copy");
  f.change("key", "a value that takes several pads");
  f.copied();
  auto o = f.small_put(f.index_of_target());
  o.pads = f.target;
  f.put(o, "key", "what was written to the copy");
  f.change("key", "what was written to the source");
  const auto before = f.copy();
  for (unsigned i = 0; i < 2; ++i) {
    const auto e = f.refused();
    BOOST_CHECK_EQUAL(name_of(e.code), name_of(errc::version_mismatch));
    BOOST_CHECK_EQUAL(f.copy(), before);
    f.go_round(1);
  }
}

BOOST_AUTO_TEST_CASE(damage_in_the_source_is_named_and_not_copied) {
  copy_fixture f;
  f.change("key", "a value that takes several pads");
  f.damage(f.data_pad(1), 170);
  auto e = f.refused();
  BOOST_CHECK_EQUAL(name_of(e.code), name_of(errc::corrupt_record));
  BOOST_CHECK(e.message.find("data pad 1") != std::string::npos);
  f.broken.clear();
  f.missing.insert(f.data_pad(2));
  e = f.refused();
  BOOST_CHECK_EQUAL(name_of(e.code), name_of(errc::corrupt_record));
  BOOST_CHECK(e.message.find("data pad 2") != std::string::npos);
  f.missing.clear();
  f.copied();
  BOOST_CHECK_EQUAL(f.copy(), f.source());
}

BOOST_AUTO_TEST_CASE(where_nothing_is_stored_there_is_nothing_to_copy) {
  copy_fixture f;
  BOOST_CHECK_EQUAL(name_of(f.refused().code), name_of(errc::key_not_found));
  BOOST_CHECK_EQUAL(f.target_engine->stats()->pads, 0u);
}

// Flipped or missing, one pad or many: the keys are named, and all else arrives.
BOOST_AUTO_TEST_CASE(damaged_values_are_named_and_the_rest_can_be_copied) {
  for (const auto gone : {false, true})
    for (const auto hit : {1u, 3u}) {
      copy_fixture f;
      for (const auto* key : {"a", "b", "c", "d"})
        f.change(key, std::string("the value of several pads, of ") + key);
      std::vector<std::string> damaged;
      for (unsigned i = 0; i < hit; ++i) {
        const std::string key(1, static_cast<char>('b' + i));
        const auto there = f.get<found>(f.index, find_atom_v, find_request{key, false});
        const auto address = f.data_pad((*there.complete->chunks)[i].pad.number);
        if (gone)
          f.missing.insert(address);
        else
          f.damage(address, record_header_bytes + 30);
        damaged.push_back(key);
      }
      const auto stopped = f.refused();
      BOOST_CHECK_EQUAL(name_of(stopped.code), name_of(errc::corrupt_record));
      BOOST_CHECK_MESSAGE(stopped.message.find("of the key '") != std::string::npos, stopped.message);
      f.skip_damaged = f.read_back = true;
      const auto result = f.copied();
      BOOST_CHECK_EQUAL(result.damaged_pads, hit);
      BOOST_CHECK_EQUAL_COLLECTIONS(result.damaged_keys.begin(), result.damaged_keys.end(), damaged.begin(), damaged.end());
      auto how = f.small_get(f.index_of_target());
      how.pads = f.target;
      for (const std::string key : {"a", "b", "c", "d"}) {
        const auto whole = f.value_of(how, key) == "the value of several pads, of " + key;
        BOOST_CHECK_EQUAL(whole, std::ranges::find(damaged, key) == damaged.end());
      }
      // Whole again, it is copied as if nothing had been.
      f.missing.clear();
      f.broken.clear();
      f.skip_damaged = false;
      f.copied();
      BOOST_CHECK_EQUAL(f.copy(), f.source());
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
