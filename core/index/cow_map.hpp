// An ordered map whose whole content can be frozen in the time it takes to copy one pointer per leaf.
//
// Sorted leaves of at most leaf_capacity items hang off one vector, beside the directory of the keys that they start at.
// freeze() shares the leaves and raises the map's epoch; a leaf of an older epoch is cloned before its first change. That is
// how a snapshot of a million keys is written while look-ups and commits go on. One thread changes the map; frozen views may
// be read, copied and dropped in any thread: nobody asks how many owners a leaf has.
//
// Keys are std::string (looked up by std::string_view) or unsigned integers. Pointers and cursors into the map are valid until
// it changes; those into a frozen view as long as that view or a copy of it lives. Values are copied when a leaf is cloned:
// keep them cheap to copy.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/index/key_search.hpp"

namespace mutant {

template <class Key, class Value>
class cow_map {
 public:
  using lookup_key = std::conditional_t<std::is_same_v<Key, std::string>, std::string_view, Key>;
  static constexpr std::size_t leaf_capacity = 64;

 private:
  struct item {
    Key key;
    Value value;
  };
  struct no_tags {};
  static constexpr bool has_tags = std::is_same_v<Key, std::string>;

  struct leaf {
    std::uint64_t epoch = 0;   // of the map when it was made: only a map of the same epoch may change it
    [[no_unique_address]] std::conditional_t<has_tags, key_tags<leaf_capacity>, no_tags> tags;
    std::vector<item> items;   // never empty

    void insert(std::size_t at, item fresh) {
      if constexpr (has_tags)
        tags.insert(at, items.size(), fresh.key);
      items.insert(items.begin() + static_cast<std::ptrdiff_t>(at), std::move(fresh));
    }
    void erase(std::size_t at) {
      if constexpr (has_tags)
        tags.erase(at, items.size());
      items.erase(items.begin() + static_cast<std::ptrdiff_t>(at));
    }
    // Moves the other leaf's items from `from` on behind those that are here.
    void take_from(leaf& other, std::size_t from) {
      if constexpr (has_tags)
        tags.append(items.size(), other.tags, from, other.items.size() - from);
      const auto first = other.items.begin() + static_cast<std::ptrdiff_t>(from);
      items.insert(items.end(), std::move_iterator(first), std::move_iterator(other.items.end()));
      other.items.erase(first, other.items.end());
    }
  };
  using leaf_list = std::vector<std::shared_ptr<leaf>>;

  // The first item with a key >= the given one.
  static std::size_t position_in(const leaf& l, lookup_key key) {
    auto at = std::lower_bound(l.items.begin(), l.items.end(), key,
                               [](const item& i, lookup_key k) { return lookup_key(i.key) < k; });
    return static_cast<std::size_t>(at - l.items.begin());
  }

  // The item with this key.
  static std::optional<std::size_t> find_in(const leaf& l, lookup_key key) {
    if constexpr (has_tags)
      return l.tags.find(key, l.items.size(), [&](std::size_t at) { return l.items[at].key == key; });
    const auto at = position_in(l, key);
    return at < l.items.size() && lookup_key(l.items[at].key) == key ? std::optional(at) : std::nullopt;
  }

 public:
  // Walks items in ascending order.
  class cursor {
   public:
    cursor() = default;
    bool at_end() const noexcept { return leaves_ == nullptr || leaf_ == leaves_->size(); }
    const Key& key() const noexcept { return here().key; }
    const Value& value() const noexcept { return here().value; }
    void next() noexcept {
      if (++position_ == (*leaves_)[leaf_]->items.size()) {
        ++leaf_;
        position_ = 0;
      }
    }

   private:
    friend class cow_map;
    cursor(const leaf_list* leaves, std::size_t leaf, std::size_t position) noexcept
        : leaves_(leaves), leaf_(leaf), position_(position) {
      if (!at_end() && position_ == (*leaves_)[leaf_]->items.size()) {
        ++leaf_;
        position_ = 0;
      }
    }
    const item& here() const noexcept { return (*leaves_)[leaf_]->items[position_]; }

    const leaf_list* leaves_ = nullptr;
    std::size_t leaf_ = 0;
    std::size_t position_ = 0;
  };

