// Snapshot parts.
#include <cassert>

#include "core/index/codec.hpp"
#include "core/index/codec_detail.hpp"

namespace mutant {

using namespace index_format;

namespace {

using entry_item = snapshot_part::entry_item;
using upload_item = snapshot_part::upload_item;

constexpr std::size_t part_fields = 7;

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

// A list whose items ascend, strictly.
template <class T>
void read_ascending(cbor_reader& r, std::vector<T>& items, std::uint64_t key, const char* field,
                    std::size_t min_bytes) {
  r.key(key, field);
  auto count = r.array(field, min_bytes);
  items.reserve(reserve_for(r, count));
  for (std::size_t i = 0; i < count && r.ok(); ++i) {
    read(r, items.emplace_back());
    if (i > 0 && r.ok() && !(order_of(items[i - 1]) < order_of(items[i])))
      r.refuse(field, "not in ascending order");
  }
}

template <class T>
void write_keys(cbor_writer& w, std::uint64_t field, const T& keys) {
  w.uint(field);
  w.array(keys.size());
  for (const auto& key : keys)
    write_key(w, key);
}

std::size_t bound_of(const snapshot_part& p) {
  auto bound = part_overhead_bytes + p.free_pads.size() * pad_bytes_bound + p.taken_pads.size() * pad_bytes_bound;
  for (const auto& item : p.entries)
    bound += encoded_bytes_bound(item.key, item.value) + item.value.chunk_count() * chunk_bytes_bound;
  for (const auto& item : p.uploads) {
    bound += encoded_bytes_bound(item.key, item.value);
    for (const auto& piece : item.value.pieces)
      bound += piece->size() * chunk_bytes_bound;
  }
  for (const auto* keys : {&p.removed_entries, &p.removed_uploads})
    for (const auto& key : *keys)
      bound += key.size() + 9;
  return bound;
}

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
  cbor_writer w(bound_of(p));
  w.map(part_fields);
  write_version(w);
  w.uint(1);
  w.array(p.entries.size());
  for (const auto& item : p.entries)
    write(w, item);
  write_keys(w, 2, p.removed_entries);
  w.uint(3);
  w.array(p.uploads.size());
  for (const auto& item : p.uploads)
    write(w, item);
  write_keys(w, 4, p.removed_uploads);
  w.uint(5);
  write_pads(w, p.free_pads);
  w.uint(6);
  w.array(p.taken_pads.size());
  for (auto number : p.taken_pads)
    w.uint(number);
  return std::move(w).finish();
}

result<snapshot_part> decode_snapshot_part(byte_view plaintext) {
  cbor_reader r(plaintext, errc::index_corrupt, "a snapshot part");
  snapshot_part p;
  r.map_of(part_fields, "part");
  read_version(r);
  read_ascending(r, p.entries, 1, "entries", min_item_bytes);
  read_ascending(r, p.removed_entries, 2, "removed entries", min_key_bytes);
  read_ascending(r, p.uploads, 3, "uploads", min_item_bytes);
  read_ascending(r, p.removed_uploads, 4, "removed uploads", min_key_bytes);
  read_ascending(r, p.free_pads, 5, "free pads", min_pad_bytes);
  read_ascending(r, p.taken_pads, 6, "taken pads", 1);
  if (auto done = r.finish(); !done)
    return fail(std::move(done).error());
  return p;
}

}  // namespace mutant
