// Store URLs: never a crash, and what is accepted goes round.
#include <cstdlib>

#include "core/store_url.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto url = mutant::parse_store_url({reinterpret_cast<const char*>(data), size});
  if (!url)
    return 0;
  auto again = mutant::parse_store_url(mutant::to_string(*url));
  if (!again || *again != *url)
    std::abort();
  return 0;
}
