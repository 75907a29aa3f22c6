#include "core/index/state.hpp"

#include <algorithm>
#include <cassert>
#include <functional>
#include <iterator>

namespace mutant {

namespace {

// Ascending; of equal ones only the last stays.
template <class Items, class Order>
void keep_last(Items& items, Order order) {
  std::ranges::stable_sort(items, {}, order);
  auto out = items.begin();
  for (auto at = items.begin(); at != items.end(); ++at) {
    auto next = std::next(at);
    if (next != items.end() && std::invoke(order, *next) == std::invoke(order, *at))
      continue;
    if (out != at)
      *out = std::move(*at);
    ++out;
  }
  items.erase(out, items.end());
}

}  // namespace

void index_changes::settle() {
  keep_last(entries, &changed_entry::key);
  keep_last(uploads, &changed_upload::key);
  keep_last(pads, &changed_pad::number);
}

index_totals index_state::totals() const noexcept {
  return {.keys = entries_.size(),
          .uploads = uploads_.size(),
          .value_bytes = value_bytes_,
          .pads_in_use = used_.size(),
          .pads_free = free_pads_.size()};
}

const entry* index_state::find(std::string_view key) const {
  return entries_.find(key);
}

const upload* index_state::find_upload(std::string_view key) const {
  const auto* found = uploads_.find(key);
  return found != nullptr ? found->get() : nullptr;
}

std::vector<listed_item> index_state::list(std::string_view prefix, std::string_view after, std::size_t limit) const {
  std::vector<listed_item> items;
  // No key is empty, so an `after` below the prefix (nothing at all, too) needs no key skipped.
  auto from_prefix = after < prefix;
  auto complete = from_prefix ? entries_.lower_bound(prefix) : entries_.upper_bound(after);
  auto pending = from_prefix ? uploads_.lower_bound(prefix) : uploads_.upper_bound(after);
  auto in_range = [prefix](const auto& at) { return !at.at_end() && at.key().starts_with(prefix); };
  while (items.size() < limit) {
    auto has_complete = in_range(complete);
    auto has_pending = in_range(pending);
    if (!has_complete && !has_pending)
      break;
    listed_item item;
    item.key = has_complete && (!has_pending || complete.key() <= pending.key()) ? complete.key() : pending.key();
    if (has_complete && complete.key() == item.key) {
      item.complete = &complete.value();
      complete.next();
    }
    if (has_pending && pending.key() == item.key) {
      item.pending = pending.value().get();
      pending.next();
    }
    items.push_back(std::move(item));
  }
  return items;
}

std::optional<std::uint64_t> index_state::free_counter(std::uint64_t pad_number) const {
  const auto* counter = free_pads_.find(pad_number);
  if (counter == nullptr)
    return std::nullopt;
  return *counter;
}

std::optional<pad_ref> index_state::next_free(std::uint64_t from) const {
  auto at = free_pads_.lower_bound(from);
  if (at.at_end())
    return std::nullopt;
  return pad_ref{at.key(), at.value()};
}

void index_state::apply(index_batch&& batch) {
  assert(&batch.base_ == this);
  ++sequence_;
  for (auto& [key, value] : batch.entries_) {
    // A value that shares the memory of a whole pad would keep all of it.
    if (value && !value->inline_value.is_compact())
      value->inline_value = bytes::copy_of(value->inline_value.view());
    changes_.entries.push_back({key, value});
    if (value)
      set_entry(key, std::move(*value));
    else
      erase_entry(key);
  }
  for (auto& [key, value] : batch.uploads_) {
    changes_.uploads.push_back({key, value});
    if (value)
      uploads_.insert_or_assign(key, std::move(value));
    else
      uploads_.erase(key);
  }
  for (auto at = batch.pads_.begin(); !at.at_end(); at.next())
    set_pad(at.key(), at.value().used, at.value().free_counter);
  next_pad_ = batch.next_pad_;
}

void index_state::set_entry(std::string_view key, entry value) {
  value_bytes_ += value.size;
  if (auto* there = entries_.find_for_change(key)) {
    value_bytes_ -= there->size;
    *there = std::move(value);
  } else {
    entries_.insert_or_assign(key, std::move(value));
  }
}

void index_state::erase_entry(std::string_view key) {
  const auto* there = entries_.find(key);
  if (there == nullptr)
    return;
  value_bytes_ -= there->size;
  entries_.erase(key);
}

void index_state::set_pad(std::uint64_t number, bool used, std::optional<std::uint64_t> free_counter) {
  if (used)
    used_.insert(number);
  else
    used_.erase(number);
  if (free_counter == this->free_counter(number))
    return;
  if (free_counter)
    free_pads_.insert_or_assign(number, *free_counter);
  else
    free_pads_.erase(number);
  changes_.pads.push_back({number, free_counter});
}

frozen_index index_state::freeze() {
  return {.sequence = sequence_,
          .next_pad = next_pad_,
          .entries = entries_.freeze(),
          .uploads = uploads_.freeze(),
          .free_pads = free_pads_.freeze()};
}

index_changes index_state::take_changes() {
  return std::exchange(changes_, {});
}

void index_state::restore_changes(index_changes&& changes) {
  auto put_before = [](auto& older, auto& newer) {
    older.insert(older.end(), std::move_iterator(newer.begin()), std::move_iterator(newer.end()));
    newer = std::move(older);
  };
  put_before(changes.entries, changes_.entries);
  put_before(changes.uploads, changes_.uploads);
  put_before(changes.pads, changes_.pads);
  changes_.settle();  // whoever takes them in vain again and again must not gather more than there is
}

}  // namespace mutant
