// Where commit n lies: slot n mod R of the ring, under counter n div R + 1. docs/format.md, "Log".
#pragma once

#include <cstdint>

namespace mutant {

constexpr std::uint64_t slot_of(std::uint64_t sequence, std::uint64_t ring_slots) noexcept {
  return sequence % ring_slots;
}

constexpr std::uint64_t counter_of(std::uint64_t sequence, std::uint64_t ring_slots) noexcept {
  return sequence / ring_slots + 1;
}

}  // namespace mutant
