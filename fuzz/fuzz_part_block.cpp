// Blocks of snapshot parts: the first byte says of which list. What is accepted, under the name that it must have, is written
// back as exactly the same bytes.
#include "fuzz/round_trip.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace mutant;
  if (size == 0)
    return 0;
  const byte_view block(reinterpret_cast<const std::byte*>(data) + 1, size - 1);
  // The name of its first item: of a part's map that has this one list, as far as that can be read.
  static constexpr std::uint8_t fields = 6;
  std::vector<std::byte> map{std::byte{0xa7}, std::byte{0}, std::byte{2}};
  for (std::uint8_t list = 1; list <= fields; ++list) {
    map.push_back(std::byte{list});
    if (list == data[0])
      map.insert(map.end(), block.begin(), block.end());
    else
      map.push_back(std::byte{0x80});
  }
  const auto whole = decode_snapshot_part(map);
  const auto blocks = whole ? encode_blocks(*whole, ~std::size_t{0} >> 1) : std::vector<part_block>();
  if (blocks.size() > 1)
    return 0;   // it went on into other lists
  const auto name = blocks.empty() ? block_name{data[0], "x", 1} : blocks.front().name;
  snapshot_part alone;
  const auto decoded = decode_block(name, block, alone);
  if (!decoded && decoded.error().code != errc::index_corrupt)
    std::abort();
  const auto same = [&] { return as_text(blocks.front().content) == as_text(block) && as_text(encode(alone)) == as_text(map); };
  if (decoded && (blocks.empty() || !same()))
    std::abort();
  return 0;
}
