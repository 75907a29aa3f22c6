// What a name is that something shall be written to: a file to replace, or something to write into as it is.
//
// Replacing a name replaces whatever is under it, a link or a device as much as a file. So links are followed first, and what
// is no regular file at their end is never replaced; nor is what is reached through /proc or /sys, whose links lead to open
// files of a process (/dev/stdout, /dev/fd/N) and whose files are none.
#pragma once

#include <string>

#include "core/error.hpp"

namespace mutant {

struct output_place {
  std::string path;          // behind the links: the file that is there, or where it would be
  bool in_place = false;     // to be opened and written to; otherwise to be replaced or made
  int own_descriptor = -1;   // the open file of this process that the name stands for; -1: none
};

// io_error: the links go round in circles, or cannot be read.
result<output_place> find_output(const std::string& name);

}  // namespace mutant
