// How sizes, times and keys are written for people, and numbers are read from them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "actors/messages.hpp"
#include "core/error.hpp"
#include "core/printable.hpp"

namespace mutant::cli {

// Printable, in quotes and cut to a bearable length, for messages.
std::string in_quotes(std::string_view key);

std::string human_bytes(std::uint64_t count);       // "12 B", "3.4 MiB"
std::string exact_bytes(std::uint64_t count);       // "3.4 MiB (3,565,158 bytes)"
std::string counted(std::uint64_t count, std::string_view thing);  // "1 chunk", "2 chunks"
std::string local_time(std::int64_t ms);            // "2026-01-31 15:04"
std::string utc_time(std::int64_t ms);              // "2026-01-31T15:04:05.678Z"

// "3 put, 5 get; 12 KiB sent, 3.4 MiB received, 1 made again": what a store was asked.
std::string traffic_text(const store_traffic& traffic);

// Decimal digits and nothing else, below 2^63. `what` begins the message: "--threads".
result<std::uint64_t> parse_number(std::string_view text, std::string_view what);

// "A-B", both ends included, or "A-": to the end.
struct byte_range {
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> length;
};
result<byte_range> parse_range(std::string_view text);

// A place in a store's history, "SEQUENCE:HASH": the commit, and the first 8 bytes of its payload hash in hex (up to all 32
// where one is read).
std::string position_text(std::uint64_t sequence, const content_hash& hash);
result<position> parse_position(std::string_view text, std::string_view what);

// A key that the store takes: 1 to 4096 bytes.
result<void> check_key(std::string_view key);

}  // namespace mutant::cli
