// Pages of an LMDB data file (LMDB 0.9, 64 bits, little-endian), taken apart without LMDB.
//
// LMDB believes what is in its file: a damaged page makes it read or write anywhere. Here nothing is believed. A page that
// passed `tree_page::check` has all its nodes inside, side by side without a gap, in order of their keys, and names only pages
// that can exist; everything else is told as a problem, in words for a message.
//
//   every page      number u64, pad u16, flags u16, lower u16 and upper u16 (of an overflow page: its count of pages u32)
//   branch, leaf    offsets of the nodes u16 each, from byte 16 to `lower`; nodes from `upper` to the end of the page
//   node            low and high half of the value's size u16 each, flags u16, key size u16, key, value; padded to 2 bytes.
//                   In a branch the first three are the child's number. flags 1: the value is the number of an overflow
//                   page, u64; 2: the value describes a named database.
//   meta (0 and 1)  magic u32, version u32, map address and size u64, the free list's database, the main one, last page u64,
//                   transaction u64. Transaction n writes page n mod 2.
//   database        pad u32 (of the free list's: page size), flags u16, depth u16, counts of branch, leaf and overflow pages
//                   u64, entries u64, root u64
//
// Pure functions over memory: any thread. A problem is a string literal.
#pragma once

#include <cstdint>
#include <optional>

#include "core/bytes.hpp"

namespace mutant::lmdb_pages {

constexpr std::size_t header_bytes = 16;
constexpr std::size_t meta_bytes = 152;  // with the page's header
constexpr std::size_t database_bytes = 48;
constexpr std::uint64_t no_page = ~std::uint64_t{0};
constexpr unsigned max_depth = 32;

struct database {
  unsigned depth = 0;  // 0: empty
  std::uint64_t tree_pages = 0;  // branches and leaves
  std::uint64_t root = no_page;
};

struct meta {
  std::uint32_t page_bytes = 0;
  std::uint64_t last_page = 0;
  std::uint64_t transaction = 0;
  database free_list;
  database main;
};

// nullptr: sound.
using problem = const char*;

// Page `number` is 0 or 1.
problem parse_meta(byte_view page, std::uint64_t number, meta& out) noexcept;
// The databases of a page that parse_meta took. Of the newer one only: where LMDB could not write a meta page it puts the old
// transaction and last page back and leaves the new roots, which nobody follows.
problem parse_roots(byte_view page, meta& out) noexcept;
// The value of a named database. last_page bounds its root.
problem parse_database(byte_view value, std::uint64_t last_page, database& out) noexcept;
// Whether the pages of one file were written by one after the other of its transactions.
problem check_pair(const meta& even, const meta& odd) noexcept;
// The first page of a value that does not fit into a leaf.
problem check_overflow(byte_view header, std::uint64_t number, std::size_t value_bytes, std::uint32_t page_bytes,
                       std::uint64_t last_page) noexcept;
std::uint64_t overflow_pages(std::size_t value_bytes, std::uint32_t page_bytes) noexcept;

enum class key_order { bytes, numbers };  // numbers: the free list's, 8 bytes each

// Less, equal, greater as a number below, at, above 0. Keys of the free list have 8 bytes.
int compare(key_order order, byte_view a, byte_view b) noexcept;

struct value {
  std::uint16_t flags = 0;
  byte_view inside;             // unless it lies in overflow pages
  std::uint64_t overflow = 0;   // the first of them
  std::size_t size = 0;
};
constexpr std::uint16_t in_overflow = 1;
constexpr std::uint16_t is_database = 2;

// A branch or leaf page that was checked. Refers to the page's memory.
class tree_page {
 public:
  static problem check(byte_view page, std::uint64_t number, bool leaf, key_order order, std::uint64_t last_page) noexcept;
  // All keys lie from `low` on and below `high`, where given.
  static problem check_range(byte_view page, bool leaf, key_order order, const std::optional<byte_view>& low,
                             const std::optional<byte_view>& high) noexcept;

  explicit tree_page(byte_view checked) noexcept : page_(checked) {}
  std::size_t count() const noexcept;
  byte_view key(std::size_t i) const noexcept;
  std::uint64_t child(std::size_t i) const noexcept;  // of a branch
  lmdb_pages::value value(std::size_t i) const noexcept;  // of a leaf
  // Of a branch: the child that has the key, if any has. Of a leaf: the first node that is not less.
  std::size_t child_of(key_order order, byte_view key) const noexcept;
  std::size_t lower_bound(key_order order, byte_view key) const noexcept;

 private:
  byte_view page_;
};

}  // namespace mutant::lmdb_pages
