#include "core/index/snapshot_plan.hpp"

#include <algorithm>

namespace mutant {

snapshot_step due_snapshot(const root& known, const snapshot_progress& now, const snapshot_limits& limits) {
  const auto behind = now.sequence - known.sequence;
  if (behind >= known.ring_slots / 2 || (behind > 0 && now.log_bytes >= limits.log_bytes)) {
    if (now.knows_changes)
      return snapshot_step::delta;
    return now.full_under_way ? snapshot_step::none : snapshot_step::full;
  }
  if (now.full_under_way)
    return snapshot_step::none;
  std::uint64_t base_bytes = 0, delta_bytes = 0, deltas = 0;
  for (const auto& part : known.parts) {
    (part.base ? base_bytes : delta_bytes) += part.size;
    deltas += part.base ? 0 : 1;
  }
  const auto outweighed = delta_bytes > std::max(base_bytes, limits.min_compaction_bytes) || deltas > limits.max_delta_parts;
  return outweighed ? snapshot_step::full : snapshot_step::none;
}

root with_delta(const root& known, const snapshot_point& upto, const std::vector<part_ref>& parts, std::uint64_t next_part) {
  auto next = known;
  next.sequence = upto.sequence;
  next.last_commit = upto.last_commit;
  next.next_pad = upto.next_pad;
  next.next_part = next_part;
  next.parts.insert(next.parts.end(), parts.begin(), parts.end());
  return next;
}

std::optional<merged_root> with_full(const root& known, const snapshot_point& of, const std::vector<part_ref>& parts,
                                     std::uint64_t next_part) {
  const auto is_as_young = [&](const part_ref& part) { return part.base && part.sequence >= of.sequence; };
  const auto may_be_erased = [&](const part_ref& part) { return part.pad.number < known.parts_floor; };
  if (std::ranges::any_of(known.parts, is_as_young) || std::ranges::any_of(parts, may_be_erased))
    return std::nullopt;
  merged_root out{known, {}};
  auto& next = out.next;
  std::erase_if(next.parts, [&](const part_ref& part) {
    if (part.sequence > of.sequence)
      return false;
    out.dropped.push_back(part);
    return true;
  });
  next.parts.insert(next.parts.begin(), parts.begin(), parts.end());
  if (of.sequence > next.sequence) {
    next.sequence = of.sequence;
    next.last_commit = of.last_commit;
    next.next_pad = of.next_pad;
  }
  next.next_part = next_part;
  return out;
}

}  // namespace mutant
