// Room on the disk that is kept for removing: a file of the store's directory that holds nothing, but has its blocks. Without
// it a disk could become so full that LMDB finds no page for the transaction that would make room.
//
// Whoever adds to the store makes it whole first, under LMDB's write lock; whoever removes, and finds no room, gives it up.
// 256 KiB; on a disk below 4 MiB half as much. One thread.
#pragma once

#include <string>
#include <string_view>

#include "core/error.hpp"

namespace mutant {

// What errors about a full disk say, everywhere the same.
constexpr std::string_view how_to_make_room = "the disk is full; make room on it, remove something from the store (mutant rm), "
                                              "or give back what nothing uses (mutant purge)";

class disk_reserve {
 public:
  explicit disk_reserve(const std::string& directory);

  // store_full: there is no room for it.
  result<void> make_whole();
  void give_up() noexcept;
  std::uint64_t size_bytes() const noexcept { return size_bytes_; }

 private:
  std::string path_;
  std::uint64_t size_bytes_;
  bool written_ = false;  // by us, with zeros, where the file system cannot allocate
};

}  // namespace mutant
