// Points in time as bucket servers and the AWS tools write them. Pure functions; thread-safe.
//
// Years are those from 1970 to 2200: what is said to be later is 2200 (a system clock's nanoseconds end in 2262, and a
// credential that "expires" in 9999 never does).
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace mutant::s3 {

// Of an HTTP date, "Sat, 28 Nov 2026 17:00:00 GMT". Nothing: it is none.
std::optional<std::chrono::system_clock::time_point> parse_http_date(std::string_view text);
// RFC 3339 in UTC, "2026-01-31T12:00:00Z"; fractions of a second are left out. Nothing: it is none.
std::optional<std::chrono::system_clock::time_point> parse_time(std::string_view text);

}  // namespace mutant::s3
