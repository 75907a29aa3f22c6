// Errors as values: what went wrong, in which class of failure, and what the caller can do.
//
// Every fallible function of core/ returns result<T>; no exception leaves core/ (std::bad_alloc aside).
// The numeric values of errc cross the network and appear in CAF errors: never renumber them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace mutant {

// Starts at 1: CAF reads an error code of 0 as "no error".
enum class errc : std::uint8_t {
  key_not_found = 1,
  key_exists,
  version_mismatch,
  pad_not_found,
  stale_counter,    // the store holds a higher counter; error::detail is that counter
  pad_conflict,     // the store holds other content under the same counter; error::detail is that counter
  bad_signature,
  corrupt_record,
  decrypt_failed,
  too_large,
  store_full,
  overloaded,       // shed load: back off and try again
  timeout,          // the outcome is unknown
  unreachable,
  access_denied,
  rollback_detected,
  index_corrupt,
  invalid_argument,
  io_error,
  unsupported,
  cancelled,
  store_damaged,    // the store's own files are truncated, missing or damaged; nothing was written
};

constexpr std::uint8_t last_errc = static_cast<std::uint8_t>(errc::store_damaged);

// The code's name as written in the documentation: "key_not_found". "unknown" for a value out of range.
std::string_view name_of(errc code) noexcept;

struct [[nodiscard]] error {
  errc code;
  std::string message;       // what was being done, to what, and what to do about it
  std::uint64_t detail = 0;  // the stored counter for stale_counter and pad_conflict, otherwise 0

  friend bool operator==(const error&, const error&) = default;
};

// "name: message", for logs and for people.
std::string to_string(const error& e);

// io_error, store_full, access_denied or too_large from an errno value; `doing` is what was tried, on what.
error errno_error(int number, std::string_view doing);

template <class T>
using result = tl::expected<T, error>;

inline tl::unexpected<error> fail(errc code, std::string message, std::uint64_t detail = 0) {
  return tl::unexpected<error>(error{code, std::move(message), detail});
}

inline tl::unexpected<error> fail(error e) {
  return tl::unexpected<error>(std::move(e));
}

}  // namespace mutant
