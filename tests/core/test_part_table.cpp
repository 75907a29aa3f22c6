// Snapshot parts as they lie in pads.
#include <boost/test/unit_test.hpp>

#include "core/index/part_table.hpp"
#include "tests/core/random_index.hpp"

using namespace mutant;

namespace {

struct part_tables {
  part_tables() {
    BOOST_REQUIRE(init_crypto().has_value());
    seed owner;
    owner.value.fill(std::byte{9});
    ring.emplace(owner);
  }

  sealed_part seal(const snapshot_part& part, std::uint64_t number = 4) const {
    auto sealed = seal_part(ring->part(number), number, part);
    BOOST_REQUIRE_MESSAGE(sealed.has_value(), (sealed ? std::string() : sealed.error().message));
    return *sealed;
  }
  result<snapshot_part> open(const part_ref& at, byte_view record) const {
    return open_part(ring->part_at(at.address, at.pad.number), at, record);
  }
  void expect_corrupt(const part_ref& at, byte_view record, std::string_view word) const {
    const auto refused = open(at, record);
    BOOST_REQUIRE(!refused.has_value());
    BOOST_TEST((refused.error().code == errc::index_corrupt), to_string(refused.error()));
    BOOST_TEST((refused.error().message.find(word) != std::string::npos), refused.error().message);
  }
  // As somebody would who knows the owner's keys and has no rules: this fence, these blocks.
  sealed_part forge(const part_fence& fence, const std::vector<bytes>& blocks, bool name_them = true) const {
    const auto keys = ring->part(4);
    auto named = fence;
    std::vector<std::size_t> lengths{encode(fence).size()};
    for (const auto& block : blocks)
      lengths.push_back(block.size());
    private_boxes boxes(keys, 1, lengths);
    sealed_part out;
    for (std::uint32_t n = 0; n < blocks.size(); ++n) {
      const auto hash = hash_of(boxes.seal(n + 1, blocks[n]));
      if (name_them && n < named.blocks.size())
        named.blocks[n].hash = hash;
      out.at.size += blocks[n].size();
    }
    const auto box = boxes.seal(0, encode(named));
    out.at.pad = {4, 1};
    out.at.hash = hash_of(box);
    out.at.address = keys.address;
    out.at.fence = static_cast<std::uint32_t>(box.size());
    out.record = std::move(boxes).finish();
    return out;
  }

  // A part of some blocks of every list.
  static snapshot_part large_part() {
    snapshot_part part;
    for (unsigned n = 1000; n < 2000; ++n) {
      const auto key = std::to_string(n);
      part.entries.emplace_back();
      part.entries.back().key = key;
      part.entries.back().value.version = 1;
      part.entries.back().value.inline_value = bytes::copy_of(std::string(40, 'v'));
      part.entries.back().value.size = 40;
      part.removed_entries.push_back("gone " + key + std::string(40, 'k'));
      part.removed_uploads.push_back("dropped " + key + std::string(40, 'k'));
      part.free_pads.push_back({n, 3});
      part.taken_pads.push_back(n + 5000);
    }
    return part;
  }

  std::optional<keyring> ring;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(part_table, part_tables)

BOOST_AUTO_TEST_CASE(parts_come_back_as_they_were) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    test::random_index random(seed);
    const auto part = random.one_part(8);
    const auto sealed = seal(part);
    const auto opened = open(sealed.at, sealed.record);
    BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? std::string() : opened.error().message));
    BOOST_TEST(test::same(*opened, part));
    BOOST_TEST(verify_record(sealed.record).has_value());
  }
  const auto part = large_part();
  const auto sealed = seal(part);
  BOOST_TEST(test::same(open(sealed.at, sealed.record).value(), part));
}

BOOST_AUTO_TEST_CASE(blocks_are_small_sorted_and_of_one_list) {
  const auto blocks = encode_blocks(large_part(), usual_block_bytes);
  BOOST_TEST(blocks.size() > 12u);
  std::set<unsigned> lists;
  for (std::size_t n = 0; n < blocks.size(); ++n) {
    BOOST_TEST(blocks[n].content.size() <= usual_block_bytes);
    BOOST_TEST((n == 0 || blocks[n - 1].name < blocks[n].name));
    lists.insert(blocks[n].name.list);
  }
  BOOST_TEST((lists == std::set<unsigned>{1, 2, 4, 5, 6}));
}

