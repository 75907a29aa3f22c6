// Everything that a simulation is made of, drawn from one number.
#pragma once

#include <random>
#include <string>

#include "testing/faulty_store.hpp"

namespace mutant::simulation {

// The same draws on every machine.
class dice {
 public:
  explicit dice(std::uint64_t seed) : random_(seed) {}
  std::uint64_t number() { return random_(); }
  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  std::uint64_t between(std::uint64_t low, std::uint64_t high) { return low + below(high - low + 1); }
  bool chance(double p) { return static_cast<double>(random_() >> 11) * 0x1p-53 < p; }
  template <class T>
  T any_of(std::initializer_list<T> list) {
    return *(list.begin() + static_cast<std::ptrdiff_t>(below(list.size())));
  }

 private:
  std::mt19937_64 random_;
};

struct settings {
  std::uint64_t seed = 0;
  std::size_t writers = 1;          // stores over the same pads, with the same identity
  std::size_t clients = 1;          // at each store
  std::size_t operations = 30;      // of each writer's clients together
  std::size_t keys = 4;
  std::size_t crashes = 0;
  std::size_t steps_between_crashes = 1000;   // on average
  bool network_outlives = false;    // what a crashed store has sent may still arrive
  double tick = 0;                  // chance, per step, that the clock moves on although there is work
  std::size_t think_ms = 0;         // a client's longest pause
  bool batching_store = false;      // local_store instead of memory_store behind the faults
  std::uint64_t capacity_bytes = ~std::uint64_t{0};
  bool purging = false;             // clients purge while others write

  std::uint64_t ring_slots = 8;
  std::uint32_t chunk_bytes = 64;
  std::size_t inline_bytes = 16;
  std::size_t window = 2;
  std::size_t crypto_workers = 2;
  std::size_t pad_workers = 2;
  std::size_t checkpoint_chunks = 2;
  std::size_t max_part_bytes = 400;
  std::size_t max_batch_bytes = 1u << 20;
  std::uint64_t snapshot_log_bytes = 2000;
  std::uint64_t min_compaction_bytes = 500;
  std::size_t max_delta_parts = 4;
  unsigned tries = 4;

  fault_options faults;
  // Reads that are old or damaged: then errors about integrity are right, and stores may have to be started again.
  bool untrue_reads() const { return faults.corrupt_read > 0 || faults.stale_read > 0; }
};

settings draw_settings(std::uint64_t seed);
std::string to_string(const settings& s);

}  // namespace mutant::simulation
