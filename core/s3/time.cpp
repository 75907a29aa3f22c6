#include "core/s3/time.hpp"

#include <algorithm>
#include <ctime>
#include <string>

namespace mutant::s3 {

namespace {

constexpr std::size_t longest_text = 64;
constexpr int first_year = 1970, last_year = 2200;

std::chrono::system_clock::time_point in_range(std::tm parts) {
  parts.tm_year = std::clamp(parts.tm_year, first_year - 1900, last_year - 1900);
  return std::chrono::system_clock::from_time_t(::timegm(&parts));
}

}  // namespace

std::optional<std::chrono::system_clock::time_point> parse_http_date(std::string_view text) {
  std::tm parts{};
  const std::string whole(text.substr(0, longest_text));
  const auto* rest = ::strptime(whole.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (rest == nullptr || *rest != '\0')
    return std::nullopt;
  return in_range(parts);
}

std::optional<std::chrono::system_clock::time_point> parse_time(std::string_view text) {
  std::tm parts{};
  const std::string whole(text.substr(0, longest_text));
  const auto* rest = ::strptime(whole.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr)
    return std::nullopt;
  if (*rest == '.')
    for (++rest; *rest >= '0' && *rest <= '9'; ++rest) {
    }
  const std::string_view zone(rest);
  if (zone != "Z" && zone != "+00:00" && zone != "+0000")
    return std::nullopt;
  return in_range(parts);
}

}  // namespace mutant::s3
