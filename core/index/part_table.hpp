// A snapshot part in its pad: a fence, then blocks of sorted items, each sealed by itself and bound to its place. The root
// names the hash of the fence, and the fence those of the blocks: one block can be fetched, opened and trusted without the
// rest. Here they are read whole. docs/format.md, "Snapshot part". Pure functions.
#pragma once

#include "core/index/codec.hpp"
#include "core/record.hpp"

namespace mutant {

// Of a block's plaintext, unless one item takes more.
constexpr std::size_t usual_block_bytes = 16u << 10;
// What a part may hold, by the bounds of core/index/codec.hpp: a record has room for it however long its keys are. Two
// neighbours among the blocks of a list have more than usual_block_bytes; each costs a key and little more beside its items.
constexpr std::size_t max_part_content_bytes = 2'700'000;
static_assert(max_part_content_bytes + (2 * max_part_content_bytes / usual_block_bytes + 6) * (4096 + 128) < max_payload_bytes);

struct sealed_part {
  bytes record;
  part_ref at;   // but for `sequence` and `base`, which are the caller's to say
};

// Under counter 1. too_large: it was filled beyond max_part_content_bytes, and does not fit one pad.
result<sealed_part> seal_part(const pad_keys& keys, std::uint64_t number, const snapshot_part& part);

// All of it: the signature, the fence's hash, those of the blocks. Errors: those of verify_head and expect_private;
// decrypt_failed; index_corrupt: well signed, and another part than the root names, or not well-formed.
result<snapshot_part> open_part(const reading_keys& keys, const part_ref& at, byte_view record);

}  // namespace mutant
