// Walks a folder of this machine, in the order of the paths' bytes (item.hpp). No link below the folder is followed.
//
// Memory: the names in the folders from the top down to where it is. One thread. What cannot be read is told and left out.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "core/files.hpp"
#include "core/folders/excludes.hpp"
#include "core/folders/item.hpp"

namespace mutant {

struct tree_reader_options {
  bool one_file_system = false;           // a folder on another one is an item, but not entered
  bool owners = false;                    // items have them
  exclude_list excludes;
  // A folder that cannot be entered, a file that is gone. The walk goes on.
  std::function<void(const std::string& path, const error&)> failed;
  // A folder on another file system.
  std::function<void(const std::string& path)> not_entered;
  // What is neither file, folder nor link, and why.
  std::function<void(const std::string& path, std::string_view what)> left_out;
};

class tree_reader {
 public:
  // key_not_found: there is no such folder. Others: it cannot be read.
  static result<tree_reader> open(const std::string& folder, tree_reader_options options);

  // The item where it is; null: at the end. The folder itself is the first one.
  const folder_item* item() const noexcept { return at_end_ ? nullptr : &item_; }
  // Goes on; into the item, if it is a folder.
  void next();
  // Goes on behind the item and all that is in it.
  void next_behind();

  // The item's file, opened for reading; it is still a regular file.
  result<unique_fd> open_file() const;
  // The item's target.
  result<std::string> read_link() const;

 private:
  struct name {
    std::string text;   // of a folder with '/' at its end
    friend auto operator<=>(const name&, const name&) = default;
  };
  struct level {
    unique_fd folder;
    std::vector<name> names;              // sorted backwards: the next one is the last
    std::size_t path_bytes = 0;           // of the folder's own path
  };

  tree_reader(std::string folder, tree_reader_options options)
      : folder_(std::move(folder)), options_(std::move(options)) {}
  result<void> enter(unique_fd folder, const std::string& path);
  bool enter_item();
  bool look_at(const level& in, const std::string& text);
  std::string own_name() const;

  std::string folder_;
  tree_reader_options options_;
  dev_t device_ = 0;
  std::vector<level> levels_;
  folder_item item_;
  dev_t item_device_ = 0;
  bool entered_ = false;                  // the item is a folder, and its names are read
  bool at_end_ = false;
};

}  // namespace mutant
