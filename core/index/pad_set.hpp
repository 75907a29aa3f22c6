// The set of pad numbers that values and uploads use: bitmap pages of 512 pads, only those that hold any.
//
// Pads are numbered densely, so a page of 64 bytes stands for up to 512 of them; scattered numbers cost a page each, never
// memory in proportion to a number's magnitude. One thread.
#pragma once

#include <array>
#include <cstdint>

#include "core/index/cow_map.hpp"

namespace mutant {

class pad_set {
 public:
  std::uint64_t size() const noexcept { return size_; }

  bool contains(std::uint64_t number) const {
    const auto* p = pages_.find(number / page_pads);
    return p != nullptr && ((*p)[word_of(number)] & bit_of(number)) != 0;
  }

  // True: the number was not there.
  bool insert(std::uint64_t number) {
    auto* p = pages_.find_for_change(number / page_pads);
    if (p == nullptr) {
      page fresh{};
      fresh[word_of(number)] = bit_of(number);
      pages_.insert_or_assign(number / page_pads, fresh);
      ++size_;
      return true;
    }
    auto& word = (*p)[word_of(number)];
    if ((word & bit_of(number)) != 0)
      return false;
    word |= bit_of(number);
    ++size_;
    return true;
  }

  // True: the number was there.
  bool erase(std::uint64_t number) {
    auto* p = pages_.find_for_change(number / page_pads);
    if (p == nullptr || ((*p)[word_of(number)] & bit_of(number)) == 0)
      return false;
    (*p)[word_of(number)] &= ~bit_of(number);
    --size_;
    if (*p == page{})
      pages_.erase(number / page_pads);
    return true;
  }

 private:
  static constexpr std::uint64_t page_pads = 512;
  using page = std::array<std::uint64_t, page_pads / 64>;

  static std::size_t word_of(std::uint64_t number) noexcept { return number % page_pads / 64; }
  static std::uint64_t bit_of(std::uint64_t number) noexcept { return std::uint64_t{1} << number % 64; }

  cow_map<std::uint64_t, page> pages_;
  std::uint64_t size_ = 0;
};

}  // namespace mutant
