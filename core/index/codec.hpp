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

// Upper bounds of an item's share in an encoding, in bytes; cheap, for filling batches and parts.
std::size_t encoded_bytes_bound(const operation& op);
std::size_t encoded_bytes_bound(std::string_view key, const entry& value);   // without chunks: see chunk_bytes_bound
std::size_t encoded_bytes_bound(std::string_view key, const upload& value);  // without chunks
constexpr std::size_t chunk_bytes_bound = 80;
constexpr std::size_t pad_bytes_bound = 20;
constexpr std::size_t commit_overhead_bytes = 96;
constexpr std::size_t part_overhead_bytes = 64;

}  // namespace mutant
