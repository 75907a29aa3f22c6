// "delay=5ms±2,drop=0.1%,…": faults that stand between the store and its pads (testing/faulty_store.hpp).
//
//   delay=5ms±2           every request and every answer waits that long, evenly spread (here 3 to 7 ms; +- is ± as well)
//   delay=1ms..9ms        the same by its ends
//   straggle=1%:200ms     this share of them waits up to that long instead
//   drop=0.1%             every request and every answer is lost with this chance
//   drop-requests, drop-answers      one of the two alone
//   repeat=1%             a write arrives twice
//   overloaded=1%         refused as overloaded; full=1%: a write is refused as store_full; io-error=1%: the medium fails
//   corrupt=0.1%          one bit of what is read is flipped
//   stale=0.1%            a read gives what the pad held before
#pragma once

#include <string>
#include <string_view>

#include "testing/faulty_store.hpp"

namespace mutant::load {

// invalid_argument: says which part, and what was expected.
result<fault_options> parse_faults(std::string_view text);
// Text that parses to the same; empty: no faults.
std::string to_string(const fault_options& faults);
// Whether reads may fail the store's own checks because of these.
inline bool tampers(const fault_options& f) noexcept { return f.corrupt_read > 0 || f.stale_read > 0; }

// For --help.
std::string fault_help();

}  // namespace mutant::load
