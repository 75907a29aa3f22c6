// Compressed chunks: the first four bytes say how long the chunk is to be, the rest is its frame. Whatever the frame is, no
// more is written than there is room for, and what is accepted has just that length.
#include <cstdlib>
#include <cstring>
#include <vector>

#include "core/compression.hpp"
#include "core/limits.hpp"

using namespace mutant;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::uint32_t length = 0;
  if (size < sizeof length)
    return 0;
  std::memcpy(&length, data, sizeof length);
  std::vector<std::byte> chunk(length % (max_chunk_bytes + 1));   // AddressSanitizer watches its end
  const byte_view frame(reinterpret_cast<const std::byte*>(data + sizeof length), size - sizeof length);
  const auto decoded = decompress_chunk(frame, chunk);
  if (!decoded && decoded.error().code != errc::corrupt_record)
    std::abort();
  return 0;
}
