// When a snapshot is due and of which kind, and the root that names it. docs/design.md, "The index is a log".
//
// A delta holds the present state of all that was touched since the root before it, so its cost follows the changes, not the
// index. When the deltas outweigh the full snapshot under them, a new full one is due; the root that names it keeps the deltas
// that are younger than it. Pure functions: whoever owns the index writes the parts and the root.
#pragma once

#include <optional>
#include <vector>

#include "core/index/model.hpp"

namespace mutant {

struct snapshot_limits {
  std::uint64_t log_bytes = 8u << 20;              // a root is due after this much log, or half the ring
  std::uint64_t min_compaction_bytes = 1u << 20;   // deltas below this never cause a full snapshot
  std::size_t max_delta_parts = 256;
};

enum class snapshot_step : std::uint8_t { none, delta, full };

// Where an index stands, seen from the root that the store has.
struct snapshot_progress {
  std::uint64_t sequence = 0;        // of the state
  std::uint64_t log_bytes = 0;       // of the commits behind the root
  bool knows_changes = true;         // what was touched since the root is known: otherwise a delta would lose some of it
  bool full_under_way = false;
};

snapshot_step due_snapshot(const root& known, const snapshot_progress& now, const snapshot_limits& limits);

// The state that parts hold.
struct snapshot_point {
  std::uint64_t sequence = 0;
  content_hash last_commit{};        // of that sequence
  std::uint64_t next_pad = 0;
};

// The root after this one, with the parts of a delta. next_part: part pads from there on were never written to by us.
root with_delta(const root& known, const snapshot_point& upto, const std::vector<part_ref>& parts, std::uint64_t next_part);

struct merged_root {
  root next;
  std::vector<part_ref> dropped;     // parts of the old root that the new full snapshot stands for
};
// The same with a full snapshot. Nothing: another writer's is as young, or a purge has been here meanwhile, which may have
// erased parts that no root named.
std::optional<merged_root> with_full(const root& known, const snapshot_point& of, const std::vector<part_ref>& parts,
                                     std::uint64_t next_part);

}  // namespace mutant
