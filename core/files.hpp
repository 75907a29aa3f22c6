// Small file-system helpers that every writer of files here shares: owned descriptors, whole reads and writes, and files
// that replace another in one step or not at all. Errors name the file and what was being done to it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "core/bytes.hpp"
#include "core/error.hpp"

namespace mutant {

class unique_fd {
 public:
  explicit unique_fd(int descriptor = -1) noexcept : descriptor_(descriptor) {}
  unique_fd(unique_fd&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  unique_fd& operator=(unique_fd&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~unique_fd();
  int get() const noexcept { return descriptor_; }
  int release() noexcept { return std::exchange(descriptor_, -1); }
  explicit operator bool() const noexcept { return descriptor_ >= 0; }

 private:
  int descriptor_;
};

result<unique_fd> open_fd(const std::string& path, int flags, unsigned mode = 0);

// At an offset, all of it, interrupted calls gone on with. `name` is for messages.
result<void> write_all_at(int descriptor, std::uint64_t offset, byte_view data, const std::string& name);
// io_error when the file ends before `out` is full.
result<void> read_all_at(int descriptor, std::uint64_t offset, byte_span out, const std::string& name);

// The same open file once more, for writing past the page cache; none where the file system cannot do that.
unique_fd open_direct(int descriptor);
// write_all_at, with whole blocks of 4096 bytes past the page cache, if `direct` (open_direct) and the place of `data` in
// memory and in the file allow it. What is read once should not push out what is read often, and a sync finds less to do.
result<void> write_all_at(int descriptor, int direct, std::uint64_t offset, byte_view data, const std::string& name);

// The same into a file of which nothing was written there before: blocks of zeros are left out, so that they are holes.
result<void> write_sparse_at(int descriptor, int direct, std::uint64_t offset, byte_view data, const std::string& name);

// How many of the `length` bytes from `offset` on, counted from there, surely lie in a hole of the file, and so are zeros.
std::size_t leading_hole_bytes(int descriptor, std::uint64_t offset, std::size_t length) noexcept;

// Lets the kernel begin to write this range to the disk, so that a sync at the end has less to wait for. Only a hint.
void begin_writeback(int descriptor, std::uint64_t offset, std::uint64_t length) noexcept;

// Makes renames and new files in the directory of `path` durable; best effort.
void sync_directory_of(const std::string& path);

// A temporary file beside `path` that replaces it at commit(), and is gone otherwise. Where the file system can do that it has
// no name before, so that not even a killed process leaves anything behind. `path` itself is what is replaced, also if it is a
// link: see core/output_place.hpp.
class replacement_file {
 public:
  // mode 0: owner and mode of the file that is replaced, as far as we may give them (never setuid or setgid); of a new one the
  // usual mode less the umask.
  static result<replacement_file> create(const std::string& path, unsigned mode = 0);
  replacement_file(replacement_file&& other) noexcept;
  replacement_file& operator=(replacement_file&&) = delete;
  ~replacement_file();

  int descriptor() const noexcept { return file_.get(); }
  // The file may be at most this long from here on (bytes behind are cut off), and was modified then (nanoseconds since 1970;
  // nothing: now); synced, renamed, its directory synced.
  result<void> commit(std::uint64_t size_bytes, std::optional<std::int64_t> modified_ns = std::nullopt);

 private:
  replacement_file(std::string path, std::string temporary, unique_fd file)
      : path_(std::move(path)), temporary_(std::move(temporary)), file_(std::move(file)) {}
  std::string path_;
  std::string temporary_;
  unique_fd file_;
};

}  // namespace mutant
