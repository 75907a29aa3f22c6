// An ordered map whose whole content can be frozen in the time it takes to copy one pointer per leaf.
//
// Sorted leaves of at most leaf_capacity items hang off one vector, beside the vector of the keys that they start at.
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
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

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
  struct leaf {
    std::uint64_t epoch = 0;   // of the map when it was made: only a map of the same epoch may change it
    std::vector<item> items;   // never empty
  };
  using leaf_list = std::vector<std::shared_ptr<leaf>>;

  static std::size_t position_in(const leaf& l, lookup_key key) {
    auto at = std::lower_bound(l.items.begin(), l.items.end(), key,
                               [](const item& i, lookup_key k) { return lookup_key(i.key) < k; });
    return static_cast<std::size_t>(at - l.items.begin());
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
    auto at = leaf_for(key);
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
    const auto& l = *leaves_[leaf_for(key)];
    auto position = position_in(l, key);
    return holds(l, position, key) ? &l.items[position].value : nullptr;
  }

  // As find(), for changing the value in place.
  Value* find_for_change(lookup_key key) {
    if (empty())
      return nullptr;
    auto at = leaf_for(key);
    auto position = position_in(*leaves_[at], key);
    return holds(*leaves_[at], position, key) ? &owned(at).items[position].value : nullptr;
  }

  // True: the key was not there.
  bool insert_or_assign(lookup_key key, Value value) {
    if (empty()) {
      append(Key(key), std::move(value));
      return true;
    }
    auto at = leaf_for(key);
    auto position = position_in(*leaves_[at], key);
    if (holds(*leaves_[at], position, key)) {
      owned(at).items[position].value = std::move(value);
      return false;
    }
    insert_new(at, position, key, std::move(value));
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
    auto& items = owned(leaves_.size() - 1).items;
    if (items.size() == items.capacity())
      items.reserve(std::min(2 * items.size(), leaf_capacity));
    items.push_back(item{std::move(key), std::move(value)});
  }

  // True: the key was there.
  bool erase(lookup_key key) {
    if (empty())
      return false;
    auto at = leaf_for(key);
    auto position = position_in(*leaves_[at], key);
    if (!holds(*leaves_[at], position, key))
      return false;
    --size_;
    if (leaves_[at]->items.size() == 1) {
      drop_leaf(at);
      return true;
    }
    auto& items = owned(at).items;
    items.erase(items.begin() + static_cast<std::ptrdiff_t>(position));
    if (items.size() < leaf_capacity / 4)
      merge_around(at);
    return true;
  }

  void clear() noexcept {
    firsts_.clear();
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

  static bool holds(const leaf& l, std::size_t position, lookup_key key) {
    return position < l.items.size() && lookup_key(l.items[position].key) == key;
  }

  // The leaf that holds the key or would take it. Keys below the first leaf's first go there too.
  std::size_t leaf_for(lookup_key key) const {
    auto after = std::upper_bound(firsts_.begin() + 1, firsts_.end(), key,
                                  [](lookup_key k, const Key& first) { return k < lookup_key(first); });
    return static_cast<std::size_t>(after - firsts_.begin()) - 1;
  }

  leaf& owned(std::size_t at) {
    auto& l = leaves_[at];
    if (l->epoch != epoch_) {
      auto copy = std::make_shared<leaf>();
      copy->epoch = epoch_;
      copy->items.reserve(std::min(l->items.size() + growth_items, leaf_capacity));
      copy->items.insert(copy->items.end(), l->items.begin(), l->items.end());
      l = std::move(copy);
    }
    return *l;
  }

  void append_leaf(Key&& key, Value&& value) {
    auto fresh = std::make_shared<leaf>();
    fresh->epoch = epoch_;
    firsts_.push_back(key);
    fresh->items.push_back(item{std::move(key), std::move(value)});
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
    auto& items = owned(at).items;
    if (items.size() == items.capacity())
      items.reserve(position == items.size() ? std::min(2 * items.size(), leaf_capacity) : items.size() + growth_items);
    items.insert(items.begin() + static_cast<std::ptrdiff_t>(position), item{Key(key), std::move(value)});
    ++size_;
  }

  // Halves a full leaf; the upper half becomes leaf at + 1.
  void split(std::size_t at) {
    auto& low = owned(at).items;
    auto middle = low.begin() + static_cast<std::ptrdiff_t>(leaf_capacity / 2);
    auto high = std::make_shared<leaf>();
    high->epoch = epoch_;
    high->items.reserve(leaf_capacity / 2 + growth_items);
    high->items.insert(high->items.end(), std::move_iterator(middle), std::move_iterator(low.end()));
    std::vector<item> kept;
    kept.reserve(leaf_capacity / 2 + growth_items);
    kept.insert(kept.end(), std::move_iterator(low.begin()), std::move_iterator(middle));
    low = std::move(kept);
    auto next = static_cast<std::ptrdiff_t>(at + 1);
    firsts_.insert(firsts_.begin() + next, high->items.front().key);
    leaves_.insert(leaves_.begin() + next, std::move(high));
  }

  void drop_leaf(std::size_t at) {
    firsts_.erase(firsts_.begin() + static_cast<std::ptrdiff_t>(at));
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
    auto& to = owned(left).items;
    auto& from = owned(left + 1).items;
    to.reserve(to.size() + from.size());
    to.insert(to.end(), std::move_iterator(from.begin()), std::move_iterator(from.end()));
    drop_leaf(left + 1);
  }

  void swap(cow_map& other) noexcept {
    std::swap(firsts_, other.firsts_);
    std::swap(leaves_, other.leaves_);
    std::swap(size_, other.size_);
    std::swap(epoch_, other.epoch_);
  }

  // firsts_[i] is above every key of leaf i - 1 and not above any key of leaf i; firsts_[0] means nothing.
  std::vector<Key> firsts_;
  leaf_list leaves_;
  std::size_t size_ = 0;
  std::uint64_t epoch_ = 0;
};

}  // namespace mutant