// What the fence is for: with the root's word for it, any one block can be had without the others.
BOOST_AUTO_TEST_CASE(one_block_is_opened_and_trusted_without_the_rest) {
  const auto part = large_part();
  const auto sealed = seal(part);
  const auto keys = ring->part_at(sealed.at.address, sealed.at.pad.number);
  const auto front = sealed.record.view().first(record_header_bytes);
  const auto fence_box = sealed.record.view().subspan(record_header_bytes, sealed.at.fence);
  BOOST_TEST((hash_of(fence_box) == sealed.at.hash));
  buffer text(fence_box.size() - private_overhead_bytes);
  BOOST_REQUIRE(open_box(keys, front, 0, fence_box, text.span()));
  const auto fence = decode_fence(text.span()).value();
  // The block that would have this key.
  std::size_t at = record_header_bytes + sealed.at.fence, chosen = 0;
  const block_name wanted{1, "1500", 0};
  while (chosen + 1 < fence.blocks.size() && !(wanted < fence.blocks[chosen + 1].name))
    at += fence.blocks[chosen++].length + private_overhead_bytes;
  const auto& block = fence.blocks[chosen];
  const auto box = sealed.record.view().subspan(at, block.length + private_overhead_bytes);
  BOOST_TEST((hash_of(box) == block.hash));
  buffer content(block.length);
  BOOST_REQUIRE(open_box(keys, front, static_cast<std::uint32_t>(chosen + 1), box, content.span()));
  snapshot_part some;
  BOOST_REQUIRE(decode_block(block.name, content.span(), some).has_value());
  BOOST_TEST(std::ranges::any_of(some.entries, [](const auto& item) { return item.key == "1500"; }));
  BOOST_TEST(some.entries.size() < 400u);
  // In another place it does not open.
  BOOST_TEST(!open_box(keys, front, static_cast<std::uint32_t>(chosen), box, content.span()));
}

BOOST_AUTO_TEST_CASE(a_flipped_bit_anywhere_is_refused) {
  const auto sealed = seal(large_part());
  std::vector<std::byte> changed(sealed.record.data(), sealed.record.data() + sealed.record.size());
  for (std::size_t at = 0; at < changed.size(); at += at < 4000 ? 1 : 997) {
    changed[at] ^= std::byte{4};
    BOOST_TEST(!open(sealed.at, changed).has_value(), "byte " << at);
    changed[at] ^= std::byte{4};
  }
  for (std::size_t size : {std::size_t{0}, std::size_t{100}, record_header_bytes, changed.size() - 1})
    BOOST_TEST(!open(sealed.at, byte_view(changed).first(size)).has_value());
}

// What a store could have kept of a part that was sealed more than once under one number and counter.
BOOST_AUTO_TEST_CASE(another_part_of_the_same_number_counter_and_size_is_refused) {
  auto part = large_part();
  const auto first = seal(part);
  part.entries[500].value.inline_value = bytes::copy_of(std::string(40, 'w'));
  const auto second = seal(part);
  BOOST_REQUIRE(first.at.size == second.at.size);
  BOOST_REQUIRE(first.at.fence == second.at.fence);
  expect_corrupt(first.at, second.record, "another one than the root names");
  expect_corrupt(second.at, first.record, "another one than the root names");
  // The fence of one with the blocks of the other.
  std::vector<std::byte> mixed(first.record.data(), first.record.data() + first.record.size());
  const auto front = record_header_bytes + first.at.fence;
  std::copy_n(second.record.data() + front, second.record.size() - front, mixed.data() + front);
  expect_corrupt(first.at, mixed, "another one than its fence names");
}

BOOST_AUTO_TEST_CASE(what_the_root_says_must_fit) {
  const auto sealed = seal(large_part());
  auto at = sealed.at;
  for (std::uint32_t fence : {0u, 39u, at.fence - 1, at.fence + 1, static_cast<std::uint32_t>(sealed.record.size()), ~0u}) {
    at.fence = fence;
    BOOST_TEST(!open(at, sealed.record).has_value());
  }
  at = sealed.at;
  at.size += 1;
  expect_corrupt(at, sealed.record, "bytes where the root says");
  at = sealed.at;
  at.pad.counter = 2;
  BOOST_TEST((open(at, sealed.record).error().code == errc::pad_conflict));
}

