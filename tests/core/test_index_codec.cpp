#include <boost/test/unit_test.hpp>

#include <limits>

#include "core/cbor.hpp"
#include "core/index/codec.hpp"
#include "core/limits.hpp"
#include "tests/core/random_index.hpp"

using namespace mutant;
using test::random_index;

namespace {

bool equal(const commit& a, const commit& b) { return a == b; }
bool equal(const root& a, const root& b) { return a == b; }
bool equal(const snapshot_part& a, const snapshot_part& b) { return test::same(a, b); }

// Whatever a decoder accepts is written back as exactly the same bytes.
template <class Decode>
void check_canonical(const Decode& decode, byte_view input) {
  constexpr std::size_t format_at = 2;  // behind the map's head and the first key
  auto value = decode(input);
  if (!value && value.error().code == errc::unsupported)
    BOOST_TEST((input.size() > format_at && input[format_at] != std::byte{2}));
  else if (!value)
    BOOST_TEST((value.error().code == errc::index_corrupt));
  else
    BOOST_TEST((as_text(encode(*value)) == as_text(input)), "an accepted encoding is not canonical");
}

template <class Decode>
void check_every_change_of(const Decode& decode, const bytes& whole, std::size_t step) {
  for (std::size_t size = 0; size < whole.size(); ++size)
    BOOST_TEST(!decode(whole.view().first(size)).has_value(), "a truncation was accepted");
  std::vector<std::byte> changed(whole.data(), whole.data() + whole.size());
  for (auto& byte : changed) {
    auto original = byte;
    for (unsigned value = 0; value < 256; value += static_cast<unsigned>(step)) {
      byte = static_cast<std::byte>(std::to_integer<unsigned>(original) ^ value);
      check_canonical(decode, changed);
    }
    byte = original;
  }
  changed.push_back(std::byte{0});
  BOOST_TEST(!decode(changed).has_value(), "a byte behind the end was accepted");
}

auto commits = [](byte_view v) { return decode_commit(v); };
auto parts = [](byte_view v) { return decode_snapshot_part(v); };
auto roots = [](byte_view v) { return decode_root(v); };

template <class Value, class Decode>
void check_round_trip(const Value& value, const Decode& decode) {
  auto encoded = encode(value);
  auto decoded = decode(encoded.view());
  BOOST_REQUIRE_MESSAGE(decoded.has_value(), (decoded ? std::string() : decoded.error().message));
  BOOST_TEST(equal(*decoded, value));
  BOOST_TEST((encode(*decoded) == encoded));
}

std::string refusal(const commit& c) {
  auto decoded = decode_commit(encode(c));
  return decoded ? "" : decoded.error().message;
}
std::string refusal(const snapshot_part& p) {
  auto decoded = decode_snapshot_part(encode(p));
  return decoded ? "" : decoded.error().message;
}
std::string refusal(const root& r) {
  auto decoded = decode_root(encode(r));
  return decoded ? "" : decoded.error().message;
}

commit with(operation op) {
  commit c;
  c.sequence = 1;
  c.operations.push_back(std::move(op));
  return c;
}

// In numbers at their longest.
chunk max_chunk() {
  return {{max_number - 1, ~std::uint64_t{0}}, max_chunk_bytes, {}, {}, chunk_encoding::zstd};
}

entry chunked(chunk c) {
  entry e;
  e.size = c.length;
  e.chunks = std::make_shared<const chunk_list>(1, c);
  return e;
}

// As many as there can be: their heads weigh most then.
attribute_set many_attributes() {
  attribute_map values;
  std::size_t bytes = 0;
  for (std::size_t n = 0; bytes + 3 <= max_attribute_bytes; ++n) {
    const auto name = std::to_string(n);
    if (bytes + name.size() > max_attribute_bytes)
      break;
    values[name] = "";
    bytes += name.size();
  }
  return attribute_set(std::move(values));
}

root good_root() {
  root r;
  r.sequence = 10;
  r.next_pad = 5;
  r.ring_slots = 6;
  r.ring.slots = std::make_shared<const std::vector<pad_address>>(6);
  r.next_part = 3;
  r.parts = {{{0, 1}, 8, 100, true}, {{2, 1}, 10, 50, false}};
  return r;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(index_codec)

BOOST_AUTO_TEST_CASE(commits_come_back_as_they_were) {
  for (std::uint64_t seed = 0; seed < 3000; ++seed)
    check_round_trip(random_index(seed).one_commit(12), commits);
}

BOOST_AUTO_TEST_CASE(snapshot_parts_come_back_as_they_were) {
  for (std::uint64_t seed = 0; seed < 2000; ++seed)
    check_round_trip(random_index(seed).one_part(8), parts);
}

BOOST_AUTO_TEST_CASE(roots_come_back_as_they_were) {
  for (std::uint64_t seed = 0; seed < 3000; ++seed)
    check_round_trip(random_index(seed).one_root(20), roots);
}

BOOST_AUTO_TEST_CASE(an_upload_in_several_pieces_is_written_as_one) {
  snapshot_part p;
  auto& item = p.uploads.emplace_back();
  item.key = "k";
  item.value.chunk_size = 10;
  item.value.chunks_done = 3;
  chunk c{{7, 1}, 10, {}};
  item.value.pieces = {std::make_shared<const chunk_list>(2, c), std::make_shared<const chunk_list>(1, c)};
  check_round_trip(p, parts);
}

BOOST_AUTO_TEST_CASE(every_byte_of_a_commit_that_changes_is_refused_or_another_canonical_commit) {
  for (std::uint64_t seed = 0, small = 0; small < 25; ++seed) {
    auto encoded = encode(random_index(seed).one_commit(4));
    if (encoded.size() > 300)
      continue;
    ++small;
    check_every_change_of(commits, encoded, small == 1 ? 1 : 13);
  }
}

BOOST_AUTO_TEST_CASE(every_byte_of_a_part_that_changes_is_refused_or_another_canonical_part) {
  for (std::uint64_t seed = 0, small = 0; small < 25; ++seed) {
    auto encoded = encode(random_index(seed).one_part(2));
    if (encoded.size() > 400)
      continue;
    ++small;
    check_every_change_of(parts, encoded, small == 1 ? 1 : 13);
  }
}

BOOST_AUTO_TEST_CASE(every_byte_of_a_root_that_changes_is_refused_or_another_canonical_root) {
  for (std::uint64_t seed = 0; seed < 25; ++seed)
    check_every_change_of(roots, encode(random_index(seed).one_root(4)), seed == 0 ? 1 : 13);
}

BOOST_AUTO_TEST_CASE(the_bound_of_an_operation_is_never_less_than_its_share) {
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    auto c = random_index(seed).one_commit(12);
    auto bound = commit_overhead_bytes;
    for (const auto& op : c.operations)
      bound += encoded_bytes_bound(op);
    BOOST_TEST(encode(c).size() <= bound);
    // One by one, so that slack of one does not hide what another lacks.
    for (const auto& op : c.operations) {
      auto alone = c, none = c;
      alone.operations = {op};
      none.operations.clear();
      BOOST_TEST(encode(alone).size() - encode(none).size() <= encoded_bytes_bound(op));
    }
  }
}

BOOST_AUTO_TEST_CASE(the_bounds_of_a_parts_items_are_never_less_than_their_share) {
  const auto empty = encode(snapshot_part()).size();
  auto share = [&](const snapshot_part& p) { return encode(p).size() - empty; };
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    auto whole = random_index(seed).one_part(6);
    for (const auto& item : whole.entries) {
      snapshot_part p;
      p.entries = {item};
      BOOST_TEST(share(p) <= encoded_bytes_bound(item.key, item.value) + item.value.chunk_count() * chunk_bytes_bound);
    }
    for (const auto& item : whole.uploads) {
      snapshot_part p;
      p.uploads = {item};
      std::size_t chunks = 0;
      for (const auto& piece : item.value.pieces)
        chunks += piece->size();
      BOOST_TEST(share(p) <= encoded_bytes_bound(item.key, item.value) + chunks * chunk_bytes_bound);
    }
    snapshot_part pads;
    pads.free_pads = whole.free_pads;
    pads.taken_pads = whole.taken_pads;
    BOOST_TEST(share(pads) <= (pads.free_pads.size() + pads.taken_pads.size()) * pad_bytes_bound);
  }
  // Six list heads at their longest, and what else an empty part has.
  BOOST_TEST(empty + 6 * 8 <= part_overhead_bytes);
}

