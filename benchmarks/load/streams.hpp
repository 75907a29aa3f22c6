// Large values: made while they are put, checked while they are got, a chunk at a time.
#pragma once

#include "actors/interfaces.hpp"
#include "benchmarks/load/value.hpp"

namespace mutant::load {

struct source_state {
  static inline const char* name = "stamped_source";
  std::uint64_t at = 0;
};
chunk_source_actor::behavior_type stamped_source(chunk_source_actor::stateful_pointer<source_state> self, const stamp& s);

// verify: what is wrong with the value, "" if nothing is; true: with all of it, false: with what has come in so far. A wrong
// piece is refused with io_error.
using checking_sink_actor = chunk_sink_actor::extend<replies_to<verify_atom, bool>::with<std::string>>;
struct sink_state {
  static inline const char* name = "checking_sink";
  std::optional<value_check> check;
};
checking_sink_actor::behavior_type checking_sink(checking_sink_actor::stateful_pointer<sink_state> self, std::uint64_t run,
                                                 std::uint64_t key);

}  // namespace mutant::load
