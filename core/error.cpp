#include "core/error.hpp"

#include <array>
#include <cerrno>
#include <cstring>

namespace mutant {

std::string_view name_of(errc code) noexcept {
  static constexpr std::array<std::string_view, last_errc + 1> names = {
      "ok",          "key_not_found", "key_exists",     "version_mismatch",  "pad_not_found", "stale_counter",
      "pad_conflict", "bad_signature", "corrupt_record", "decrypt_failed",    "too_large",     "store_full",
      "overloaded",  "timeout",       "unreachable",    "access_denied",     "rollback_detected", "index_corrupt",
      "invalid_argument", "io_error", "unsupported",    "cancelled", "store_damaged"};
  auto i = static_cast<std::size_t>(code);
  return i >= 1 && i < names.size() ? names[i] : std::string_view("unknown");
}

std::string to_string(const error& e) {
  std::string text(name_of(e.code));
  text += ": ";
  text += e.message;
  return text;
}

error errno_error(int number, std::string_view doing) {
  auto code = errc::io_error;
  switch (number) {
    case ENOSPC:
    case EDQUOT: code = errc::store_full; break;
    case EACCES:
    case EPERM:
    case EROFS: code = errc::access_denied; break;
    case EFBIG: code = errc::too_large; break;
    default: break;
  }
  std::array<char, 256> text{};
  std::string message(doing);
  message += ": ";
  message += strerror_r(number, text.data(), text.size());
  return {code, std::move(message)};
}

}  // namespace mutant
