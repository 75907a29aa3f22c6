#include "benchmarks/load/quantities.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <utility>

namespace mutant::load {

namespace {

std::string quoted(std::string_view text) {
  return "'" + std::string(text) + "'";
}

constexpr std::pair<std::string_view, double> size_units[] = {
    {"", 1},          {"B", 1},           {"KiB", 1024},          {"MiB", 1048576}, {"GiB", 1073741824},
    {"kB", 1000},     {"MB", 1'000'000},  {"GB", 1'000'000'000},  {"K", 1024},      {"M", 1048576},
    {"G", 1073741824}};
constexpr std::pair<std::string_view, double> time_units[] = {
    {"ns", 1}, {"us", 1e3}, {"µs", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"min", 60e9}, {"m", 60e9}, {"h", 3600e9}};

// The number in front; what follows it is left in `text`.
result<double> take_number(std::string_view& text) {
  double number = 0;
  const auto whole = text;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (failed != std::errc{} || !std::isfinite(number) || number < 0 || text.starts_with('-'))
    return fail(errc::invalid_argument, quoted(whole) + " does not begin with a number");
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

template <std::size_t N>
const double* factor_of(const std::pair<std::string_view, double> (&units)[N], std::string_view name) {
  for (const auto& [unit, factor] : units)
    if (unit == name)
      return &factor;
  return nullptr;
}

}  // namespace

result<std::uint64_t> parse_size(std::string_view text) {
  auto rest = text;
  auto number = take_number(rest);
  const auto* factor = number ? factor_of(size_units, rest) : nullptr;
  if (factor == nullptr)
    return fail(errc::invalid_argument, quoted(text) + " is no size: write 1000, 4KiB, 16MiB, 1GiB");
  if (*number * *factor > 0x1p53)
    return fail(errc::invalid_argument, quoted(text) + " is more than anything can hold");
  return static_cast<std::uint64_t>(std::llround(*number * *factor));
}

std::string_view unit_of(std::string_view text) noexcept {
  const auto at = text.find_last_of("0123456789.");
  return at == std::string_view::npos ? text : text.substr(at + 1);
}

result<std::chrono::nanoseconds> parse_time(std::string_view text, std::string_view unit) {
  auto rest = text;
  auto number = take_number(rest);
  const auto* factor = number ? factor_of(time_units, rest.empty() ? unit : rest) : nullptr;
  if (factor == nullptr)
    return fail(errc::invalid_argument, quoted(text) + " is no time: write 250us, 5ms, 1.5s, 2min, 1h");
  if (*number * *factor > 1e17)
    return fail(errc::invalid_argument, quoted(text) + " is longer than anybody waits");
  return std::chrono::nanoseconds(std::llround(*number * *factor));
}

result<double> parse_share(std::string_view text) {
  auto rest = text;
  auto number = take_number(rest);
  if (!number || (rest != "%" && !rest.empty()))
    return fail(errc::invalid_argument, quoted(text) + " is no share: write 0.1% or 0.001");
  const auto share = rest.empty() ? *number : *number / 100;
  if (share > 1)
    return fail(errc::invalid_argument, quoted(text) + " is more than 100%; a share without % is from 0 to 1");
  return share;
}

result<double> parse_real(std::string_view text) {
  auto rest = text;
  auto number = take_number(rest);
  if (!number || !rest.empty())
    return fail(errc::invalid_argument, quoted(text) + " is no number");
  return number;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto at = text.find(separator);
    auto part = text.substr(0, at);
    while (part.starts_with(' '))
      part.remove_prefix(1);
    while (part.ends_with(' '))
      part.remove_suffix(1);
    parts.push_back(part);
    if (at == std::string_view::npos)
      return parts;
    text.remove_prefix(at + 1);
  }
}

std::string human_time(double ns) {
  static constexpr std::pair<double, const char*> units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}};
  std::array<char, 48> text{};
  for (auto [size, name] : units)
    if (ns >= size * 0.9995) {
      const auto value = ns / size;
      std::snprintf(text.data(), text.size(), value < 9.995 ? "%.2f %s" : value < 99.95 ? "%.1f %s" : "%.0f %s", value, name);
      return text.data();
    }
  std::snprintf(text.data(), text.size(), "%.0f ns", ns);
  return text.data();
}

std::string with_commas(std::uint64_t count) {
  auto text = std::to_string(count);
  for (auto at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > 0; at -= 3)
    text.insert(static_cast<std::size_t>(at), 1, ',');
  return text;
}

}  // namespace mutant::load
