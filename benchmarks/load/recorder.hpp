// What one client has measured; recorders add up.
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "benchmarks/load/histogram.hpp"
#include "benchmarks/load/workload.hpp"
#include "core/error.hpp"

namespace mutant::load {

// One kind of operation. Latencies are those of operations that went well.
struct measured {
  histogram service;                           // from sending to the answer
  histogram response;                          // open loop: from the intended start to the answer
  std::uint64_t bytes = 0;                     // of values, read or written
  std::uint64_t retries = 0;                   // of read-modify-write, after another client was faster
  std::map<errc, std::uint64_t> errors;
  std::map<errc, std::string> examples;        // the first message of each

  std::uint64_t count() const noexcept { return service.count(); }
  std::uint64_t failed() const noexcept {
    std::uint64_t sum = 0;
    for (auto [code, times] : errors)
      sum += times;
    return sum;
  }
  void fail(const error& e) {
    ++errors[e.code];
    examples.try_emplace(e.code, e.message);
  }
  void add(const measured& other) {
    service.add(other.service);
    response.add(other.response);
    bytes += other.bytes;
    retries += other.retries;
    for (auto [code, times] : other.errors)
      errors[code] += times;
    examples.insert(other.examples.begin(), other.examples.end());
  }
};

struct recorder {
  per_kind<measured> kinds;
  std::uint64_t dropped = 0;         // open loop: never started, the backlog was at its bound
  std::uint64_t not_started = 0;     // open loop: still in the backlog at the end
  std::uint64_t max_waiting = 0;    // open loop: the largest backlog; of all clients, the sum of each one's largest
  std::uint64_t abandoned = 0;       // under way when the run was broken off

  void add(const recorder& other) {
    for (std::size_t i = 0; i < operation_kinds; ++i)
      kinds[i].add(other.kinds[i]);
    dropped += other.dropped;
    not_started += other.not_started;
    max_waiting += other.max_waiting;
    abandoned += other.abandoned;
  }
};

// A stretch of time, all kinds. Coarse buckets: 6 % of a value.
struct interval {
  static constexpr unsigned coarse = 4;
  struct part {
    histogram latency{coarse};       // as the loop counts it: response in an open one
    std::uint64_t bytes = 0;
    std::uint64_t errors = 0;
  };
  per_kind<part> kinds;

  void add(const interval& other) {
    for (std::size_t i = 0; i < operation_kinds; ++i) {
      kinds[i].latency.add(other.kinds[i].latency);
      kinds[i].bytes += other.kinds[i].bytes;
      kinds[i].errors += other.kinds[i].errors;
    }
  }
};

// Intervals of equal width from the start on. When there are more than `most`, neighbours are joined and the width doubles: a
// run of any length fits, and so does its plot.
class timeline {
 public:
  explicit timeline(std::chrono::milliseconds width) : width_(width), given_(width) {}

  // `number` counts intervals of the width that was given at first.
  void add(std::uint64_t number, const interval& what) {
    auto at = number / static_cast<std::uint64_t>(width_ / given_);
    while (at >= most)
      halve(), at /= 2;
    if (at >= all_.size())
      all_.resize(at + 1);
    all_[at].add(what);
  }
  std::chrono::milliseconds width() const noexcept { return width_; }
  const std::vector<interval>& all() const noexcept { return all_; }

 private:
  static constexpr std::size_t most = 256;
  void halve() {
    std::vector<interval> joined((all_.size() + 1) / 2);
    for (std::size_t i = 0; i < all_.size(); ++i)
      joined[i / 2].add(all_[i]);
    all_ = std::move(joined);
    width_ *= 2;
  }

  std::chrono::milliseconds width_;
  std::chrono::milliseconds given_;
  std::vector<interval> all_;
};

}  // namespace mutant::load
