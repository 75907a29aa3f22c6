// The rule for a write, shared by every engine: a higher counter replaces a lower one. docs/format.md, "What a pad store
// promises".
#pragma once

#include <string>

#include "core/bytes.hpp"
#include "core/error.hpp"
#include "core/outcome.hpp"
#include "core/record.hpp"

namespace mutant {

enum class write_verdict { take, already_there };

inline error stale_write(const record_header& stored, std::uint64_t counter) {
  return {errc::stale_counter,
          "pad " + short_name(stored.address) + " is stored with counter " + std::to_string(stored.counter) + "; a write with "
              + std::to_string(counter) + " comes too late: read it and use a higher counter",
          stored.counter};
}

inline error conflicting_write(const record_header& stored) {
  return {errc::pad_conflict,
          "pad " + short_name(stored.address) + " is stored with other content under the same counter "
              + std::to_string(stored.counter) + ": read it, and use a higher counter or another pad",
          stored.counter};
}

// `same` says whether the stored record has the same bytes; it is asked only when the counters are equal.
template <class Same>
result<write_verdict> check_write(const record_header& stored, std::uint64_t counter, Same&& same) {
  if (counter > stored.counter)
    return write_verdict::take;
  if (counter < stored.counter)
    return fail(stale_write(stored, counter));
  if (!same())
    return fail(conflicting_write(stored));
  return write_verdict::already_there;
}

// A blank record with a higher counter is its owner's word that the pad may go.
inline result<record_header> parse_blank(byte_view blank) {
  auto header = parse_record(blank);
  if (header && !header->blank)
    return fail(errc::invalid_argument, "pad " + short_name(header->address) + " is erased by a blank record; this one is not");
  return header;
}

inline result<void> check_erase(const record_header& stored, std::uint64_t counter) {
  if (counter <= stored.counter)
    return fail(stale_write(stored, counter));
  return {};
}

}  // namespace mutant