BOOST_AUTO_TEST_CASE(longest_fields_stay_within_the_bounds) {
  constexpr auto all = ~std::uint64_t{0};
  constexpr auto number = max_number - 1;
  std::string key(max_key_bytes, 'k');
  chunk_list chunks(1000, max_chunk());
  auto time = std::numeric_limits<std::int64_t>::min();
  const auto attributes = many_attributes();
  for (const operation& op : {operation(extend_upload_op{key, all, max_number, chunks}),
                              operation(complete_upload_op{key, all, max_number, time, attributes, chunks}),
                              operation(assemble_op{key, time, attributes, std::vector<std::string>(100, key)}),
                              operation(begin_upload_op{key, all, max_number, max_chunk_bytes, time, number}),
                              operation(adopt_upload_op{key, all, all, max_number}), operation(rename_op{key, key}),
                              operation(free_pads_op{{1000, pad_ref{number, all}}})}) {
    auto c = with(op);
    c.sequence = number;
    BOOST_TEST(encode(c).size() <= commit_overhead_bytes + encoded_bytes_bound(op));
    check_round_trip(c, commits);
  }
}

BOOST_AUTO_TEST_CASE(longest_items_of_a_part_stay_within_the_bounds) {
  constexpr auto all = ~std::uint64_t{0};
  constexpr auto number = max_number - 1;
  auto chunks = std::make_shared<const chunk_list>(100, max_chunk());
  auto time = std::numeric_limits<std::int64_t>::min();
  const std::string key(max_key_bytes, 'k');
  const auto empty = encode(snapshot_part()).size();
  snapshot_part entries, uploads;
  entries.entries = {{key, 0, entry{max_number, time, number, {}, chunks, many_attributes()}, max_number}};
  uploads.uploads = {
      {key, 0, upload{all, max_number, max_chunk_bytes, time, number, max_number, max_number, {chunks}}}};
  check_round_trip(entries, parts);
  check_round_trip(uploads, parts);
  // Of chunks only what they take: their own bound has slack.
  auto chunk_bytes = encode(with(extend_upload_op{"k", 0, 0, {100, chunks->front()}})).size()
                - encode(with(extend_upload_op{"k", 0, 0, {chunks->front()}})).size() - 1;
  BOOST_TEST(chunk_bytes <= 99 * chunk_bytes_bound);
  auto without_chunks = [&](const snapshot_part& p) { return encode(p).size() - empty - chunk_bytes * 100 / 99; };
  BOOST_TEST(without_chunks(entries) <= encoded_bytes_bound(key, entries.entries[0].value));
  BOOST_TEST(without_chunks(uploads) <= encoded_bytes_bound(key, uploads.uploads[0].value));
}

