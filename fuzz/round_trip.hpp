// What holds for every decoder of index data.
#pragma once

#include <cstdint>
#include <cstdlib>

#include "core/index/codec.hpp"

namespace mutant::fuzzing {

// What is accepted is written back as exactly the same bytes; what is not is index_corrupt, or of another format.
template <class Decode>
void check_round_trip(const std::uint8_t* data, std::size_t size, Decode decode) {
  const byte_view input(reinterpret_cast<const std::byte*>(data), size);
  const auto decoded = decode(input);
  const auto refused = !decoded && (decoded.error().code == errc::index_corrupt || decoded.error().code == errc::unsupported);
  if (decoded ? as_text(encode(*decoded)) != as_text(input) : !refused)
    std::abort();
}

}  // namespace mutant::fuzzing
