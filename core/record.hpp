// The scratchpad record: a signed, versioned, encrypted unit of storage. docs/format.md, "Record".
//
// One contiguous little-endian buffer of at most 4,194,304 bytes, parsed in place:
//   0 magic "MPAD" | 4 version | 5 flags | 6 zero u16 | 8 counter u64 | 16 encoding u64 | 24 payload length u32 | 28 zero u32
//   32 address | 64 SHA-256 of the payload | 96 Ed25519 signature over "mutant/pad/2" and bytes 0-95 | 160 payload
// Functions are pure and thread-safe.
#pragma once

#include <vector>

#include "core/bytes.hpp"
#include "core/crypto.hpp"
#include "core/error.hpp"
#include "core/limits.hpp"

namespace mutant {

enum class encoding : std::uint64_t { private_data = 0, public_index = 1, public_data = 2 };

constexpr std::uint8_t record_version = 2;
constexpr std::uint8_t blank_flag = 1;  // the payload is gone; its length is 0

struct record_header {
  std::uint64_t counter = 0;
  encoding kind = encoding::private_data;
  bool blank = false;
  std::uint32_t payload_bytes = 0;
  pad_address address{};
  content_hash hash{};
  signature sign{};
};

// Reads the first 160 bytes. corrupt_record: magic, version, flags, reserved bytes, kind, counter 0, length over the limit,
// blank with a payload, or fewer than 160 bytes; unsupported: a record of format 1. Checks neither hash nor signature.
result<record_header> parse_header(byte_view header);

// parse_header, and the payload must be exactly as long as the header says.
result<record_header> parse_record(byte_view record);

inline byte_view payload_of(byte_view record) noexcept { return record.subspan(record_header_bytes); }

// Whole check of a record from someone not trusted: structure (corrupt_record), hash (corrupt_record), signature
// (bad_signature).
result<record_header> verify_record(byte_view record);

// A header alone, from someone not trusted: structure and whether it is of this pad (corrupt_record), signature
// (bad_signature). The hash is then the owner's word about a payload that was not looked at.
result<record_header> verify_head(byte_view header, const pad_address& address);

// A record under construction: fill plaintext(), then seal() encrypts in place, hashes and signs. One buffer, no copy.
class private_record {
 public:
  explicit private_record(std::size_t plaintext_bytes);  // at most max_plaintext_bytes

  byte_span plaintext() noexcept;
  // Makes it shorter before sealing.
  void shrink(std::size_t plaintext_bytes) noexcept;
  // Ends the construction. counter >= 1.
  bytes seal(const pad_keys& keys, std::uint64_t counter) &&;

 private:
  buffer buffer_;
};

// Several texts in one private record, each sealed by itself: the payload is box behind box, and each opens without the rest.
// A box is nonce ‖ ciphertext ‖ tag; the associated data of box n is bytes 0-63 of the record ‖ n as u32.
class private_boxes {
 public:
  // How long each text is; with private_overhead_bytes for each at most max_payload_bytes. counter >= 1.
  private_boxes(const pad_keys& keys, std::uint64_t counter, std::vector<std::size_t> text_bytes);

  // Once for each box, in any order; the text is as long as was said. What is left is the box.
  byte_view seal(std::uint32_t number, byte_view text);
  bytes finish() &&;

 private:
  const pad_keys& keys_;
  std::vector<std::size_t> text_bytes_;
  buffer buffer_;
};
// `front`: the record's header. False: not authentic; `out`, as long as the text, is then zero.
bool open_box(const reading_keys& keys, byte_view front, std::uint32_t number, byte_view box, byte_span out) noexcept;

bytes seal_private(const pad_keys& keys, std::uint64_t counter, byte_view plaintext);
bytes seal_blank(const pad_keys& keys, std::uint64_t counter);
// kind is public_index or public_data.
bytes seal_public(const pad_keys& keys, std::uint64_t counter, encoding kind, byte_view payload);

// Plaintext length of a private record; 0 for one too short to be one.
std::size_t plaintext_bytes_of(byte_view record) noexcept;

// A private record that must be at this address with this counter. corrupt_record: structure; pad_conflict: another address or
// counter (detail: the record's counter) or a blank one. Checks neither hash nor signature.
result<record_header> expect_private(const reading_keys& keys, std::uint64_t counter, byte_view record);

// Decrypts such a record: `out` has plaintext_bytes_of(record) bytes. Errors: those, and decrypt_failed: not authentic under
// these keys. The signature is not checked: the tag says more. `out` holds no plaintext after a failure.
result<void> open_private_into(const reading_keys& keys, std::uint64_t counter, byte_view record, byte_span out);
result<bytes> open_private(const reading_keys& keys, std::uint64_t counter, byte_view record);

}  // namespace mutant