BOOST_AUTO_TEST_CASE(numbers_beyond_the_limits_are_refused) {
  auto c = with(remove_op{"k"});
  c.sequence = 0;
  BOOST_TEST(!refusal(c).empty());
  c.sequence = max_number;
  BOOST_TEST(!refusal(c).empty());
  c.sequence = max_number - 1;
  BOOST_TEST(refusal(c).empty());
  BOOST_TEST(!refusal(with(remove_op{""})).empty());
  BOOST_TEST(!refusal(with(remove_op{std::string(max_key_bytes + 1, 'k')})).empty());
  BOOST_TEST(!refusal(with(rename_op{"k", ""})).empty());
  BOOST_TEST(!refusal(with(free_pads_op{{{max_number, 1}}})).empty());
  BOOST_TEST(!refusal(with(begin_upload_op{"k", 1, {}, 0, 0, 0})).empty());
  BOOST_TEST(!refusal(with(begin_upload_op{"k", 1, {}, max_chunk_bytes + 1, 0, 0})).empty());
  entry large;
  large.inline_value = bytes::copy_of(std::string(max_inline_bytes + 1, 'v'));
  large.size = large.inline_value.size();
  BOOST_TEST(!refusal(with(put_op{"k", large})).empty());
}

BOOST_AUTO_TEST_CASE(chunks_beyond_the_limits_are_refused) {
  BOOST_TEST(refusal(with(put_op{"k", chunked({{1, 1}, 1, {}})})).empty());
  BOOST_TEST(!refusal(with(put_op{"k", chunked({{1, 1}, 0, {}})})).empty());
  BOOST_TEST(!refusal(with(put_op{"k", chunked({{1, 1}, max_chunk_bytes + 1, {}})})).empty());
  BOOST_TEST(!refusal(with(put_op{"k", chunked({{max_number, 1}, 1, {}})})).empty());
}

