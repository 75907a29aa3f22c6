// The directory of an embedded store, before LMDB sees it: created if wanted, and refused if it holds something else.
// Nothing is written into a directory that is refused.
#pragma once

#include <cstdint>
#include <string>

#include "core/error.hpp"

namespace mutant {

struct lmdb_options;

// Makes sure that the directory is a store, an empty one, or (with create) a new one of mode 0700.
// unreachable: it is missing, or holds no store, and may not be created; store_damaged: other files of a store are there, but
// not data.mdb, or nothing of what was in it; invalid_argument: it holds something else; access_denied, io_error.
// unsupported: a file system that `check_file_system` refuses, unless any_file_system.
result<void> prepare_store_directory(const lmdb_options& options);

// LMDB's locks and its map, and the order in which its pages reach the disk, hold among the processes of one machine, on a file
// system of that machine. Over a network (NFS, CIFS, 9p, Ceph …) another machine sees old pages, and locks may not be passed
// on; under FUSE it is up to a program. There a store is damaged without a word, so it is refused. `type` is statfs' f_type.
result<void> check_file_system(std::uint64_t type, const std::string& directory);

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
