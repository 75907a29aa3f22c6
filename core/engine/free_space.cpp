#include "core/engine/free_space.hpp"

namespace mutant {

void free_space::insert(std::uint32_t first, std::uint32_t count) {
  by_place_.emplace(first, count);
  by_size_.emplace(count, first);
  blocks_ += count;
}

void free_space::remove(std::map<std::uint32_t, std::uint32_t>::iterator at) {
  blocks_ -= at->second;
  by_size_.erase({at->second, at->first});
  by_place_.erase(at);
}

void free_space::add(std::uint32_t first, std::uint32_t count) {
  auto next = by_place_.lower_bound(first);
  if (next != by_place_.begin()) {
    auto before = std::prev(next);
    if (before->first + before->second == first) {
      first = before->first;
      count += before->second;
      remove(before);
    }
  }
  if (next != by_place_.end() && first + count == next->first) {
    count += next->second;
    remove(next);
  }
  insert(first, count);
}

std::optional<std::uint32_t> free_space::take(std::uint32_t count) {
  auto fit = by_size_.lower_bound({count, 0});
  if (fit == by_size_.end())
    return std::nullopt;
  auto [found, first] = *fit;
  remove(by_place_.find(first));
  if (found > count)
    insert(first + count, found - count);
  return first;
}

void free_space::clear() {
  by_place_.clear();
  by_size_.clear();
  blocks_ = 0;
}

}  // namespace mutant