  // The map as it was when frozen. Copying one costs a reference.
  class frozen {
   public:
    frozen() = default;
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    cursor begin() const noexcept { return leaves_ ? cursor(leaves_.get(), 0, 0) : cursor(); }

    // The first item with a key >= the given one.
    cursor lower_bound(lookup_key key) const {
      if (empty())
        return {};
      auto after = std::upper_bound(leaves_->begin() + 1, leaves_->end(), key,
                                    [](lookup_key k, const auto& l) { return k < lookup_key(l->items.front().key); });
      auto at = static_cast<std::size_t>(after - leaves_->begin()) - 1;
      return cursor(leaves_.get(), at, position_in(*(*leaves_)[at], key));
    }

    const Value* find(lookup_key key) const {
      auto at = lower_bound(key);
      return !at.at_end() && lookup_key(at.key()) == key ? &at.value() : nullptr;
    }

   private:
    friend class cow_map;
    std::shared_ptr<const leaf_list> leaves_;
    std::size_t size_ = 0;
  };

  cow_map() = default;
  cow_map(const cow_map&) = delete;
  cow_map& operator=(const cow_map&) = delete;
  cow_map(cow_map&& other) noexcept { swap(other); }
  cow_map& operator=(cow_map&& other) noexcept {
    swap(other);
    return *this;
  }
  ~cow_map() = default;

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  cursor begin() const noexcept { return cursor(&leaves_, 0, 0); }

  // The first item with a key >= the given one.
  cursor lower_bound(lookup_key key) const {
    if (empty())
      return {};
    auto at = directory_.leaf_for(key);
    return cursor(&leaves_, at, position_in(*leaves_[at], key));
  }

  // The first item with a key > the given one.
  cursor upper_bound(lookup_key key) const {
    auto at = lower_bound(key);
    if (!at.at_end() && lookup_key(at.key()) == key)
      at.next();
    return at;
  }

  // Null: absent.
  const Value* find(lookup_key key) const {
    if (empty())
      return nullptr;
    const auto& l = *leaves_[directory_.leaf_for(key)];
    const auto position = find_in(l, key);
    return position ? &l.items[*position].value : nullptr;
  }

  // As find(), for changing the value in place.
  Value* find_for_change(lookup_key key) {
    if (empty())
      return nullptr;
    const auto at = directory_.leaf_for(key);
    const auto position = find_in(*leaves_[at], key);
    return position ? &owned(at).items[*position].value : nullptr;
  }

  // True: the key was not there.
  bool insert_or_assign(lookup_key key, Value value) {
    if (empty()) {
      append(Key(key), std::move(value));
      return true;
    }
    const auto at = directory_.leaf_for(key);
    if (const auto position = find_in(*leaves_[at], key)) {
      owned(at).items[*position].value = std::move(value);
      return false;
    }
    insert_new(at, position_in(*leaves_[at], key), key, std::move(value));
    return true;
  }

  // The greatest key; null: empty.
  const Key* last_key() const noexcept { return empty() ? nullptr : &leaves_.back()->items.back().key; }

  // As insert_or_assign, for a key that is greater than all that are there: nothing is searched for.
  void append(Key key, Value value) {
    assert(empty() || *last_key() < key);
    ++size_;
    if (leaves_.empty() || leaves_.back()->items.size() == leaf_capacity)
      return append_leaf(std::move(key), std::move(value));
    auto& last = owned(leaves_.size() - 1);
    if (last.items.size() == last.items.capacity())
      last.items.reserve(std::min(2 * last.items.size(), leaf_capacity));
    last.insert(last.items.size(), item{std::move(key), std::move(value)});
  }

  // True: the key was there.
  bool erase(lookup_key key) {
    if (empty())
      return false;
    const auto at = directory_.leaf_for(key);
    const auto position = find_in(*leaves_[at], key);
    if (!position)
      return false;
    --size_;
    if (leaves_[at]->items.size() == 1) {
      drop_leaf(at);
      return true;
    }
    auto& l = owned(at);
    l.erase(*position);
    if (l.items.size() < leaf_capacity / 4)
      merge_around(at);
    return true;
  }

  void clear() noexcept {
    directory_.clear();
    leaves_.clear();
    size_ = 0;
  }