BOOST_AUTO_TEST_CASE(a_fence_and_blocks_that_do_not_fit_each_other_are_refused) {
  const auto good = encode_blocks(large_part(), usual_block_bytes);
  part_fence fence;
  std::vector<bytes> blocks;
  for (const auto& block : good) {
    fence.blocks.push_back({block.name, static_cast<std::uint32_t>(block.content.size()), {}});
    blocks.push_back(block.content);
  }
  const auto sound = forge(fence, blocks);
  BOOST_TEST(open(sound.at, sound.record).has_value());
  auto refused = [&](const part_fence& f, const std::vector<bytes>& b, std::string_view word, bool name_them = true) {
    const auto forged = forge(f, b, name_them);
    expect_corrupt(forged.at, forged.record, word);
  };
  refused(fence, blocks, "another one than its fence names", false);
  auto renamed = fence;
  renamed.blocks[1].name.key += "0";
  refused(renamed, blocks, "another block than the fence says");
  auto shorter = fence;
  shorter.blocks.pop_back();
  refused(shorter, blocks, "bytes where the root says");
  auto longer = fence;
  longer.blocks[0].length += 1;
  refused(longer, blocks, "bytes where the root says");
  auto swapped = fence;
  std::swap(swapped.blocks[0], swapped.blocks[1]);
  auto swapped_blocks = blocks;
  std::swap(swapped_blocks[0], swapped_blocks[1]);
  refused(swapped, swapped_blocks, "not in ascending order");
  auto twice = fence;
  twice.blocks.insert(twice.blocks.begin(), twice.blocks.front());
  auto twice_blocks = blocks;
  twice_blocks.insert(twice_blocks.begin(), blocks.front());
  refused(twice, twice_blocks, "not in ascending order");
  // A block that goes back behind the end of the one before it, which the names do not tell.
  auto overlapping = encode_blocks(large_part(), usual_block_bytes);
  snapshot_part alone;
  BOOST_REQUIRE(decode_block(overlapping[0].name, overlapping[0].content, alone).has_value());
  alone.entries.push_back(alone.entries.back());
  alone.entries.back().key = overlapping[1].name.key + "0";
  auto more = encode_blocks(alone, 1u << 20);
  BOOST_REQUIRE(more.size() == 1u);
  auto overlapped = fence;
  overlapped.blocks[0].length = static_cast<std::uint32_t>(more[0].content.size());
  auto overlapped_blocks = blocks;
  overlapped_blocks[0] = more[0].content;
  refused(overlapped, overlapped_blocks, "not in ascending order");
}

BOOST_AUTO_TEST_CASE(a_list_that_is_not_known_is_a_newer_programs) {
  for (std::uint8_t list : {std::uint8_t{0}, std::uint8_t{7}, std::uint8_t{200}}) {
    const auto refused = decode_fence(encode(part_fence{{{{list, {}, 5}, 10, {}}}}));
    BOOST_REQUIRE(!refused.has_value());
    BOOST_TEST((refused.error().code == (list == 0 ? errc::index_corrupt : errc::unsupported)), to_string(refused.error()));
  }
  snapshot_part none;
  for (std::uint8_t list : {std::uint8_t{0}, std::uint8_t{7}})
    BOOST_TEST(!decode_block({list, {}, 5}, {}, none).has_value());
}

BOOST_AUTO_TEST_CASE(an_empty_block_is_refused) {
  const auto empty = std::array{std::byte{0x80}};
  for (std::uint8_t list = 1; list <= 6; ++list) {
    snapshot_part none;
    BOOST_TEST(!decode_block({list, "x", 0}, empty, none).has_value());
  }
}

// The longest keys, the worst cut: what the bounds allow fits one pad.
BOOST_AUTO_TEST_CASE(whatever_the_bounds_allow_fits_one_pad) {
  for (std::size_t key_bytes : {std::size_t{4096}, std::size_t{2000}, std::size_t{8}}) {
    snapshot_part part;
    std::size_t bound = part_overhead_bytes;
    for (unsigned n = 0;; ++n) {
      auto key = std::to_string(1'000'000 + n);
      key.resize(std::max(key.size(), key_bytes), 'k');
      entry value;
      value.version = 1;
      // Two of them are just over a block.
      const auto room = key_bytes > 1000 ? usual_block_bytes / 2 + 8 - encoded_bytes_bound(key, value) : 10;
      value.inline_value = bytes::copy_of(std::string(room, 'v'));
      value.size = room;
      const auto item = encoded_bytes_bound(key, value);
      if (bound + item > max_part_content_bytes)
        break;
      bound += item;
      part.entries.push_back({std::move(key), 0, std::move(value), 0});
    }
    const auto sealed = seal(part);
    BOOST_TEST(sealed.record.size() <= max_record_bytes);
    BOOST_TEST(open(sealed.at, sealed.record).value().entries.size() == part.entries.size());
  }
}

BOOST_AUTO_TEST_SUITE_END()
