// Identity files: a clear one that is accepted is written back as exactly the same text. Those under a passphrase are
// only parsed: each attempt to open one costs what Argon2id costs.
#include <cstdlib>

#include "core/identity.hpp"

using namespace mutant;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const bool ready = init_crypto().has_value();
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto inspected = inspect_identity(text);
  const auto refused_well = [](errc code) { return code == errc::corrupt_record || code == errc::unsupported; };
  if (!ready || (!inspected && !refused_well(inspected.error().code)))
    std::abort();
  if (!inspected || inspected->needs_passphrase)
    return 0;
  auto keys = decode_identity(text, "");
  if (!keys || std::holds_alternative<reader_key>(*keys) != inspected->is_reader
      || encode_identity(*keys, "", {}) != std::string(text))
    std::abort();
  return 0;
}
