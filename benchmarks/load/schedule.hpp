// When operations are meant to start in an open loop, whatever became of those before.
//
// Each client has a share of the rate and a schedule of its own; Poisson schedules add up to one, and constant ones are
// staggered so that all clients together are evenly spaced. Times are counted from the start of the phase.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "benchmarks/load/draws.hpp"
#include "core/error.hpp"

namespace mutant::load {

enum class arrival { poisson, constant };
std::string_view name_of(arrival how) noexcept;
result<arrival> parse_arrival(std::string_view text);

class schedule {
 public:
  // `rate`: operations per second of all clients together, above 0.
  schedule(arrival how, double rate, std::uint64_t client, std::uint64_t clients, std::uint64_t seed)
      : how_(how), gap_ns_(1e9 * static_cast<double>(clients) / rate), random_(seed) {
    next_ns_ = how == arrival::constant ? gap_ns_ * static_cast<double>(client) / static_cast<double>(clients)
                                        : random_.exponential(gap_ns_);
    first_ns_ = next_ns_;
  }

  std::chrono::nanoseconds next() const noexcept { return std::chrono::nanoseconds(static_cast<std::int64_t>(next_ns_)); }
  void advance() {
    ++number_;
    // Constant times are multiplied, not summed up: no error adds up over a long run.
    next_ns_ = how_ == arrival::constant ? first_ns_ + gap_ns_ * static_cast<double>(number_)
                                         : next_ns_ + random_.exponential(gap_ns_);
  }
  // How many times came before the next one.
  std::uint64_t number() const noexcept { return number_; }

 private:
  arrival how_;
  double gap_ns_;
  draws random_;
  double first_ns_ = 0;
  double next_ns_ = 0;
  std::uint64_t number_ = 0;
};

}  // namespace mutant::load
