// The free space of one segment in memory: ranges of blocks, merged, found by best fit. Pure; one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace mutant {

class free_space {
 public:
  // Merges with its neighbours. The range must not be free yet.
  void add(std::uint32_t first, std::uint32_t count);
  // The lowest of the smallest ranges that fit; nullopt: none does.
  std::optional<std::uint32_t> take(std::uint32_t count);
  void clear();

  std::uint32_t blocks() const noexcept { return blocks_; }
  const std::map<std::uint32_t, std::uint32_t>& ranges() const noexcept { return by_place_; }

 private:
  void insert(std::uint32_t first, std::uint32_t count);
  void remove(std::map<std::uint32_t, std::uint32_t>::iterator at);

  std::map<std::uint32_t, std::uint32_t> by_place_;             // first -> count
  std::set<std::pair<std::uint32_t, std::uint32_t>> by_size_;   // (count, first)
  std::uint32_t blocks_ = 0;
};

}  // namespace mutant
