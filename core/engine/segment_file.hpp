// One segment file: blocks of payload, written past the page cache where the file system can do that, and read through it. So
// what is written neither waits for the cache nor pushes out of it what is read again and again.
//
// Written by the process that holds its lock, read by all. The lock is flock's: it belongs to the open file, so that the
// kernel keeps it until the last write of a dying process has ended; LMDB's own lock may be passed on earlier. A file system
// that refuses direct I/O (at open or at the first write) gets buffered writes; sync() makes either kind durable.
// Payloads are padded with zeros to whole blocks. Thread-safe for reading; writing is for one thread.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "core/bytes.hpp"
#include "core/error.hpp"

namespace mutant {

// The payload of a record as whole blocks, padded with zeros. Written from the record's own memory where that is aligned,
// but for the last block: what lies behind the record in memory is nobody's business on a disk.
class block_padded {
 public:
  block_padded(bytes record, bool must_be_aligned);

  std::size_t size() const noexcept { return front_.size() + tail_bytes_; }
  // One or two parts, for pwritev. Valid while this lives and stays.
  std::span<const iovec> parts() noexcept { return parts_from(0); }
  std::span<const iovec> parts_from(std::size_t written) noexcept;

 private:
  struct free_memory {
    void operator()(std::byte* memory) const noexcept;
  };
  bytes record_;
  buffer bounce_;
  byte_view front_;
  std::unique_ptr<std::byte, free_memory> tail_;  // one block
  std::size_t tail_bytes_ = 0;
  std::array<iovec, 2> parts_{};
};

class segment_file {
 public:
  // Takes the lock. nullopt: another process (or engine) has it. With create, a missing file is made; without, io_error.
  static result<std::optional<segment_file>> lock(std::string path, bool create);
  // corrupt_record: there is no such file, although a pad lies in it.
  static result<segment_file> open_for_reading(std::string path);
  // Without the lock: for blocks that nobody can be using. pad_not_found: there is no such file.
  static result<segment_file> open_for_wiping(std::string path);

  segment_file(segment_file&& other) noexcept;
  segment_file& operator=(segment_file&& other) noexcept;
  ~segment_file();

  // Makes the file this long, and gives it its blocks from the old size on: holes before that stay holes. store_full: no room,
  // and nothing is different.
  result<void> grow(std::uint64_t old_size_bytes, std::uint64_t size_bytes);
  // Cuts off what a batch that came to nothing has added.
  void shrink(std::uint64_t size_bytes) noexcept;
  result<void> write(std::uint64_t offset, block_padded& payload);
  bool is_direct() const noexcept { return direct_; }
  int descriptor() const noexcept { return fd_; }
  result<void> sync();
  // A whole record: the header as given, the payload from the file. corrupt_record when the file ends too soon.
  result<bytes> read_record(std::uint64_t offset, byte_view header, std::size_t payload_bytes) const;

  // Gives the range's disk blocks back; it reads as zeros afterwards. False: the file system cannot.
  result<bool> punch(std::uint64_t offset, std::uint64_t length);
  // The range reads as zeros afterwards, if need be because zeros were written.
  result<void> wipe(std::uint64_t offset, std::uint64_t length);
  // Empties the file and takes its name away: also for those who have it open.
  result<void> remove();
  std::uint64_t disk_bytes() const;

 private:
  segment_file(int fd, std::string path, bool direct) noexcept : fd_(fd), path_(std::move(path)), direct_(direct) {}
  bool leave_direct_mode() noexcept;
  error failed(int number, const char* doing) const;

  int fd_;
  std::string path_;
  bool direct_;
};

}  // namespace mutant
