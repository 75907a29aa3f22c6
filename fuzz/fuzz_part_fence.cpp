// Fences of snapshot parts: whatever is accepted is written back as exactly the same bytes.
#include "fuzz/round_trip.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  mutant::fuzzing::check_round_trip(data, size, mutant::decode_fence);
  return 0;
}
