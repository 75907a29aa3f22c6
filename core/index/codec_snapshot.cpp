// Snapshot parts.
#include <cassert>
#include <span>

#include "core/index/codec.hpp"
#include "core/index/codec_detail.hpp"

namespace mutant {

using namespace index_format;

namespace {

using entry_item = snapshot_part::entry_item;
using upload_item = snapshot_part::upload_item;

constexpr std::size_t part_fields = 7, fence_fields = 2, fence_items = 4;
constexpr std::size_t min_fence_item_bytes = 1 + 1 + 1 + 1 + 2 + sizeof(content_hash);   // [list, number, length, h'32 bytes']

// An item's array says by its length what it is.
constexpr std::size_t continued_items = 3, inline_entry_items = 5, chunked_entry_items = 7, upload_items = 9;
constexpr std::size_t min_item_bytes = 1 + min_key_bytes + 1 + 1;  // [key, first, []]

void write(cbor_writer& w, const entry_item& item) {
  const auto& value = item.value;
  auto chunks = [&] { write_chunks(w, value.chunks ? *value.chunks : chunk_list()); };
  if (item.first > 0) {
    w.array(continued_items);
    write_key(w, item.key);
    w.uint(item.first);
    return chunks();
  }
  const auto chunked = item.chunk_total != 0;
  w.array(chunked ? chunked_entry_items : inline_entry_items);
  write_key(w, item.key);
  w.uint(value.version);
  w.integer(value.modified_ms);
  write_attributes(w, value.attributes);
  if (!chunked) {
    assert(value.chunk_count() == 0 && value.size == value.inline_value.size());
    return w.byte_string(value.inline_value);
  }
  w.uint(value.size);
  w.uint(item.chunk_total);
  chunks();
}

void write(cbor_writer& w, const upload_item& item) {
  const auto& value = item.value;
  w.array(item.first > 0 ? continued_items : upload_items);
  write_key(w, item.key);
  if (item.first > 0) {
    w.uint(item.first);
  } else {
    w.uint(value.id);
    w.optional_uint(value.size);
    w.uint(value.chunk_size);
    w.integer(value.started_ms);
    w.uint(value.base_version);
    w.uint(value.bytes_done);
    w.uint(value.chunks_done);
  }
  std::size_t count = 0;
  for (const auto& piece : value.pieces)
    count += piece->size();
  w.array(count);
  for (const auto& piece : value.pieces)
    for (const auto& c : *piece)
      write_chunk(w, c);
}

std::uint64_t read_continued(cbor_reader& r) {
  auto first = r.uint("first chunk", max_number);
  if (first == 0)
    r.refuse("first chunk", "0 in the continuation of a list");
  return first;
}

void read(cbor_reader& r, entry_item& item) {
  auto items = r.array("entry");
  auto& value = item.value;
  item.key = read_key(r, "key");
  if (items == continued_items) {
    item.first = read_continued(r);
    value.chunks = read_shared_chunks(r, false);
    return;
  }
  value.version = r.uint("version", max_number - 1);
  value.modified_ms = r.integer("modified");
  value.attributes = read_attributes(r);
  if (items == inline_entry_items) {
    value.inline_value = read_inline_value(r);
    value.size = value.inline_value.size();
    return;
  }
  if (items != chunked_entry_items)
    r.refuse("entry", "an array of " + std::to_string(items) + " items");
  value.size = r.uint("size", max_number);
  item.chunk_total = r.uint("chunk count", max_number);
  if (item.chunk_total == 0)
    r.refuse("chunk count", "0, where a value lies in pads");
  value.chunks = read_shared_chunks(r, false);
  if (value.chunk_count() > item.chunk_total)
    r.refuse("chunks", "more than the entry's chunk count");
}

void read(cbor_reader& r, upload_item& item) {
  auto items = r.array("upload");
  auto& value = item.value;
  item.key = read_key(r, "key");
  if (items == continued_items) {
    item.first = read_continued(r);
  } else {
    if (items != upload_items)
      r.refuse("upload", "an array of " + std::to_string(items) + " items");
    value.id = r.uint("upload");
    value.size = r.optional_uint("size", max_number);
    value.chunk_size = read_chunk_size(r);
    value.started_ms = r.integer("started");
    value.base_version = r.uint("base version", max_number - 1);
    value.bytes_done = r.uint("bytes done", max_number);
    value.chunks_done = r.uint("chunk count", max_number);
  }
  if (auto chunks = read_shared_chunks(r, true)) {
    if (item.first == 0 && chunks->size() > value.chunks_done)
      r.refuse("chunks", "more than the upload's chunk count");
    value.pieces.push_back(std::move(chunks));
  }
}

const std::string& order_of(const entry_item& item) { return item.key; }
const std::string& order_of(const upload_item& item) { return item.key; }
const std::string& order_of(const std::string& key) { return key; }
std::uint64_t order_of(const pad_ref& pad) { return pad.number; }
std::uint64_t order_of(std::uint64_t number) { return number; }

void read(cbor_reader& r, std::string& key) { key = read_key(r, "removed key"); }
void read(cbor_reader& r, pad_ref& pad) { pad = read_pad(r, "free pad"); }
void read(cbor_reader& r, std::uint64_t& number) { number = r.uint("taken pad", max_number - 1); }

// More items for a list that ascends, strictly.
template <class T>
void read_items(cbor_reader& r, std::vector<T>& items, const char* field, std::size_t min_bytes) {
  auto count = r.array(field, min_bytes);
  if (items.empty())
    items.reserve(reserve_for(r, count));
  for (std::size_t i = 0; i < count && r.ok(); ++i) {
    read(r, items.emplace_back());
    if (items.size() > 1 && r.ok() && !(order_of(*(items.end() - 2)) < order_of(items.back())))
      r.refuse(field, "not in ascending order");
  }
}

// What a part's map has under its keys 1 to 6; and a block of one of them.
template <class Part, class Visit>
void with_list(Part& part, std::uint8_t list, Visit visit) {
  switch (list) {
    case 1: return visit(part.entries, "entries", min_item_bytes);
    case 2: return visit(part.removed_entries, "removed entries", min_key_bytes);
    case 3: return visit(part.uploads, "uploads", min_item_bytes);
    case 4: return visit(part.removed_uploads, "removed uploads", min_key_bytes);
    case 5: return visit(part.free_pads, "free pads", min_pad_bytes);
    case 6: return visit(part.taken_pads, "taken pads", std::size_t{1});
    default: break;
  }
}
constexpr std::uint8_t last_list = 6, first_list_of_pads = 5;

void write(cbor_writer& w, const std::string& key) { write_key(w, key); }
void write(cbor_writer& w, const pad_ref& pad) { write_pad(w, pad); }
void write(cbor_writer& w, std::uint64_t number) { w.uint(number); }

std::size_t bound_of(const entry_item& item) {
  return encoded_bytes_bound(item.key, item.value) + item.value.chunk_count() * chunk_bytes_bound;
}
std::size_t bound_of(const upload_item& item) {
  auto bound = encoded_bytes_bound(item.key, item.value);
  for (const auto& piece : item.value.pieces)
    bound += piece->size() * chunk_bytes_bound;
  return bound;
}
std::size_t bound_of(const std::string& key) { return key.size() + 9; }
std::size_t bound_of(const pad_ref&) { return pad_bytes_bound; }
std::size_t bound_of(std::uint64_t) { return pad_bytes_bound; }

template <class T>
void write_items(cbor_writer& w, std::span<const T> items) {
  w.array(items.size());
  for (const auto& item : items)
    write(w, item);
}

block_name name_of(std::uint8_t list, const std::string& first) { return {list, first, 0}; }
block_name name_of(std::uint8_t list, std::uint64_t first) { return {list, {}, first}; }

}  // namespace

std::size_t encoded_bytes_bound(std::string_view key, const entry& value) {
  constexpr std::size_t base = 80;
  return base + key.size() + bytes_bound(value.attributes) + value.inline_value.size();
}

std::size_t encoded_bytes_bound(std::string_view key, const upload&) {
  constexpr std::size_t base = 96;
  return base + key.size();
}

bytes encode(const snapshot_part& p) {
  auto bound = part_overhead_bytes;
  for (std::uint8_t list = 1; list <= last_list; ++list)
    with_list(p, list, [&bound](const auto& items, const char*, std::size_t) {
      for (const auto& item : items)
        bound += bound_of(item);
    });
  cbor_writer w(bound);
  w.map(part_fields);
  write_version(w);
  for (std::uint8_t list = 1; list <= last_list; ++list) {
    w.uint(list);
    with_list(p, list, [&w](const auto& items, const char*, std::size_t) { write_items(w, std::span(items)); });
  }
  return std::move(w).finish();
}

result<snapshot_part> decode_snapshot_part(byte_view plaintext) {
  cbor_reader r(plaintext, errc::index_corrupt, "a snapshot part");
  snapshot_part p;
  r.map_of(part_fields, "part");
  read_version(r);
  for (std::uint8_t list = 1; list <= last_list; ++list)
    with_list(p, list, [&r, list](auto& items, const char* field, std::size_t min_bytes) {
      r.key(list, field);
      read_items(r, items, field, min_bytes);
    });
  if (auto done = r.finish(); !done)
    return fail(std::move(done).error());
  return p;
}

// -- blocks --------------------------------------------------------------------------------------------------------------

std::vector<part_block> encode_blocks(const snapshot_part& p, std::size_t usual_bytes) {
  std::vector<part_block> out;
  for (std::uint8_t list = 1; list <= last_list; ++list)
    with_list(p, list, [&](const auto& items, const char*, std::size_t) {
      for (std::size_t first = 0, end = 0; first < items.size(); first = end) {
        auto bound = bound_of(items[end]);
        while (++end < items.size() && bound + bound_of(items[end]) <= usual_bytes)
          bound += bound_of(items[end]);
        cbor_writer w(bound + 9);
        write_items(w, std::span(items).subspan(first, end - first));
        out.push_back({name_of(list, order_of(items[first])), std::move(w).finish()});
      }
    });
  return out;
}

result<void> decode_block(const block_name& name, byte_view plaintext, snapshot_part& to) {
  cbor_reader r(plaintext, errc::index_corrupt, "a block of a snapshot part");
  if (name.list == 0 || name.list > last_list)
    r.refuse("list", "there is none of this number");
  with_list(to, name.list, [&](auto& items, const char* field, std::size_t min_bytes) {
    const auto first = items.size();
    read_items(r, items, field, min_bytes);
    if (r.ok() && (items.size() == first || name_of(name.list, order_of(items[first])) != name))
      r.refuse(field, "another block than the fence says");
  });
  return r.finish();
}

bytes encode(const part_fence& f) {
  cbor_writer w(64 + f.blocks.size() * 64);
  w.map(fence_fields);
  write_version(w);
  w.uint(1);
  w.array(f.blocks.size());
  for (const auto& block : f.blocks) {
    w.array(fence_items);
    w.uint(block.name.list);
    if (block.name.list < first_list_of_pads)
      write_key(w, block.name.key);
    else
      w.uint(block.name.number);
    w.uint(block.length);
    w.byte_string(block.hash);
  }
  return std::move(w).finish();
}

result<part_fence> decode_fence(byte_view plaintext) {
  cbor_reader r(plaintext, errc::index_corrupt, "the fence of a snapshot part");
  part_fence f;
  r.map_of(fence_fields, "fence");
  read_version(r);
  r.key(1, "blocks");
  const auto count = r.array("blocks", min_fence_item_bytes);
  f.blocks.reserve(reserve_for(r, count));
  for (std::size_t i = 0; i < count && r.ok(); ++i) {
    auto& block = f.blocks.emplace_back();
    r.array_of(fence_items, "block");
    const auto list = r.uint("block's list");
    if (list == 0)
      r.refuse("block's list", "0");
    if (list > last_list)
      r.refuse("block's list", "one that a newer program wrote, which is needed to read it", errc::unsupported);
    block.name.list = static_cast<std::uint8_t>(list);
    if (block.name.list < first_list_of_pads)
      block.name.key = read_key(r, "block's first key");
    else
      block.name.number = r.uint("block's first pad", max_number - 1);
    block.length = static_cast<std::uint32_t>(r.uint("block's length", max_plaintext_bytes));
    r.fixed(block.hash, "block's hash");
    if (i > 0 && r.ok() && !(f.blocks[i - 1].name < block.name))
      r.refuse("blocks", "not in ascending order");
  }
  if (auto done = r.finish(); !done)
    return fail(std::move(done).error());
  return f;
}

}  // namespace mutant
