// Watches chosen system calls of this process, those of LMDB too, and lets them fail: the runner has functions of the same
// names, which come before those of the C library.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include <sys/uio.h>

namespace mutant::engine_test {

enum class io_call {
  write,        // write, writev, pwrite, pwritev, and a write that the kernel is given to do (Linux AIO)
  completed,    // such a write is reported as done; failing: as having failed
  sync,         // fsync, fdatasync
  allocate,     // fallocate
  punch,        // the same, making a hole
  truncate,     // ftruncate, truncate
  open_direct,  // open with O_DIRECT
  queue         // asking the kernel for a queue (io_setup)
};

struct io_event {
  io_call call;
  int descriptor;                      // -1: open_direct, queue, truncate by name
  std::int64_t offset = 0;
  std::uint64_t length = 0;
  std::span<const iovec> parts = {};   // of a write
  std::uint64_t queued = 0;            // not 0: a write that the kernel was given, the same number when it is completed
  const char* path = nullptr;          // of truncate by name
};

// While it lives, `decide` is asked before each of these calls, in the thread that makes it: 0 lets it happen, anything else is
// the errno with which it fails. One at a time.
class io_faults {
 public:
  explicit io_faults(std::function<int(const io_event&)> decide);
  io_faults(const io_faults&) = delete;
  io_faults& operator=(const io_faults&) = delete;
  ~io_faults();
};

// The nth call (from 1) of the run fails with this errno. made(): how many calls there were.
class nth_call_fails {
 public:
  nth_call_fails(std::uint64_t nth, int number)
      : faults_([this, nth, number](const io_event&) { return ++made_ == nth ? number : 0; }) {}
  std::uint64_t made() const { return made_; }

 private:
  std::uint64_t made_ = 0;
  io_faults faults_;
};

}  // namespace mutant::engine_test
