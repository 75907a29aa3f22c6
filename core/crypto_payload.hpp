// The two ways to do the bulk work of a record: libsodium, and OpenSSL's assembler behind libsodium's HChaCha20. Both give the
// very same bytes; crypto.cpp takes the faster one, and tests hold each against the other.
//
// XChaCha20-Poly1305 is ChaCha20-Poly1305 (RFC 8439) under the record key, with 4 zero bytes and the last 8 bytes of the nonce
// as its nonce (draft-irtf-cfrg-xchacha-03). SHA-256 is FIPS 180-4. Only for core/crypto.cpp, tests and benchmarks.
// Thread-safe: OpenSSL's contexts are a thread's own, are used again, and keep no key between calls.
#pragma once

#include "core/crypto.hpp"

namespace mutant::payload {

enum class library : std::uint8_t { libsodium, openssl };

// What this processor and the OpenSSL that is installed allow, decided at the first call: libsodium where OpenSSL is not the
// faster one, or does not offer the cipher (a FIPS configuration).
library best() noexcept;

// For a text of this size: what OpenSSL takes to begin with costs more than it saves on a small one.
library best_for(std::size_t text_bytes) noexcept;

using nonce = std::span<const std::byte, nonce_bytes>;

// As encrypt_in_place and decrypt of crypto.hpp. Where OpenSSL fails (it is out of memory), libsodium does it.
void encrypt_in_place(library with, const aead_key& key, nonce n, byte_view associated, byte_span text,
                      std::span<std::byte, tag_bytes> tag) noexcept;
bool decrypt(library with, const aead_key& key, nonce n, byte_view associated, byte_view ciphertext,
             std::span<const std::byte, tag_bytes> tag, byte_span out) noexcept;
content_hash sha256(library with, byte_view content) noexcept;

}  // namespace mutant::payload
