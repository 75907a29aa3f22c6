// Does scratchpad I/O for others over one pad store: a timeout for every try, bounded retries with exponential back-off and
// jitter. Same interface as the store itself. A retried write sends the very same record, which the write rule acknowledges
// again if the first try arrived after all. A write that went unanswered once ends well, with pad_conflict (not ours, for
// good) or with timeout (unknown; detail: the stored counter if that is higher by now, otherwise 0), never with a refusal that
// says that nothing was written. All that a store answers comes through here, so this is where its errors become claims
// (core/store_claim.hpp).
#pragma once

#include <functional>
#include <map>

#include "actors/interfaces.hpp"

namespace mutant {

struct pad_worker_options {
  pad_store_actor store;
  std::chrono::milliseconds timeout{30'000};      // for one try
  unsigned tries = 6;                             // at least 1
  std::chrono::milliseconds first_pause{20};      // doubles with each try
  std::chrono::milliseconds max_pause{2'000};
  std::uint64_t seed = 0;                         // of the jitter; 0: random. Simulations set it

  result<void> validate() const;
  // Longest that one request may take, every try and pause included.
  std::chrono::milliseconds max_request_time() const;
};

struct pad_worker_state {
  static inline const char* name = "pad_worker";
  // One that the store has not answered.
  struct unanswered_try {
    caf::actor_clock::time_point until;
    std::function<void(error)> failed;
  };

  pad_worker_options options;
  std::uint64_t random = 0;
  std::uint64_t last_try = 0;
  std::map<std::uint64_t, unanswered_try> tries;   // by number, so by age
  bool watching = false;                           // a look at the clock is due

  // Half to all of the pause that follows this many failed tries.
  std::chrono::milliseconds pause_after(unsigned failed);
  // What to do if this try failed; nothing: it was given up before, and this answer comes too late.
  std::function<void(error)> take_try(std::uint64_t number);
};

// The pad store's interface, and the worker's own messages to itself.
using pad_worker_actor = pad_store_actor::extend<reacts_to<deferred>>;

pad_worker_actor::behavior_type pad_worker(pad_worker_actor::stateful_pointer<pad_worker_state> self,
                                           pad_worker_options options);

}  // namespace mutant
