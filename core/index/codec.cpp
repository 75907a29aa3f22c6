// The root, and what all codecs share.
#include "core/index/codec.hpp"

#include <cstring>

#include "core/index/codec_detail.hpp"

namespace mutant {

namespace index_format {

void write_version(cbor_writer& w) {
  w.uint(0);
  w.uint(version);
}

void read_version(cbor_reader& r) {
  r.key(0, "format");
  if (auto found = r.uint("format"); found != version)
    r.refuse("format", std::to_string(found) + " is not known, only " + std::to_string(version) + " is", errc::unsupported);
}

void write_key(cbor_writer& w, std::string_view key) {
  w.byte_string(as_byte_view(key));
}

std::string read_key(cbor_reader& r, const char* field) {
  auto key = r.byte_string(field, max_key_bytes);
  if (key.empty())
    r.refuse(field, "a key is empty");
  return std::string(as_text(key));
}

void write_pad(cbor_writer& w, const pad_ref& pad) {
  w.array(2);
  w.uint(pad.number);
  w.uint(pad.counter);
}

pad_ref read_pad(cbor_reader& r, const char* field) {
  r.array_of(2, field);
  pad_ref pad;
  pad.number = r.uint(field, max_number - 1);
  pad.counter = r.uint(field);
  return pad;
}

void write_pads(cbor_writer& w, const std::vector<pad_ref>& pads) {
  w.array(pads.size());
  for (const auto& pad : pads)
    write_pad(w, pad);
}

namespace {

// Items of a chunk's array, by whose number a reader tells a kept one.
constexpr std::size_t chunk_items = 6, kept_items = 2;

chunk read_chunk(cbor_reader& r, bool may_be_kept) {
  chunk c;
  const auto items = r.array("chunk");
  const auto kept = may_be_kept && items == kept_items;
  if (!kept && items != chunk_items)
    r.refuse("chunk", "an array of " + std::to_string(items) + " items");
  if (!kept) {
    c.pad.number = r.uint("chunk's pad", max_number - 1);
    c.pad.counter = r.uint("chunk's counter");
    if (c.pad.counter == 0)
      r.refuse("chunk's counter", "0");
    r.fixed(c.address, "chunk's address");
  }
  c.length = static_cast<std::uint32_t>(r.uint("chunk's length", max_chunk_bytes));
  if (c.length == 0)
    r.refuse("chunk's length", "an empty chunk");
  if (!kept)
    c.encoding = static_cast<chunk_encoding>(r.uint("chunk's encoding", static_cast<std::uint64_t>(chunk_encoding::zstd)));
  r.fixed(c.print, "chunk's fingerprint");
  return c;
}

}  // namespace

void write_chunk(cbor_writer& w, const chunk& c) {
  w.array(c.inherited() ? kept_items : chunk_items);
  if (!c.inherited()) {
    w.uint(c.pad.number);
    w.uint(c.pad.counter);
    w.byte_string(c.address);
  }
  w.uint(c.length);
  if (!c.inherited())
    w.uint(static_cast<std::uint64_t>(c.encoding));
  w.byte_string(c.print);
}

void write_chunks(cbor_writer& w, const chunk_list& chunks) {
  w.array(chunks.size());
  for (const auto& c : chunks)
    write_chunk(w, c);
}

chunk_list read_chunks(cbor_reader& r, bool may_be_kept) {
  chunk_list chunks;
  auto count = r.array("chunks", may_be_kept ? min_kept_bytes : min_chunk_item_bytes);
  chunks.reserve(reserve_for(r, count));
  for (std::size_t i = 0; i < count && r.ok(); ++i)
    chunks.push_back(read_chunk(r, may_be_kept));
  return chunks;
}

std::shared_ptr<const chunk_list> read_shared_chunks(cbor_reader& r, bool may_be_kept) {
  auto chunks = read_chunks(r, may_be_kept);
  return chunks.empty() ? nullptr : std::make_shared<const chunk_list>(std::move(chunks));
}

std::uint32_t read_chunk_size(cbor_reader& r) {
  auto size = r.uint("chunk size", max_chunk_bytes);
  if (size < min_chunk_bytes)
    r.refuse("chunk size", "0");
  return static_cast<std::uint32_t>(size);
}

bytes read_inline_value(cbor_reader& r) {
  return bytes::copy_of(r.byte_string("value", max_inline_bytes));
}

void write_attributes(cbor_writer& w, const attribute_set& attributes) {
  w.map(attributes.values().size());
  for (const auto& [name, content] : attributes.values()) {
    w.text(name);
    w.byte_string(as_byte_view(content));
  }
}

attribute_set read_attributes(cbor_reader& r) {
  attribute_map values;
  std::size_t left = max_attribute_bytes;
  const auto count = r.map("attributes");
  for (std::size_t i = 0; i < count && r.ok(); ++i) {
    const auto name = r.text("attribute's name", left);
    if (name.empty())
      r.refuse("attribute's name", "an empty name");
    if (!values.empty() && !(values.rbegin()->first < name))
      r.refuse("attributes", "not in ascending order");
    left -= name.size();
    const auto content = r.byte_string("attribute", left);
    left -= content.size();
    values.emplace_hint(values.end(), name, as_text(content));
  }
  return attribute_set(std::move(values));
}

std::size_t bytes_bound(const attribute_set& attributes) {
  constexpr std::size_t head_bytes = 3;  // of a map or a string within the limit
  std::size_t bound = head_bytes;
  for (const auto& [name, content] : attributes.values())
    bound += 2 * head_bytes + name.size() + content.size();
  return bound;
}

}  // namespace index_format

using namespace index_format;

namespace {

constexpr std::size_t root_fields = 10;
constexpr std::size_t part_ref_items = 8;
constexpr std::size_t min_part_ref_bytes = 1 + 6 + 2 * (2 + 32);  // [n, n, n, n, base, h'32 bytes', h'32 bytes', n]

void write_part_ref(cbor_writer& w, const part_ref& part) {
  w.array(part_ref_items);
  w.uint(part.pad.number);
  w.uint(part.pad.counter);
  w.uint(part.sequence);
  w.uint(part.size);
  w.boolean(part.base);
  w.byte_string(part.hash);
  w.byte_string(part.address);
  w.uint(part.fence);
}

part_ref read_part_ref(cbor_reader& r, const root& of) {
  part_ref part;
  r.array_of(part_ref_items, "part");
  part.pad.number = r.uint("part's pad");
  if (part.pad.number >= of.next_part)
    r.refuse("part's pad", "not below the next part pad");
  part.pad.counter = r.uint("part's counter");
  if (part.pad.counter == 0)
    r.refuse("part's counter", "0");
  part.sequence = r.uint("part's sequence", of.sequence);
  part.size = r.uint("part's size", max_plaintext_bytes);
  part.base = r.boolean("part's base mark");
  if (part.base && !of.parts.empty() && !of.parts.back().base)
    r.refuse("part's base mark", "a base part behind a delta part");
  r.fixed(part.hash, "part's hash");
  r.fixed(part.address, "part's address");
  part.fence = static_cast<std::uint32_t>(r.uint("part's fence", max_payload_bytes));
  return part;
}

ring_addresses read_ring(cbor_reader& r, std::uint64_t slots) {
  const auto all = r.byte_string("ring", max_ring_slots * sizeof(pad_address));
  if (r.ok() && all.size() != slots * sizeof(pad_address))
    r.refuse("ring", "not one address for each slot");
  if (!r.ok())
    return {};
  auto addresses = std::make_shared<std::vector<pad_address>>(slots);
  std::memcpy(addresses->data(), all.data(), all.size());
  return {std::move(addresses)};
}

}  // namespace

bytes encode(const root& value) {
  cbor_writer w(128 + value.parts.size() * 120 + value.ring.size() * sizeof(pad_address));
  w.map(root_fields);
  write_version(w);
  w.uint(1);
  w.uint(value.sequence);
  w.uint(2);
  w.uint(value.next_pad);
  w.uint(3);
  w.uint(value.ring_slots);
  w.uint(4);
  w.uint(value.next_part);
  w.uint(5);
  w.uint(value.parts_floor);
  w.uint(6);
  w.array(value.parts.size());
  for (const auto& part : value.parts)
    write_part_ref(w, part);
  w.uint(7);
  w.byte_string(value.last_commit);
  w.uint(8);
  w.byte_string(value.ring.slots ? std::as_bytes(std::span(*value.ring.slots)) : byte_view());
  w.uint(9);
  w.boolean(value.shared);
  return std::move(w).finish();
}

result<root> decode_root(byte_view plaintext) {
  cbor_reader r(plaintext, errc::index_corrupt, "the index root");
  root value;
  r.map_of(root_fields, "root");
  read_version(r);
  r.key(1, "sequence");
  value.sequence = r.uint("sequence", max_number - 1);
  r.key(2, "next pad");
  value.next_pad = r.uint("next pad", max_number);
  r.key(3, "ring slots");
  value.ring_slots = r.uint("ring slots", max_ring_slots);
  if (value.ring_slots < min_ring_slots)
    r.refuse("ring slots", "fewer than " + std::to_string(min_ring_slots));
  r.key(4, "next part");
  value.next_part = r.uint("next part", max_number);
  r.key(5, "parts floor");
  value.parts_floor = r.uint("parts floor", value.next_part);
  r.key(6, "parts");
  auto count = r.array("parts", min_part_ref_bytes);
  value.parts.reserve(reserve_for(r, count));
  for (std::size_t i = 0; i < count && r.ok(); ++i)
    value.parts.push_back(read_part_ref(r, value));
  r.key(7, "last commit");
  r.fixed(value.last_commit, "last commit");
  r.key(8, "ring");
  value.ring = read_ring(r, value.ring_slots);
  r.key(9, "shared mark");
  value.shared = r.boolean("shared mark");
  if (auto done = r.finish(); !done)
    return fail(std::move(done).error());
  return value;
}

}  // namespace mutant
