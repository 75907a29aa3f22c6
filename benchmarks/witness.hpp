// A witness of what the machine itself does to latencies.
//
// Rented machines stop their cores for milliseconds when cores and disk are busy at once. No program can answer during that,
// so the benchmarks that look at a worst case tell it apart: on each core a thread of real-time priority, which only such a
// stop keeps from running, wakes every half a millisecond and notes when it came late.
#pragma once

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "benchmarks/support.hpp"

namespace mutant::bench {

struct time_span {
  steady::time_point from, to;
  double milliseconds() const { return std::chrono::duration<double, std::milli>(to - from).count(); }
};

inline std::vector<double> milliseconds_of(const std::vector<time_span>& spans) {
  std::vector<double> out;
  for (const auto& span : spans)
    out.push_back(span.milliseconds());
  return out;
}

// Those of the waits, in milliseconds, during which the machine stopped no core. Both in the order in which they began.
inline std::vector<double> beside(const std::vector<time_span>& waits, const std::vector<time_span>& stops) {
  std::vector<double> out;
  auto first = stops.begin();   // of those that may still go on when the next wait begins: no stop takes a second
  for (const auto& wait : waits) {
    while (first != stops.end() && first->from + std::chrono::seconds(1) < wait.from)
      ++first;
    const auto last = std::partition_point(first, stops.end(), [&](const auto& stop) { return stop.from < wait.to; });
    if (std::none_of(first, last, [&](const auto& stop) { return stop.to > wait.from; }))
      out.push_back(wait.milliseconds());
  }
  return out;
}

class machine_witness {
 public:
  machine_witness() {
    sched_param priority{};
    priority.sched_priority = 50;
    for (unsigned core = 0; core < cores(); ++core) {
      auto& w = *watchers_.emplace_back(std::make_unique<watcher>());
      w.thread = std::thread([this, &w] { watch(w.stops); });
      cpu_set_t here;
      CPU_ZERO(&here);
      CPU_SET(core, &here);
      const auto thread = w.thread.native_handle();
      reliable_ = ::pthread_setaffinity_np(thread, sizeof here, &here) == 0
                  && ::pthread_setschedparam(thread, SCHED_FIFO, &priority) == 0 && reliable_;
    }
  }
  machine_witness(const machine_witness&) = delete;
  machine_witness& operator=(const machine_witness&) = delete;
  ~machine_witness() { (void)stops(); }

  // Without the right to real-time priority (root, or CAP_SYS_NICE) it cannot tell the machine from its load.
  bool is_reliable() const noexcept { return reliable_; }

  // Ends the watch: the stops of a millisecond or more, of any core, in the order in which they began.
  std::vector<time_span> stops() {
    ended_ = true;
    std::vector<time_span> all;
    for (auto& w : watchers_) {
      if (w->thread.joinable())
        w->thread.join();
      all.insert(all.end(), w->stops.begin(), w->stops.end());
    }
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.from < b.from; });
    return all;
  }

 private:
  struct watcher {
    std::vector<time_span> stops;
    std::thread thread;
  };

  void watch(std::vector<time_span>& stops) {
    constexpr std::chrono::microseconds pause{500}, late{1000};
    // From one look at the clock to the next: a stop between two would not be seen.
    for (auto now = steady::now(); !ended_;) {
      const auto due = now + pause;
      std::this_thread::sleep_until(due);
      now = steady::now();
      if (now - due >= late)
        stops.push_back({due, now});
    }
  }

  std::atomic<bool> ended_ = false;
  bool reliable_ = true;
  std::vector<std::unique_ptr<watcher>> watchers_;
};

}  // namespace mutant::bench
