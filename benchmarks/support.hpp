// What the benchmarks share: clocks, the process' own figures, spread over rounds, and giving up on an error.
#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/error.hpp"

namespace mutant::bench {

using steady = std::chrono::steady_clock;

inline double seconds_since(steady::time_point start) {
  return std::chrono::duration<double>(steady::now() - start).count();
}

// User and system time of this process, every thread of it.
inline double cpu_seconds() {
  rusage u{};
  getrusage(RUSAGE_SELF, &u);
  return static_cast<double>(u.ru_utime.tv_sec + u.ru_stime.tv_sec)
         + static_cast<double>(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

// RssAnon of this process, bytes.
inline std::uint64_t anonymous_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("RssAnon:"))
      return std::strtoull(line.c_str() + 8, nullptr, 10) * 1024;
  return 0;
}

struct spread {
  double low, median, high;
};

// Of one value or more.
inline spread of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {values.front(), values[values.size() / 2], values.back()};
}

// One line: the median, and the spread over the rounds.
inline void show(const std::string& what, const std::vector<double>& values, const char* unit) {
  const auto s = of(values);
  std::printf("%-52s %10.2f %s  (%.2f to %.2f, %zu rounds)\n", what.c_str(), s.median, unit, s.low, s.high, values.size());
}

// The value, or the end of the program with what went wrong.
template <class T>
T must(result<T> r, const char* doing) {
  if (!r) {
    std::fprintf(stderr, "%s: %s\n", doing, to_string(r.error()).c_str());
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>)
    return std::move(*r);
}

}  // namespace mutant::bench
