// What the parts allow, each alone: the ciphers, LMDB, the disk, and CAF. Every other figure is a part of one of these.
//
//   bench_bounds [--smoke] [--json] [--only crypto,lmdb,disk,caf] [--rounds 5] [--directory DIR] [--value-bytes 1024]
//                [--clients 64]
//
// Without --only: crypto alone, in two seconds, which is what scripts ask for between their own measurements; --only all for
// everything. Fixed contents, medians of the rounds. The JSON document also holds "seal_bytes_per_second" and
// "open_bytes_per_second" of all cores together, by the functions that mutant seals with; what libsodium alone would do
// (XChaCha20-Poly1305, BLAKE2b-256) is measured beside it in the same round.
#include <cstdio>
#include <cstring>
#include <string>

#include "benchmarks/bounds/caf.hpp"
#include "benchmarks/bounds/disk.hpp"
#include "benchmarks/bounds/lmdb.hpp"
#include "benchmarks/bounds/sodium.hpp"
#include "core/crypto.hpp"

using namespace mutant::bench;

namespace {

constexpr std::size_t chunk_bytes = 4'194'104;

// What a record's payload goes through, on the buffers of the other measurement.
mutant::aead_key key_of(const sodium_buffers& b) {
  mutant::aead_key key;
  std::memcpy(key.value.data(), b.key.data(), b.key.size());
  return key;
}

void encrypt_payload(sodium_buffers& b) {
  mutant::encrypt_in_place(key_of(b), std::as_bytes(std::span(b.nonce)), std::as_bytes(std::span(b.associated)),
                           std::as_writable_bytes(std::span(b.text)), std::as_writable_bytes(std::span(b.tag)));
}

void hash_payload(sodium_buffers& b) {
  std::memcpy(b.hash.data(), mutant::hash_of(std::as_bytes(std::span(b.text))).data(), b.hash.size());
}

void seal_payload(sodium_buffers& b) {
  encrypt_payload(b);
  hash_payload(b);
}

void open_payload(sodium_buffers& b) {
  if (!mutant::decrypt(key_of(b), std::as_bytes(std::span(b.nonce)), std::as_bytes(std::span(b.associated)),
                       std::as_bytes(std::span(b.text)), std::as_bytes(std::span(b.tag)),
                       std::as_writable_bytes(std::span(b.out))))
    std::abort();
}

// Sealing and opening of pads, all cores and one; then the single operations, on one core.
void crypto_bounds(bool smoke, std::size_t rounds, std::size_t value_bytes, bool all, report& out) {
  const auto seconds = smoke ? 0.05 : 0.4;
  std::vector<double> sealing, opening, sodium_sealing, sodium_opening, seal_ratio, open_ratio;
  auto sealed = [](sodium_buffers& b) { b.encrypt(); };
  for (std::size_t r = 0; r < rounds; ++r) {
    sealing.push_back(chunk_bytes * sodium_rate(cores(), seconds, chunk_bytes, seal_payload));
    sodium_sealing.push_back(chunk_bytes * sodium_rate(cores(), seconds, chunk_bytes, [](sodium_buffers& b) { b.seal(); }));
    opening.push_back(chunk_bytes * sodium_rate(cores(), seconds, chunk_bytes, sealed, open_payload));
    sodium_opening.push_back(
        chunk_bytes * sodium_rate(cores(), seconds, chunk_bytes, sealed, [](sodium_buffers& b) { b.open(); }));
    seal_ratio.push_back(sealing.back() / sodium_sealing.back());
    open_ratio.push_back(opening.back() / sodium_opening.back());
  }
  out.more()["seal_bytes_per_second"] = of(sealing).median;
  out.more()["open_bytes_per_second"] = of(opening).median;
  auto mb = [](std::vector<double> values) {
    for (auto& v : values)
      v /= 1e6;
    return values;
  };
  out.add("seal_mb_per_second", "mutant: sealing chunks, all cores", mb(sealing), "MB/s");
  out.add("open_mb_per_second", "mutant: opening chunks, all cores", mb(opening), "MB/s");
  out.add("sodium_seal_mb_per_second", "libsodium: sealing chunks, all cores", mb(sodium_sealing), "MB/s");
  out.add("sodium_open_mb_per_second", "libsodium: opening chunks, all cores", mb(sodium_opening), "MB/s");
  out.add("seal_times_sodium", "sealing, mutant against libsodium alone", seal_ratio, "x");
  out.add("open_times_sodium", "opening, mutant against libsodium alone", open_ratio, "x");
  if (!all)
    return;
  std::vector<double> seal_pads, open_pads, keys, sign, verify, encrypt, hash;
  auto signed_already = [](sodium_buffers& b) {
    b.derive_keys();
    b.sign();
  };
  for (std::size_t r = 0; r < rounds; ++r) {
    const auto each = seconds / 4;
    auto us = [](double rate) { return 1e6 / rate; };
    seal_pads.push_back(sodium_rate(cores(), seconds, value_bytes, [](sodium_buffers& b) { b.seal_pad(); }));
    open_pads.push_back(sodium_rate(cores(), seconds, value_bytes, sealed, [](sodium_buffers& b) { b.open_pad(); }));
    keys.push_back(us(sodium_rate(1, each, 64, [](sodium_buffers& b) { b.derive_keys(); })));
    sign.push_back(us(sodium_rate(1, each, 64, signed_already, [](sodium_buffers& b) { b.sign(); })));
    verify.push_back(us(sodium_rate(1, each, 64, signed_already, [](sodium_buffers& b) { b.verify(); })));
    encrypt.push_back(1e9 / chunk_bytes / sodium_rate(1, each, chunk_bytes, encrypt_payload));
    hash.push_back(1e9 / chunk_bytes / sodium_rate(1, each, chunk_bytes, hash_payload));
  }
  const auto size = std::to_string(value_bytes) + " bytes";
  out.add("seal_pads_per_second", "libsodium: keys, seal, sign a pad of " + size + ", all cores", seal_pads, "/s");
  out.add("open_pads_per_second", "libsodium: keys, open a pad of " + size + ", all cores", open_pads, "/s");
  out.add("derive_keys_us", "libsodium: deriving a pad's keys, one core", keys, "us");
  out.add("sign_us", "libsodium: Ed25519 signature", sign, "us");
  out.add("verify_us", "libsodium: Ed25519 verification", verify, "us");
  out.add("encrypt_ns_per_byte", "mutant: XChaCha20-Poly1305, a byte, one core", encrypt, "ns");
  out.add("hash_ns_per_byte", "mutant: SHA-256, a byte, one core", hash, "ns");
}

}  // namespace

