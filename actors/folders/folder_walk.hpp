// The two sides of a copy of a folder, walked in step; for folders.cpp and its parts.
#pragma once

#include <deque>

#include "actors/folders/folders.hpp"

namespace mutant {

// The keys of a selection as items, in the order of their paths.
class store_walk {
 public:
  static result<store_walk> open(client& store, const key_selection& which);

  const folder_item* item() const noexcept { return at_ < page_.size() ? &item_ : nullptr; }
  const std::string& key() const noexcept { return page_[at_].key; }
  // Whether its value is in the index itself.
  bool is_in_index() const noexcept { return page_[at_].chunks == 0; }
  result<void> next();

 private:
  store_walk(client& store, const key_selection& which) : store_(&store), which_(which) {}
  result<void> settle();

  client* store_;
  key_selection which_;
  list_page page_;
  std::size_t at_ = 0;
  folder_item item_;
};

// Which side comes first: below 0 the first, above 0 the second, 0 both have it. One of them may be at its end, not both.
inline int compare_sides(const folder_item* from, const folder_item* to) {
  if (from == nullptr || to == nullptr)
    return from == nullptr ? 1 : -1;
  return from->path.compare(to->path);
}

// What one run has come to, and whether it goes on.
class folder_run {
 public:
  folder_run(const folder_options& how, const folder_events& told, folder_report& so_far)
      : options(how), events(told), report(so_far) {}

  const folder_options& options;
  const folder_events& events;
  folder_report& report;
  std::optional<error> ended;     // by the store, or by who waits

  // Whether there is any point in going on.
  bool goes_on();
  void step(std::string_view what, const std::string& path) const;
  // One item's failure; or the end, if it is of the store.
  void fail_item(const std::string& path, const error& e);
  void leave_out(const std::string& path, std::string_view why);
  void did(const folder_item& item, std::uint64_t bytes);
  result<void> outcome() const { return ended ? fail(*ended) : result<void>(); }
};

}  // namespace mutant