  // Calls visit(key, value) from the first key >= `from` on, until it returns false.
  template <class Visit>
  void for_each_from(lookup_key from, Visit&& visit) const {
    for (auto at = lower_bound(from); !at.at_end(); at.next())
      if (!visit(at.key(), at.value()))
        return;
  }

  frozen freeze() {
    frozen view;
    view.leaves_ = std::make_shared<const leaf_list>(leaves_);
    view.size_ = size_;
    ++epoch_;
    return view;
  }

  std::size_t leaf_count() const noexcept { return leaves_.size(); }  // for tests and statistics

 private:
  // A leaf that is not at the end of ascending growth gets room in steps: memory matters more than a rare move.
  static constexpr std::size_t growth_items = 8;

  leaf& owned(std::size_t at) {
    auto& l = leaves_[at];
    if (l->epoch != epoch_) {
      auto copy = std::make_shared<leaf>();
      copy->epoch = epoch_;
      copy->tags = l->tags;
      copy->items.reserve(std::min(l->items.size() + growth_items, leaf_capacity));
      copy->items.insert(copy->items.end(), l->items.begin(), l->items.end());
      l = std::move(copy);
    }
    return *l;
  }

  void append_leaf(Key&& key, Value&& value) {
    auto fresh = std::make_shared<leaf>();
    fresh->epoch = epoch_;
    directory_.push_back(key);
    fresh->insert(0, item{std::move(key), std::move(value)});
    leaves_.push_back(std::move(fresh));
  }

  void insert_new(std::size_t at, std::size_t position, lookup_key key, Value&& value) {
    if (leaves_[at]->items.size() == leaf_capacity) {
      // Ascending keys: leave the full leaf as it is and go on in a new one.
      if (at + 1 == leaves_.size() && position == leaf_capacity)
        return append(Key(key), std::move(value));
      split(at);
      if (position > leaf_capacity / 2) {
        position -= leaf_capacity / 2;
        ++at;
      }
    }
    auto& l = owned(at);
    const auto size = l.items.size();
    if (size == l.items.capacity())
      l.items.reserve(position == size ? std::min(2 * size, leaf_capacity) : size + growth_items);
    l.insert(position, item{Key(key), std::move(value)});
    ++size_;
  }

  // Halves a full leaf; the upper half becomes leaf at + 1.
  void split(std::size_t at) {
    auto& low = owned(at);
    auto high = std::make_shared<leaf>();
    high->epoch = epoch_;
    high->items.reserve(leaf_capacity / 2 + growth_items);
    high->take_from(low, leaf_capacity / 2);
    std::vector<item> kept;
    kept.reserve(leaf_capacity / 2 + growth_items);
    kept.insert(kept.end(), std::move_iterator(low.items.begin()), std::move_iterator(low.items.end()));
    low.items = std::move(kept);
    directory_.insert(at + 1, high->items.front().key);
    leaves_.insert(leaves_.begin() + static_cast<std::ptrdiff_t>(at + 1), std::move(high));
  }

  void drop_leaf(std::size_t at) {
    directory_.erase(at);
    leaves_.erase(leaves_.begin() + static_cast<std::ptrdiff_t>(at));
  }

  // Joins a small leaf with a neighbour where both fit well into one.
  void merge_around(std::size_t at) {
    auto fits = [this](std::size_t left) {
      return left + 1 < leaves_.size()
             && leaves_[left]->items.size() + leaves_[left + 1]->items.size() <= leaf_capacity * 3 / 4;
    };
    if (fits(at))
      merge(at);
    else if (at > 0 && fits(at - 1))
      merge(at - 1);
  }

  void merge(std::size_t left) {
    auto& to = owned(left);
    auto& from = owned(left + 1);
    to.items.reserve(to.items.size() + from.items.size());
    to.take_from(from, 0);
    drop_leaf(left + 1);
  }

  void swap(cow_map& other) noexcept {
    std::swap(directory_, other.directory_);
    std::swap(leaves_, other.leaves_);
    std::swap(size_, other.size_);
    std::swap(epoch_, other.epoch_);
  }

  leaf_directory<Key> directory_;
  leaf_list leaves_;
  std::size_t size_ = 0;
  std::uint64_t epoch_ = 0;
};

}  // namespace mutant
