// A store that means harm, and one owner who goes on using it: puts, reads, snapshots, purges, ends, and begins again with
// what this machine remembers. Nothing but the seed decides what happens.
//
// What must hold whatever the store does: every request is answered; what is shown is, whole, what was once put under that key,
// and of no older version than this machine was told of; the position never goes back. When the store has turned honest,
// everything that was acknowledged is there, if what the store kept is one history, and the one that it showed; otherwise it
// is an integrity error. Where the store only lacks a root or commits that it had shown, all is there for who accepts that.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace mutant::simulation {

struct hostile_report {
  std::optional<std::string> violation;   // with the seed's settings
  std::uint64_t acknowledged = 0;         // puts
  std::uint64_t read = 0;                 // values that were shown
  std::uint64_t refused = 0;              // requests that ended in an error
  bool torn = false;                      // what the store kept in the end is not one history, or not the one it showed
  std::map<std::string, std::uint64_t> errors;
};

hostile_report run_hostile(std::uint64_t seed);

}  // namespace mutant::simulation
