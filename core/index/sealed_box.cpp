#include "core/index/sealed_box.hpp"

#include <cstring>

#include "core/limits.hpp"

namespace mutant {

bytes seal_box(const aead_key& key, byte_view associated, byte_view plaintext) {
  auto box = buffer::for_record(record_header_bytes + plaintext.size() + box_overhead_bytes);
  box.shrink(plaintext.size() + box_overhead_bytes);
  std::array<std::byte, nonce_bytes> nonce;
  random_fill(nonce);
  std::memcpy(box.data(), nonce.data(), nonce.size());
  auto text = box.span().subspan(nonce_bytes, plaintext.size());
  std::memcpy(text.data(), plaintext.data(), plaintext.size());
  encrypt_in_place(key, nonce, associated, text, box.span().last<tag_bytes>());
  return std::move(box).freeze();
}

std::optional<bytes> open_box(const aead_key& key, byte_view associated, byte_view box) {
  if (box.size() < box_overhead_bytes)
    return std::nullopt;
  buffer plain(box.size() - box_overhead_bytes);
  if (!decrypt(key, box.first<nonce_bytes>(), associated, box.subspan(nonce_bytes, plain.size()), box.last<tag_bytes>(),
               plain.span()))
    return std::nullopt;
  return std::move(plain).freeze();
}

}  // namespace mutant
