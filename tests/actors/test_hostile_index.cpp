// Index data that is authentic and wrong, as a writer with a bug would leave it, and index data that is not the owner's: each
// is index_corrupt, says what was found and where, and nothing is written after it.
#include <stdlib.h>

#include <filesystem>

#include "core/index/cache_file.hpp"
#include "core/index/codec.hpp"
#include "tests/actors/fixture.hpp"
#include "tests/temporary_directory.hpp"

namespace mutant::testing {

namespace {

struct hostile_fixture : fixture {
  static constexpr std::uint64_t slots = 8;

  void store_record(const bytes& record) {
    BOOST_REQUIRE(engine->put(record).has_value());
    BOOST_REQUIRE(engine->commit().has_value());
  }
  // A commit in the slot of commit `at`, whatever it says it is, behind the one that was written last.
  void write_log(std::uint64_t at, commit c) {
    c.previous = last_hash;
    const auto record = seal_private(keys->log(slot_of(at, slots)), counter_of(at, slots), encode(c));
    last_hash = hash_of(payload_of(record));
    store_record(record);
  }
  void write_log(std::uint64_t at, std::vector<operation> operations) { write_log(at, commit{at, {}, std::move(operations)}); }
  ring_addresses ring_of(std::uint64_t size) const {
    std::vector<pad_address> addresses;
    for (std::uint64_t slot = 0; slot < size; ++slot)
      addresses.push_back(log_slot(slot));
    return {std::make_shared<const std::vector<pad_address>>(std::move(addresses))};
  }
  void write_root(root r) {
    r.ring = ring_of(r.ring_slots);
    store_record(seal_private(keys->root(), 1, encode(r)));
  }
  part_ref write_part(std::uint64_t number, std::uint64_t sequence, const snapshot_part& part) {
    auto sealed = seal_part(keys->part(number), number, part).value();
    store_record(sealed.record);
    sealed.at.sequence = sequence;
    sealed.at.base = true;
    return sealed.at;
  }
  // A sound root of an index without commits, then these.
  void write_index(std::vector<std::vector<operation>> commits = {}) {
    root r;
    r.ring_slots = slots;
    write_root(r);
    for (std::uint64_t at = 1; at <= commits.size(); ++at)
      write_log(at, commits[at - 1]);
  }
  // A root at `sequence` over one part; later numbers are free.
  void write_snapshot(const snapshot_part& part, std::uint64_t sequence = 3, std::uint64_t next_pad = 100) {
    root r;
    r.ring_slots = slots;
    r.sequence = sequence;
    r.next_pad = next_pad;
    r.next_part = 1;
    r.parts = {write_part(0, sequence, part)};
    write_root(r);
  }

  content_hash last_hash{};   // of the commit that write_log wrote last

  static operation inline_put(std::string key) { return put_inline(std::move(key), "x").operations.front(); }
  static entry value_in(std::vector<pad_ref> pads, std::uint64_t version = 0) {
    entry e;
    e.version = version;
    chunk_list chunks;
    for (const auto& pad : pads)
      chunks.push_back({pad, 10, {}});
    e.size = 10 * chunks.size();
    e.chunks = std::make_shared<const chunk_list>(std::move(chunks));
    return e;
  }
  static snapshot_part::entry_item item(std::string key, std::vector<pad_ref> pads, std::uint64_t version = 1) {
    const auto count = pads.size();
    return {std::move(key), 0, value_in(std::move(pads), version), count};
  }

