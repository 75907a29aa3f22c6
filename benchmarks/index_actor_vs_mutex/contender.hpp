// What the two ways of guarding the index have in common: what is asked of them, the store that they write to, and the rhythm
// of look-ups at a fixed rate.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "actors/pads/memory_store.hpp"
#include "benchmarks/support.hpp"
#include "core/engine/engine.hpp"
#include "testing/faulty_store.hpp"

namespace mutant::bench {

constexpr std::uint64_t ring_slots = 1u << 16;   // so long that neither has to snapshot
constexpr std::size_t group_requests = 256;      // the index actor's own limit

struct settings {
  bool smoke = false;
  std::size_t rounds = 5, readers = 4, writers = 8;
  std::uint64_t keys = 10'000, per_second = 1000;
  double seconds = 0.6;
};

inline std::string key_of(std::uint64_t n) {
  return "key-" + std::to_string(n * 0x9e3779b97f4a7c15u);
}

inline std::uint64_t scattered(std::uint64_t n, std::uint64_t keys) {
  return (n * 0x9e3779b97f4a7c15u >> 20) % keys;
}

inline operation put_of(std::uint64_t n) {
  entry e;
  e.size = 100;
  e.inline_value = bytes::copy_of(std::string(100, 'v'));
  return put_op{key_of(n), std::move(e)};
}

inline seed owner() {
  seed s;
  s.value[0] = std::byte{7};
  return s;
}

struct looked_up {
  double per_second = 0;
  std::vector<std::uint32_t> ns;   // of all of them, or of a sample
};

class contender {
 public:
  virtual ~contender() = default;
  virtual void set_latency(std::chrono::microseconds latency) = 0;
  virtual looked_up closed(std::size_t readers, double seconds) = 0;
  virtual looked_up paced(std::size_t readers, std::uint64_t per_second, double seconds) = 0;
  // Commits until `stop`; how many were answered.
  virtual std::uint64_t commits(std::size_t writers, const std::atomic<bool>& stop) = 0;
};

// The store that both write to: half of the latency before the write, half before its answer.
struct slow_store {
  explicit slow_store(caf::actor_system& system)
      : memory(system.spawn(memory_store, std::shared_ptr<pad_engine>(make_memory_engine(std::uint64_t{1} << 32)))) {
    faulty_store_options o;
    o.store = memory;
    store = system.spawn(faulty_store, o);
  }
  ~slow_store() {
    caf::anon_send_exit(store, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(memory, caf::exit_reason::user_shutdown);
  }
  void set_latency(std::chrono::microseconds latency) const {
    fault_options f;
    f.min_delay = f.max_delay = latency / 2;
    caf::anon_send(store, f);
  }
  pad_store_actor memory;
  faulty_store_actor store;
};

// When look-ups are due. Late is late from the due time; a timer that fires late is not the index' fault.
struct pace {
  explicit pace(std::uint64_t per_second)
      : period(std::chrono::nanoseconds(1'000'000'000 / per_second)), due(steady::now()) {}
  steady::duration period;
  steady::time_point due, started;

  // 0: go now.
  steady::duration wait() const { return std::max(steady::duration{0}, due - steady::now()); }
  void start(bool waited) { started = waited ? steady::now() : due; }
  std::uint32_t end() {
    due += period;
    const auto took = std::chrono::duration_cast<std::chrono::nanoseconds>(steady::now() - started).count();
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(took, 0, UINT32_MAX));
  }
  // The time is over: what is still owed counts with what it has waited so far.
  bool over(steady::time_point stop, std::vector<std::uint32_t>& into) {
    const auto now = steady::now();
    if (now < stop && due < stop)
      return false;
    for (; due < stop && due < now; due += period)
      into.push_back(static_cast<std::uint32_t>(std::min<std::int64_t>((now - due).count(), UINT32_MAX)));
    return true;
  }
};

inline looked_up gathered(std::vector<std::vector<std::uint32_t>>&& parts, std::uint64_t count, double seconds) {
  looked_up out;
  for (auto& p : parts)
    out.ns.insert(out.ns.end(), p.begin(), p.end());
  out.per_second = static_cast<double>(count) / seconds;
  return out;
}

}  // namespace mutant::bench
