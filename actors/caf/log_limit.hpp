// A log that strangers cannot fill: of each kind of line (its text, without the fields) a burst gets through, and after that
// one in each interval, which says how many were left out. For parts that live in one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>

#include "actors/caf/log.hpp"

namespace mutant {

class log_limiter {
 public:
  using clock = std::chrono::steady_clock;
  static constexpr unsigned burst = 30;
  static constexpr std::chrono::seconds interval{10};

  explicit log_limiter(log_sink sink) : sink_(std::move(sink)) {}

  void write(log_level level, const std::string& what, log_fields fields, clock::time_point now) {
    auto& kind = kinds_.try_emplace(what, kind_of_line{burst, now, 0, level}).first->second;
    refill(kind, now);
    if (kind.left == 0) {
      ++kind.suppressed;
      return;
    }
    --kind.left;
    if (const auto count = std::exchange(kind.suppressed, 0); count != 0)
      fields.emplace_back("suppressed", std::to_string(count));
    tell(sink_, level, what, fields);
  }
  // Says what was left out of kinds of which another line could be written by now, or of all.
  void flush(clock::time_point now, bool all = false) {
    for (auto& [what, kind] : kinds_) {
      refill(kind, now);
      if (kind.suppressed != 0 && (kind.left != 0 || all)) {
        kind.left -= kind.left != 0 ? 1 : 0;
        tell(sink_, kind.level, what, {{"suppressed", std::to_string(std::exchange(kind.suppressed, 0))}});
      }
    }
  }

 private:
  struct kind_of_line {
    unsigned left;
    clock::time_point refilled;
    std::uint64_t suppressed;
    log_level level;
  };

  static void refill(kind_of_line& kind, clock::time_point now) {
    while (kind.left < burst && now - kind.refilled >= interval) {
      ++kind.left;
      kind.refilled += interval;
    }
    if (kind.left == burst)
      kind.refilled = now;
  }

  log_sink sink_;
  std::map<std::string, kind_of_line> kinds_;   // few: what is written is ours
};

}  // namespace mutant