  void expect_corrupt(const error& e, const std::vector<std::string>& words) {
    BOOST_TEST((e.code == errc::index_corrupt), to_string(e));
    for (const auto& word : words)
      BOOST_TEST((e.message.find(word) != std::string::npos), "'" << word << "' is not in: " << e.message);
  }
  // Whoever opens this index is told, whatever he asks, and writes nothing.
  void refused(const std::vector<std::string>& words, std::string cache_path = {}) {
    const auto before = engine->writes;
    auto options = small_index();
    options.cache_path = std::move(cache_path);
    auto index = spawn_index(options);
    expect_corrupt(get_error<list_page>(index, list_atom_v, list_request{}), words);
    expect_corrupt(get_error<commit_result>(index, commit_atom_v, put_inline("new", "x")), words);
    expect_corrupt(get_error<sync_report>(index, sync_atom_v), words);
    expect_corrupt(get_error<pad_list>(index, reserve_atom_v, std::uint32_t{1}), words);
    get<done>(index, flush_atom_v);
    det.run_for(std::chrono::seconds(10));
    BOOST_TEST(engine->writes == before, "something was written");
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(hostile_index, hostile_fixture)

BOOST_AUTO_TEST_CASE(a_sound_index_made_by_hand_opens) {
  write_index({{inline_put("a")}, {put_op{"b", value_in({{0, 1}, {1, 1}})}}});
  BOOST_TEST(get<list_page>(spawn_index(), list_atom_v, list_request{}).size() == 2u);
}

BOOST_AUTO_TEST_CASE(a_commit_with_the_wrong_sequence_number) {
  write_index({{inline_put("a")}});
  write_log(2, commit{3, {}, {inline_put("b")}});
  refused({"commit 2 in log slot 2", "says it is commit 3"});
}

BOOST_AUTO_TEST_CASE(a_commit_of_the_next_lap_that_is_an_older_one) {
  write_index({{inline_put("a")}});
  // Slot 2 at the counter of commit 10: whoever reads on from commit 1 must not take it for a newer index.
  store_record(seal_private(keys->log(2), counter_of(10, slots), encode(commit{2, {}, {inline_put("b")}})));
  refused({"commit 10 in log slot 2", "says it is commit 2"});
}

BOOST_AUTO_TEST_CASE(a_commit_of_another_writer_who_is_not_the_owner) {
  write_index({{inline_put("a")}});
  seed stranger;
  stranger.value.fill(std::byte{8});
  const auto theirs = keyring(stranger).log(2);
  const auto plain = encode(commit{2, {}, {inline_put("b")}});
  // Under his own address, which the store hands out for ours.
  broken[log_slot(2)] = seal_private(theirs, 1, plain);
  refused({"commit 2", "instead of"});
  // Under our address, which he cannot seal for.
  auto forged = theirs;
  forged.address = log_slot(2);
  broken[log_slot(2)] = seal_private(forged, 1, plain);
  refused({"commit 2 in log slot 2", "not signed by its owner"});
}

BOOST_AUTO_TEST_CASE(a_commit_whose_predecessor_is_anothers) {
  write_index({{inline_put("a")}});
  const auto ours = last_hash;
  for (int which = 0; which < 3; ++which) {
    last_hash = which == 0 ? content_hash{} : ours;
    if (which > 0)
      last_hash[which == 1 ? 0 : 31] ^= std::byte{1};
    commit theirs{2, {}, {inline_put("b")}};
    theirs.previous = last_hash;
    broken[log_slot(2)] = seal_private(keys->log(2), 1, encode(theirs));
    refused({"commit 2 in the log does not follow the commit 1", "two histories"});
  }
  broken.clear();
  // And the first one, which has none before it; and the one behind a root.
  commit first{1, {}, {inline_put("a")}};
  first.previous = ours;
  broken[log_slot(1)] = seal_private(keys->log(1), 1, encode(first));
  refused({"commit 1 in the log does not follow"});
}

BOOST_AUTO_TEST_CASE(a_commit_behind_a_root_that_names_another_last_commit) {
  snapshot_part part;
  part.entries = {item("a", {{5, 1}})};
  write_snapshot(part);
  last_hash.fill(std::byte{7});
  write_log(4, {inline_put("b")});
  refused({"commit 4 in the log does not follow the commit 3"});
}

BOOST_AUTO_TEST_CASE(an_assemble_of_a_part_that_is_gone) {
  write_index({{put_op{"part", value_in({{0, 1}})}}, {assemble_op{"whole", 7, {}, {"part", "gone"}}}});
  refused({"commit 2", "its part 'gone' is gone"});
}

BOOST_AUTO_TEST_CASE(a_commit_that_is_cut_short_or_has_more_than_it_should) {
  write_index({{inline_put("a")}});
  const auto plain = encode(commit{2, {}, {inline_put("b")}});
  store_record(seal_private(keys->log(2), 1, plain.slice(0, plain.size() - 1)));
  refused({"commit 2 in log slot 2", "offset"});
  auto longer = buffer(plain.size() + 1);
  std::ranges::copy(plain.view(), longer.span().begin());
  longer.data()[plain.size()] = std::byte{0};
  broken[log_slot(2)] = seal_private(keys->log(2), 1, std::move(longer).freeze());
  refused({"commit 2 in log slot 2", "1 bytes too many"});
}

BOOST_AUTO_TEST_CASE(a_commit_that_is_missing_while_a_later_one_is_there) {
  write_index({{inline_put("a")}});
  write_log(3, {inline_put("c")});
  refused({"commit 2", "missing", "a later one is there"});
}

BOOST_AUTO_TEST_CASE(an_entry_that_points_at_another_entrys_pads) {
  write_index({{put_op{"a", value_in({{5, 1}})}}, {put_op{"b", value_in({{4, 1}, {5, 1}})}}});
  refused({"commit 2", "'b'", "pad 5 is in use"});
}

BOOST_AUTO_TEST_CASE(an_entry_at_a_counter_that_was_given_up) {
  write_index({{put_op{"a", value_in({{5, 3}})}}, {remove_op{"a"}}, {put_op{"b", value_in({{5, 3}})}}});
  refused({"commit 3", "'b'", "pad 5", "counter 3"});
}

BOOST_AUTO_TEST_CASE(a_pad_that_is_freed_while_in_use) {
  write_index({{put_op{"a", value_in({{5, 1}})}}, {free_pads_op{{{5, 1}}}}});
  refused({"commit 2", "pad 5 is in use"});
}

BOOST_AUTO_TEST_CASE(an_unfinished_upload_that_points_at_another_entrys_pads) {
  write_index({{put_op{"a", value_in({{5, 1}})}},
               {begin_upload_op{"b", 77, 20, 10, 0, 0}, extend_upload_op{"b", 77, 0, {chunk{{5, 1}, 10, {}}}}}});
  refused({"commit 2", "'b'", "pad 5 is in use"});
}

BOOST_AUTO_TEST_CASE(an_unfinished_upload_that_keeps_chunks_of_nothing) {
  write_index({{begin_upload_op{"b", 77, 20, 10, 0, 0}, extend_upload_op{"b", 77, 0, {chunk{{0, 0}, 10, {}}}}}});
  refused({"commit 1", "'b'", "chunk 0 has no pad"});
}

BOOST_AUTO_TEST_CASE(an_unfinished_upload_that_grows_beyond_its_size) {
  write_index({{begin_upload_op{"b", 77, 15, 10, 0, 0},
                extend_upload_op{"b", 77, 0, {chunk{{5, 1}, 10, {}}, chunk{{6, 1}, 10, {}}}}}});
  refused({"commit 1", "'b'", "20 bytes of 15"});
}

BOOST_AUTO_TEST_CASE(operations_on_what_is_not_there) {
  write_index({{inline_put("a")}, {inline_put("b"), remove_op{"c"}}});
  refused({"commit 2", "'c'", "no such key"});
}

BOOST_AUTO_TEST_CASE(two_entries_of_a_snapshot_with_the_same_pad) {
  snapshot_part part;
  part.entries = {item("a", {{5, 1}}), item("b", {{4, 1}, {5, 1}})};
  write_snapshot(part);
  refused({"snapshot", "pad 5 is used twice", "'a'", "'b'"});
}

BOOST_AUTO_TEST_CASE(an_upload_of_a_snapshot_with_an_entrys_pad) {
  snapshot_part part;
  part.entries = {item("a", {{5, 1}})};
  upload u;
  u.id = 9;
  u.chunk_size = 10;
  u.bytes_done = 10;
  u.chunks_done = 1;
  u.pieces = {std::make_shared<const chunk_list>(chunk_list{chunk{{5, 1}, 10, {}}})};
  part.uploads = {{"b", 0, u}};
  write_snapshot(part);
  refused({"snapshot", "pad 5 is used twice", "entry 'a'", "upload 'b'"});
}

BOOST_AUTO_TEST_CASE(a_free_pad_that_is_also_in_use) {
  snapshot_part part;
  part.entries = {item("a", {{5, 1}})};
  part.free_pads = {{5, 1}};
  write_snapshot(part);
  refused({"snapshot", "pad 5 is free and used", "'a'"});
}

BOOST_AUTO_TEST_CASE(pads_beyond_what_the_root_knows) {
  snapshot_part part;
  part.entries = {item("a", {{100, 1}})};
  write_snapshot(part);
  refused({"snapshot", "pad 100", "'a'", "next pad is 100"});
}

BOOST_AUTO_TEST_CASE(an_entry_younger_than_its_snapshot) {
  snapshot_part part;
  part.entries = {item("a", {{5, 1}}, 4)};
  write_snapshot(part);
  refused({"snapshot", "version 4", "sequence 3"});
}

BOOST_AUTO_TEST_CASE(an_entry_whose_end_is_in_no_part) {
  snapshot_part part;
  part.entries = {item("a", {{5, 1}, {6, 1}})};
  part.entries.front().chunk_total = 3;
  write_snapshot(part);
  refused({"snapshot", "'a'", "its end is missing"});
}

BOOST_AUTO_TEST_CASE(a_snapshot_part_that_is_missing_or_another) {
  snapshot_part part;
  part.entries = {item("a", {{5, 1}})};
  write_snapshot(part);
  missing.insert(part_pad(0));
  refused({"snapshot part 0", "missing"});
  missing.clear();
  // Gone and blank, as a purge would leave it.
  broken[part_pad(0)] = seal_blank(keys->part(0), 2);
  refused({"snapshot part 0"});
  // One that the root names by a hash that is not its own, whoever signed it.
  broken[part_pad(0)] = seal_part(keys->part(0), 0, part)->record;
  refused({"snapshot part 0", "another one than the root names"});
  // Another part in its place.
  part.entries = {item("other", {{5, 1}})};
  broken[part_pad(0)] = seal_part(keys->part(0), 0, part)->record;
  refused({"snapshot part 0", "another one than the root names"});
}

BOOST_AUTO_TEST_CASE(impossible_ring_sizes) {
  for (auto size : {std::uint64_t{0}, std::uint64_t{3}, max_ring_slots + 1, std::uint64_t{1} << 40,
                    ~std::uint64_t{0}}) {
    root r;
    r.ring_slots = size;
    broken[keys->root().address] = seal_private(keys->root(), 1, encode(r));
    refused({"root", "ring slots"});
  }
}

BOOST_AUTO_TEST_CASE(a_root_that_is_gone) {
  write_index({{inline_put("a")}});
  missing.insert(keys->root().address);
  refused({"root is missing", "its log has commits"});
}

// It only saves time: whatever it says or does not say, the index is the store's, and the file is made anew.
BOOST_AUTO_TEST_CASE(a_cache_file_that_is_authentic_and_wrong) {
  const temporary_directory folder;
  const auto path = folder.file("index");
  write_index({{put_op{"a", value_in({{5, 1}})}}});
  const auto seen_hash = parse_header(*engine->get(log_slot(1)))->hash;
  const auto root_hash = parse_header(*engine->get(keys->root().address))->hash;
  snapshot_part part;
  part.entries = {item("a", {{5, 1}}), item("b", {{5, 1}})};
  bool given = false;
  auto once = [&]() -> std::optional<snapshot_part> {
    return std::exchange(given, true) ? std::nullopt : std::optional(part);
  };
  const cache_summary summary{
      .sequence = 1, .last_commit = seen_hash, .next_pad = 6, .ring_slots = slots, .root_counter = 1, .frames = {}};
  BOOST_REQUIRE(write_seen(path + ".seen", keys->cache_key(), {1, root_hash, 1, seen_hash, 1, seen_hash}).has_value());
  BOOST_REQUIRE(write_cache(path + ".cache", keys->cache_key(), summary, once).has_value());
  for (const auto damage : {0, 1, 2}) {
    if (damage == 1)
      std::filesystem::resize_file(path + ".cache", 40);
    if (damage == 2)
      std::filesystem::resize_file(path + ".cache", 0);
    auto options = small_index();
    options.cache_path = path;
    auto index = spawn_index(options);
    const auto keys_there = get<list_page>(index, list_atom_v, list_request{});
    BOOST_REQUIRE(keys_there.size() == 1u);
    BOOST_TEST(keys_there.front().key == "a");
    get<done>(index, flush_atom_v);
    auto anew = cache_reader::open(path + ".cache", keys->cache_key());
    BOOST_REQUIRE(anew.has_value());
    BOOST_TEST((*anew)->read_part(0)->entries.size() == 1u);
    caf::anon_send_exit(index, caf::exit_reason::user_shutdown);
    det.run_messages();
  }
}

// It is no different for those who are at work when such a commit comes.
BOOST_AUTO_TEST_CASE(a_writer_at_work_stops_at_another_writers_bad_commit) {
  auto index = spawn_index();
  get<commit_result>(index, commit_atom_v, put_inline("a", "1"));
  last_hash = parse_header(*engine->get(log_slot(1)))->hash;
  write_log(2, {remove_op{"never there"}});
  const auto before = engine->writes;
  expect_corrupt(get_error<sync_report>(index, sync_atom_v), {"commit 2", "'never there'"});
  expect_corrupt(get_error<commit_result>(index, commit_atom_v, put_inline("b", "2")), {"commit 2"});
  expect_corrupt(get_error<found>(index, find_atom_v, find_request{"a", false}), {"commit 2"});
  det.run_for(std::chrono::seconds(10));
  BOOST_TEST(engine->writes == before);
}

// The store shows a root of another history while a commit is on its way: the index is opened anew, with that commit in doubt.
// Its answer comes after that, while the next commit is on its way to the same slot, and says nothing about the next one.
BOOST_AUTO_TEST_CASE(an_answer_to_a_commit_that_was_given_up_is_not_taken_for_one_to_the_next) {
  write_index({{inline_put("1")}, {inline_put("2")}, {inline_put("3")}, {inline_put("4")}, {inline_put("5")}});
  auto index = spawn_index();
  const auto root_pad = keys->root().address;
  door->hold = [&](pad_op op, const pad_address& a) { return op == pad_op::put && (a == root_pad || a == log_slot(6)); };
  get<found>(index, find_atom_v, find_request{"5", false});
  det.run_messages();   // more than half of the ring: a new root is on its way
  BOOST_REQUIRE_EQUAL(door->held.size(), 1u);
  auto roots = std::exchange(door->held, {});
  auto first = ask<commit_result>(index, commit_atom_v, put_inline("first", "1"));
  det.run_messages();
  auto first_write = std::exchange(door->held, {});
  BOOST_REQUIRE_EQUAL(first_write.size(), 1u);

  root other;
  other.ring_slots = slots;
  other.sequence = 3;
  other.ring = ring_of(slots);
  store_record(seal_private(keys->root(), 5, encode(other)));
  door->release(std::move(roots));
  det.run_until([&] { return !first->pending(); });
  BOOST_TEST((first->code() == errc::timeout));   // whether it is stored is not known
  other.sequence = 0;   // and the right history again
  store_record(seal_private(keys->root(), 6, encode(other)));
  get<found>(index, find_atom_v, find_request{"5", false});

  auto second = ask<commit_result>(index, commit_atom_v, put_inline("second", "2"));
  det.run_messages();
  door->release(std::move(first_write));
  det.run_messages();
  BOOST_TEST(second->pending());
  door->hold = nullptr;
  door->release_all();
  det.run_until([&] { return !second->pending(); });
  BOOST_REQUIRE(second->value);
  BOOST_TEST(second->value->version == 7u);
  BOOST_TEST(get<found>(index, find_atom_v, find_request{"first", false}).complete->version == 6u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
