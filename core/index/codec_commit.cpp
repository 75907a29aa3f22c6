// Log commits.
#include <cassert>

#include "core/index/codec.hpp"
#include "core/index/codec_detail.hpp"

namespace mutant {

using namespace index_format;

namespace {

constexpr std::size_t commit_fields = 5;
constexpr std::size_t min_operation_bytes = 3;  // [8, []]

// First item of an operation's array. Never renumber.
enum class op_kind : std::uint8_t {
  put = 1,
  remove = 2,
  rename = 3,
  begin_upload = 4,
  extend_upload = 5,
  complete_upload = 6,
  drop_upload = 7,
  free_pads = 8,
  adopt_upload = 9,
  assemble = 10,
};

// Items of an operation's array, its kind included.
constexpr std::size_t inline_put_items = 5, chunked_put_items = 6, remove_items = 2, rename_items = 3, begin_items = 7,
                      extend_items = 5, complete_items = 7, drop_items = 3, free_items = 2, adopt_items = 5,
                      assemble_items = 5;

void head(cbor_writer& w, op_kind kind, std::size_t items) {
  w.array(items);
  w.uint(static_cast<std::uint64_t>(kind));
}

void write(cbor_writer& w, const put_op& op) {
  const auto chunked = op.value.chunk_count() != 0;
  head(w, op_kind::put, chunked ? chunked_put_items : inline_put_items);
  write_key(w, op.key);
  w.integer(op.value.modified_ms);
  write_attributes(w, op.value.attributes);
  if (!chunked) {
    assert(op.value.size == op.value.inline_value.size());
    w.byte_string(op.value.inline_value);
    return;
  }
  assert(op.value.inline_value.empty());
  w.uint(op.value.size);
  write_chunks(w, *op.value.chunks);
}

void write(cbor_writer& w, const remove_op& op) {
  head(w, op_kind::remove, remove_items);
  write_key(w, op.key);
}

void write(cbor_writer& w, const rename_op& op) {
  head(w, op_kind::rename, rename_items);
  write_key(w, op.from);
  write_key(w, op.to);
}

void write(cbor_writer& w, const begin_upload_op& op) {
  head(w, op_kind::begin_upload, begin_items);
  write_key(w, op.key);
  w.uint(op.id);
  w.optional_uint(op.size);
  w.uint(op.chunk_size);
  w.integer(op.started_ms);
  w.uint(op.base_version);
}

void write(cbor_writer& w, const extend_upload_op& op) {
  head(w, op_kind::extend_upload, extend_items);
  write_key(w, op.key);
  w.uint(op.id);
  w.uint(op.first);
  write_chunks(w, op.chunks);
}

void write(cbor_writer& w, const complete_upload_op& op) {
  head(w, op_kind::complete_upload, complete_items);
  write_key(w, op.key);
  w.uint(op.id);
  w.uint(op.size);
  w.integer(op.modified_ms);
  write_attributes(w, op.attributes);
  write_chunks(w, op.tail);
}

void write(cbor_writer& w, const drop_upload_op& op) {
  head(w, op_kind::drop_upload, drop_items);
  write_key(w, op.key);
  w.uint(op.id);
}

void write(cbor_writer& w, const free_pads_op& op) {
  head(w, op_kind::free_pads, free_items);
  write_pads(w, op.pads);
}

void write(cbor_writer& w, const adopt_upload_op& op) {
  head(w, op_kind::adopt_upload, adopt_items);
  write_key(w, op.key);
  w.uint(op.id);
  w.uint(op.new_id);
  w.uint(op.keep);
}

void write(cbor_writer& w, const assemble_op& op) {
  head(w, op_kind::assemble, assemble_items);
  write_key(w, op.key);
  w.integer(op.modified_ms);
  write_attributes(w, op.attributes);
  w.array(op.parts.size());
  for (const auto& part : op.parts)
    write_key(w, part);
}

// Readers of what follows the kind. `items` is what the array's head says, kind included.

void expect_items(cbor_reader& r, std::size_t items, std::size_t expected) {
  if (items != expected)
    r.refuse("operation", "expected " + std::to_string(expected) + " items, found " + std::to_string(items));
}

put_op read_put(cbor_reader& r, std::size_t items) {
  put_op op;
  op.key = read_key(r, "key");
  op.value.modified_ms = r.integer("modified");
  op.value.attributes = read_attributes(r);
  if (items == inline_put_items) {
    op.value.inline_value = read_inline_value(r);
    op.value.size = op.value.inline_value.size();
    return op;
  }
  expect_items(r, items, chunked_put_items);
  op.value.size = r.uint("size", max_number);
  op.value.chunks = read_shared_chunks(r, false);
  if (op.value.chunk_count() == 0)
    r.refuse("chunks", "none, where a value lies in pads");
  return op;
}

remove_op read_remove(cbor_reader& r, std::size_t items) {
  expect_items(r, items, remove_items);
  return {read_key(r, "key")};
}

rename_op read_rename(cbor_reader& r, std::size_t items) {
  expect_items(r, items, rename_items);
  rename_op op;
  op.from = read_key(r, "key");
  op.to = read_key(r, "new key");
  return op;
}

begin_upload_op read_begin(cbor_reader& r, std::size_t items) {
  expect_items(r, items, begin_items);
  begin_upload_op op;
  op.key = read_key(r, "key");
  op.id = r.uint("upload");
  op.size = r.optional_uint("size", max_number);
  op.chunk_size = read_chunk_size(r);
  op.started_ms = r.integer("started");
  op.base_version = r.uint("base version", max_number - 1);
  return op;
}

extend_upload_op read_extend(cbor_reader& r, std::size_t items) {
  expect_items(r, items, extend_items);
  extend_upload_op op;
  op.key = read_key(r, "key");
  op.id = r.uint("upload");
  op.first = r.uint("first chunk", max_number);
  op.chunks = read_chunks(r, true);
  return op;
}

complete_upload_op read_complete(cbor_reader& r, std::size_t items) {
  expect_items(r, items, complete_items);
  complete_upload_op op;
  op.key = read_key(r, "key");
  op.id = r.uint("upload");
  op.size = r.uint("size", max_number);
  op.modified_ms = r.integer("modified");
  op.attributes = read_attributes(r);
  op.tail = read_chunks(r, true);
  return op;
}

drop_upload_op read_drop(cbor_reader& r, std::size_t items) {
  expect_items(r, items, drop_items);
  drop_upload_op op;
  op.key = read_key(r, "key");
  op.id = r.uint("upload");
  return op;
}

free_pads_op read_free(cbor_reader& r, std::size_t items) {
  expect_items(r, items, free_items);
  free_pads_op op;
  auto count = r.array("free pads", min_pad_bytes);
  op.pads.reserve(reserve_for(r, count));
  for (std::size_t i = 0; i < count && r.ok(); ++i)
    op.pads.push_back(read_pad(r, "free pad"));
  return op;
}

adopt_upload_op read_adopt(cbor_reader& r, std::size_t items) {
  expect_items(r, items, adopt_items);
  adopt_upload_op op;
  op.key = read_key(r, "key");
  op.id = r.uint("upload");
  op.new_id = r.uint("new upload");
  op.keep = r.uint("chunks to keep", max_number);
  return op;
}

assemble_op read_assemble(cbor_reader& r, std::size_t items) {
  expect_items(r, items, assemble_items);
  assemble_op op;
  op.key = read_key(r, "key");
  op.modified_ms = r.integer("modified");
  op.attributes = read_attributes(r);
  const auto count = r.array("parts", min_key_bytes);
  op.parts.reserve(reserve_for(r, count));
  for (std::size_t i = 0; i < count && r.ok(); ++i)
    op.parts.push_back(read_key(r, "part"));
  return op;
}

operation read_operation(cbor_reader& r) {
  auto items = r.array("operation");
  auto kind = r.uint("operation kind");
  switch (static_cast<op_kind>(std::min<std::uint64_t>(kind, 0xff))) {
    case op_kind::put: return read_put(r, items);
    case op_kind::remove: return read_remove(r, items);
    case op_kind::rename: return read_rename(r, items);
    case op_kind::begin_upload: return read_begin(r, items);
    case op_kind::extend_upload: return read_extend(r, items);
    case op_kind::complete_upload: return read_complete(r, items);
    case op_kind::drop_upload: return read_drop(r, items);
    case op_kind::free_pads: return read_free(r, items);
    case op_kind::adopt_upload: return read_adopt(r, items);
    case op_kind::assemble: return read_assemble(r, items);
  }
  r.refuse("operation kind", std::to_string(kind) + " is not known");
  return remove_op();
}

// Shares of an operation: head, kind and numbers at their longest, without keys, values, chunks and pads.
constexpr std::size_t operation_base_bytes = 80;
constexpr std::size_t key_head_bytes = 3;

struct operation_bound {
  static std::size_t chunks(std::size_t count) { return count * chunk_bytes_bound; }

