// Stores opened with a reader's key: the reading secret and the address of the root, and nothing that signs.
#include "core/identity.hpp"
#include "core/index/codec.hpp"
#include "tests/actors/fixture.hpp"
#include "tests/temporary_directory.hpp"

namespace mutant::testing {

namespace {

struct reader_fixture : fixture {
  store_config as_owner() const {
    auto c = small_store();
    c.index.ring_slots = 8;
    return c;
  }
  store_actor open(store_config c, bool as_reader) {
    if (as_reader)
      c.reader = keys->for_readers();
    auto made = spawn_store(det.system(), std::move(c));
    BOOST_REQUIRE(made.has_value());
    return *made;
  }
  store_actor open_reader() { return open(as_owner(), true); }
  void put_value(const store_actor& to, std::string key, std::string_view value) {
    get<put_result>(to, put_atom_v, put_of(std::move(key), value));
  }
  std::string read(const store_actor& from, std::string key) {
    return std::string(as_text(get<get_result>(from, get_atom_v, get_of(std::move(key))).value));
  }
  std::vector<std::string> keys_in(const store_actor& of) {
    std::vector<std::string> names;
    for (const auto& item : get<list_page>(of, list_atom_v, list_request{}))
      names.push_back(item.key);
    return names;
  }
  void share(const store_actor& of) { get<done>(caf::actor_cast<index_actor>(of), share_atom_v); }
  std::uint64_t writes() const { return engine_writes(); }
  std::uint64_t engine_writes() const { return door->counts[pad_op::put] + door->counts[pad_op::erase]; }
};

const std::string several_chunks = "a value of several chunks, each in a pad of its own";

}  // namespace

BOOST_FIXTURE_TEST_SUITE(readers, reader_fixture)

BOOST_AUTO_TEST_CASE(a_reader_reads_what_the_owner_stores) {
  auto owned = open(as_owner(), false);
  put_value(owned, "inline", "abc");
  put_value(owned, "small", "0123456789");
  put_value(owned, "large", several_chunks);
  auto reader = open_reader();
  BOOST_TEST(keys_in(reader) == keys_in(owned), boost::test_tools::per_element());
  for (const auto* key : {"inline", "small", "large"})
    BOOST_TEST(read(reader, key) == read(owned, key));
  // Through many laps of the ring, and snapshots of every kind.
  for (int i = 0; i < 60; ++i) {
    put_value(owned, "key" + std::to_string(i % 7), several_chunks + std::to_string(i));
    if (i % 9 == 0) {
      get<sync_report>(reader, sync_atom_v);
      BOOST_TEST(read(reader, "key" + std::to_string(i % 7)) == several_chunks + std::to_string(i));
    }
  }
  auto another = open_reader();
  for (const auto& which : {reader, another}) {
    get<sync_report>(which, sync_atom_v);
    BOOST_TEST(keys_in(which) == keys_in(owned), boost::test_tools::per_element());
    BOOST_TEST(read(which, "key4") == read(owned, "key4"));
    BOOST_TEST(get<store_stats>(which, stats_atom_v).index.sequence == get<store_stats>(owned, stats_atom_v).index.sequence);
    BOOST_TEST(get<list_item>(which, find_atom_v, std::string("large")).size == several_chunks.size());
  }
}

BOOST_AUTO_TEST_CASE(a_reader_changes_nothing_and_says_why) {
  auto owned = open(as_owner(), false);
  for (const auto* key : {"a", "b", "large"})
    put_value(owned, key, several_chunks);
  auto reader = open_reader();
  BOOST_TEST(keys_in(reader).size() == 3u);
  const auto before = writes();
  auto refused = [&](const error& e) {
    BOOST_TEST((e.code == errc::access_denied), to_string(e));
    BOOST_TEST((e.message.find("read") != std::string::npos), e.message);
  };
  refused(get_error<put_result>(reader, put_atom_v, put_of("new", "v")));
  refused(get_error<put_result>(reader, put_atom_v, put_of("new", "0123456789")));
  refused(get_error<put_result>(reader, put_atom_v, put_of("new", several_chunks)));
  refused(get_error<put_result>(reader, put_atom_v, put_of("large", several_chunks + "!")));
  refused(get_error<done>(reader, remove_atom_v, remove_request{"a", std::nullopt, false}));
  refused(get_error<done>(reader, rename_atom_v, rename_request{"a", "c"}));
  assemble_request parts;
  parts.key = "whole";
  parts.parts = {{"a", get<list_item>(reader, find_atom_v, std::string("a")).version}};
  refused(get_error<commit_result>(reader, assemble_atom_v, parts));
  refused(get_error<purge_result>(reader, purge_atom_v, purge_request{}));
  refused(get_error<done>(caf::actor_cast<index_actor>(reader), share_atom_v));
  get<done>(reader, flush_atom_v);
  det.run_for(std::chrono::minutes(5));
  BOOST_TEST(writes() == before);
  BOOST_TEST(keys_in(owned) == (std::vector<std::string>{"a", "b", "large"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_reader_of_a_store_without_a_root_says_so) {
  const auto e = get_error<list_page>(open_reader(), list_atom_v, list_request{});
  BOOST_TEST((e.code == errc::index_corrupt), to_string(e));
  BOOST_TEST((e.message.find("root is missing") != std::string::npos), e.message);
  BOOST_TEST(writes() == 0u);
}

BOOST_AUTO_TEST_CASE(another_readers_key_opens_nothing) {
  put_value(open(as_owner(), false), "a", several_chunks);
  auto c = as_owner();
  auto key = keys->for_readers();
  key.reading.value[3] ^= std::byte{1};
  c.reader = key;
  BOOST_TEST((get_error<list_page>(open(c, false), list_atom_v, list_request{}).code == errc::index_corrupt));
}

// The file is what a reader is given: it has all that it takes.
BOOST_AUTO_TEST_CASE(an_identity_file_of_a_reader_opens_the_store) {
  put_value(open(as_owner(), false), "a", several_chunks);
  const temporary_directory folder;
  const auto path = folder.file("identity");
  BOOST_REQUIRE(create_identity_file(path, keys->for_readers(), "words", {64, 1}).has_value());
  const auto given = decode_identity(read_identity_file(path).value(), "words").value();
  auto c = as_owner();
  c.owner = seed();
  c.reader = std::get<reader_key>(given);
  BOOST_TEST(read(open(c, false), "a") == several_chunks);
}

// Who can read could make what decrypts. Whether the owner signed it is looked at from then on.
BOOST_AUTO_TEST_CASE(where_others_can_read_a_chunk_proves_who_wrote_it) {
  constexpr std::size_t signature_at = 96;
  auto owned = open(as_owner(), false);
  BOOST_TEST((get_error<done>(caf::actor_cast<index_actor>(owned), share_atom_v).code == errc::key_not_found));
  put_value(owned, "a", several_chunks);
  const auto address = data_pad(0);
  damage(address, signature_at);
  BOOST_TEST(read(owned, "a") == several_chunks);   // the cipher's own proof is enough while nobody else has the key
  share(owned);
  const auto roots = parse_header(engine->get(keys->root().address).value())->counter;
  share(owned);
  BOOST_TEST(parse_header(engine->get(keys->root().address).value())->counter == roots);  // it is said already
  for (const auto as_reader : {false, true}) {
    auto store_now = open(as_owner(), as_reader);
    broken.erase(address);
    BOOST_TEST(read(store_now, "a") == several_chunks);
    damage(address, signature_at);
    const auto e = get_error<get_result>(store_now, get_atom_v, get_of("a"));
    BOOST_TEST((e.code == errc::bad_signature || e.code == errc::corrupt_record), to_string(e));
    const auto checked = get<check_result>(store_now, check_atom_v, check_request{.key = "a", .against = {}, .options = {}});
    BOOST_REQUIRE_EQUAL(checked.bad.size(), 1u);
    BOOST_TEST(checked.bad.front().number == 0u);
  }
  // Another answer may have what the owner wrote: another node's, most of all.
  auto answers = 0u;
  door->refuse = [&](pad_op op, const pad_address& a) -> std::optional<error> {
    if (op == pad_op::get && a == address && ++answers % 2 == 0)
      broken.erase(address);
    return std::nullopt;
  };
  auto patient = open(as_owner(), true);
  BOOST_TEST(read(patient, "a") == several_chunks);
  BOOST_TEST(answers == 2u);
  damage(address, signature_at);
  const auto checked = get<check_result>(patient, check_atom_v, check_request{.key = "a", .against = {}, .options = {}});
  BOOST_TEST(checked.bad.empty());
  BOOST_TEST(answers == 4u);
  door->refuse = nullptr;
  damage(address, signature_at);
  // A put of the same value that reads what it keeps writes it anew.
  auto again = put_of("a", several_chunks);
  again.verify = true;
  BOOST_TEST(get<put_result>(open(as_owner(), false), put_atom_v, again).chunks_written >= 1u);
  broken.clear();
  // It stays so, whoever writes the next roots.
  auto other = open(as_owner(), false);
  for (int i = 0; i < 40; ++i)
    put_value(i % 2 == 0 ? owned : other, "key" + std::to_string(i), "abc");
  const auto there = engine->get(keys->root().address).value();
  BOOST_TEST(decode_root(open_private(keys->root(), parse_header(there)->counter, there).value())->shared);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
