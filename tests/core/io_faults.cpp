#include "tests/core/io_faults.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/falloc.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <mutex>

namespace mutant::engine_test {
namespace {

std::recursive_mutex mutex;
std::function<int(const io_event&)> decide;

template <class Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

// The errno with which it fails, 0: not.
int failure_of(const io_event& event) {
  std::lock_guard lock(mutex);
  return decide ? decide(event) : 0;
}

// True: the call fails, and errno says why.
bool fails(const io_event& event) {
  const auto number = failure_of(event);
  if (number != 0)
    errno = number;
  return number != 0;
}

std::uint64_t length_of(std::span<const iovec> parts) {
  std::uint64_t length = 0;
  for (auto& part : parts)
    length += part.iov_len;
  return length;
}

bool fails_to_submit(const iocb& request) {
  const auto parts = request.aio_lio_opcode == IOCB_CMD_PWRITEV
                         ? std::span(reinterpret_cast<const iovec*>(request.aio_buf), request.aio_nbytes)
                         : std::span<const iovec>();
  return fails({io_call::write, static_cast<int>(request.aio_fildes), request.aio_offset, length_of(parts), parts,
                request.aio_data});
}

void look_at_completed(::io_event* events, long count) {
  for (long i = 0; i < count; ++i)
    if (const auto number = failure_of({.call = io_call::completed, .descriptor = -1, .queued = events[i].data}); number != 0)
      events[i].res = -number;
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
using mutant::engine_test::length_of;
using mutant::engine_test::real;

extern "C" {

ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  static const auto next = real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  const iovec part{const_cast<void*>(data), size};
  return fails({io_call::write, fd, offset, size, {&part, 1}}) ? -1 : next(fd, data, size, offset);
}

ssize_t pwritev(int fd, const iovec* parts, int count, off_t offset) {
  static const auto next = real<ssize_t (*)(int, const iovec*, int, off_t)>("pwritev");
  const std::span all(parts, static_cast<std::size_t>(count));
  return fails({io_call::write, fd, offset, length_of(all), all}) ? -1 : next(fd, parts, count, offset);
}

ssize_t write(int fd, const void* data, size_t size) {
  static const auto next = real<ssize_t (*)(int, const void*, size_t)>("write");
  const iovec part{const_cast<void*>(data), size};
  return fails({io_call::write, fd, ::lseek(fd, 0, SEEK_CUR), size, {&part, 1}}) ? -1 : next(fd, data, size);
}

ssize_t writev(int fd, const iovec* parts, int count) {
  static const auto next = real<ssize_t (*)(int, const iovec*, int)>("writev");
  const std::span all(parts, static_cast<std::size_t>(count));
  return fails({io_call::write, fd, ::lseek(fd, 0, SEEK_CUR), length_of(all), all}) ? -1 : next(fd, parts, count);
}

int fsync(int fd) {
  static const auto next = real<int (*)(int)>("fsync");
  return fails({io_call::sync, fd}) ? -1 : next(fd);
}

int fdatasync(int fd) {
  static const auto next = real<int (*)(int)>("fdatasync");
  return fails({io_call::sync, fd}) ? -1 : next(fd);
}

int fallocate(int fd, int mode, off_t offset, off_t length) {
  static const auto next = real<int (*)(int, int, off_t, off_t)>("fallocate");
  const auto call = (mode & FALLOC_FL_PUNCH_HOLE) != 0 ? io_call::punch : io_call::allocate;
  return fails({call, fd, offset, static_cast<std::uint64_t>(length)}) ? -1 : next(fd, mode, offset, length);
}

int ftruncate(int fd, off_t size) noexcept {
  static const auto next = real<int (*)(int, off_t)>("ftruncate");
  return fails({io_call::truncate, fd, size}) ? -1 : next(fd, size);
}

int truncate(const char* path, off_t size) noexcept {
  static const auto next = real<int (*)(const char*, off_t)>("truncate");
  return fails({.call = io_call::truncate, .descriptor = -1, .offset = size, .path = path}) ? -1 : next(path, size);
}

int open(const char* path, int flags, ...) {
  static const auto next = real<int (*)(const char*, int, ...)>("open");
  va_list more;
  va_start(more, flags);
  const auto mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(more, mode_t) : mode_t{0};
  va_end(more);
  if ((flags & O_DIRECT) != 0 && fails({.call = io_call::open_direct, .descriptor = -1, .path = path}))
    return -1;
  return next(path, flags, mode);
}

// What goes by number: the kernel's queue for writes (core/engine/write_queue.cpp).
long syscall(long number, ...) noexcept {
  static const auto next = real<long (*)(long, ...)>("syscall");
  long a[6];
  va_list more;
  va_start(more, number);
  for (auto& argument : a)
    argument = va_arg(more, long);
  va_end(more);
  if (number == SYS_io_setup && fails({io_call::queue, -1}))
    return -1;
  if (number == SYS_io_submit && mutant::engine_test::fails_to_submit(**reinterpret_cast<iocb**>(a[2])))
    return -1;
  const auto outcome = next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  if (number == SYS_io_getevents && outcome > 0)
    mutant::engine_test::look_at_completed(reinterpret_cast<io_event*>(a[3]), outcome);
  return outcome;
}

}  // extern "C"
