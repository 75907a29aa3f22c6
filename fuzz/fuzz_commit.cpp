// Log commits: whatever is accepted is written back as exactly the same bytes.
#include <cstdlib>

#include "core/index/codec.hpp"

using namespace mutant;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  byte_view input(reinterpret_cast<const std::byte*>(data), size);
  auto decoded = decode_commit(input);
  if (decoded ? as_text(encode(*decoded)) != as_text(input) : decoded.error().code != errc::index_corrupt)
    std::abort();
  return 0;
}
