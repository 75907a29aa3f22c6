// The actors of the load generator and what they say to each other. All in one process.
//
// The conductor spawns the clients, leads them through the phases (load, warm-up, run), adds up what they report and answers
// with the outcome. A client does one operation at a time. Each phase ends with one phase_report of every client.
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "actors/interfaces.hpp"
#include "benchmarks/load/recorder.hpp"

namespace mutant::load {

using load_clock = caf::actor_clock;

enum class phase : std::uint8_t { load, warm_up, run };
std::string_view name_of(phase what) noexcept;

struct phase_order {
  phase what = phase::run;
  load_clock::time_point start;
  load_clock::time_point end = load_clock::time_point::max();
  std::uint64_t operations = ~std::uint64_t{0};    // for this client
};

struct stop_order {
  bool at_once = false;    // do not wait for the operation that is under way
};

struct interval_report {
  phase what = phase::run;
  std::uint64_t number = 0;
  std::shared_ptr<const interval> content;
};

struct phase_report {
  phase what = phase::run;
  std::shared_ptr<const recorder> content;
};

// Something that ends the run: a wrong value (corrupt_record), or an error that will not go away.
struct finding {
  bool wrong_value = false;
  error what;
};

struct run_outcome {
  enum class ending { done, interrupted, wrong_value, failed };
  ending how = ending::done;
  std::optional<error> why;                 // of wrong_value and failed
  recorder total;
  timeline over_time{std::chrono::milliseconds(1000)};
  std::uint64_t loaded = 0;                 // values
  double load_seconds = 0;
  double run_seconds = 0;                   // 0: it did not come to that
  double cpu_seconds = 0;                   // of this process, in the run
  std::uint64_t peak_anonymous_bytes = 0;   // sampled
  std::optional<store_stats> before;        // at the start of the run
  std::optional<store_stats> after;
};
using outcome_ptr = std::shared_ptr<const run_outcome>;

using client_actor = caf::typed_actor<reacts_to<phase_order>, reacts_to<stop_order>, reacts_to<deferred>>;

using conductor_actor = caf::typed_actor<
    // Runs everything; answers when it is over, however it ended.
    replies_to<sync_atom>::with<outcome_ptr>,
    reacts_to<interval_report>, reacts_to<phase_report>, reacts_to<finding>, reacts_to<stop_order>, reacts_to<deferred>>;

}  // namespace mutant::load

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(mutant::load::phase_order)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(mutant::load::stop_order)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(mutant::load::interval_report)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(mutant::load::phase_report)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(mutant::load::finding)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(mutant::load::outcome_ptr)
