// What a machine remembers of a store: an older state is refused, with a way out, and what is remembered is never mixed into a
// store that went another way.
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "tests/actors/fixture.hpp"
#include "tests/temporary_directory.hpp"

namespace mutant::testing {

namespace {

struct memory_fixture : fixture {
  using history = std::vector<bytes>;

  // Everything that an index of this test can have written.
  history copy() const {
    history records;
    auto add = [&](const pad_keys& k) {
      if (auto record = engine->get(k.address))
        records.push_back(*record);
    };
    add(keys->root());
    for (std::uint64_t i = 0; i < 64; ++i) {
      add(keys->log(i));
      add(keys->part(i));
    }
    return records;
  }
  void put_back(const history& records) {
    engine = std::make_shared<damaged_engine>(*this);
    for (const auto& record : records)
      BOOST_REQUIRE(engine->put(record).has_value());
    BOOST_REQUIRE(engine->commit().has_value());
    store = det.system().spawn(gated_store, std::static_pointer_cast<pad_engine>(engine), door);
  }

  index_options remembering(bool accept_rollback = false) const {
    auto o = small_index();
    o.ring_slots = slots;
    o.cache_path = folder + "/index";
    o.accept_rollback = accept_rollback;
    o.min_cache_commits = min_cache_commits;
    return o;
  }
  // Another machine: it remembers nothing.
  index_actor spawn_elsewhere() {
    auto o = small_index();
    o.ring_slots = slots;
    o.writer[0] = std::byte{2};
    return spawn_index(o);
  }
  void commit(const index_actor& index, std::string key, std::string_view value = "x") {
    get<commit_result>(index, commit_atom_v, put_inline(std::move(key), value));
  }
  void commits(const index_actor& index, const std::string& name, int count) {
    for (int i = 0; i < count; ++i)
      commit(index, name + std::to_string(i));
  }
  // One run of a program: opens, does something, remembers, ends.
  template <class F>
  void run(F work, bool accept_rollback = false) {
    auto index = spawn_index(remembering(accept_rollback));
    work(index);
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
  // Refused, with what was seen and what is there, and nothing written; taken as it is when that is asked for.
  void expect_rollback(const std::vector<std::string>& words) {
    const auto before = engine->writes;
    auto index = spawn_index(remembering());
    auto e = get_error<list_page>(index, list_atom_v, list_request{});
    BOOST_TEST((e.code == errc::rollback_detected), to_string(e));
    for (const auto& word : words)
      BOOST_TEST((e.message.find(word) != std::string::npos), "'" << word << "' is not in: " << e.message);
    BOOST_TEST((e.message.find("sync --accept-rollback") != std::string::npos), e.message);
    BOOST_TEST((get_error<commit_result>(index, commit_atom_v, put_inline("new", "x")).code == errc::rollback_detected));
    get<done>(index, flush_atom_v);
    BOOST_TEST(engine->writes == before, "something was written");
  }

  std::uint64_t slots = 32;
  std::uint64_t min_cache_commits = 64;
  const temporary_directory directory;
  const std::string folder = directory.path();
};

struct salvage_fixture : memory_fixture {
  pad_address log_pad(std::uint64_t commit) const { return keys->log(commit % slots).address; }
  // Reads with options.salvage while the pads at these addresses are damaged, and sees that nothing is written or remembered.
  void expect_salvaged(std::size_t key_count, const std::vector<pad_address>& damaged,
                       const std::vector<std::string>& words) {
    door->refuse = [damaged](pad_op, const pad_address& a) -> std::optional<error> {
      if (std::ranges::find(damaged, a) != damaged.end())
        return error{errc::corrupt_record, "flipped bits"};
      return std::nullopt;
    };
    const auto before = engine->writes;
    auto options = remembering();
    options.salvage = true;
    auto index = spawn_index(options);
    BOOST_TEST(keys_in(index).size() == key_count);
    if (words.empty())
      get<sync_report>(index, sync_atom_v);
    else
      for (auto e = get_error<sync_report>(index, sync_atom_v); const auto& word : words)
        BOOST_TEST((e.message.find(word) != std::string::npos), "'" << word << "' is not in: " << e.message);
    BOOST_TEST((get_error<commit_result>(index, commit_atom_v, put_inline("new", "x")).code == errc::access_denied));
    BOOST_TEST((get_error<pad_list>(index, reserve_atom_v, std::uint32_t{1}).code == errc::access_denied));
    get<done>(index, flush_atom_v);
    BOOST_TEST(engine->writes == before, "something was written");
    caf::anon_send_exit(index, caf::exit_reason::user_shutdown);
    det.run_messages();
    door->refuse = nullptr;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(index_memory, memory_fixture)

BOOST_AUTO_TEST_CASE(a_shorter_log_is_refused_until_it_is_accepted) {
  run([&](auto& index) { commits(index, "old", 3); });
  const auto earlier = copy();
  run([&](auto& index) { commits(index, "new", 2); });
  put_back(earlier);
  expect_rollback({"commit 5", "commit 3 as its last"});
  expect_rollback({"commit 5"});  // looking does not wear it out
  run(
      [&](auto& index) {
        BOOST_TEST(get<sync_report>(index, sync_atom_v).forgotten == 5u);
        BOOST_TEST(keys_in(index).size() == 3u);
      },
      true);
  run([&](auto& index) { BOOST_TEST(keys_in(index) == (std::vector<std::string>{"old0", "old1", "old2"})); });
  run([&](auto& index) { commit(index, "next"); });
}

BOOST_AUTO_TEST_CASE(an_older_root_is_refused) {
  run([&](auto& index) { commits(index, "old", 3); });
  const auto earlier = copy();
  run([&](auto& index) { commits(index, "new", 40); });
  put_back(earlier);
  expect_rollback({"commit 43", "root 1 of commit 0"});
}

BOOST_AUTO_TEST_CASE(a_store_without_an_index_is_refused_until_it_is_accepted) {
  run([&](auto& index) { commits(index, "old", 3); });
  put_back({});
  expect_rollback({"commit 3", "no index at all"});
  run([&](auto& index) { BOOST_TEST(keys_in(index).empty()); }, true);
  run([&](auto& index) { commit(index, "next"); });
  run([&](auto& index) { BOOST_TEST(keys_in(index) == std::vector<std::string>{"next"}); });
}

// Data is there and no index is: not an older state that one could want.
BOOST_AUTO_TEST_CASE(a_root_that_is_gone_from_beside_its_log_is_damage_that_nobody_may_accept) {
  for (int count : {3, 40}) {  // the log in its first lap, and beyond it
    run([&](auto& index) { commits(index, "key" + std::to_string(count), count); });
    auto records = copy();
    records.erase(records.begin());
    put_back(records);
    for (bool accept : {false, true}) {
      auto index = spawn_index(remembering(accept));
      auto e = get_error<list_page>(index, list_atom_v, list_request{});
      BOOST_TEST((e.code == errc::index_corrupt), to_string(e));
      BOOST_TEST((e.message.find("root is missing") != std::string::npos), e.message);
      BOOST_TEST((e.message.find("--accept-rollback") == std::string::npos), e.message);
    }
    std::filesystem::remove_all(folder);
    std::filesystem::create_directory(folder);
    put_back({});
  }
}

BOOST_AUTO_TEST_CASE(a_log_of_the_same_length_and_other_content_is_refused) {
  run([&](auto& index) { commits(index, "old", 3); });
  const auto earlier = copy();
  run([&](auto& index) { commit(index, "mine"); });
  put_back(earlier);
  commit(spawn_elsewhere(), "theirs");
  expect_rollback({"commit 4", "another commit 4"});
  commits(spawn_elsewhere(), "more", 5);
  expect_rollback({"another commit 4"});
}

// Looking remembers what was seen as well as changing does.
BOOST_AUTO_TEST_CASE(a_run_that_only_looks_does_not_forget_what_was_seen) {
  run([&](auto& index) { commits(index, "old", 3); });
  const auto earlier = copy();
  run([&](auto& index) { commit(index, "mine"); });
  for (int i = 0; i < 3; ++i)
    run([&](auto& index) { BOOST_TEST(keys_in(index).size() == 4u); });
  put_back(earlier);
  commit(spawn_elsewhere(), "theirs");
  expect_rollback({"another commit 4"});
}

// A slower process of the same home ends after a faster one.
BOOST_AUTO_TEST_CASE(what_another_process_has_seen_is_not_forgotten) {
  run([&](auto& index) { commits(index, "old", 3); });
  const auto earlier = copy();
  auto slow = spawn_index(remembering());
  BOOST_TEST(keys_in(slow).size() == 3u);
  run([&](auto& index) { commits(index, "new", 2); });
  get<done>(slow, flush_atom_v);
  put_back(earlier);
  expect_rollback({"commit 5", "commit 3 as its last"});
}

// The store was put back, and others went on with it for longer than the ring: that it went back cannot be told any more. But
// what is remembered of the other history must not get into this one.
BOOST_AUTO_TEST_CASE(a_remembered_state_is_never_mixed_with_another_history) {
  run([&](auto& index) { commits(index, "old", 3); });
  const auto earlier = copy();
  run([&](auto& index) { commits(index, "lost", 6); });
  std::filesystem::remove(folder + "/index.cache");
  run([&](auto& index) { BOOST_TEST(keys_in(index).size() == 9u); });
  BOOST_REQUIRE(std::filesystem::exists(folder + "/index.cache"));
  put_back(earlier);
  auto elsewhere = spawn_elsewhere();
  commits(elsewhere, "kept", 50);
  auto index = spawn_index(remembering());
  BOOST_TEST(keys_in(index) == keys_in(elsewhere), boost::test_tools::per_element());
  // And what we write goes well with the others.
  get<commit_result>(index, commit_atom_v, commit_request{{remove_op{"kept7"}}, {}});
  get<sync_report>(elsewhere, sync_atom_v);
  BOOST_TEST(keys_in(index) == keys_in(elsewhere), boost::test_tools::per_element());
}

// Any byte of it, and any length.
BOOST_AUTO_TEST_CASE(a_damaged_remembered_state_costs_time_only) {
  min_cache_commits = 1;
  run([&](auto& index) { commits(index, "key", 40); });
  const auto path = folder + "/index.cache";
  std::string whole;
  {
    std::ifstream in(path, std::ios::binary);
    whole.assign(std::istreambuf_iterator<char>(in), {});
  }
  BOOST_REQUIRE(!whole.empty());
  auto goes_on = [&](const std::string& content) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
    run([&](auto& index) { BOOST_TEST(keys_in(index).size() == 40u); });
    BOOST_TEST(cache_reader::open(path, keys->cache_key()).has_value(), "it was not made anew");
  };
  for (std::size_t i = 0; i < whole.size(); i += 1 + whole.size() / 40) {
    auto flipped = whole;
    flipped[i] = static_cast<char>(flipped[i] ^ 4);
    goes_on(flipped);
    goes_on(whole.substr(0, i));
  }
  // What guards stays: a file that says how far the store had come and cannot be read is no reason to believe the store.
  std::filesystem::resize_file(folder + "/index.seen", 10);
  const auto e = get_error<list_page>(spawn_index(remembering()), list_atom_v, list_request{});
  BOOST_TEST((e.code == errc::index_corrupt));
  BOOST_TEST((e.message.find("delete it") != std::string::npos), e.message);
}

BOOST_AUTO_TEST_CASE(with_a_remembered_state_no_snapshot_part_is_read) {
  min_cache_commits = 1;
  run([&](auto& index) { commits(index, "key", 40); });
  run([&](auto& index) { BOOST_TEST(keys_in(index).size() == 40u); });
  std::uint64_t parts_read = 0;
  door->refuse = [&](pad_op op, const pad_address& a) -> std::optional<error> {
    for (std::uint64_t i = 0; i < 64; ++i)
      parts_read += op == pad_op::get && a == part_pad(i);
    return std::nullopt;
  };
  run([&](auto& index) { BOOST_TEST(keys_in(index).size() == 40u); });
  BOOST_TEST(parts_read == 0u);
  std::filesystem::remove(folder + "/index.cache");
  run([&](auto& index) { BOOST_TEST(keys_in(index).size() == 40u); });
  BOOST_TEST(parts_read > 0u);
}

// -- salvaging ----------------------------------------------------------------------------------------------------------

BOOST_FIXTURE_TEST_CASE(salvaging_reads_up_to_the_first_damaged_commit, salvage_fixture) {
  min_cache_commits = 1;
  run([&](auto& index) { commits(index, "key", 6); });
  expect_salvaged(6, {log_pad(4)}, {});  // the cache has it all
  expect_salvaged(6, {log_pad(6)}, {"flipped bits", "at commit 6"});
  std::filesystem::remove(folder + "/index.cache");
  for (std::uint64_t commit = 1; commit <= 6; ++commit)
    expect_salvaged(commit - 1, {log_pad(commit)},
                    {"commit " + std::to_string(commit), "flipped bits", "at commit " + std::to_string(commit - 1)});
  expect_salvaged(2, {log_pad(3), log_pad(5)}, {"commit 3", "at commit 2"});
  expect_salvaged(6, {}, {});
  run([&](auto& index) { BOOST_TEST(keys_in(index).size() == 6u); });  // what was seen before still counts
  run([&](auto& index) { commit(index, "next"); });
}

BOOST_FIXTURE_TEST_CASE(salvaging_takes_the_remembered_state_when_root_or_parts_are_damaged, salvage_fixture) {
  min_cache_commits = 1;
  run([&](auto& index) { commits(index, "key", 40); });
  std::vector<pad_address> parts;
  for (std::uint64_t i = 0; i < 64; ++i)
    parts.push_back(part_pad(i));
  expect_salvaged(40, {keys->root().address}, {"root", "at commit 40"});
  expect_salvaged(40, parts, {});  // not needed
  parts.push_back(keys->root().address);
  expect_salvaged(40, parts, {"root", "at commit 40"});
  // Without either nothing is proven, and that is said.
  std::filesystem::remove(folder + "/index.cache");
  door->refuse = [&](pad_op, const pad_address& a) -> std::optional<error> {
    return a == keys->root().address ? std::optional(error{errc::corrupt_record, "flipped bits"}) : std::nullopt;
  };
  auto options = remembering();
  options.salvage = true;
  auto index = spawn_index(options);
  BOOST_TEST((get_error<list_page>(index, list_atom_v, list_request{}).code == errc::index_corrupt));
  door->refuse = nullptr;
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
