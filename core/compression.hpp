// Chunks as zstd frames (RFC 8878). The only place that includes zstd. docs/format.md, "Chunks".
//
// A frame holds one chunk and says its length. Whoever decodes knows that length beforehand: a frame that promises or holds
// anything else is refused, and memory is what the caller gives, plus a bounded context per thread. Thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/bytes.hpp"
#include "core/error.hpp"

namespace mutant {

// What a store does with the chunks that it writes.
struct compression {
  enum class choice : std::uint8_t {
    automatic,  // looks at a sample of each chunk, and compresses where that pays
    off,
    always,     // at `level`; a chunk that does not become shorter is left as it is
  };
  choice how = choice::automatic;
  int level = 1;   // zstd's, 1 … 19

  friend bool operator==(const compression&, const compression&) = default;
};

constexpr int min_compression_level = 1;
constexpr int max_compression_level = 19;   // those above take a window that readers might not have

// "auto", "off" or a level. invalid_argument
result<compression> parse_compression(std::string_view text);

// invalid_argument: a level that is out of range.
result<void> check_compression(const compression& how);

// Whether compressing this chunk is worth trying. Costs 1 % of sealing the chunk at most.
bool is_worth_compressing(const compression& how, byte_view chunk);
// A frame of the chunk at the front of `out`, and its size; nothing where that does not pay. `out` is frame_room(chunk.size())
// long.
std::optional<std::size_t> compress_chunk(int level, byte_view chunk, byte_span out);
// The largest frame of a chunk of this size that pays.
std::size_t frame_room(std::size_t chunk_bytes) noexcept;

// Decodes a frame that must hold exactly out.size() bytes. corrupt_record says what is wrong; `out` is unspecified then.
result<void> decompress_chunk(byte_view frame, byte_span out);

}  // namespace mutant
