// What a cow_map finds its keys by, with few looks into memory: a comparison of two long strings costs two or three cache
// misses, and a search through a hundred thousand of them thirty and more.
//
// leaf_directory finds the leaf, by the keys that the leaves start at; key_tags finds the item in the leaf. Both decide nothing
// alone: where they say that something may be, keys are compared. For integers they are a plain search.
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mutant {

// A byte of each key's hash, in the order of the items: 64 bytes for a leaf of 64.
template <std::size_t capacity>
class key_tags {
  static_assert(capacity % 8 == 0 && sizeof(std::size_t) == 8);

 public:
  static std::uint8_t tag_of(std::string_view key) noexcept {
    return static_cast<std::uint8_t>(std::hash<std::string_view>{}(key) >> 56);
  }

  void insert(std::size_t at, std::size_t size, std::string_view key) noexcept {
    std::memmove(tags_.data() + at + 1, tags_.data() + at, size - at);
    tags_[at] = tag_of(key);
  }
  void erase(std::size_t at, std::size_t size) noexcept {
    std::memmove(tags_.data() + at, tags_.data() + at + 1, size - at - 1);
  }
  // The tags [from, from + count) of the other one, behind the `size` that are here.
  void append(std::size_t size, const key_tags& other, std::size_t from, std::size_t count) noexcept {
    std::memcpy(tags_.data() + size, other.tags_.data() + from, count);
  }

  // The first of `size` positions with the key's tag for which is_it(position) holds; otherwise nothing.
  template <class IsIt>
  std::optional<std::size_t> find(std::string_view key, std::size_t size, IsIt&& is_it) const {
    constexpr std::uint64_t ones = 0x0101010101010101, highs = ones << 7;
    const auto wanted = ones * tag_of(key);
    for (std::size_t begin = 0; begin < size; begin += 8) {
      std::uint64_t eight;
      std::memcpy(&eight, tags_.data() + begin, 8);
      const auto differing = eight ^ wanted;
      // Marks every byte that is zero; one above such a byte may be marked too, which is_it tells.
      if (((differing - ones) & ~differing & highs) == 0)
        continue;
      for (auto at = begin; at < std::min(begin + 8, size); ++at)
        if (tags_[at] == static_cast<std::uint8_t>(wanted) && is_it(at))
          return at;
    }
    return std::nullopt;
  }

 private:
  std::array<std::uint8_t, capacity> tags_{};
};

// The keys that leaves start at, ascending: firsts[i] is above every key of leaf i - 1 and not above any key of leaf i. The
// first one means nothing.
template <class Key>
class leaf_directory {
 public:
  // The leaf that holds the key or would take it. Keys below the first leaf's first go there too. Not for an empty directory.
  std::size_t leaf_for(Key key) const {
    const auto after = std::upper_bound(firsts_.begin() + 1, firsts_.end(), key);
    return static_cast<std::size_t>(after - firsts_.begin()) - 1;
  }
  void push_back(Key first) { firsts_.push_back(first); }
  void insert(std::size_t at, Key first) { firsts_.insert(firsts_.begin() + static_cast<std::ptrdiff_t>(at), first); }
  void erase(std::size_t at) { firsts_.erase(firsts_.begin() + static_cast<std::ptrdiff_t>(at)); }
  void clear() noexcept { firsts_.clear(); }

 private:
  std::vector<Key> firsts_;
};

// Strings are searched for by their heads: the eight bytes behind what all of them begin with, as a number. That beginning only
// gets shorter, until the directory is cleared: a key that begins otherwise makes searches slower, which is all it does.
template <>
class leaf_directory<std::string> {
 public:
  std::size_t leaf_for(std::string_view key) const {
    const auto beside = key.substr(0, prefix_.size()).compare(prefix_);
    if (beside != 0)
      return beside < 0 ? 0 : firsts_.size() - 1;
    const auto head = head_of(key);
    const auto low = std::lower_bound(heads_.begin() + 1, heads_.end(), head) - heads_.begin();
    const auto high = std::upper_bound(heads_.begin() + low, heads_.end(), head) - heads_.begin();
    const auto after = std::upper_bound(firsts_.begin() + low, firsts_.begin() + high, key);
    return static_cast<std::size_t>(after - firsts_.begin()) - 1;
  }
  void push_back(std::string first) { insert(firsts_.size(), std::move(first)); }
  // In front of all only as the first of all.
  void insert(std::size_t at, std::string first) {
    assert(at > 0 || firsts_.empty());
    if (firsts_.size() < 2)
      prefix_ = at == 0 ? std::string() : first;
    const auto place = static_cast<std::ptrdiff_t>(at);
    heads_.insert(heads_.begin() + place, 0);
    firsts_.insert(firsts_.begin() + place, std::move(first));
    if (at == 0)
      return;
    if (!firsts_[at].starts_with(prefix_))
      shorten_prefix(firsts_[at]);
    heads_[at] = head_of(firsts_[at]);
  }
  // What follows the first one takes its place.
  void erase(std::size_t at) {
    heads_.erase(heads_.begin() + static_cast<std::ptrdiff_t>(at));
    firsts_.erase(firsts_.begin() + static_cast<std::ptrdiff_t>(at));
  }
  void clear() noexcept {
    heads_.clear();
    firsts_.clear();
    prefix_.clear();
  }

 private:
  // Of a string that begins with the prefix. Ascending with the string; equal for some that are not.
  std::uint64_t head_of(std::string_view key) const noexcept {
    key.remove_prefix(prefix_.size());
    char padded[8] = {};
    if (key.size() < 8) {
      key.copy(padded, sizeof padded);  // not memcpy: an empty key may have no address
      key = {padded, sizeof padded};
    }
    std::uint64_t head = 0;
    for (std::size_t i = 0; i < 8; ++i)
      head = head << 8 | static_cast<unsigned char>(key[i]);
    return head;
  }
  void shorten_prefix(std::string_view other) {
    const auto [differs, ignored] = std::ranges::mismatch(prefix_, other);
    prefix_.erase(differs, prefix_.end());
    for (std::size_t i = 1; i < firsts_.size(); ++i)
      heads_[i] = head_of(firsts_[i]);
  }

  std::vector<std::uint64_t> heads_;   // beside firsts_
  std::vector<std::string> firsts_;
  std::string prefix_;                 // of all but the first
};

}  // namespace mutant
