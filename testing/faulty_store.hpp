// A pad store in front of another that misbehaves on purpose: for simulations, and for load under bad conditions.
//
// Shape: every request draws its fate from one seeded generator, in the order of arrival, so that the same requests with the
// same seed meet the same faults. Delays go through the actor system's clock: a test clock drives them, and requests with
// different delays overtake each other (that is the reordering). What is lost is never answered: the asker's own timeout
// notices. Event-based; the faults can be replaced while it runs by sending it new fault_options.
#pragma once

#include <map>
#include <random>

#include "actors/interfaces.hpp"

namespace mutant {

// Chances are from 0 to 1, drawn anew for each request.
struct fault_options {
  double lose_request = 0;         // it never reaches the store
  double lose_answer = 0;          // the store does it; nobody hears of it
  double repeat_write = 0;         // the store gets what it has done once more, after another delay
  double refuse_overloaded = 0;    // `overloaded`, nothing was done
  double refuse_full = 0;          // writes only: `store_full`, nothing was done
  double fail_io = 0;              // `io_error`, nothing was done
  double corrupt_read = 0;         // one bit of what is read is flipped
  double stale_read = 0;           // what the pad held before, as far as it went through here; absent if that was nothing
  // Every request and every answer waits this long, evenly spread.
  std::chrono::microseconds min_delay{0};
  std::chrono::microseconds max_delay{0};
  // Some wait longer: this chance, up to this delay.
  double straggle = 0;
  std::chrono::microseconds max_straggle{0};

  // invalid_argument: a chance outside 0…1, a delay below 0 or out of order.
  result<void> validate() const;
};

struct faulty_store_options {
  pad_store_actor store;           // the one behind
  std::uint64_t seed = 1;
  fault_options faults;
  std::chrono::milliseconds timeout{60'000};   // for one request to the store behind
  std::size_t max_remembered = 4096;           // pads whose earlier record is kept for stale reads

  result<void> validate() const;
};

struct fault_counts {
  std::uint64_t requests = 0;
  std::uint64_t lost = 0;          // requests and answers
  std::uint64_t repeated = 0;
  std::uint64_t refused = 0;
  std::uint64_t tampered = 0;      // corrupt or stale
};
struct fault_counts_query {};

// The pad store's interface; new faults for all requests from here on; what it did so far; and its own messages to itself.
using faulty_store_actor = pad_store_actor::extend<reacts_to<fault_options>, replies_to<fault_counts_query>::with<fault_counts>,
                                                   reacts_to<deferred>>;

struct faulty_store_state {
  static inline const char* name = "faulty_store";

  // What happens to one request. Drawn as a whole, whatever of it applies.
  struct fate {
    bool lose_request = false;
    bool lose_answer = false;
    bool repeat = false;
    bool overloaded = false;
    bool full = false;
    bool io = false;
    bool corrupt = false;
    bool stale = false;
    std::uint64_t bit = 0;
    std::chrono::microseconds before{0};
    std::chrono::microseconds after{0};
    std::chrono::microseconds again{0};
  };
  struct remembered {
    bytes older;                   // empty: absent, as far as we know
    bytes newer;
  };

  fate draw();
  std::chrono::microseconds draw_delay();
  bool chance(double p);
  void remember(const bytes& record);
  // Null: pass the read on.
  std::optional<result<bytes>> stale_record(const pad_address& address) const;

  faulty_store_options options;
  std::mt19937_64 random;
  std::map<pad_address, remembered> earlier;
  fault_counts counts;
};

// Options must be valid.
faulty_store_actor::behavior_type faulty_store(faulty_store_actor::stateful_pointer<faulty_store_state> self,
                                               faulty_store_options options);

}  // namespace mutant

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(mutant::fault_options)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(mutant::fault_counts)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(mutant::fault_counts_query)
