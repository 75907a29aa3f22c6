// Writes into a folder of this machine, and nowhere else: no path leads out of it, whatever it is called and whatever links lie
// in the folder or are made meanwhile. Every folder on the way is opened from the one above it, never through a link.
//
// Files replace what has their name in one step, when they are whole. Folders get their time and mode at the end: making what
// is in them changes the one and may need another than the other. One thread, but for target::descriptor().
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/files.hpp"
#include "core/folders/item.hpp"

namespace mutant {

struct tree_writer_options {
  bool owners = false;            // items' owners are set, and rights to run as somebody with them
  bool replace_folders = false;   // a file or link takes the place of a folder, with all that is in it
};

class tree_writer {
 public:
  // The folder is made if it is not there; `folder` itself may be a link to one.
  static result<tree_writer> open(const std::string& folder, tree_writer_options options = {});

  // A file that is being written. Without a commit nothing of it stays.
  class target {
   public:
    target(target&& other) noexcept;
    target& operator=(target&&) = delete;
    ~target();
    int descriptor() const noexcept { return file_.get(); }

   private:
    friend class tree_writer;
    target() = default;
    std::shared_ptr<const unique_fd> folder_;
    std::string name_;
    std::string temporary_;       // empty: it has no name yet
    unique_fd file_;
  };

  // For all: invalid_argument: the path cannot be one. access_denied: a link or file is where a folder is needed, or no right.
  // store_full, io_error. What was there stays.
  result<target> create(std::string_view path);
  // At most `size` bytes, with the item's time and mode.
  result<void> commit(target& file, std::uint64_t size, const folder_item& item);
  result<void> make_link(const folder_item& item, const std::string& leads_to);
  // It, and those above it. Its time and mode are set by finish().
  result<void> make_folder(const folder_item& item);
  // Time, mode and owner of what is there; a folder's by finish().
  result<void> restore_rights(const folder_item& item);
  // A file or link, or a folder with all that is in it. Done, if it is not there.
  result<void> remove(std::string_view path);

  // Gives folders their times and modes, and waits until all is on the disk. Each failure is told.
  void finish(const std::function<void(const std::string& path, const error&)>& failed);

 private:
  using folder_ptr = std::shared_ptr<const unique_fd>;
  struct level {
    std::string name;
    folder_ptr folder;
  };

  tree_writer(folder_ptr top, tree_writer_options options) : top_(std::move(top)), options_(options) {}
  result<folder_ptr> enter(std::string_view folder_path);
  result<folder_ptr> enter_child(const folder_ptr& above, const std::string& name, std::string_view path) const;
  result<void> take_place(const unique_fd& folder, const std::string& from, const std::string& to) const;
  result<void> set_rights(int descriptor, const folder_item& item) const;
  result<void> set_folder_rights(const folder_item& item);

  folder_ptr top_;
  tree_writer_options options_;
  std::vector<level> levels_;             // down to the folder that was used last
  std::vector<folder_item> folders_;      // that get their rights at the end
};

}  // namespace mutant
