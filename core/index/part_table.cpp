#include "core/index/part_table.hpp"

namespace mutant {

namespace {

constexpr std::size_t box_bytes(std::size_t text_bytes) {
  return text_bytes + private_overhead_bytes;
}

tl::unexpected<error> corrupt(const std::string& what) {
  return fail(errc::index_corrupt, what);
}

// Box 0.
result<part_fence> open_fence(const reading_keys& keys, const part_ref& at, byte_view record) {
  const auto payload = payload_of(record);
  if (at.fence < private_overhead_bytes || at.fence > payload.size())
    return corrupt("it has " + std::to_string(payload.size()) + " bytes, and the root says that its fence alone has "
                   + std::to_string(at.fence));
  const auto box = payload.first(at.fence);
  if (hash_of(box) != at.hash)
    return corrupt("it is another one than the root names, under the same number and counter");
  buffer text(box.size() - private_overhead_bytes);
  if (!open_box(keys, record, 0, box, text.span()))
    return fail(errc::decrypt_failed, "its fence is not authentic");
  return decode_fence(text.span());
}

// A block that was fetched, whichever way.
result<void> open_block(const reading_keys& keys, byte_view front, std::uint32_t number, const part_fence::block& block,
                        byte_view box, snapshot_part& to) {
  const auto what = "its block " + std::to_string(number);
  if (hash_of(box) != block.hash)
    return corrupt(what + " is another one than its fence names, or damaged");
  buffer text(block.length);
  if (!open_box(keys, front, number, box, text.span()))
    return fail(errc::decrypt_failed, what + " is not authentic");
  return decode_block(block.name, text.span(), to);
}

}  // namespace

result<sealed_part> seal_part(const pad_keys& keys, std::uint64_t number, const snapshot_part& part) {
  const auto blocks = encode_blocks(part, usual_block_bytes);
  part_fence fence;
  std::vector<std::size_t> lengths(1);   // of the fence, which is as long whatever the hashes are; and of each block
  sealed_part out;
  std::size_t payload_bytes = 0;
  for (const auto& block : blocks) {
    fence.blocks.push_back({block.name, static_cast<std::uint32_t>(block.content.size()), {}});
    lengths.push_back(block.content.size());
    out.at.size += block.content.size();
    payload_bytes += box_bytes(block.content.size());
  }
  lengths.front() = encode(fence).size();
  payload_bytes += box_bytes(lengths.front());
  if (payload_bytes > max_payload_bytes)
    return fail(errc::too_large, "a snapshot part of " + std::to_string(payload_bytes) + " bytes does not fit one pad");
  private_boxes boxes(keys, 1, std::move(lengths));
  for (std::uint32_t n = 0; n < blocks.size(); ++n)
    fence.blocks[n].hash = hash_of(boxes.seal(n + 1, blocks[n].content));
  const auto box = boxes.seal(0, encode(fence));
  out.at.pad = {number, 1};
  out.at.hash = hash_of(box);
  out.at.address = keys.address;
  out.at.fence = static_cast<std::uint32_t>(box.size());
  out.record = std::move(boxes).finish();
  return out;
}

result<snapshot_part> open_part(const reading_keys& keys, const part_ref& at, byte_view record) {
  if (auto signed_by_owner = verify_head(record, keys.address); !signed_by_owner)
    return fail(signed_by_owner.error());
  if (auto good = expect_private(keys, at.pad.counter, record); !good)
    return fail(good.error());
  const auto fence = open_fence(keys, at, record);
  if (!fence)
    return fail(fence.error());
  std::size_t text_bytes = 0;
  for (const auto& block : fence->blocks)
    text_bytes += block.length;
  auto rest = payload_of(record).subspan(at.fence);
  if (text_bytes != at.size || rest.size() != text_bytes + fence->blocks.size() * private_overhead_bytes)
    return corrupt("its blocks have " + std::to_string(text_bytes) + " bytes where the root says " + std::to_string(at.size));
  snapshot_part part;
  for (std::uint32_t n = 0; n < fence->blocks.size(); ++n) {
    const auto& block = fence->blocks[n];
    if (auto opened = open_block(keys, record, n + 1, block, rest.first(box_bytes(block.length)), part); !opened)
      return fail(opened.error());
    rest = rest.subspan(box_bytes(block.length));
  }
  return part;
}

}  // namespace mutant
