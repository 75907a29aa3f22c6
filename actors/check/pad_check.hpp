// Tries a pad store: whether it keeps the write rule (docs/format.md, "What a pad store promises"), also among writers at once,
// and how fast it is.
//
// Works with the pads of an owner that is drawn for the purpose, so that nothing that is there is touched, and erases them in
// the end, also after a failure. Belongs to the thread that calls, and waits for the store. Takes memory for at most eight
// records.
#pragma once

#include <atomic>

#include "actors/interfaces.hpp"

namespace mutant {

struct pad_check_options {
  std::size_t racers = 8;
  std::size_t samples = 40;                   // small records that are put and got one after the other
  std::size_t small_bytes = 1024;             // of these
  std::size_t small_at_once = 32;
  std::size_t large_at_once = 8;              // whole records
  std::chrono::milliseconds max_step_time{3000};  // of each measurement; one request is made in any case
  const std::atomic<bool>* stop = nullptr;    // becomes true: the check ends with `cancelled`
};

// Of one kind of request.
struct measured_latency {
  std::size_t count = 0;
  std::chrono::nanoseconds p50{0};
  std::chrono::nanoseconds p99{0};
};

// What was found of a store that keeps the rule.
struct pad_check_result {
  measured_latency put, get, head;            // one at a time
  double small_puts_per_s = 0;                // small_at_once at a time
  double small_gets_per_s = 0;
  double put_bytes_per_s = 0;                 // whole records, large_at_once at a time
  double get_bytes_per_s = 0;
  store_traffic traffic;                      // of all of it, where the store counts; `stats` counts the pads, too
};

// unsupported: the store breaks the rule, in words that say what it did. Otherwise what any request may meet. `used` gets the
// pads that were written to, also after a failure.
result<pad_check_result> check_pads(caf::scoped_actor& self, const pad_store_actor& pads, const pad_check_options& options,
                                    std::vector<pad_address>& used);

}  // namespace mutant
