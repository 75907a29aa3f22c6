// Faults at system calls, for system tests: a shared module to be named in LD_PRELOAD (tests/system/inject.py does that).
//
// What the environment asks for:
//
//   MUTANT_INJECT_CALLS   the kinds of calls that count, with commas: write, read, sync, allocate, truncate, open, map, name,
//                         lock, thread, accept. A kind is a family: `write` is write, writev, pwrite, pwritev; `name` is
//                         rename, link, unlink, mkdir
//   MUTANT_INJECT_BELOW   only calls on files below this directory count (absolute, without links); threads and accepted
//                         connections have no file and count always
//   MUTANT_INJECT_AT      which of the counted calls meets the fault, from 1: "7", or "7+" for that and all that follow
//   MUTANT_INJECT_FAULT   an error by its name or number (ENOSPC, EIO, 28…): the call is not made and fails with it.
//                         short: a write or read is half as long as asked for, and succeeds; other calls are as ever.
//                         torn: half of a write is done, then the process is killed. kill: it is killed before the call
//   MUTANT_INJECT_CLOCK   seconds by which the time of day is off, -18000 for instance
//   MUTANT_INJECT_TRACE   a file to which every counted call appends a line: number, kind, path
//
// Without MUTANT_INJECT_AT nothing fails: with a trace, that counts. Numbers are one process's; which call of several threads
// gets one is up to the machine. What a library does inside itself (malloc's own mmap, fopen's own open) is not seen, but for
// fopen itself. What this does for itself it does by raw system calls, without allocating and without locks: it runs inside
// whatever the program is in the middle of.
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace {

enum class kind { write, read, sync, allocate, truncate, open, map, name, lock, thread, accept };
constexpr const char* kind_names[] = {"write", "read", "sync", "allocate", "truncate", "open", "map", "name", "lock", "thread",
                                      "accept"};

enum class fault { none, error, shorter, torn, kill };

struct errno_name {
  const char* name;
  int number;
};
constexpr errno_name errno_names[] = {{"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EFBIG", EFBIG},
                                      {"EMFILE", EMFILE}, {"ENFILE", ENFILE}, {"ENOMEM", ENOMEM}, {"EAGAIN", EAGAIN},
                                      {"EACCES", EACCES}, {"EPERM", EPERM},   {"EROFS", EROFS},   {"EINTR", EINTR},
                                      {"EINVAL", EINVAL}, {"ENOENT", ENOENT}, {"EBUSY", EBUSY},   {"EOPNOTSUPP", EOPNOTSUPP}};

struct plan {
  unsigned kinds = 0;  // one bit for each
  const char* below = nullptr;
  std::uint64_t at = 0;  // 0: never
  bool and_after = false;
  fault what = fault::none;
  int error = 0;
  int trace = -1;
  long clock_offset = 0;  // seconds

  plan();
};

[[noreturn]] void refuse(const char* what, const char* value) {
  dprintf(STDERR_FILENO, "inject: %s is not %s\n", value, what);
  _exit(125);
}

plan::plan() {
  const auto* calls = getenv("MUTANT_INJECT_CALLS");
  while (calls != nullptr && *calls != 0) {
    const auto length = strcspn(calls, ",");
    auto found = false;
    for (unsigned i = 0; i < sizeof kind_names / sizeof *kind_names; ++i)
      if (strlen(kind_names[i]) == length && strncmp(kind_names[i], calls, length) == 0) {
        kinds |= 1U << i;
        found = true;
      }
    if (!found)
      refuse("a list of kinds of calls", calls);
    calls += length + (calls[length] == ',' ? 1 : 0);
  }
  below = getenv("MUTANT_INJECT_BELOW");
  if (const auto* number = getenv("MUTANT_INJECT_AT")) {
    char* end = nullptr;
    at = strtoull(number, &end, 10);
    and_after = strcmp(end, "+") == 0;
    if (at == 0 || (*end != 0 && !and_after))
      refuse("the number of a call", number);
    const auto* wanted = getenv("MUTANT_INJECT_FAULT");
    if (wanted == nullptr)
      refuse("set", "MUTANT_INJECT_FAULT");
    what = strcmp(wanted, "short") == 0 ? fault::shorter
           : strcmp(wanted, "torn") == 0 ? fault::torn
           : strcmp(wanted, "kill") == 0 ? fault::kill
                                         : fault::error;
    error = atoi(wanted);
    for (const auto& known : errno_names)
      if (strcmp(known.name, wanted) == 0)
        error = known.number;
    if (what == fault::error && error <= 0)
      refuse("a fault", wanted);
  }
  if (const auto* seconds = getenv("MUTANT_INJECT_CLOCK")) {
    char* end = nullptr;
    clock_offset = strtol(seconds, &end, 10);
    if (end == seconds || *end != 0)
      refuse("a number of seconds", seconds);
  }
  if (const auto* file = getenv("MUTANT_INJECT_TRACE")) {
    trace = static_cast<int>(syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (trace < 0)
      refuse("a file to write to", file);
  }
}

const plan& asked() {
  static const plan once;
  return once;
}

std::atomic<std::uint64_t> counted{0};

/// Where a path leads, as far as it can be said without links: relative ones from the working directory.
void absolute(int directory, const char* path, char (&out)[PATH_MAX]) {
  out[0] = 0;
  if (path == nullptr || path[0] == '/') {
    snprintf(out, sizeof out, "%s", path == nullptr ? "" : path);
    return;
  }
  char link[64];
  snprintf(link, sizeof link, directory == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", directory);
  const auto length = syscall(SYS_readlink, link, out, sizeof out - 1);
  const auto have = length < 0 ? 0 : static_cast<std::size_t>(length);
  snprintf(out + have, sizeof out - have, "/%s", path);
}

void of_descriptor(int descriptor, char (&out)[PATH_MAX]) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const auto length = syscall(SYS_readlink, link, out, sizeof out - 1);
  out[length < 0 ? 0 : length] = 0;
}

bool is_below(const char* path, const char* directory) {
  const auto length = strlen(directory);
  return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == 0);
}

[[noreturn]] void die() {
  syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
  for (;;)
    pause();
}

/// Counts a call on a path (empty: it has none), and says what shall become of it. `kill` does not return.
fault count(kind k, const char* path) {
  const auto saved = errno;
  const auto& wanted = asked();
  if ((wanted.kinds & 1U << static_cast<unsigned>(k)) == 0)
    return fault::none;
  const auto has_path = k != kind::thread && k != kind::accept;
  if (has_path && wanted.below != nullptr && !is_below(path, wanted.below))
    return fault::none;
  const auto number = counted.fetch_add(1) + 1;
  if (wanted.trace >= 0) {
    char line[PATH_MAX + 64];
    const auto length = snprintf(line, sizeof line, "%llu %s %s\n", static_cast<unsigned long long>(number),
                                 kind_names[static_cast<unsigned>(k)], path);
    syscall(SYS_write, wanted.trace, line, static_cast<std::size_t>(length));
  }
  errno = saved;
  if (wanted.at == 0 || number < wanted.at || (number > wanted.at && !wanted.and_after))
    return fault::none;
  if (wanted.what == fault::kill || (wanted.what == fault::torn && k != kind::write))
    die();
  if (wanted.what == fault::error)
    errno = wanted.error;
  return wanted.what;
}

fault count(kind k, int descriptor) {
  if ((asked().kinds & 1U << static_cast<unsigned>(k)) == 0)
    return fault::none;
  char path[PATH_MAX];
  of_descriptor(descriptor, path);
  return count(k, path);
}

fault count_at(kind k, int directory, const char* name) {
  if ((asked().kinds & 1U << static_cast<unsigned>(k)) == 0)
    return fault::none;
  char path[PATH_MAX];
  absolute(directory, name, path);
  return count(k, path);
}

template <class F>
F* next(F*, const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

/// A transfer of `size` bytes in one piece: `call(bytes)` does it.
template <class F>
ssize_t transfer(kind k, int descriptor, std::size_t size, F call) {
  switch (count(k, descriptor)) {
    case fault::error:
      return -1;
    case fault::shorter:
      return call(size > 1 ? size / 2 : size);
    case fault::torn:
      call(size / 2);
      die();
    default:
      return call(size);
  }
}

/// The same of several pieces: half of the bytes, in as many pieces as they fill.
template <class F>
ssize_t transfer_pieces(kind k, int descriptor, const iovec* pieces, int number, F call) {
  const auto what = count(k, descriptor);
  if (what == fault::error)
    return -1;
  if (what != fault::shorter && what != fault::torn)
    return call(pieces, number);
  std::size_t whole = 0;
  for (int i = 0; i < number; ++i)
    whole += pieces[i].iov_len;
  static thread_local iovec some[IOV_MAX];
  auto left = whole > 1 ? whole / 2 : whole;
  int used = 0;
  for (; used < number && used < IOV_MAX && left > 0; ++used) {
    some[used] = pieces[used];
    some[used].iov_len = some[used].iov_len < left ? some[used].iov_len : left;
    left -= some[used].iov_len;
  }
  const auto done = call(some, used);
  if (what == fault::torn)
    die();
  return done;
}

}  // namespace

#define NEXT(function) static const auto real = next(&function, #function)

extern "C" {

// On a 64-bit machine the variants with 64 are the same functions; who calls which is up to how each library was compiled.
// The kernel has no queue for writes here, as in many containers: so every write of a process is one of the calls below.
long syscall(long number, ...) noexcept {
  static const auto real = next(static_cast<long (*)(long, ...)>(nullptr), "syscall");
  long a[6];
  va_list more;
  va_start(more, number);
  for (auto& argument : a)
    argument = va_arg(more, long);
  va_end(more);
  if (number == SYS_io_setup) {
    errno = ENOSYS;
    return -1;
  }
  return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

ssize_t write(int fd, const void* data, size_t size) {
  NEXT(write);
  return transfer(kind::write, fd, size, [&](size_t n) { return real(fd, data, n); });
}
ssize_t pwrite(int fd, const void* data, size_t size, off_t at) {
  NEXT(pwrite);
  return transfer(kind::write, fd, size, [&](size_t n) { return real(fd, data, n, at); });
}
ssize_t pwrite64(int fd, const void* data, size_t size, off64_t at) {
  return pwrite(fd, data, size, at);
}
ssize_t writev(int fd, const iovec* pieces, int number) {
  NEXT(writev);
  return transfer_pieces(kind::write, fd, pieces, number, [&](const iovec* p, int n) { return real(fd, p, n); });
}
ssize_t pwritev(int fd, const iovec* pieces, int number, off_t at) {
  NEXT(pwritev);
  return transfer_pieces(kind::write, fd, pieces, number, [&](const iovec* p, int n) { return real(fd, p, n, at); });
}
ssize_t pwritev64(int fd, const iovec* pieces, int number, off64_t at) {
  return pwritev(fd, pieces, number, at);
}

ssize_t read(int fd, void* data, size_t size) {
  NEXT(read);
  return transfer(kind::read, fd, size, [&](size_t n) { return real(fd, data, n); });
}
ssize_t pread(int fd, void* data, size_t size, off_t at) {
  NEXT(pread);
  return transfer(kind::read, fd, size, [&](size_t n) { return real(fd, data, n, at); });
}
ssize_t pread64(int fd, void* data, size_t size, off64_t at) {
  return pread(fd, data, size, at);
}

int fsync(int fd) {
  NEXT(fsync);
  return count(kind::sync, fd) == fault::error ? -1 : real(fd);
}
int fdatasync(int fd) {
  NEXT(fdatasync);
  return count(kind::sync, fd) == fault::error ? -1 : real(fd);
}

int fallocate(int fd, int mode, off_t at, off_t size) {
  NEXT(fallocate);
  return count(kind::allocate, fd) == fault::error ? -1 : real(fd, mode, at, size);
}
int fallocate64(int fd, int mode, off64_t at, off64_t size) {
  return fallocate(fd, mode, at, size);
}
int posix_fallocate(int fd, off_t at, off_t size) {
  NEXT(posix_fallocate);
  return count(kind::allocate, fd) == fault::error ? errno : real(fd, at, size);
}
int ftruncate(int fd, off_t size) noexcept {
  NEXT(ftruncate);
  return count(kind::truncate, fd) == fault::error ? -1 : real(fd, size);
}
int ftruncate64(int fd, off64_t size) noexcept {
  return ftruncate(fd, size);
}

static int open_at(int directory, const char* path, int flags, mode_t mode) {
  if (count_at(kind::open, directory, path) == fault::error)
    return -1;
  return static_cast<int>(syscall(SYS_openat, directory, path, flags, mode));
}
static mode_t mode_of(int flags, va_list more) {
  return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(more, mode_t) : 0;
}
#define OPEN_AT(directory) \
  va_list more;            \
  va_start(more, flags);   \
  const auto mode = mode_of(flags, more); \
  va_end(more);            \
  return open_at(directory, path, flags, mode)
int open(const char* path, int flags, ...) {
  OPEN_AT(AT_FDCWD);
}
int open64(const char* path, int flags, ...) {
  OPEN_AT(AT_FDCWD);
}
int openat(int directory, const char* path, int flags, ...) {
  OPEN_AT(directory);
}
int openat64(int directory, const char* path, int flags, ...) {
  OPEN_AT(directory);
}
FILE* fopen(const char* path, const char* mode) {
  NEXT(fopen);
  return count_at(kind::open, AT_FDCWD, path) == fault::error ? nullptr : real(path, mode);
}
FILE* fopen64(const char* path, const char* mode) {
  return fopen(path, mode);
}

void* mmap(void* where, size_t size, int protection, int flags, int fd, off_t at) noexcept {
  if ((flags & MAP_ANONYMOUS) == 0 && count(kind::map, fd) == fault::error)
    return MAP_FAILED;
  return reinterpret_cast<void*>(syscall(SYS_mmap, where, size, protection, flags, fd, at));
}
void* mmap64(void* where, size_t size, int protection, int flags, int fd, off64_t at) noexcept {
  return mmap(where, size, protection, flags, fd, at);
}

int rename(const char* from, const char* to) noexcept {
  NEXT(rename);
  return count_at(kind::name, AT_FDCWD, to) == fault::error ? -1 : real(from, to);
}
int renameat2(int from_fd, const char* from, int to_fd, const char* to, unsigned flags) noexcept {
  NEXT(renameat2);
  return count_at(kind::name, to_fd, to) == fault::error ? -1 : real(from_fd, from, to_fd, to, flags);
}
int link(const char* from, const char* to) noexcept {
  NEXT(link);
  return count_at(kind::name, AT_FDCWD, to) == fault::error ? -1 : real(from, to);
}
int linkat(int from_fd, const char* from, int to_fd, const char* to, int flags) noexcept {
  NEXT(linkat);
  return count_at(kind::name, to_fd, to) == fault::error ? -1 : real(from_fd, from, to_fd, to, flags);
}
int unlink(const char* path) noexcept {
  NEXT(unlink);
  return count_at(kind::name, AT_FDCWD, path) == fault::error ? -1 : real(path);
}
int mkdir(const char* path, mode_t mode) noexcept {
  NEXT(mkdir);
  return count_at(kind::name, AT_FDCWD, path) == fault::error ? -1 : real(path, mode);
}

int clock_gettime(clockid_t which, timespec* now) noexcept {
  NEXT(clock_gettime);
  const auto failed = real(which, now);
  if (failed == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
    now->tv_sec += asked().clock_offset;
  return failed;
}
time_t time(time_t* out) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  if (out != nullptr)
    *out = now.tv_sec;
  return now.tv_sec;
}

int flock(int fd, int operation) noexcept {
  if (count(kind::lock, fd) == fault::error)
    return -1;
  return static_cast<int>(syscall(SYS_flock, fd, operation));
}
int fcntl(int fd, int command, ...) {
  va_list more;
  va_start(more, command);
  auto* const argument = va_arg(more, void*);
  va_end(more);
  const auto locks = command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW;
  if (locks && count(kind::lock, fd) == fault::error)
    return -1;
  return static_cast<int>(syscall(SYS_fcntl, fd, command, argument));
}
int fcntl64(int fd, int command, ...) {
  va_list more;
  va_start(more, command);
  auto* const argument = va_arg(more, void*);
  va_end(more);
  return fcntl(fd, command, argument);
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*body)(void*), void* argument) noexcept {
  NEXT(pthread_create);
  return count(kind::thread, "") == fault::error ? errno : real(thread, attributes, body, argument);
}

int accept(int fd, sockaddr* address, socklen_t* size) {
  NEXT(accept);
  return count(kind::accept, "") == fault::error ? -1 : real(fd, address, size);
}
int accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
  NEXT(accept4);
  return count(kind::accept, "") == fault::error ? -1 : real(fd, address, size, flags);
}

}  // extern "C"
