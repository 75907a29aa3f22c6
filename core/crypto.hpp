// Keys, sealing and hashing over libsodium, OpenSSL (crypto_payload.hpp) and HighwayHash (for fingerprints). The only place
// in core/ that includes any of them.
//
// Every key derives with crypto_kdf (BLAKE2b) from one of two secrets, which derive from one 32-byte seed: the reading secret
// gives all that opens and compares, the signing secret all key pairs. Context and subkey id name the pad.
// docs/format.md, "Keys".
// Thread-safe: a keyring is immutable. Secrets wipe themselves; they have no inspect(), so no actor can send one abroad.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "core/bytes.hpp"
#include "core/error.hpp"

namespace mutant {

constexpr std::size_t nonce_bytes = 24;
constexpr std::size_t tag_bytes = 16;

using pad_address = std::array<std::byte, 32>;   // an Ed25519 public key
using content_hash = std::array<std::byte, 32>;  // SHA-256
using signature = std::array<std::byte, 64>;     // Ed25519
using fingerprint = std::array<std::byte, 16>;   // HighwayHash-128 under the owner's fingerprint key

// First 8 bytes in hex, for messages.
std::string short_name(const pad_address& address);
std::string to_hex(byte_view view);
// False: not an even number of hex digits of exactly out.size() bytes; `out` is then unspecified.
bool from_hex(std::string_view text, byte_span out) noexcept;

void wipe(byte_span secret) noexcept;

// N secret bytes that are wiped when they go.
template <std::size_t N>
struct secret {
  std::array<std::byte, N> value{};

  secret() = default;
  secret(const secret&) = default;
  secret& operator=(const secret&) = default;
  ~secret() { wipe(value); }
};

using seed = secret<32>;
using aead_key = secret<32>;

// Must succeed once before anything else here is called; later calls are free. access_denied: no randomness on this machine.
result<void> init_crypto();

void random_fill(byte_span out) noexcept;
std::uint64_t random_u64() noexcept;

// What it takes to read a pad.
struct reading_keys {
  pad_address address{};
  aead_key encryption;
};

// And to write it. Deriving them costs a key pair (about 20 us).
struct pad_keys : reading_keys {
  secret<64> signing;  // libsodium's form: seed, then public key
};

// What it takes to read everything that an owner keeps, and to write nothing: the reading secret, and where the root lies.
struct reader_key {
  secret<32> reading;
  pad_address root{};
};

// Everything that one owner's seed gives, or what a reader's key does. Copyable.
class keyring {
 public:
  explicit keyring(const seed& owner);
  explicit keyring(const reader_key& reader);

  // False: a reader's. Then the functions that give pad_keys must not be called.
  bool can_write() const noexcept { return can_write_; }
  reader_key for_readers() const;

  // Of pads whose addresses are known, which spares deriving them (20 us), and is all that a reader can do.
  reading_keys root_at() const;
  reading_keys log_at(const pad_address& address, std::uint64_t slot) const;
  reading_keys part_at(const pad_address& address, std::uint64_t number) const;
  reading_keys data_at(const pad_address& address, std::uint64_t number) const;

  pad_keys root() const;
  pad_keys log(std::uint64_t slot) const;      // slot of the ring, see index/log
  pad_keys data(std::uint64_t number) const;   // a chunk of a value
  pad_keys part(std::uint64_t number) const;   // a part of an index snapshot
  // For files that never leave this machine (the index cache).
  aead_key cache_key() const;
  // Names the identity without revealing it: 8 bytes of the root address in hex.
  std::string owner_name() const;

  fingerprint fingerprint_of(byte_view plaintext) const noexcept;

 private:
  pad_keys derive_pad(const char* context, std::uint64_t number) const;
  reading_keys at(const pad_address& address, const char* context, std::uint64_t number) const;
  void derive_fingerprint_key();

  secret<32> reading_;
  secret<32> signing_;
  pad_address root_{};
  bool can_write_ = true;
  alignas(32) std::array<std::uint64_t, 4> fingerprint_key_{};
};

content_hash hash_of(byte_view content) noexcept;
signature sign(const pad_keys& keys, byte_view message) noexcept;
bool verify(const pad_address& address, byte_view message, const signature& s) noexcept;

// HChaCha20 of a pad's key and the first 16 bytes of a record's nonce. It opens that one record, by ChaCha20-Poly1305, and no
// other of the pad: it may be given away where the pad's key must not.
aead_key record_key(const aead_key& pad_key, std::span<const std::byte, nonce_bytes> nonce) noexcept;

// XChaCha20-Poly1305. Encrypts text in place. `tag` receives the Poly1305 tag.
void encrypt_in_place(const aead_key& key, std::span<const std::byte, nonce_bytes> nonce, byte_view associated,
                      byte_span text, std::span<std::byte, tag_bytes> tag) noexcept;
// `out` has ciphertext.size() bytes and may be the ciphertext itself. False: not authentic; `out` is then zero or untouched.
bool decrypt(const aead_key& key, std::span<const std::byte, nonce_bytes> nonce, byte_view associated,
             byte_view ciphertext, std::span<const std::byte, tag_bytes> tag, byte_span out) noexcept;

// Argon2id. memory_kib and passes come from the identity file and are bounded there. too_large: memory was refused.
result<aead_key> derive_from_passphrase(std::string_view passphrase, std::span<const std::byte, 16> salt,
                                        std::uint32_t memory_kib, std::uint32_t passes);

}  // namespace mutant
