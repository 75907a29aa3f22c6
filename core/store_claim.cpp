#include "core/store_claim.hpp"

#include "core/printable.hpp"

namespace mutant {

bool is_store_code(errc code) noexcept {
  switch (code) {
    case errc::pad_not_found:
    case errc::stale_counter:
    case errc::pad_conflict:
    case errc::bad_signature:
    case errc::corrupt_record:
    case errc::store_full:
    case errc::overloaded:
    case errc::timeout:
    case errc::unreachable:
    case errc::access_denied:
    case errc::io_error:
    case errc::too_large:
    case errc::unsupported:
    case errc::store_damaged: return true;
    case errc::key_not_found:
    case errc::key_exists:
    case errc::version_mismatch:
    case errc::decrypt_failed:
    case errc::rollback_detected:
    case errc::index_corrupt:
    case errc::invalid_argument:
    case errc::cancelled: break;
  }
  return false;
}

error store_claim(error e) {
  // Escaping makes it longer, by up to four times: cut first, so that no escape is cut.
  const auto begin = shortened(e.message, max_claim_text_bytes);
  auto text = without_controls(begin);
  if (begin.size() < e.message.size())
    text += "…";
  e.message = std::move(text);
  if (is_store_code(e.code))
    return e;
  e.message = "the store answered '" + std::string(name_of(e.code)) + "', which is not a store's to say: " + e.message;
  e.code = errc::io_error;
  e.detail = 0;
  return e;
}

}  // namespace mutant
