// Every bound on size that the formats and the library promise, in one place. docs/format.md states them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mutant {

constexpr std::size_t record_header_bytes = 160;
constexpr std::size_t max_record_bytes = 4'194'304;
constexpr std::size_t max_payload_bytes = max_record_bytes - record_header_bytes;
// A private payload is a 24-byte nonce, the ciphertext and a 16-byte tag.
constexpr std::size_t private_overhead_bytes = 24 + 16;
constexpr std::size_t max_plaintext_bytes = max_payload_bytes - private_overhead_bytes;  // 4,194,104

constexpr std::size_t max_key_bytes = 4096;
// A chunk holds at most this much of a value; the largest that fits one pad.
constexpr std::uint32_t max_chunk_bytes = static_cast<std::uint32_t>(max_plaintext_bytes);
constexpr std::uint32_t min_chunk_bytes = 1;
// The largest multiple of a file system's block, so that chunks meet on block borders in source and target files.
constexpr std::uint32_t default_chunk_bytes = max_chunk_bytes / 4096 * 4096;  // 4,190,208
constexpr std::size_t default_inline_bytes = 1024;   // values up to this size live in the index
constexpr std::size_t max_inline_bytes = 65536;
constexpr std::size_t max_attribute_bytes = 8192;    // names and contents of one entry together

constexpr std::uint64_t default_ring_slots = 1024;
constexpr std::uint64_t min_ring_slots = 4;
constexpr std::uint64_t max_ring_slots = 1u << 16;      // a root lists their addresses

// Pad numbers and sequence numbers stay below this, so that sums of them never wrap.
constexpr std::uint64_t max_number = std::uint64_t{1} << 62;

}  // namespace mutant
