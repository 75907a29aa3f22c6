// What an entry holds beside one even list of chunks: attributes, chunks of any length, parts that were assembled, compression;
// and the keys that are not the user's.
#include <random>

#include "tests/actors/fixture.hpp"

namespace mutant::testing {

namespace {

struct entries_fixture : fixture {
  store_actor whole = spawn_small_store();

  put_result put_with(std::string key, std::string_view value, attribute_map attributes) {
    auto request = put_of(std::move(key), value);
    request.attributes = attribute_set(std::move(attributes));
    return get<put_result>(whole, put_atom_v, std::move(request));
  }
  // A value in pads, whatever its size.
  key_condition put_part(std::string key, std::string_view value) {
    auto request = put_of(key, value);
    request.in_pads = true;
    const auto version = get<put_result>(whole, put_atom_v, std::move(request)).version;
    return {std::move(key), version};
  }
  std::string value_at(std::string key) {
    return std::string(as_text(get<get_result>(whole, get_atom_v, get_of(std::move(key))).value));
  }
  std::string range_at(std::string key, std::uint64_t from, std::uint64_t length) {
    auto request = get_of(std::move(key));
    request.offset = from;
    request.length = length;
    return std::string(as_text(get<get_result>(whole, get_atom_v, std::move(request)).value));
  }
  list_item describe(std::string key) { return get<list_item>(whole, find_atom_v, std::move(key)); }
  bool is_there(std::string key) {
    auto a = ask<list_item>(whole, find_atom_v, std::move(key));
    det.run_until([&] { return !a->pending(); });
    return a->value.has_value();
  }
  std::vector<std::string> keys_from(list_request request) {
    std::vector<std::string> names;
    for (const auto& item : get<list_page>(whole, list_atom_v, std::move(request)))
      names.push_back(item.key);
    return names;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(entries, entries_fixture)

BOOST_AUTO_TEST_CASE(attributes_come_back_with_values_of_every_size) {
  const std::string sizes[] = {"", "five5", "six6 6", "a value of several chunks"};
  for (const auto& value : sizes) {
    const attribute_set given(attribute_map{{"type", "text/plain"}, {"x-size", std::to_string(value.size())}});
    put_with("key", value, given.values());
    const auto got = get<get_result>(whole, get_atom_v, get_of("key"));
    BOOST_TEST(std::string(as_text(got.value)) == value);
    BOOST_TEST((got.attributes == given), value);
    BOOST_TEST((describe("key").attributes == given));
    BOOST_TEST((get<list_page>(whole, list_atom_v, list_request{}).front().attributes == given));
  }
  get<done>(whole, rename_atom_v, rename_request{"key", "other"});
  BOOST_TEST(describe("other").attributes.values().size() == 2u);
  put_with("other", "five5", {});
  BOOST_TEST(describe("other").attributes.empty());
}

BOOST_AUTO_TEST_CASE(attributes_outlive_a_snapshot_and_another_opening) {
  const attribute_set given(attribute_map{{"x-a", std::string("\0\xff", 2)}});
  for (int n = 0; n < 20; ++n)   // more than half the ring
    put_with("key", "a value of several chunks " + std::to_string(n), given.values());
  put_with("small", "v", given.values());
  const auto again = spawn_small_store();
  for (auto key : {"key", "small"})
    BOOST_TEST((get<list_item>(again, find_atom_v, std::string(key)).attributes == given));
}

BOOST_AUTO_TEST_CASE(attributes_that_are_not_allowed_are_refused_before_anything_is_stored) {
  for (const std::string value : {"v", "six6 6", "a value of several chunks"})
    for (const auto& bad : {attribute_map{{"other", "v"}}, attribute_map{{"x-a", std::string(max_attribute_bytes, 'v')}}}) {
      auto request = put_of("key", value);
      request.attributes = attribute_set(bad);
      BOOST_TEST((get_error<put_result>(whole, put_atom_v, std::move(request)).code == errc::invalid_argument));
    }
  BOOST_TEST(!is_there("key"));
  BOOST_TEST((get_error<commit_result>(whole, assemble_atom_v, assemble_request{"key", {}, {}, attribute_map{{"y", ""}}}).code
              == errc::invalid_argument));
}

BOOST_AUTO_TEST_CASE(every_range_of_an_assembled_value_comes_back) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 8; ++round) {
    assemble_request request{"whole", {}, {}, attribute_map{{"type", "x/y"}}};
    std::string all;
    for (std::size_t n = 0; n < 1 + random() % 4; ++n) {
      const std::string part(random() % 35, static_cast<char>('a' + n));
      all += part;
      request.parts.push_back(put_part("part" + std::to_string(n), part));
    }
    const auto puts_before = door->counts[pad_op::put];
    const auto parts = request.parts;
    const auto version = get<commit_result>(whole, assemble_atom_v, request).version;
    BOOST_TEST(door->counts[pad_op::put] == puts_before + 1);   // the commit
    const auto item = describe("whole");
    BOOST_TEST(item.size == all.size());
    BOOST_TEST(item.version == version);
    BOOST_TEST(item.attributes.values().size() == 1u);
    for (const auto& part : parts)
      BOOST_TEST(!is_there(part.key));
    BOOST_TEST(value_at("whole") == all);
    for (std::uint64_t from = 0; from <= all.size(); from += 1 + random() % 5)
      for (std::uint64_t length = 0; from + length <= all.size(); length += 1 + random() % 7)
        BOOST_TEST(range_at("whole", from, length) == all.substr(from, length));
  }
}

BOOST_AUTO_TEST_CASE(an_assembled_value_goes_to_files_and_streams_of_readers_whole) {
  const auto index = spawn_index();
  auto options = small_put(index);
  options.chunk_bytes = 7;
  put(options, "a", std::string(20, 'a'));
  put(options, "b", std::string(9, 'b'));
  commit_request change;
  change.operations.push_back(assemble_op{"c", 1, {}, {"a", "b"}});
  get<commit_result>(index, commit_atom_v, change);
  BOOST_TEST(value_of(small_get(index), "c") == std::string(20, 'a') + std::string(9, 'b'));
}

BOOST_AUTO_TEST_CASE(an_assemble_of_a_part_that_is_gone_or_changed_changes_nothing) {
  const auto one = put_part("one", "the first part");
  auto two = put_part("two", "and the second");
  put_with("inline", "v", {});
  const auto refused = [&](std::vector<key_condition> parts, std::optional<std::uint64_t> if_version = {}) {
    return get_error<commit_result>(whole, assemble_atom_v, assemble_request{"whole", std::move(parts), if_version, {}}).code;
  };
  BOOST_TEST((refused({one, {"gone", 1}}) == errc::version_mismatch));
  BOOST_TEST((refused({one, {"two", two.version + 7}}) == errc::version_mismatch));
  BOOST_TEST((refused({one, {"two", 0}}) == errc::invalid_argument));
  BOOST_TEST((refused({one, one}) == errc::invalid_argument));
  BOOST_TEST((refused({one, {"inline", describe("inline").version}}) == errc::invalid_argument));
  BOOST_TEST((refused({}) == errc::invalid_argument));
  BOOST_TEST((refused({one, two}, 5) == errc::version_mismatch));
  BOOST_TEST(!is_there("whole"));
  BOOST_TEST(value_at("one") == "the first part");
  get<done>(whole, remove_atom_v, remove_request{"two", std::nullopt, false});
  BOOST_TEST((refused({one, two}) == errc::version_mismatch));
  two = put_part("two", "again");
  get<commit_result>(whole, assemble_atom_v, assemble_request{"whole", {two, one}, 0, {}});
  BOOST_TEST(value_at("whole") == "againthe first part");
  const auto three = put_part("three", "3");
  BOOST_TEST((refused({three}, 0) == errc::key_exists));
}

BOOST_AUTO_TEST_CASE(a_reader_of_a_part_is_not_disturbed_by_its_going) {
  const auto part = put_part("part", "a value of several chunks");
  door->hold = [this](pad_op op, const pad_address& a) { return op == pad_op::get && is_data(a); };
  auto reading = ask<get_result>(whole, get_atom_v, get_of("part"));
  det.run_messages();
  get<commit_result>(whole, assemble_atom_v, assemble_request{"whole", {part}, {}, {}});
  get<done>(whole, remove_atom_v, remove_request{"whole", std::nullopt, false});
  for (int n = 0; n < 5; ++n)   // would like its pads
    put_with("other" + std::to_string(n), "another value of several chunks", {});
  door->hold = nullptr;
  door->release_all();
  det.run_until([&] { return !reading->pending(); });
  BOOST_REQUIRE(reading->value.has_value());
  BOOST_TEST(std::string(as_text(reading->value->value)) == "a value of several chunks");
}

BOOST_AUTO_TEST_CASE(a_put_over_an_assembled_value_keeps_what_is_the_same_at_its_place) {
  const auto one = put_part("one", "0123456789abcdefghij");
  const auto two = put_part("two", "xyz");
  get<commit_result>(whole, assemble_atom_v, assemble_request{"key", {one, two}, {}, {}});
  const auto stored = get<put_result>(whole, put_atom_v, put_of("key", "0123456789abcdefghijxyz!"));
  BOOST_TEST(stored.chunks_kept == 2u);
  BOOST_TEST(value_at("key") == "0123456789abcdefghijxyz!");
}

BOOST_AUTO_TEST_CASE(keys_that_begin_with_a_zero_byte_are_reserved) {
  const std::string reserved("\0upload", 7);
  put_with("key", "v", {});
  for (const std::string value : {"v", "six6 6", "a value of several chunks"})
    BOOST_TEST((get_error<put_result>(whole, put_atom_v, put_of(reserved, value)).code == errc::invalid_argument));
  BOOST_TEST((get_error<done>(whole, remove_atom_v, remove_request{reserved, std::nullopt, false}).code
              == errc::invalid_argument));
  BOOST_TEST((get_error<done>(whole, rename_atom_v, rename_request{"key", reserved}).code == errc::invalid_argument));
  BOOST_TEST((get_error<done>(whole, rename_atom_v, rename_request{reserved, "other"}).code == errc::invalid_argument));
  BOOST_TEST((get_error<commit_result>(whole, assemble_atom_v, assemble_request{reserved, {{"key", 1}}, {}, {}}).code
              == errc::invalid_argument));
  // What keeps parts of its own behind the users' backs says so.
  auto part = put_of(reserved, "a value of several chunks");
  part.reserved = true;
  const auto version = get<put_result>(whole, put_atom_v, part).version;
  BOOST_TEST(keys_from({}).size() == 1u);
  get<commit_result>(whole, assemble_atom_v, assemble_request{"key", {{reserved, version}}, {}, {}});
  BOOST_TEST(value_at("key") == "a value of several chunks");
  part.source = bytes::copy_of("v");
  get<put_result>(whole, put_atom_v, part);
  get<done>(whole, remove_atom_v, remove_request{reserved, std::nullopt, false, true});
  BOOST_TEST(!is_there(reserved));
}

BOOST_AUTO_TEST_CASE(reserved_keys_are_listed_for_those_only_who_ask_for_them) {
  const std::string reserved("\0\xff", 2);
  const auto index = spawn_index();
  get<commit_result>(index, commit_atom_v, put_inline(reserved, "v"));
  get<commit_result>(index, commit_atom_v, put_inline("key", "v"));
  get<sync_report>(whole, sync_atom_v);
  using names = std::vector<std::string>;
  BOOST_TEST((keys_from({}) == names{"key"}));
  BOOST_TEST((keys_from({"", std::string(1, '\0')}) == names{"key"}));
  BOOST_TEST((keys_from({"k", ""}) == names{"key"}));
  BOOST_TEST((keys_from({std::string(1, '\0'), ""}) == names{reserved}));
  BOOST_TEST((keys_from({"", "", 1000, true}) == names{reserved, "key"}));
}

BOOST_AUTO_TEST_CASE(what_can_be_compressed_takes_less_and_comes_back) {
  auto config = small_store();
  config.chunk_bytes = 100'000;
  whole = spawn_store(det.system(), config).value();
  std::string text;
  while (text.size() < 250'000)
    text += "line " + std::to_string(text.size()) + " of a text\n";
  get<put_result>(whole, put_atom_v, put_of("text", text));
  std::mt19937_64 random(1);
  std::string noise(250'000, '\0');
  for (auto& c : noise)
    c = static_cast<char>(random());
  get<put_result>(whole, put_atom_v, put_of("noise", noise));
  BOOST_TEST(value_at("text") == text);
  BOOST_TEST(value_at("noise") == noise);
  BOOST_TEST(range_at("text", 99'990, 100'020) == text.substr(99'990, 100'020));

  const auto index = spawn_index();
  const auto bytes_in_pads = [&](const std::string& key) {
    std::size_t sum = 0;
    const auto there = get<found>(index, find_atom_v, find_request{key, false});
    for (const auto& c : *there.complete->chunks) {
      BOOST_TEST(((c.encoding == chunk_encoding::zstd) == (key == "text")));
      sum += plaintext_bytes_of(engine->get(c.address).value());
    }
    return sum;
  };
  BOOST_TEST(bytes_in_pads("text") < text.size() / 3);
  BOOST_TEST(bytes_in_pads("noise") == noise.size());

  // The same text, by a store that does not compress: it is kept as it lies.
  config.compress = {compression::choice::off};
  const auto plain = spawn_store(det.system(), config).value();
  BOOST_TEST(get<put_result>(plain, put_atom_v, put_of("text", text)).chunks_kept == 3u);
}

BOOST_AUTO_TEST_CASE(a_frame_that_is_not_what_the_index_says_is_damage) {
  // Authentic, of the right counter: only the writer was wrong.
  const auto keys_of_pad = keys->data(0);
  const std::string content(600, 'x');
  buffer frame(frame_room(content.size()));
  const auto size = compress_chunk(1, as_byte_view(content), frame.span()).value();
  const auto record = seal_private(keys_of_pad, 1, byte_view(frame.span()).first(size));
  BOOST_REQUIRE(engine->put(record).has_value());
  crypto_worker_state opener{{keys}};
  const auto open = [&](std::uint32_t length, chunk_encoding encoding) {
    chunk c{{0, 1}, length, keys->fingerprint_of(as_byte_view(content)), keys_of_pad.address, encoding};
    return opener.open(open_chunk_job{record, c, 0, length, false});
  };
  BOOST_TEST(open(600, chunk_encoding::zstd).has_value());
  for (std::uint32_t length : {599u, 601u, max_chunk_bytes})
    BOOST_TEST((open(length, chunk_encoding::zstd).error().code == errc::corrupt_record));
  BOOST_TEST((open(600, chunk_encoding::plain).error().code == errc::corrupt_record));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