BOOST_AUTO_TEST_CASE(a_kept_chunk_is_only_for_uploads) {
  chunk kept{{0, 0}, 1, {}};
  BOOST_TEST(!refusal(with(put_op{"k", chunked(kept)})).empty());
  BOOST_TEST(refusal(with(extend_upload_op{"k", 1, 0, {kept}})).empty());
  BOOST_TEST(refusal(with(complete_upload_op{"k", 1, 1, 0, {}, {kept}})).empty());
  // Its pad means nothing, so it is not written.
  kept.pad.number = 5;
  BOOST_TEST(refusal(with(extend_upload_op{"k", 1, 0, {kept}})).empty());
}

BOOST_AUTO_TEST_CASE(keys_and_pads_of_a_part_must_ascend) {
  auto entry_named = [](const char* key) {
    snapshot_part::entry_item item;
    item.key = key;
    return item;
  };
  snapshot_part p;
  p.entries = {entry_named("b"), entry_named("a")};
  BOOST_TEST(!refusal(p).empty());
  p.entries = {entry_named("a"), entry_named("a")};
  BOOST_TEST(!refusal(p).empty());
  p.entries = {entry_named("a"), entry_named("\xff")};  // bytes compare without sign
  BOOST_TEST(refusal(p).empty());
  for (auto list : {&snapshot_part::removed_entries, &snapshot_part::removed_uploads}) {
    snapshot_part q;
    q.*list = {"b", "a"};
    BOOST_TEST(!refusal(q).empty());
    q.*list = {"a", "a"};
    BOOST_TEST(!refusal(q).empty());
  }
  snapshot_part pads;
  pads.free_pads = {{2, 1}, {2, 2}};
  BOOST_TEST(!refusal(pads).empty());
  pads.free_pads = {{2, 1}, {3, 0}};
  BOOST_TEST(refusal(pads).empty());
  pads.taken_pads = {4, 4};
  BOOST_TEST(!refusal(pads).empty());
}

BOOST_AUTO_TEST_CASE(a_part_with_more_chunks_than_their_total_is_refused) {
  snapshot_part p;
  p.entries.resize(1);
  p.entries[0].key = "k";
  p.entries[0].value = chunked({{1, 1}, 1, {}});
  p.entries[0].value.chunks = std::make_shared<const chunk_list>(2, chunk{{1, 1}, 1, {}});
  p.entries[0].chunk_total = 1;
  BOOST_TEST(!refusal(p).empty());
  p.entries[0].chunk_total = 2;
  BOOST_TEST(refusal(p).empty());
}

BOOST_AUTO_TEST_CASE(a_root_that_contradicts_itself_is_refused) {
  BOOST_TEST(refusal(good_root()).empty());
  auto broken = [](auto&& change) {
    auto r = good_root();
    change(r);
    return !refusal(r).empty();
  };
  BOOST_TEST(broken([](root& r) { r.ring_slots = min_ring_slots - 1; }));
  BOOST_TEST(broken([](root& r) { r.ring_slots = max_ring_slots + 1; }));
  BOOST_TEST(broken([](root& r) { r.ring_slots = 5; }));   // it lists 6 addresses
  BOOST_TEST(broken([](root& r) { r.ring.slots = nullptr; }));
  BOOST_TEST(broken([](root& r) { r.sequence = max_number; }));
  BOOST_TEST(broken([](root& r) { r.next_pad = max_number + 1; }));
  BOOST_TEST(broken([](root& r) { r.parts_floor = r.next_part + 1; }));
  BOOST_TEST(broken([](root& r) { r.parts[0].pad.number = r.next_part; }));
  BOOST_TEST(broken([](root& r) { r.parts[0].pad.counter = 0; }));
  BOOST_TEST(broken([](root& r) { r.parts[1].sequence = r.sequence + 1; }));
  BOOST_TEST(broken([](root& r) { r.parts[0].size = max_plaintext_bytes + 1; }));
  BOOST_TEST(broken([](root& r) { r.parts[0].base = false, r.parts[1].base = true; }));
}

