// From settings to an outcome: opens the store in an actor system of its own, lets the conductor run, and closes all of it.
#pragma once

#include <functional>

#include "benchmarks/load/conductor.hpp"
#include "benchmarks/load/settings.hpp"

namespace mutant::load {

struct run_result {
  outcome_ptr outcome;
  std::optional<fault_counts> faults;     // when there were any
  std::uint64_t run = 0;                  // in the stamps of the values
  std::string note;                       // what became of the data, for people
};

// `stoppable` is called once with what ends the run in order, callable from any thread while run_load has not returned.
// Errors: of opening the store and the identity.
result<run_result> run_load(const settings& s,
                            std::function<void(phase, double, std::uint64_t, double)> on_progress,
                            const std::function<void(std::function<void()>)>& stoppable);

}  // namespace mutant::load
