// What can be proven of an index of which records are lost: a pure function from what could be read to a state.
// docs/operations.md, "Recovering an index".
//
// Proven is what the root names (parts, by hash), what this machine has seen (commits up to the one seen last, the cached
// state), and what the chain of commits joins to either: backward from a hash that is known, forward from it as far as nothing
// is missing. A commit behind a gap that nothing later names is authentic, but need not be of this history: it is left aside.
//
// From the state that reaches furthest without a gap on, what later records say of a key by themselves counts: a value that was
// put, a removal, a delta part's present state. What rests on something that a gap may have changed (a rename of a value that
// was put before it, an upload that began before it) is lost, and named. A value whose pads were since used for another, or
// freed, was replaced or removed in a gap.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/index/cache_file.hpp"
#include "core/index/state.hpp"

namespace mutant {

// All of it was opened, and signed by the owner.
struct index_evidence {
  struct named_root {
    root what;
    std::uint64_t counter = 0;
    content_hash hash{};
  };
  struct cached_state {
    std::uint64_t sequence = 0;
    content_hash last_commit{};
    std::uint64_t next_pad = 0;
    std::vector<snapshot_part> parts;
  };
  struct logged_commit {
    commit what;
    content_hash hash{};
  };
  std::optional<named_root> last_root;                  // nothing: damaged or missing
  std::vector<std::optional<snapshot_part>> parts;      // those of the root, in its order; nothing: damaged or missing
  std::optional<seen_state> seen;
  std::optional<cached_state> cached;                   // only one whose position `seen` names
  std::uint64_t ring_slots = 0;
  std::map<std::uint64_t, logged_commit> log;           // by sequence, whatever the ring's slots hold
  std::set<std::uint64_t> headers;                      // commits whose record is damaged, but not its signed header
  std::vector<bool> unreadable_slots;                   // by slot: what else cannot be read
};

struct recovered_index {
  struct lost_value {
    std::string key;
    std::uint64_t version = 0;      // the one that is lost, or was there before a gap
    std::string why;
  };
  using commit_range = std::pair<std::uint64_t, std::uint64_t>;    // both included
  using key_range = std::pair<std::string, std::string>;           // not included; an empty second one is the end

  index_state state;
  std::uint64_t whole_until = 0;                        // the state at this commit is complete
  content_hash whole_commit{};                          // and its hash
  std::uint64_t sequence = 0;                           // the last commit that is known to have been
  std::vector<std::uint64_t> proven;                    // commits of the log, ascending
  // Nothing in these: nothing is lost, and the state is that of commit `sequence`.
  std::vector<commit_range> lost_commits;               // whose changes are not all known
  std::vector<commit_range> unproven_commits;           // of those: in the log, but joined to nothing that is known
  std::vector<lost_value> lost_values;                  // by key
  std::vector<key_range> lost_keys;                     // of these nothing but what is in the state is known
  std::vector<std::string> uncertain;                   // a lost commit may have changed them: perhaps an older value
  bool is_complete() const noexcept { return lost_commits.empty(); }
};

// index_corrupt: nothing of an index can be proven. rollback_detected: root and log are of another history than the one seen.
result<recovered_index> recover_index(index_evidence evidence);

}  // namespace mutant
