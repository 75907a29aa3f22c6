// What the benchmarks share: clocks, the process' own figures, options, spread over rounds, reports, and giving up on an
// error.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
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

inline unsigned cores() {
  return std::max(1u, std::thread::hardware_concurrency());
}

struct spread {
  double low, median, high;
};

// Of one value or more.
inline spread of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {values.front(), values[values.size() / 2], values.back()};
}

// The value below which this part (0 to 1) of them lies; 0 for none. Sorts.
template <class T>
T percentile(std::vector<T>& values, double part) {
  if (values.empty())
    return T{};
  std::sort(values.begin(), values.end());
  const auto at = static_cast<std::size_t>(part * static_cast<double>(values.size()));
  return values[std::min(at, values.size() - 1)];
}
template <class T>
T percentile(std::vector<T>&& values, double part) {
  return percentile(values, part);
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

// Options of the form --name and --name VALUE. Whoever asks for one takes it; finish() refuses what nobody asked for.
class arguments {
 public:
  arguments(int argc, char** argv, const char* usage) : words_(argv + 1, argv + argc), usage_(usage) {}

  bool flag(const char* name) {
    const auto at = std::find(words_.begin(), words_.end(), name);
    if (at == words_.end())
      return false;
    words_.erase(at);
    return true;
  }
  std::string text(const char* name, std::string otherwise) {
    const auto at = std::find(words_.begin(), words_.end(), name);
    if (at == words_.end())
      return otherwise;
    if (at + 1 == words_.end())
      refuse();
    auto value = at[1];
    words_.erase(at, at + 2);
    return value;
  }
  std::uint64_t number(const char* name, std::uint64_t otherwise) {
    const auto value = text(name, std::to_string(otherwise));
    char* end = nullptr;
    const auto n = std::strtoull(value.c_str(), &end, 10);
    if (value.empty() || *end != '\0')
      refuse();
    return n;
  }
  void finish() const {
    if (!words_.empty())
      refuse();
  }

 private:
  [[noreturn]] void refuse() const {
    std::fprintf(stderr, "usage: %s\n", usage_);
    std::exit(2);
  }

  std::vector<std::string> words_;
  const char* usage_;
};

// A directory for the run's files, gone with it; under `below`, or where the system keeps temporary files.
class work_directory {
 public:
  explicit work_directory(const std::string& below) {
    const auto where = below.empty() ? std::filesystem::temp_directory_path() : std::filesystem::path(below);
    path_ = (where / ("mutant-bench-" + std::to_string(::getpid()))).string();
    std::filesystem::create_directories(path_);
  }
  work_directory(const work_directory&) = delete;
  work_directory& operator=(const work_directory&) = delete;
  ~work_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  // A new, empty directory in it.
  std::string make(const std::string& name) const {
    const auto made = path_ + "/" + name;
    std::filesystem::remove_all(made);
    std::filesystem::create_directories(made);
    return made;
  }
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

// What was measured: lines of text as it comes, or one JSON document at the end, {"cores": …, "figures": {name: {"median",
// "min", "max", "rounds", "unit", "target"}}}.
class report {
 public:
  // verdicts: whether to say if targets are reached; at the sizes of a smoke run that means nothing.
  explicit report(bool json, bool verdicts = true) : json_(json), verdicts_(verdicts) {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
  }

  template <class... Args>
  void note(const char* format, Args... args) const {
    if (json_)
      return;
    if constexpr (sizeof...(Args) == 0)
      std::fputs(format, stdout);
    else
      std::printf(format, args...);
  }
  // target: what the median must reach; at_most: it must not be exceeded instead.
  void add(const std::string& name, const std::string& what, const std::vector<double>& values, const char* unit,
           std::optional<double> target = {}, bool at_most = false) {
    if (values.empty())
      return;
    const auto s = keep(name, values, unit);
    if (target)
      figures_[name]["target"] = *target;
    if (json_)
      return;
    std::printf("%-58s %12.3f %-5s (%.3f to %.3f, %zu rounds)", what.c_str(), s.median, unit, s.low, s.high,
                values.size());
    if (target && verdicts_)
      std::printf("  target %s %.2f: %s", at_most ? "<=" : ">=", *target,
                  (at_most ? s.median <= *target : s.median >= *target) ? "reached" : "MISSED");
    std::printf("\n");
  }
  // For the document only: the text shows it in a table of its own.
  spread keep(const std::string& name, const std::vector<double>& values, const char* unit) {
    const auto s = of(values);
    figures_[name] = {{"median", s.median}, {"min", s.low}, {"max", s.high}, {"rounds", values.size()}, {"unit", unit}};
    return s;
  }
  // Further fields of the document.
  nlohmann::json& more() { return more_; }
  void finish() const {
    if (!json_)
      return;
    auto out = more_;
    out["cores"] = cores();
    out["figures"] = figures_;
    std::printf("%s\n", out.dump().c_str());
  }

 private:
  bool json_;
  bool verdicts_;
  nlohmann::json figures_ = nlohmann::json::object();
  nlohmann::json more_ = nlohmann::json::object();
};

// Numerator and denominator of the same round.
inline std::vector<double> ratios(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> out;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i)
    out.push_back(a[i] / b[i]);
  return out;
}

}  // namespace mutant::bench
