// The directory of an embedded store, before LMDB sees it: created if wanted, and refused if it holds something else.
// Nothing is written into a directory that is refused.
#pragma once

#include <cstdint>
#include <string>

#include "core/error.hpp"

namespace mutant {

// Makes sure that `directory` is a store, an empty directory, or (with create) a new one of mode 0700.
// unreachable: it is missing, or holds no store, and may not be created; store_damaged: other files of a store are there, but
// not data.mdb, or nothing of what was in it; invalid_argument: it holds something else; access_denied, io_error.
result<void> prepare_store_directory(const std::string& directory, bool create);

// Whether LMDB has ever committed anything there, sound or damaged by now.
result<bool> holds_a_commit(const std::string& directory);

// Where a creation was cut off before LMDB could commit anything, its data file may be shorter than LMDB can open, or zeros:
// makes it empty, unless somebody else is creating the store just now. Needs the lock file; this process must not have the
// store open.
result<void> begin_anew(const std::string& directory);

// Gives the lock file all its blocks. LMDB maps it and writes through the map, so on a full disk a sparse lock file would
// be a SIGBUS instead of an error.
result<void> allocate_lock_file(const std::string& directory);

// Makes the names of new files durable.
result<void> sync_directory(const std::string& directory);

// False when the file system (or a quota) has no megabyte left for a file there.
bool has_room(const std::string& directory);

// What the regular files of the directory take on disk.
std::uint64_t directory_disk_bytes(const std::string& directory);

}  // namespace mutant