  std::size_t operator()(const put_op& op) const {
    return op.key.size() + bytes_bound(op.value.attributes) + op.value.inline_value.size() + chunks(op.value.chunk_count());
  }
  std::size_t operator()(const remove_op& op) const { return op.key.size(); }
  std::size_t operator()(const rename_op& op) const { return op.from.size() + op.to.size(); }
  std::size_t operator()(const begin_upload_op& op) const { return op.key.size(); }
  std::size_t operator()(const extend_upload_op& op) const { return op.key.size() + chunks(op.chunks.size()); }
  std::size_t operator()(const complete_upload_op& op) const {
    return op.key.size() + bytes_bound(op.attributes) + chunks(op.tail.size());
  }
  std::size_t operator()(const assemble_op& op) const {
    auto bound = op.key.size() + bytes_bound(op.attributes);
    for (const auto& part : op.parts)
      bound += key_head_bytes + part.size();
    return bound;
  }
  std::size_t operator()(const drop_upload_op& op) const { return op.key.size(); }
  std::size_t operator()(const adopt_upload_op& op) const { return op.key.size(); }
  std::size_t operator()(const free_pads_op& op) const { return op.pads.size() * pad_bytes_bound; }
};

}  // namespace

std::size_t encoded_bytes_bound(const operation& op) {
  return operation_base_bytes + std::visit(operation_bound(), op);
}

bytes encode(const commit& c) {
  auto bound = commit_overhead_bytes;
  for (const auto& op : c.operations)
    bound += encoded_bytes_bound(op);
  cbor_writer w(bound);
  w.map(commit_fields);
  write_version(w);
  w.uint(1);
  w.uint(c.sequence);
  w.uint(2);
  w.byte_string(c.writer);
  w.uint(3);
  w.array(c.operations.size());
  for (const auto& op : c.operations)
    std::visit([&](const auto& o) { write(w, o); }, op);
  w.uint(4);
  w.byte_string(c.previous);
  return std::move(w).finish();
}

result<commit> decode_commit(byte_view plaintext) {
  cbor_reader r(plaintext, errc::index_corrupt, "a log commit");
  commit c;
  r.map_of(commit_fields, "commit");
  read_version(r);
  r.key(1, "sequence");
  c.sequence = r.uint("sequence", max_number - 1);
  if (c.sequence == 0)
    r.refuse("sequence", "0; commits start at 1");
  r.key(2, "writer");
  r.fixed(c.writer, "writer");
  r.key(3, "operations");
  auto count = r.array("operations", min_operation_bytes);
  c.operations.reserve(reserve_for(r, count));
  for (std::size_t i = 0; i < count && r.ok(); ++i)
    c.operations.push_back(read_operation(r));
  r.key(4, "previous");
  r.fixed(c.previous, "previous");
  if (auto done = r.finish(); !done)
    return fail(std::move(done).error());
  return c;
}

}  // namespace mutant
