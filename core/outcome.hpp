// What an error says about the request that it answers: whether the same may succeed later, whether a write may have been done
// all the same, and whether another writer was first. In one place, so that everybody means the same by it.
#pragma once

#include "core/error.hpp"

namespace mutant {

// The way to the store is in trouble: the same request may succeed later.
constexpr bool is_transient(errc code) noexcept {
  return code == errc::overloaded || code == errc::timeout || code == errc::unreachable;
}

// A write that was answered so may have been done, or may be yet. `overloaded` and `io_error` may be said of a later try than
// the one that arrived.
constexpr bool outcome_unknown(errc code) noexcept {
  return is_transient(code) || code == errc::io_error;
}

// What a store answers when the write rule (core/engine/write_rule.hpp) refuses, with the stored counter as detail.
constexpr bool is_refusal_by_rule(errc code) noexcept {
  return code == errc::pad_conflict || code == errc::stale_counter;
}

// Another writer's record is where a write should have gone: that pad is theirs. Also a timeout that knows a higher counter,
// whatever became of our record.
inline bool lost_to_another(const error& e) noexcept {
  return is_refusal_by_rule(e.code) || (e.code == errc::timeout && e.detail != 0);
}

}  // namespace mutant
