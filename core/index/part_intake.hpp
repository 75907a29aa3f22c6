// Parts of a snapshot on their way into a state: some are fetched and opened while those before them are applied, in order.
//
// Pure: it says which part to fetch and which to apply, and does neither. At most `window` parts are held or under way.
// One thread owns it.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <optional>
#include <utility>

namespace mutant {

// Part: a pointer; null is no part.
template <class Part>
class part_intake {
 public:
  static constexpr std::size_t window = 4;

  explicit part_intake(std::size_t count) : count_(count) {}

  // The number of the next part to be fetched, once each, from 0 on; nothing: none for now.
  std::optional<std::size_t> next_to_fetch() {
    if (abandoned_ || asked_ == count_ || asked_ - applied_ == window)
      return std::nullopt;
    return asked_++;
  }
  void arrived(std::size_t number, Part part) {
    assert(number >= applied_ && number < asked_ && waiting_[number % window] == nullptr);
    waiting_[number % window] = std::move(part);
  }
  // The next part in order, if it has arrived; otherwise null.
  Part next_to_apply() {
    auto next = abandoned_ ? Part() : std::exchange(waiting_[applied_ % window], Part());
    if (next != nullptr)
      ++applied_;
    return next;
  }
  bool is_complete() const noexcept { return applied_ == count_; }
  // What still arrives counts for nothing.
  void abandon() noexcept { abandoned_ = true; }
  bool is_abandoned() const noexcept { return abandoned_; }

 private:
  std::size_t count_;
  std::size_t asked_ = 0;
  std::size_t applied_ = 0;
  bool abandoned_ = false;
  std::array<Part, window> waiting_{};   // of the parts [applied_, asked_), by number modulo size
};

}  // namespace mutant