BOOST_AUTO_TEST_CASE(unknown_formats_operations_and_fields_are_refused) {
  auto commit_of = [](std::uint64_t format, std::size_t fields, std::uint64_t kind) {
    cbor_writer w;
    w.map(fields);
    w.uint(0);
    w.uint(format);
    w.uint(1);
    w.uint(5);
    w.uint(2);
    w.byte_string(std::array<std::byte, 16>{});
    w.uint(3);
    w.array(1);
    w.array(2);
    w.uint(kind);
    w.byte_string(as_byte_view("k"));
    if (fields > 4) {
      w.uint(4);
      w.byte_string(content_hash{});
    }
    for (std::uint64_t extra = 5; extra < fields; ++extra) {
      w.uint(extra);
      w.uint(0);
    }
    const auto decoded = decode_commit(std::move(w).finish());
    return decoded ? std::nullopt : std::optional(decoded.error().code);
  };
  BOOST_TEST(!commit_of(2, 5, 2));
  for (std::uint64_t format : std::initializer_list<std::uint64_t>{0, 1, 3})
    BOOST_TEST((commit_of(format, 5, 2) == errc::unsupported));
  BOOST_TEST((commit_of(2, 6, 2) == errc::index_corrupt));
  BOOST_TEST((commit_of(2, 4, 2) == errc::index_corrupt));
  for (std::uint64_t kind : std::initializer_list<std::uint64_t>{0, 11, 255, 258, ~std::uint64_t{0}})
    BOOST_TEST((commit_of(2, 5, kind) == errc::index_corrupt));
}

// A put with these attributes, whose order and size are the caller's.
std::string refusal_of_attributes(const std::vector<std::pair<std::string, std::string>>& attributes) {
  cbor_writer w;
  w.map(5);
  for (std::uint64_t n : {0, 2, 1, 5})
    w.uint(n);
  w.uint(2);
  w.byte_string(std::array<std::byte, 16>{});
  w.uint(3);
  w.array(1);
  w.array(5);
  w.uint(1);
  w.byte_string(as_byte_view("k"));
  w.uint(0);
  w.map(attributes.size());
  for (const auto& [name, content] : attributes) {
    w.text(name);
    w.byte_string(as_byte_view(content));
  }
  w.byte_string(as_byte_view("value"));
  w.uint(4);
  w.byte_string(std::array<std::byte, 32>{});
  const auto decoded = decode_commit(std::move(w).finish());
  BOOST_TEST((decoded || decoded.error().code == errc::index_corrupt));
  return decoded ? "" : decoded.error().message;
}

BOOST_AUTO_TEST_CASE(attributes_that_are_out_of_order_or_too_large_are_refused) {
  const std::string most(max_attribute_bytes - 3, 'v');
  BOOST_TEST(refusal_of_attributes({}).empty());
  BOOST_TEST(refusal_of_attributes({{"md5", ""}, {"mode", "644"}, {"x-a", ""}, {"x-b", "1"}}).empty());
  BOOST_TEST(refusal_of_attributes({{"x-a", most}}).empty());
  BOOST_TEST(refusal_of_attributes({{"x-b", ""}, {"x-a", ""}}).find("ascending") != std::string::npos);
  BOOST_TEST(refusal_of_attributes({{"x-a", ""}, {"x-a", ""}}).find("ascending") != std::string::npos);
  BOOST_TEST(refusal_of_attributes({{"x-a", most + "v"}}).find("over the limit") != std::string::npos);
  BOOST_TEST(refusal_of_attributes({{"x-a", most}, {"x-b", ""}}).find("over the limit") != std::string::npos);
  BOOST_TEST(refusal_of_attributes({{"", "v"}}).find("empty") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(random_bytes_are_refused_without_harm) {
  std::mt19937_64 engine(7);
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::byte> junk(engine() % 64);
    for (auto& b : junk)
      b = static_cast<std::byte>(engine());
    check_canonical(commits, junk);
    check_canonical(parts, junk);
    check_canonical(roots, junk);
  }
}

BOOST_AUTO_TEST_SUITE_END()
