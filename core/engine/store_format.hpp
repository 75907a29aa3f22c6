// What the embedded store writes into its directory, in one place. docs/format.md, "Local store".
//
//   data.mdb, lock.mdb   one LMDB environment
//     main database      "store" -> store_meta; the names of the other databases
//     database "pads"    address (32 bytes) -> the whole record
// Integers lie in the machine's order, as LMDB's own do: a store does not move between machines of different byte order.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string_view>

namespace mutant::store_format {

constexpr std::string_view data_file = "data.mdb";
constexpr std::string_view lock_file = "lock.mdb";
constexpr std::string_view meta_key = "store";
constexpr const char* pads_database = "pads";

constexpr std::array<char, 16> magic = {'m', 'u', 't', 'a', 'n', 't', ' ', 'p', 'a', 'd', ' ', 's', 't', 'o', 'r', 'e'};
constexpr std::uint32_t version = 1;

// Totals are kept here because counting them would mean reading everything.
struct store_meta {
  std::array<char, 16> magic = store_format::magic;
  std::uint32_t version = store_format::version;
  std::uint32_t zero = 0;
  std::uint64_t pads = 0;
  std::uint64_t record_bytes = 0;
  std::array<std::uint64_t, 3> reserved{};
};
static_assert(sizeof(store_meta) == 64 && std::endian::native == std::endian::little);

}  // namespace mutant::store_format
