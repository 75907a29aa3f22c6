// Lets chosen system calls of this process fail, those of LMDB too: the runner has functions of the same names, which come
// before those of the C library.
#pragma once

#include <cstdint>
#include <functional>

namespace mutant::engine_test {

enum class io_call { write, sync, allocate, punch };  // write: pwrite and pwritev; sync: fsync and fdatasync

struct io_event {
  io_call call;
  int descriptor;
  std::int64_t offset;      // 0 for sync
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
