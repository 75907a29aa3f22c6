// What the parts allow: sealing and opening with libsodium alone, on every core at once.
//
//   bench_bounds [--smoke] [--json]
//
// Sealing is XChaCha20-Poly1305 in place plus BLAKE2b-256 of the result; opening is the AEAD alone. 4 MiB buffers, one thread
// per core, each for the same time; the figure is bytes of all threads over that time, median of the rounds.
#include <sodium.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "benchmarks/support.hpp"

using namespace mutant::bench;

namespace {

constexpr std::size_t buffer_bytes = 4'194'104;

struct workspace {
  std::vector<unsigned char> text = std::vector<unsigned char>(buffer_bytes + 64);
  std::array<unsigned char, 32> key{}, hash{};
  std::array<unsigned char, 24> nonce{};
  std::array<unsigned char, 16> tag{};
  std::array<unsigned char, 64> associated{};
};

void seal(workspace& w) {
  crypto_aead_xchacha20poly1305_ietf_encrypt_detached(w.text.data(), w.tag.data(), nullptr, w.text.data(), buffer_bytes,
                                                      w.associated.data(), w.associated.size(), nullptr, w.nonce.data(),
                                                      w.key.data());
  crypto_generichash(w.hash.data(), w.hash.size(), w.text.data(), buffer_bytes, nullptr, 0);
}

// Decrypting in place once turns the text into something else: open from a sealed copy into another buffer.
struct sealed_copy {
  workspace from;
  std::vector<unsigned char> to = std::vector<unsigned char>(buffer_bytes);
  sealed_copy() { seal(from); }
  void open() {
    if (crypto_aead_xchacha20poly1305_ietf_decrypt_detached(to.data(), nullptr, from.text.data(), buffer_bytes,
                                                            from.tag.data(), from.associated.data(),
                                                            from.associated.size(), from.nonce.data(), from.key.data())
        != 0)
      std::abort();
  }
};

// Bytes per second of so many threads together.
template <class State, class Work>
double rate(unsigned threads, double seconds, Work work) {
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> total{0};
  std::vector<std::thread> all;
  const auto start = steady::now();
  for (unsigned i = 0; i < threads; ++i)
    all.emplace_back([&] {
      State state;
      std::uint64_t done = 0;
      while (!stop.load(std::memory_order_relaxed)) {
        work(state);
        done += buffer_bytes;
      }
      total += done;
    });
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  for (auto& t : all)
    t.join();
  return static_cast<double>(total) / seconds_since(start);
}

}  // namespace

int main(int argc, char** argv) {
  bool smoke = false, json = false;
  for (int i = 1; i < argc; ++i) {
    smoke = smoke || std::strcmp(argv[i], "--smoke") == 0;
    json = json || std::strcmp(argv[i], "--json") == 0;
  }
  if (sodium_init() < 0)
    return 1;
  const auto cores = std::max(1u, std::thread::hardware_concurrency());
  const auto seconds = smoke ? 0.05 : 0.5;
  const std::size_t rounds = smoke ? 1 : 5;
  std::vector<double> sealing, opening;
  for (std::size_t r = 0; r < rounds; ++r) {
    sealing.push_back(rate<workspace>(cores, seconds, [](workspace& w) { seal(w); }));
    opening.push_back(rate<sealed_copy>(cores, seconds, [](sealed_copy& c) { c.open(); }));
  }
  if (json) {
    const nlohmann::json out = {{"cores", cores},
                                {"seal_bytes_per_second", of(sealing).median},
                                {"open_bytes_per_second", of(opening).median}};
    std::printf("%s\n", out.dump().c_str());
  } else {
    std::printf("libsodium alone, %u cores: sealing %.3f GB/s, opening %.3f GB/s (medians of %zu rounds of %.1f s)\n", cores,
                of(sealing).median / 1e9, of(opening).median / 1e9, rounds, seconds);
  }
  return 0;
}
