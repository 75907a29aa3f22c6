// CBOR form of everything the index stores: log commits, snapshot parts, the root. docs/format.md, "Index".
//
// Canonical and strict: one encoding per value. A decoder refuses another format (unsupported), and (index_corrupt, with
// offset and field) unknown or missing fields, wrong types, non-canonical integers, duplicate or unsorted keys, indefinite
// lengths, tags, trailing bytes, lengths beyond the input, and numbers over the limits of core/limits.hpp. No recursion;
// memory stays within a small multiple of the input. Pure functions.
//
// The encoders take what index_batch and index_state let through. What lies outside the model is not refused here: a
// put's version and a kept chunk's pad number are not written.
#pragma once

#include "core/bytes.hpp"
#include "core/error.hpp"
#include "core/index/model.hpp"

namespace mutant {

// Plaintext bytes for a pad. A commit's may exceed max_plaintext_bytes: whoever builds the batch bounds it with
// encoded_bytes_bound.
bytes encode(const commit& c);
bytes encode(const snapshot_part& p);
bytes encode(const root& r);

result<commit> decode_commit(byte_view plaintext);
result<snapshot_part> decode_snapshot_part(byte_view plaintext);
result<root> decode_root(byte_view plaintext);

// A part as it lies in a pad: blocks of its items, each of one list (docs/format.md, "Snapshot part").
struct block_name {
  std::uint8_t list = 0;      // the field of the part that the items are of: 1 … 6
  std::string key;            // of the first item; or, of free and taken pads,
  std::uint64_t number = 0;   // its number
  friend auto operator<=>(const block_name&, const block_name&) = default;
};
struct part_block {
  block_name name;
  bytes content;
};
// In the order of their names. A block has usual_bytes at most, or one item.
std::vector<part_block> encode_blocks(const snapshot_part& p, std::size_t usual_bytes);
// Appends the block's items; they must be behind those that are there, and begin with the one named.
result<void> decode_block(const block_name& name, byte_view plaintext, snapshot_part& to);

// What tells the blocks of a part apart, and proves them.
struct part_fence {
  struct block {
    block_name name;
    std::uint32_t length = 0;  // of its plaintext
    content_hash hash{};       // SHA-256 of its box
    friend bool operator==(const block&, const block&) = default;
  };
  std::vector<block> blocks;   // ascending names
};
bytes encode(const part_fence& f);
result<part_fence> decode_fence(byte_view plaintext);

// Upper bounds of an item's share in an encoding, in bytes; cheap, for filling batches and parts.
std::size_t encoded_bytes_bound(const operation& op);
std::size_t encoded_bytes_bound(std::string_view key, const entry& value);   // without chunks: see chunk_bytes_bound
std::size_t encoded_bytes_bound(std::string_view key, const upload& value);  // without chunks
constexpr std::size_t chunk_bytes_bound = 80;
constexpr std::size_t pad_bytes_bound = 20;
constexpr std::size_t commit_overhead_bytes = 96;
constexpr std::size_t part_overhead_bytes = 64;

}  // namespace mutant
