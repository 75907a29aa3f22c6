#include "tests/simulation/settings.hpp"

#include <sstream>

namespace mutant::simulation {

namespace {

void draw_network(dice& d, fault_options& f) {
  using std::chrono::microseconds;
  const auto worst = d.any_of({0.002, 0.01, 0.05});
  auto some = [&] { return d.chance(0.7) ? worst * static_cast<double>(d.below(1000)) / 1000 : 0; };
  f.lose_request = some();
  f.lose_answer = some();
  f.repeat_write = some() * 2;
  f.max_delay = microseconds(d.any_of({0, 500, 20'000, 100'000}));
  if (d.chance(0.6)) {
    f.straggle = some() * 3;
    f.max_straggle = microseconds(d.any_of({50'000, 1'000'000, 20'000'000}));
  }
}

}  // namespace

settings draw_settings(std::uint64_t seed) {
  dice d(seed * 0x9e3779b97f4a7c15 + 1);
  settings s;
  s.seed = seed;
  s.writers = d.any_of({1, 1, 2, 2, 3, 4});
  s.clients = d.any_of({1, 1, 2, 3});
  s.operations = d.between(15, 60) / s.writers + 5;
  s.keys = d.between(1, 5);
  s.ring_slots = d.between(4, 16);
  s.chunk_bytes = static_cast<std::uint32_t>(d.any_of({32, 64, 64, 100}));
  s.inline_bytes = d.any_of({0, 16, 40, 200});
  s.window = d.between(1, 4);
  s.crypto_workers = d.between(1, 3);
  s.pad_workers = d.between(1, 4);
  s.checkpoint_chunks = d.between(1, 4);
  s.max_part_bytes = d.any_of({300, 500, 1000, 100'000});
  s.max_batch_bytes = d.any_of({200, 1000, 1 << 20});
  s.snapshot_log_bytes = d.any_of({500, 3000, 1 << 20});
  s.min_compaction_bytes = d.any_of({0, 300, 2000});
  s.max_delta_parts = d.between(1, 8);
  s.tries = static_cast<unsigned>(d.between(1, 5));
  s.tick = d.any_of({0.0, 0.0, 0.01, 0.1});
  s.think_ms = d.any_of({0, 0, 5, 200, 3000});
  s.batching_store = d.chance(0.3);
  s.purging = d.chance(0.3);
  if (d.chance(0.6)) {
    s.crashes = d.between(1, 5);
    s.steps_between_crashes = d.any_of({100, 500, 2000});
    s.network_outlives = d.chance(0.6);
  }
  const auto weather = d.below(100);
  if (weather >= 25)
    draw_network(d, s.faults);
  if (weather >= 70) {
    s.faults.refuse_overloaded = d.any_of({0.0, 0.01, 0.1});
    s.faults.refuse_full = d.any_of({0.0, 0.01, 0.05});
    s.faults.fail_io = d.any_of({0.0, 0.0, 0.01});
    if (d.chance(0.3))
      s.capacity_bytes = d.between(8'000, 30'000);
  }
  if (weather >= 85) {
    s.faults.corrupt_read = d.any_of({0.0, 0.002, 0.01});
    s.faults.stale_read = d.any_of({0.0, 0.01, 0.05});
  }
  return s;
}

std::string to_string(const settings& s) {
  std::ostringstream out;
  const auto& f = s.faults;
  out << "seed " << s.seed << ": " << s.writers << " writers x " << s.clients << " clients, " << s.operations
      << " operations each, " << s.keys << " keys, ring " << s.ring_slots << ", chunk " << s.chunk_bytes << ", inline "
      << s.inline_bytes << ", window " << s.window << ", part " << s.max_part_bytes << ", batch " << s.max_batch_bytes
      << ", tries " << s.tries << ", crashes " << s.crashes << (s.network_outlives ? " (network outlives)" : "")
      << (s.purging ? ", purging" : "") << (s.batching_store ? ", batching store" : "") << ", tick " << s.tick
      << ", think " << s.think_ms << " ms; faults:";
  auto show = [&](const char* name, double p) {
    if (p > 0)
      out << ' ' << name << ' ' << p;
  };
  show("lose_request", f.lose_request);
  show("lose_answer", f.lose_answer);
  show("repeat_write", f.repeat_write);
  show("overloaded", f.refuse_overloaded);
  show("full", f.refuse_full);
  show("io", f.fail_io);
  show("corrupt", f.corrupt_read);
  show("stale", f.stale_read);
  show("max_delay_us", static_cast<double>(f.max_delay.count()));
  show("straggle", f.straggle);
  show("max_straggle_us", static_cast<double>(f.max_straggle.count()));
  if (s.capacity_bytes != ~std::uint64_t{0})
    out << " capacity " << s.capacity_bytes;
  return out.str();
}

}  // namespace mutant::simulation
