// What the embedded store writes into its directory, in one place. docs/format.md, "Local store".
//
//   data.mdb, lock.mdb        one LMDB environment
//     main database           "store" -> store_meta; the names of the other databases
//     database "pads"         address (32 bytes) -> the whole record, or its header (160 bytes) and an extent
//     database "segments"     segment -> segment_info
//     database "free"         segment, first block -> number of blocks: the free space, neighbours merged
//     database "released"     segment, first block -> released_info: no longer in use, not yet free
//   segment-0000000001 …      payloads: block_bytes-aligned, padded with zeros; nothing in them says what they are
//
//   reserve                 nothing, but room on the disk: given up when a removal finds none
//
// Every block of a segment is free, released, or part of exactly one pad's extent; all change in the same LMDB transaction.
// What a transaction frees is released first, and becomes free in a later one, when it is wiped if it was to be. So blocks that
// a transaction freed are written to by the one after the next at the earliest, as with LMDB's own pages: its file may fall
// back by one transaction.
// Keys are big-endian, so that they sort; everything else lies in the machine's order, as LMDB's own numbers do: a store
// does not move between machines of different byte order.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "core/limits.hpp"

namespace mutant::store_format {

constexpr std::string_view data_file = "data.mdb";
constexpr std::string_view lock_file = "lock.mdb";
constexpr std::string_view segment_prefix = "segment-";
constexpr std::string_view meta_key = "store";
constexpr const char* pads_database = "pads";
constexpr const char* segments_database = "segments";
constexpr const char* free_database = "free";
constexpr const char* released_database = "released";
constexpr std::string_view reserve_file = "reserve";

constexpr std::array<char, 16> magic = {'m', 'u', 't', 'a', 'n', 't', ' ', 'p', 'a', 'd', ' ', 's', 't', 'o', 'r', 'e'};
constexpr std::uint32_t version_without_segments = 1;  // a store stays at 1 until its first segment
constexpr std::uint32_t version_with_segments = 2;

constexpr std::uint32_t block_bytes = 4096;
constexpr std::uint32_t max_segment_blocks = 1u << 18;  // 1 GiB
// Shorter payloads stay in LMDB whatever the options say: that keeps the two kinds of value apart by their size.
constexpr std::size_t min_segment_payload_bytes = block_bytes;

// Totals are kept here because counting them would mean reading everything.
struct store_meta {
  std::array<char, 16> magic = store_format::magic;
  std::uint32_t version = version_without_segments;
  std::uint32_t zero = 0;
  std::uint64_t pads = 0;
  std::uint64_t record_bytes = 0;
  std::uint32_t last_segment = 0;  // numbers count up and are never used again: readers may have the old file open
  std::uint32_t zero_too = 0;
  std::array<std::uint64_t, 2> reserved{};
};
static_assert(sizeof(store_meta) == 64 && std::endian::native == std::endian::little);

// Where a payload lies. Its length is in the record's header.
struct extent {
  std::uint32_t segment = 0;
  std::uint32_t block = 0;
  std::uint64_t stamp = 0;  // the transaction that wrote it: no two extents that ever existed are equal
  friend bool operator==(const extent&, const extent&) = default;
};
static_assert(sizeof(extent) == 16);
constexpr std::size_t extent_value_bytes = record_header_bytes + sizeof(extent);
static_assert(extent_value_bytes < record_header_bytes + min_segment_payload_bytes);

struct segment_info {
  std::uint32_t blocks = 0;       // allocated to the file
  std::uint32_t free_blocks = 0;
  std::uint64_t changes = 0;      // of its free space: tells whoever remembers it that it must look again
};
static_assert(sizeof(segment_info) == 16);

struct released_info {
  std::uint32_t blocks = 0;
  std::uint32_t flags = 0;
  std::uint64_t transaction = 0;  // the one that released them
};
static_assert(sizeof(released_info) == 16);
constexpr std::uint32_t to_be_wiped_flag = 1;  // what lies there is to go from the disk before the blocks are free

constexpr std::uint32_t blocks_of(std::size_t payload_bytes) noexcept {
  return static_cast<std::uint32_t>((payload_bytes + block_bytes - 1) / block_bytes);
}

inline std::string segment_file_name(std::uint32_t segment) {
  std::array<char, 32> name{};
  std::snprintf(name.data(), name.size(), "%s%010u", segment_prefix.data(), static_cast<unsigned>(segment));
  return name.data();
}

}  // namespace mutant::store_format
