// A few direct writes in flight at once, in the kernel's own queue (Linux AIO): a disk is faster when it has the next write
// before it has finished the last one, and the caller goes on meanwhile. No thread is involved.
//
// Bounded: submit() waits when max_in_flight writes are under way. It keeps the record's memory until its write is done.
// Where a file system takes no direct writes they go through the page cache: done at once, and the kernel is told to begin with
// the disk. Where the kernel has no queue for us, or a write in it comes out short or fails, the write is done at once as well,
// and that one decides. One thread.
// Whoever owns the files keeps them until drain() has returned.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "core/bytes.hpp"
#include "core/engine/segment_file.hpp"
#include "core/error.hpp"

namespace mutant {

class write_queue {
 public:
  write_queue() = default;
  write_queue(const write_queue&) = delete;
  write_queue& operator=(const write_queue&) = delete;
  ~write_queue();

  // Begins to write the payload of a record. An error may also be that of an earlier write.
  result<void> submit(segment_file& file, std::uint64_t offset, bytes record);
  // Waits for all of them. The first error since the last drain.
  result<void> drain();

 private:
  static constexpr std::size_t max_in_flight = 4;
  struct slot {
    segment_file* file = nullptr;  // nullptr: the slot is free
    std::uint64_t offset = 0;
    std::optional<block_padded> payload;
  };

  bool set_up();
  slot* free_slot();
  bool start(slot& s);
  void finish(slot& s, std::int64_t written);
  void wait_for_one();

  bool asked_ = false;         // the kernel, for a context: at the first write
  std::uint64_t context_ = 0;  // 0: none
  std::array<slot, max_in_flight> slots_;
  std::size_t in_flight_ = 0;
  std::optional<error> failure_;
};

}  // namespace mutant
