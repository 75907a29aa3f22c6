#include "core/crypto_payload.hpp"

#include <openssl/evp.h>
#include <sodium.h>

#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>

namespace mutant::payload {

namespace {

// Measured: at 1 KiB libsodium is ahead by a quarter, at 4 KiB OpenSSL is by a third.
constexpr std::size_t min_openssl_bytes = 2048;
constexpr std::size_t max_openssl_bytes = std::numeric_limits<int>::max();  // of one call

// Found once and kept while the process lives.
struct algorithms {
  EVP_CIPHER* cipher = EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr);
  EVP_MD* digest = EVP_MD_fetch(nullptr, "SHA2-256", nullptr);
};

const algorithms& found() noexcept {
  static const algorithms all;
  return all;
}

// One thread's contexts, made at their first use. Null: OpenSSL has no such algorithm, or no memory.
struct contexts {
  std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> cipher{nullptr, &EVP_CIPHER_CTX_free};
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> digest{nullptr, &EVP_MD_CTX_free};

  EVP_CIPHER_CTX* for_cipher() noexcept {
    if (!cipher && found().cipher != nullptr) {
      cipher.reset(EVP_CIPHER_CTX_new());
      if (cipher && EVP_CipherInit_ex2(cipher.get(), found().cipher, nullptr, nullptr, 1, nullptr) != 1)
        cipher.reset();
    }
    return cipher.get();
  }
  EVP_MD_CTX* for_digest() noexcept {
    if (!digest && found().digest != nullptr) {
      digest.reset(EVP_MD_CTX_new());
      if (digest && EVP_DigestInit_ex2(digest.get(), found().digest, nullptr) != 1)
        digest.reset();
    }
    return digest.get();
  }
};

contexts& of_this_thread() noexcept {
  thread_local contexts mine;
  return mine;
}

// The record key in a context, until it goes: then zeros are there in its place.
class keyed_context {
 public:
  keyed_context(EVP_CIPHER_CTX* context, const aead_key& key, nonce n, bool encrypting) noexcept : context_(context) {
    if (context_ == nullptr)
      return;
    std::array<unsigned char, 12> short_nonce{};
    std::memcpy(short_nonce.data() + 4, n.data() + 16, 8);
    const auto own = record_key(key, n);
    ready_ = EVP_CipherInit_ex2(context_, nullptr, uchars(byte_view(own.value)), short_nonce.data(), encrypting ? 1 : 0,
                                nullptr)
             == 1;
  }
  ~keyed_context() {
    static constexpr std::array<unsigned char, 32> zeros{};
    if (context_ != nullptr)
      EVP_CipherInit_ex2(context_, nullptr, zeros.data(), zeros.data(), 1, nullptr);
  }
  keyed_context(const keyed_context&) = delete;
  keyed_context& operator=(const keyed_context&) = delete;

  bool ready() const noexcept { return ready_; }
  // out null: associated data.
  bool update(unsigned char* out, byte_view in) noexcept {
    int written = 0;
    return in.empty() || EVP_CipherUpdate(context_, out, &written, uchars(in), static_cast<int>(in.size())) == 1;
  }
  bool finish() noexcept {
    std::array<unsigned char, 16> nothing;
    int written = 0;
    return EVP_CipherFinal_ex(context_, nothing.data(), &written) == 1;
  }
  bool control(int what, std::span<std::byte, tag_bytes> tag) noexcept {
    return EVP_CIPHER_CTX_ctrl(context_, what, tag_bytes, tag.data()) == 1;
  }

 private:
  EVP_CIPHER_CTX* context_;
  bool ready_ = false;
};

bool fits(byte_view text, byte_view associated) noexcept {
  return text.size() <= max_openssl_bytes && associated.size() <= max_openssl_bytes;
}

// What OpenSSL's assembler for this processor has over libsodium, which knows AVX2 for the cipher and SSE2 for the tag, and
// nothing but portable code elsewhere.
bool faster_with_openssl() noexcept {
#if defined(__x86_64__)
  return sodium_runtime_has_avx2() != 0;
#elif defined(__aarch64__)
  return true;
#else
  return false;
#endif
}

}  // namespace

library best() noexcept {
  static const auto chosen = faster_with_openssl() && found().cipher != nullptr ? library::openssl : library::libsodium;
  return chosen;
}

library best_for(std::size_t text_bytes) noexcept {
  return text_bytes < min_openssl_bytes ? library::libsodium : best();
}

void encrypt_in_place(library with, const aead_key& key, nonce n, byte_view associated, byte_span text,
                      std::span<std::byte, tag_bytes> tag) noexcept {
  if (with == library::openssl && fits(text, associated)) {
    keyed_context context(of_this_thread().for_cipher(), key, n, true);
    if (context.ready() && context.update(nullptr, associated)) {
      // Nothing below allocates. To go on after a failure in the middle would encrypt twice, which is the plaintext again.
      if (!context.update(uchars(text), text) || !context.finish() || !context.control(EVP_CTRL_AEAD_GET_TAG, tag))
        std::abort();
      return;
    }
  }
  unsigned char nothing = 0;
  auto* place = text.empty() ? &nothing : uchars(text);  // libsodium wants one in any case
  crypto_aead_xchacha20poly1305_ietf_encrypt_detached(place, uchars(byte_span(tag)), nullptr, place,
                                                      text.size(), uchars(associated), associated.size(), nullptr,
                                                      uchars(byte_view(n)), uchars(byte_view(key.value)));
}

bool decrypt(library with, const aead_key& key, nonce n, byte_view associated, byte_view ciphertext,
             std::span<const std::byte, tag_bytes> tag, byte_span out) noexcept {
  if (with == library::openssl && fits(ciphertext, associated)) {
    std::array<std::byte, tag_bytes> expected;
    std::memcpy(expected.data(), tag.data(), tag_bytes);
    keyed_context context(of_this_thread().for_cipher(), key, n, false);
    if (context.ready() && context.control(EVP_CTRL_AEAD_SET_TAG, expected) && context.update(nullptr, associated)) {
      if (context.update(uchars(out), ciphertext) && context.finish())
        return true;
      wipe(out);  // it is decrypted before it is known to be authentic
      return false;
    }
  }
  const unsigned char nothing = 0;
  const auto* from = ciphertext.empty() ? &nothing : uchars(ciphertext);
  return crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
             uchars(out), nullptr, from, ciphertext.size(), uchars(byte_view(tag)), uchars(associated),
             associated.size(), uchars(byte_view(n)), uchars(byte_view(key.value)))
         == 0;
}

content_hash sha256(library with, byte_view content) noexcept {
  content_hash hash;
  if (auto* context = with == library::openssl ? of_this_thread().for_digest() : nullptr;
      context != nullptr && EVP_DigestInit_ex2(context, nullptr, nullptr) == 1
      && EVP_DigestUpdate(context, content.data(), content.size()) == 1
      && EVP_DigestFinal_ex(context, uchars(byte_span(hash)), nullptr) == 1)
    return hash;
  crypto_hash_sha256(uchars(byte_span(hash)), uchars(content), content.size());
  return hash;
}

}  // namespace mutant::payload
