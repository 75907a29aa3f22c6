// What the files in a home are made of: a nonce, the ciphertext, a tag. The associated data binds a box to its place.
#pragma once

#include <optional>

#include "core/bytes.hpp"
#include "core/crypto.hpp"

namespace mutant {

constexpr std::size_t box_overhead_bytes = nonce_bytes + tag_bytes;

bytes seal_box(const aead_key& key, byte_view associated, byte_view plaintext);
// Nothing: not authentic under this key in this place.
std::optional<bytes> open_box(const aead_key& key, byte_view associated, byte_view box);

}  // namespace mutant
