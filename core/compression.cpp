#include "core/compression.hpp"

#include <zstd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <memory>

namespace mutant {

namespace {

// Below this, a pad's own 200 bytes leave nothing to win.
constexpr std::size_t min_chunk_bytes_to_compress = 512;
// A frame must save a sixteenth: otherwise decoding costs more than it gives.
constexpr std::size_t saved_share = 16;

// Samples are taken in pieces, spread evenly.
constexpr std::size_t sample_pieces = 4;
constexpr std::size_t large_chunk_bytes = 64 * 1024;   // from here on a sample is compressed; smaller ones are only counted
constexpr std::size_t large_piece_bytes = 4096;
constexpr std::size_t small_piece_bytes = 256;
constexpr int sample_level = 1;

struct free_context {
  void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
};

// A context costs more to make than a small chunk to compress. Null: no memory.
ZSTD_CCtx* compressor() {
  thread_local std::unique_ptr<ZSTD_CCtx, free_context> context(ZSTD_createCCtx());
  return context.get();
}

ZSTD_DCtx* decompressor() {
  thread_local std::unique_ptr<ZSTD_DCtx, free_context> context(ZSTD_createDCtx());
  return context.get();
}

byte_view piece_of(byte_view chunk, std::size_t number, std::size_t piece_bytes) {
  const auto stride = (chunk.size() - piece_bytes) / (sample_pieces - 1);
  return chunk.subspan(number * stride, piece_bytes);
}

// Whether the bytes are spread less evenly than random ones. With n bytes of which each value is as likely, the squares of
// their numbers sum up to n + n (n - 1) / 256 on average: 5116 for 1024 bytes, with a standard deviation of 90.
bool is_uneven(byte_view chunk) {
  const auto piece_bytes = std::min(small_piece_bytes, chunk.size() / sample_pieces);
  std::array<std::uint32_t, 256> counts{};
  for (std::size_t i = 0; i < sample_pieces; ++i)
    for (const auto byte : piece_of(chunk, i, piece_bytes))
      ++counts[std::to_integer<std::size_t>(byte)];
  std::uint64_t squares = 0;
  for (const auto count : counts)
    squares += std::uint64_t{count} * count;
  const std::uint64_t n = piece_bytes * sample_pieces;
  return squares > n + n * n / 160;
}

bool sample_shrinks(byte_view chunk) {
  constexpr auto sample_bytes = sample_pieces * large_piece_bytes;
  std::array<std::byte, sample_bytes> sample;
  std::array<std::byte, sample_bytes> frame;
  for (std::size_t i = 0; i < sample_pieces; ++i)
    copy_bytes(piece_of(chunk, i, large_piece_bytes), byte_span(sample).subspan(i * large_piece_bytes));
  return compress_chunk(sample_level, sample, byte_span(frame).first(frame_room(sample_bytes))).has_value();
}

tl::unexpected<error> refuse(std::string why) {
  return fail(errc::corrupt_record, "its zstd frame " + std::move(why));
}

}  // namespace

result<compression> parse_compression(std::string_view text) {
  if (text == "auto")
    return compression{};
  if (text == "off")
    return compression{compression::choice::off};
  compression how{compression::choice::always};
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), how.level);
  if (failed != std::errc() || end != text.data() + text.size() || !check_compression(how))
    return fail(errc::invalid_argument, "compression is 'auto', 'off' or a level from 1 to 19, not '"
                                            + std::string(text) + "'");
  return how;
}

result<void> check_compression(const compression& how) {
  if (how.level < min_compression_level || how.level > max_compression_level)
    return fail(errc::invalid_argument, "a level of compression is from 1 to 19");
  return {};
}

std::size_t frame_room(std::size_t chunk_bytes) noexcept {
  return chunk_bytes - chunk_bytes / saved_share;
}

bool is_worth_compressing(const compression& how, byte_view chunk) {
  if (how.how == compression::choice::off || chunk.size() < min_chunk_bytes_to_compress)
    return false;
  return how.how == compression::choice::always
         || (chunk.size() < large_chunk_bytes ? is_uneven(chunk) : sample_shrinks(chunk));
}

std::optional<std::size_t> compress_chunk(int level, byte_view chunk, byte_span out) {
  auto* context = compressor();
  if (context == nullptr)
    return std::nullopt;
  const auto size = ZSTD_compressCCtx(context, out.data(), out.size(), chunk.data(), chunk.size(), level);
  return ZSTD_isError(size) != 0 ? std::nullopt : std::optional(size);   // most likely: it is longer than `out`
}

result<void> decompress_chunk(byte_view frame, byte_span out) {
  const auto promised = ZSTD_getFrameContentSize(frame.data(), frame.size());
  if (promised == ZSTD_CONTENTSIZE_ERROR)
    return refuse("has no head");
  if (promised != out.size())
    return refuse(promised == ZSTD_CONTENTSIZE_UNKNOWN ? std::string("does not say how much it holds")
                                                       : "promises " + std::to_string(promised) + " bytes where the index says "
                                                             + std::to_string(out.size()));
  // One frame and nothing behind it: the decoder below would go on with a second.
  if (const auto length = ZSTD_findFrameCompressedSize(frame.data(), frame.size());
      ZSTD_isError(length) != 0 || length != frame.size())
    return refuse("does not fill its pad");
  auto* context = decompressor();
  if (context == nullptr)
    return fail(errc::too_large, "there is no memory to decompress a chunk");
  const auto size = ZSTD_decompressDCtx(context, out.data(), out.size(), frame.data(), frame.size());
  if (ZSTD_isError(size) != 0)
    return refuse(std::string("is damaged: ") + ZSTD_getErrorName(size));
  if (size != out.size())
    return refuse("holds " + std::to_string(size) + " bytes where the index says " + std::to_string(out.size()));
  return {};
}

}  // namespace mutant
