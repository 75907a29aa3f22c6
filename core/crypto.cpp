#include "core/crypto.hpp"

#include <highwayhash/highwayhash_target.h>
#include <highwayhash/instruction_sets.h>
#include <sodium.h>

#include <cstring>

#include "core/crypto_payload.hpp"

namespace mutant {

static_assert(sizeof(pad_address) == crypto_sign_PUBLICKEYBYTES);
static_assert(sizeof(signature) == crypto_sign_BYTES);
static_assert(sizeof(secret<64>) == crypto_sign_SECRETKEYBYTES);
static_assert(sizeof(seed) == crypto_kdf_KEYBYTES);
static_assert(nonce_bytes == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
static_assert(tag_bytes == crypto_aead_xchacha20poly1305_ietf_ABYTES);

namespace {

// Contexts of crypto_kdf, eight bytes each. docs/format.md, "Keys".
constexpr char reading_context[] = "mut_read";
constexpr char signing_context[] = "mut_sign";
constexpr char root_context[] = "mut_root";
constexpr char log_context[] = "mut_log_";
constexpr char data_context[] = "mut_data";
constexpr char part_context[] = "mut_part";
constexpr char fingerprint_context[] = "mut_fing";
constexpr char cache_context[] = "mut_cach";

secret<32> derive(const secret<32>& from, const char* context, std::uint64_t id) {
  secret<32> out;
  crypto_kdf_derive_from_key(uchars(byte_span(out.value)), out.value.size(), id, context, uchars(byte_view(from.value)));
  return out;
}

}  // namespace

std::string to_hex(byte_view view) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(view.size() * 2);
  for (auto b : view) {
    text += digits[std::to_integer<unsigned>(b) >> 4];
    text += digits[std::to_integer<unsigned>(b) & 15];
  }
  return text;
}

bool from_hex(std::string_view text, byte_span out) noexcept {
  std::size_t length = 0;
  if (out.empty())  // libsodium takes no null pointer
    return text.empty();
  return text.size() == out.size() * 2
         && sodium_hex2bin(uchars(out), out.size(), text.data(), text.size(), nullptr, &length, nullptr) == 0
         && length == out.size();
}

std::string short_name(const pad_address& address) {
  return to_hex(byte_view(address).first(8));
}

void wipe(byte_span secret) noexcept {
  sodium_memzero(secret.data(), secret.size());
}

result<void> init_crypto() {
  if (sodium_init() < 0)
    return fail(errc::access_denied, "libsodium cannot start: this system gives no random numbers");
  return {};
}

void random_fill(byte_span out) noexcept {
  randombytes_buf(out.data(), out.size());
}

std::uint64_t random_u64() noexcept {
  std::uint64_t value = 0;
  randombytes_buf(&value, sizeof value);
  return value;
}

keyring::keyring(const seed& owner)
    : reading_(derive(owner, reading_context, 0)), signing_(derive(owner, signing_context, 0)) {
  root_ = root().address;
  derive_fingerprint_key();
}

keyring::keyring(const reader_key& reader) : reading_(reader.reading), root_(reader.root), can_write_(false) {
  derive_fingerprint_key();
}

reader_key keyring::for_readers() const {
  return {reading_, root_};
}

void keyring::derive_fingerprint_key() {
  const auto material = derive(reading_, fingerprint_context, 0);
  // HighwayHash takes its key as four little-endian words; we run on little-endian machines only (see record.cpp).
  std::memcpy(fingerprint_key_.data(), material.value.data(), 32);
}

pad_keys keyring::derive_pad(const char* context, std::uint64_t number) const {
  pad_keys keys;
  keys.encryption = derive(reading_, context, number);
  crypto_sign_seed_keypair(uchars(byte_span(keys.address)), uchars(byte_span(keys.signing.value)),
                           uchars(byte_view(derive(signing_, context, number).value)));
  return keys;
}

pad_keys keyring::root() const { return derive_pad(root_context, 0); }
pad_keys keyring::log(std::uint64_t slot) const { return derive_pad(log_context, slot); }
pad_keys keyring::data(std::uint64_t number) const { return derive_pad(data_context, number); }
pad_keys keyring::part(std::uint64_t number) const { return derive_pad(part_context, number); }

reading_keys keyring::at(const pad_address& address, const char* context, std::uint64_t number) const {
  reading_keys keys;
  keys.address = address;
  keys.encryption = derive(reading_, context, number);
  return keys;
}

reading_keys keyring::root_at() const { return at(root_, root_context, 0); }
reading_keys keyring::log_at(const pad_address& address, std::uint64_t slot) const { return at(address, log_context, slot); }
reading_keys keyring::part_at(const pad_address& address, std::uint64_t n) const { return at(address, part_context, n); }
reading_keys keyring::data_at(const pad_address& address, std::uint64_t n) const { return at(address, data_context, n); }

aead_key keyring::cache_key() const { return derive(reading_, cache_context, 0); }

std::string keyring::owner_name() const {
  return short_name(root_);
}

fingerprint keyring::fingerprint_of(byte_view plaintext) const noexcept {
  alignas(32) highwayhash::HHKey key;
  std::memcpy(key, fingerprint_key_.data(), sizeof key);
  alignas(32) highwayhash::HHResult128 hash;
  highwayhash::InstructionSets::Run<highwayhash::HighwayHash>(
      key, reinterpret_cast<const char*>(plaintext.data()), plaintext.size(), &hash);
  fingerprint result;
  static_assert(sizeof result == sizeof hash);
  std::memcpy(result.data(), hash, sizeof hash);
  return result;
}

content_hash hash_of(byte_view content) noexcept {
  return payload::sha256(payload::library::openssl, content);  // the faster one everywhere
}

signature sign(const pad_keys& keys, byte_view message) noexcept {
  signature s;
  crypto_sign_detached(uchars(byte_span(s)), nullptr, uchars(message), message.size(),
                       uchars(byte_view(keys.signing.value)));
  return s;
}

bool verify(const pad_address& address, byte_view message, const signature& s) noexcept {
  return crypto_sign_verify_detached(uchars(byte_view(s)), uchars(message), message.size(),
                                     uchars(byte_view(address)))
         == 0;
}

aead_key record_key(const aead_key& pad_key, std::span<const std::byte, nonce_bytes> nonce) noexcept {
  static_assert(crypto_core_hchacha20_INPUTBYTES == 16 && crypto_core_hchacha20_OUTPUTBYTES == sizeof(aead_key));
  aead_key key;
  crypto_core_hchacha20(uchars(byte_span(key.value)), uchars(byte_view(nonce)), uchars(byte_view(pad_key.value)), nullptr);
  return key;
}

void encrypt_in_place(const aead_key& key, std::span<const std::byte, nonce_bytes> nonce, byte_view associated,
                      byte_span text, std::span<std::byte, tag_bytes> tag) noexcept {
  payload::encrypt_in_place(payload::best_for(text.size()), key, nonce, associated, text, tag);
}

bool decrypt(const aead_key& key, std::span<const std::byte, nonce_bytes> nonce, byte_view associated,
             byte_view ciphertext, std::span<const std::byte, tag_bytes> tag, byte_span out) noexcept {
  return payload::decrypt(payload::best_for(ciphertext.size()), key, nonce, associated, ciphertext, tag, out);
}

result<aead_key> derive_from_passphrase(std::string_view passphrase, std::span<const std::byte, 16> salt,
                                        std::uint32_t memory_kib, std::uint32_t passes) {
  static_assert(crypto_pwhash_SALTBYTES == 16);
  aead_key key;
  if (crypto_pwhash(uchars(byte_span(key.value)), key.value.size(), passphrase.data(), passphrase.size(),
                    uchars(byte_view(salt)), passes, std::size_t{memory_kib} * 1024, crypto_pwhash_ALG_ARGON2ID13)
      != 0)
    return fail(errc::too_large, "deriving a key from the passphrase needs " + std::to_string(memory_kib / 1024)
                                     + " MiB of memory, and the system refused it");
  return key;
}

}  // namespace mutant
