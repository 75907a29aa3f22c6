// Sizes, times and shares as people write them on the command line. Every error names the text and what was expected.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"

namespace mutant::load {

// "100", "4KiB", "1.5MiB", "2GiB"; also B, kB, MB, GB (powers of 1000).
result<std::uint64_t> parse_size(std::string_view text);
// "250us", "5ms", "1.5s", "2min", "1h". `unit`: what a bare number means; empty: a unit is wanted.
result<std::chrono::nanoseconds> parse_time(std::string_view text, std::string_view unit = {});
// "0.1%" or "0.001", from 0 to 1.
result<double> parse_share(std::string_view text);
// Digits, perhaps with a fraction, above or equal to 0.
result<double> parse_real(std::string_view text);

// The unit at the end of a time, "" if there is none.
std::string_view unit_of(std::string_view text) noexcept;
// "a,b,c" in its parts; blanks around them are dropped.
std::vector<std::string_view> split(std::string_view text, char separator);

// "850 ns", "12.3 µs", "4.56 ms", "1.20 s".
std::string human_time(double ns);
// "1,234,567"
std::string with_commas(std::uint64_t count);

}  // namespace mutant::load
