#include "tests/core/io_faults.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>

namespace mutant::engine_test {
namespace {

std::recursive_mutex mutex;
std::function<int(const io_event&)> decide;

template <class Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

// True: the call fails, and errno says why.
bool fails(io_call call, int descriptor, std::int64_t offset) {
  std::lock_guard lock(mutex);
  const auto number = decide ? decide({call, descriptor, offset}) : 0;
  if (number != 0)
    errno = number;
  return number != 0;
}

}  // namespace

io_faults::io_faults(std::function<int(const io_event&)> what) {
  std::lock_guard lock(mutex);
  decide = std::move(what);
}

io_faults::~io_faults() {
  std::lock_guard lock(mutex);
  decide = nullptr;
}

}  // namespace mutant::engine_test

using mutant::engine_test::fails;
using mutant::engine_test::io_call;
using mutant::engine_test::real;

extern "C" {

ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  static const auto next = real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  return fails(io_call::write, fd, offset) ? -1 : next(fd, data, size, offset);
}

ssize_t pwritev(int fd, const iovec* parts, int count, off_t offset) {
  static const auto next = real<ssize_t (*)(int, const iovec*, int, off_t)>("pwritev");
  return fails(io_call::write, fd, offset) ? -1 : next(fd, parts, count, offset);
}

int fsync(int fd) {
  static const auto next = real<int (*)(int)>("fsync");
  return fails(io_call::sync, fd, 0) ? -1 : next(fd);
}

int fdatasync(int fd) {
  static const auto next = real<int (*)(int)>("fdatasync");
  return fails(io_call::sync, fd, 0) ? -1 : next(fd);
}

int fallocate(int fd, int mode, off_t offset, off_t length) {
  static const auto next = real<int (*)(int, int, off_t, off_t)>("fallocate");
  const auto call = (mode & FALLOC_FL_PUNCH_HOLE) != 0 ? io_call::punch : io_call::allocate;
  return fails(call, fd, offset) ? -1 : next(fd, mode, offset, length);
}

}  // extern "C"
