// What of a folder is left out, by pattern (glob.hpp). Pure.
//
// A pattern without '/' is for a name wherever it is; one with a '/' in its front or middle is for a path from the folder on.
// With a '/' at its end it is for folders alone. What lies in a folder that is left out is left out, too.
#pragma once

#include <string_view>
#include <vector>

#include "core/folders/glob.hpp"

namespace mutant {

class exclude_list {
 public:
  // invalid_argument: as glob::parse.
  result<void> add(std::string_view pattern);
  // One a line; empty lines and those that begin with '#' count for nothing. The error names `name` and the line.
  result<void> add_lines(std::string_view text, std::string_view name);

  bool empty() const noexcept { return rules_.empty(); }
  // One path relative to the folder; that of a folder ends with '/'. Folders above it are not looked at.
  bool excludes(std::string_view path) const;
  // It, or a folder that it lies in.
  bool covers(std::string_view path) const;

 private:
  struct rule {
    glob pattern;
    bool of_names = false;     // else of paths
    bool of_folders = false;
  };
  std::vector<rule> rules_;
};

}  // namespace mutant