int main(int argc, char** argv) {
  arguments a(argc, argv,
              "bench_bounds [--smoke] [--json] [--only crypto,lmdb,disk,caf|all] [--rounds N] [--directory DIR]"
              " [--value-bytes N] [--clients N]");
  const auto smoke = a.flag("--smoke");
  report out(a.flag("--json"));
  const auto only = a.text("--only", smoke ? "all" : "");
  const auto rounds = std::max<std::uint64_t>(1, a.number("--rounds", smoke ? 1 : 5));
  const auto value_bytes = std::clamp<std::uint64_t>(a.number("--value-bytes", 1024), 1, chunk_bytes);
  const auto clients = std::clamp<std::uint64_t>(a.number("--clients", smoke ? 4 : 64), 1, 1000);
  const auto directory = a.text("--directory", "");
  a.finish();
  auto wants = [&](const char* section) { return only == "all" || only.find(section) != std::string::npos; };
  if (sodium_init() < 0)
    return 1;
  out.note("bounds: %u cores, medians of %llu rounds\n", cores(), static_cast<unsigned long long>(rounds));
  if (only.empty() || wants("crypto"))
    crypto_bounds(smoke, rounds, value_bytes, !only.empty(), out);
  if (wants("lmdb"))
    lmdb_bounds(work_directory(directory), smoke, rounds, value_bytes, clients, out);
  if (wants("disk")) {
    work_directory work(directory);
    disk_bounds(work.path(), smoke, rounds, out);
  }
  if (wants("caf"))
    caf_bounds(work_directory(directory), smoke, rounds, clients, out);
  out.finish();
  return 0;
}
