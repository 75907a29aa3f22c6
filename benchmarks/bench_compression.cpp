// What looking at a chunk, and compressing it, costs and brings.
//
//   bench_compression [--smoke] [--json] [--rounds 15] [--folder /usr/include]
//
// Random bytes: how fast chunks of 4 MiB and values of 4 KiB are sealed with `auto`, as a part of the rate with `off`; each
// pair is measured in turn, a few milliseconds each, in CPU time, so that what else the machine does falls on both. A put does
// more than sealing, so its loss is smaller. The folder: a tar of it, chunk by chunk, with `auto` and with levels; what it
// takes of its size, and how fast. One core.
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <random>

#include "actors/workers/crypto_worker.hpp"
#include "benchmarks/support.hpp"

using namespace mutant;
using namespace mutant::bench;

namespace {

crypto_worker_state sealer(const compression& how) {
  seed owner;
  return {{std::make_shared<const keyring>(owner), how}};
}

bytes random_bytes(std::mt19937_64& engine, std::size_t size) {
  buffer out(size);
  for (auto& b : out.span())
    b = static_cast<std::byte>(engine());
  return std::move(out).freeze();
}

// Bytes of the sealed chunks' plaintexts.
std::uint64_t seal_all(crypto_worker_state& with, const std::vector<bytes>& chunks) {
  std::uint64_t size = 0;
  for (std::uint64_t n = 0; n < chunks.size(); ++n) {
    const auto& chunk = chunks[n];
    auto sealed = with.seal(seal_chunk_job{chunk, static_cast<std::uint32_t>(chunk.size()), {n, 1}});
    size += plaintext_bytes_of(must(std::move(sealed), "sealing").record);
  }
  return size;
}

// Of this thread's CPU time: what else the machine does is not in it.
double seconds_for(crypto_worker_state& with, const std::vector<bytes>& chunks) {
  const auto now = [] {
    timespec t{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
  };
  const auto start = now();
  seal_all(with, chunks);
  return now() - start;
}

void random_loss(std::size_t rounds, std::size_t chunk_bytes, std::size_t count, const std::string& name, report& out) {
  std::mt19937_64 engine(1);
  std::vector<bytes> chunks;
  for (std::size_t i = 0; i < count; ++i)
    chunks.push_back(random_bytes(engine, chunk_bytes));
  auto off = sealer({compression::choice::off}), automatic = sealer({});
  seconds_for(off, chunks);
  seconds_for(automatic, chunks);
  constexpr int pairs = 20;
  std::vector<double> loss;
  for (std::size_t r = 0; r < rounds; ++r) {
    double without = 0, with = 0;
    for (int pair = 0; pair < pairs; ++pair) {
      without += seconds_for(off, chunks);
      with += seconds_for(automatic, chunks);
    }
    loss.push_back(100 * (with / without - 1));
  }
  out.add("random_" + name + "_loss_percent", "sealing random bytes, " + name + ": auto costs more than off", loss, "%", 3,
          true);
}

std::vector<bytes> tar_of(const std::string& folder, std::size_t max_bytes) {
  std::vector<bytes> chunks;
  auto* pipe = ::popen(("tar cf - '" + folder + "' 2>/dev/null").c_str(), "r");
  for (std::size_t total = 0; pipe != nullptr && total < max_bytes; total += chunks.back().size()) {
    buffer chunk(default_chunk_bytes);
    const auto size = std::fread(chunk.data(), 1, chunk.size(), pipe);
    if (size == 0)
      break;
    chunk.shrink(size);
    chunks.push_back(std::move(chunk).freeze());
  }
  if (pipe != nullptr)
    ::pclose(pipe);
  return chunks;
}

void folder_gain(const std::string& folder, std::size_t max_bytes, report& out) {
  const auto chunks = tar_of(folder, max_bytes);
  double all = 0;
  for (const auto& chunk : chunks)
    all += static_cast<double>(chunk.size());
  if (all == 0)
    return;
  for (const auto& [name, how] : {std::pair("off", compression{compression::choice::off}), std::pair("auto", compression{}),
                                  std::pair("3", compression{compression::choice::always, 3}),
                                  std::pair("9", compression{compression::choice::always, 9})}) {
    auto with = sealer(how);
    const auto start = steady::now();
    const auto taken = static_cast<double>(seal_all(with, chunks));
    const auto seconds = seconds_since(start);
    const auto target = std::string_view(name) == "auto" ? std::optional(35.0) : std::nullopt;
    out.add(std::string("folder_") + name + "_percent", std::string("tar of the folder, ") + name + ": taken of its size",
            {100 * taken / all}, "%", target, true);
    out.add(std::string("folder_") + name + "_mb_per_second", std::string("  sealed at"), {all / 1e6 / seconds}, "MB/s");
  }
}

}  // namespace

int main(int count, char** words) {
  mutant::bench::arguments given(count, words, "bench_compression [--smoke] [--json] [--rounds N] [--folder DIR]");
  const auto smoke = given.flag("--smoke");
  report out(given.flag("--json"), !smoke);
  const auto rounds = given.number("--rounds", smoke ? 1 : 15);
  const auto folder = given.text("--folder", "/usr/include");
  given.finish();
  must(init_crypto(), "libsodium");
  random_loss(rounds, default_chunk_bytes, 1, "4 MiB", out);
  random_loss(rounds, 4096, smoke ? 4 : 100, "4 KiB", out);
  folder_gain(folder, smoke ? 1u << 20 : 1u << 30, out);
  out.finish();
}
