// Records from strangers: whatever parses has the layout that it says, and nothing random is authentic.
#include <cstdlib>
#include <cstring>

#include "core/record.hpp"

using namespace mutant;

namespace {

void check(bool holds) {
  if (!holds)
    std::abort();
}

const pad_keys& owner() {
  static const pad_keys keys = [] {
    check(init_crypto().has_value());
    seed s;
    for (std::size_t i = 0; i < s.value.size(); ++i)
      s.value[i] = static_cast<std::byte>(i);
    return keyring(s).data(7);
  }();
  return keys;
}

// The header's bytes again, from what was read.
void check_canonical(const record_header& h, byte_view record) {
  std::array<std::byte, record_header_bytes> again{};
  auto put = [&](std::size_t at, const auto& value) { std::memcpy(again.data() + at, &value, sizeof value); };
  std::memcpy(again.data(), "MPAD", 4);
  put(4, record_version);
  put(5, static_cast<std::uint8_t>(h.blank ? blank_flag : 0));
  put(8, h.counter);
  put(16, static_cast<std::uint64_t>(h.kind));
  put(24, h.payload_bytes);
  put(32, h.address);
  put(64, h.hash);
  put(96, h.sign);
  check(std::memcmp(again.data(), record.data(), again.size()) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto& keys = owner();
  byte_view record(reinterpret_cast<const std::byte*>(data), size);
  auto header = parse_header(record);
  if (header)
    check_canonical(*header, record);
  auto whole = parse_record(record);
  check(!whole || (header && size == record_header_bytes + whole->payload_bytes && size <= max_record_bytes));
  auto verified = verify_record(record);
  check(!verified || whole);
  auto counter = header ? header->counter : 1;
  auto opened = open_private(keys, counter, record);
  check(!opened || (whole && whole->address == keys.address && opened->size() == plaintext_bytes_of(record)));
  return 0;
}
