// What libsodium alone does, on every core at once.
//
// Nothing of mutant is used. Sealing is XChaCha20-Poly1305 in place plus BLAKE2b-256 of the result; opening is the AEAD
// alone. A small value as a pad of its own costs, on top: deriving its keys (crypto_kdf, an Ed25519 key pair) and a signature
// over the header.
#pragma once

#include <sodium.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <thread>
#include <vector>

#include "benchmarks/support.hpp"

namespace mutant::bench {

struct sodium_buffers {
  explicit sodium_buffers(std::size_t n) : text(n), out(n) { randombytes_buf(text.data(), n); }
  std::vector<unsigned char> text, out;
  std::array<unsigned char, 32> key{}, hash{};
  std::array<unsigned char, 24> nonce{};
  std::array<unsigned char, 16> tag{};
  std::array<unsigned char, 64> associated{};
  std::array<unsigned char, 108> signed_part{};
  std::array<unsigned char, crypto_sign_PUBLICKEYBYTES> address{};
  std::array<unsigned char, crypto_sign_SECRETKEYBYTES> signing{};
  std::array<unsigned char, crypto_sign_BYTES> signature{};
  std::uint64_t number = 0;

  void encrypt() {
    crypto_aead_xchacha20poly1305_ietf_encrypt_detached(text.data(), tag.data(), nullptr, text.data(), text.size(),
                                                        associated.data(), associated.size(), nullptr, nonce.data(),
                                                        key.data());
  }
  void hash_text() { crypto_generichash(hash.data(), hash.size(), text.data(), text.size(), nullptr, 0); }
  void seal() {
    encrypt();
    hash_text();
  }
  // Of what encrypt() has left: into another buffer, because decrypting in place turns it into something else.
  void open() {
    if (crypto_aead_xchacha20poly1305_ietf_decrypt_detached(out.data(), nullptr, text.data(), text.size(), tag.data(),
                                                            associated.data(), associated.size(), nonce.data(), key.data())
        != 0)
      std::abort();
  }
  void derive_keys() {
    std::array<unsigned char, 64> derived;
    crypto_kdf_derive_from_key(derived.data(), derived.size(), ++number, "boundary", key.data());
    crypto_sign_seed_keypair(address.data(), signing.data(), derived.data());
  }
  void sign() { crypto_sign_detached(signature.data(), nullptr, signed_part.data(), signed_part.size(), signing.data()); }
  void verify() {
    if (crypto_sign_verify_detached(signature.data(), signed_part.data(), signed_part.size(), address.data()) != 0)
      std::abort();
  }
  void seal_pad() {
    derive_keys();
    seal();
    sign();
  }
  void open_pad() {
    derive_keys();
    open();
  }
};

// Times a second that `work` can be done, on so many threads together, each with buffers of its own that `prepare` has seen.
template <class Work, class Prepare>
double sodium_rate(unsigned threads, double seconds, std::size_t buffer_bytes, Prepare prepare, Work work) {
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> total{0};
  std::atomic<unsigned> ready{0};
  std::atomic<bool> go{false};
  std::vector<std::thread> all;
  for (unsigned i = 0; i < threads; ++i)
    all.emplace_back([&] {
      sodium_buffers buffers(buffer_bytes);
      prepare(buffers);
      ++ready;
      go.wait(false);
      std::uint64_t done = 0;
      while (!stop.load(std::memory_order_relaxed)) {
        work(buffers);
        ++done;
      }
      total += done;
    });
  while (ready != threads)
    std::this_thread::yield();
  const auto start = steady::now();
  go = true;
  go.notify_all();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  for (auto& t : all)
    t.join();
  return static_cast<double>(total) / seconds_since(start);
}

template <class Work>
double sodium_rate(unsigned threads, double seconds, std::size_t buffer_bytes, Work work) {
  return sodium_rate(threads, seconds, buffer_bytes, [](sodium_buffers&) {}, work);
}

}  // namespace mutant::bench
