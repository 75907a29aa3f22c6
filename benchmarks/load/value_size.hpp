// How large values are: "1000", "100..2000" (uniform), "lognormal:MEDIAN:SIGMA[:MOST]", or a list with weights,
// "1KiB*80,64KiB*15,4MiB*5", whose items may be ranges too.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "benchmarks/load/draws.hpp"
#include "core/error.hpp"

namespace mutant::load {

constexpr std::uint64_t max_value_bytes = std::uint64_t{64} << 20;   // of values that go through memory as a whole

class value_size {
 public:
  // invalid_argument: not one of the forms above, or a size outside `least` … `most`.
  static result<value_size> parse(std::string_view text, std::uint64_t least, std::uint64_t most = max_value_bytes);

  std::uint64_t draw(draws& random) const;
  std::uint64_t smallest() const noexcept;
  std::uint64_t largest() const noexcept;
  const std::string& text() const noexcept { return text_; }

 private:
  struct part {
    double weight = 1;             // cumulated
    std::uint64_t from = 0;
    std::uint64_t to = 0;
  };
  result<part> parse_part(std::string_view text, bool weighted) const;
  result<void> parse_lognormal(std::string_view text);

  std::string text_;
  std::vector<part> parts_;
  std::uint64_t min_ = 0;
  std::uint64_t max_ = 0;
  double sigma_ = 0;               // above 0: lognormal, between the ends of the only part
  double median_ = 0;
};

}  // namespace mutant::load
