// Whole folders, from a disk into a store and back. docs/operations.md, "Folders".
//
// Both sides are walked in the order of their paths (core/folders/item.hpp) and compared as they come: memory does not grow
// with the number of files, but with that in one folder. Small files share commits, because many are under way (pipeline.hpp).
//
// What fails with one file or key is told, counted, and does not stop the rest; what fails with the store ends all of it.
// In the thread of the caller, which waits.
#pragma once

#include "actors/folders/pipeline.hpp"
#include "core/folders/excludes.hpp"
#include "core/folders/item.hpp"

namespace mutant {

// Files up to this size are read by put_folder itself and put from memory. A store that many of them go to should have it as
// its store_config::small_bytes, so that they need no operation of their own each.
constexpr std::uint64_t small_file_bytes = 256u << 10;

struct folder_events {
  // What is done, or would be: "store", "fetch", "remove".
  std::function<void(std::string_view what, const std::string& path)> step;
  // `path` is relative to the folder; empty: the folder itself.
  std::function<void(const std::string& path, const error&)> failed;
  std::function<void(const std::string& path, std::string_view why)> left_out;
  std::function<void(const progress&)> on_progress;
  std::function<bool()> stopped;          // somebody wants it to end
};

struct folder_options {
  bool owners = false;                    // carry over who owns the files
  bool checksum = false;                  // what has the same size and time is read all the same
  bool remove_others = false;             // the target is to have nothing else; what is excluded stays
  bool one_file_system = false;           // of a put
  bool dry_run = false;
  exclude_list excludes;
};

struct folder_report {
  std::uint64_t files = 0;                // stored or fetched
  std::uint64_t links = 0;
  std::uint64_t folders = 0;
  std::uint64_t unchanged = 0;            // items
  std::uint64_t removed = 0;              // items; of a get, a folder with all in it counts as one
  std::uint64_t left_out = 0;             // neither file, folder nor link
  std::uint64_t failed = 0;
  std::uint64_t bytes = 0;                // of the files
  bool damaged = false;                   // some values were
};

// Which keys: all in a folder, or those that match.
class key_selection {
 public:
  static key_selection folder(std::string_view prefix) { return {folder_prefix(prefix), folder_prefix(prefix), std::nullopt}; }
  // Paths are relative to the last folder that the pattern names without a wildcard.
  static result<key_selection> matching(std::string_view pattern);

  const std::string& prefix() const noexcept { return prefix_; }        // what is left off the keys
  const std::string& beginning() const noexcept { return beginning_; }  // what all of them begin with
  bool has(std::string_view key) const { return !pattern_ || pattern_->matches(key); }

 private:
  key_selection(std::string prefix, std::string beginning, std::optional<glob> pattern)
      : prefix_(std::move(prefix)), beginning_(std::move(beginning)), pattern_(std::move(pattern)) {}
  std::string prefix_;
  std::string beginning_;
  std::optional<glob> pattern_;
};

// key_not_found, invalid_argument: there is no such folder. Others are of the store. The report so far is in `report` all the
// same.
result<void> put_folder(client& store, const std::string& folder, const key_selection& into, const folder_options& options,
                        const folder_events& events, folder_report& report);
// Nothing is written outside of `folder`, whatever keys are called (core/folders/tree_writer.hpp). key_not_found: no key.
result<void> get_folder(client& store, const key_selection& from, const std::string& folder, const folder_options& options,
                        const folder_events& events, folder_report& report);
// Of the options, dry_run and excludes count. key_not_found: there was none.
result<void> remove_keys(client& store, const key_selection& which, const folder_options& options, bool wipe,
                         const folder_events& events, folder_report& report);

}  // namespace mutant
