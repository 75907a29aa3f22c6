// Other processes and full disks, for the engine tests.
#pragma once

#include <cerrno>
#include <csignal>
#include <string>
#include <utility>

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace mutant::engine_test {

// Runs `body` (returns the exit code) in a forked process. Engines must be opened inside: they do not survive a fork.
template <class Body>
pid_t start_child(Body&& body) {
  auto child = ::fork();
  if (child != 0)
    return child;
  int code = 99;
  try {
    code = body();
  } catch (...) {
  }
  ::_exit(code);
}

// The exit code, or minus the signal that ended it.
inline int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// Says a word from one process to another.
class process_pipe {
 public:
  process_pipe() { ok_ = ::pipe(ends_) == 0; }
  process_pipe(const process_pipe&) = delete;
  process_pipe& operator=(const process_pipe&) = delete;
  ~process_pipe() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  template <class T>
  bool send(const T& value) {
    return ok_ && ::write(ends_[1], &value, sizeof value) == static_cast<ssize_t>(sizeof value);
  }
  // False when everyone who could still write has gone: call done_sending() first.
  template <class T>
  bool receive(T& value) {
    return ok_ && ::read(ends_[0], &value, sizeof value) == static_cast<ssize_t>(sizeof value);
  }
  void done_sending() { ::close(std::exchange(ends_[1], -1)); }

 private:
  int ends_[2] = {-1, -1};
  bool ok_ = false;
};

// A small file system of its own, where mounting is permitted.
class small_disk {
 public:
  small_disk(std::string at, const char* size) : at_(std::move(at)) {
    mounted_ = ::mkdir(at_.c_str(), 0700) == 0
               && ::mount("tmpfs", at_.c_str(), "tmpfs", 0, (std::string("size=") + size).c_str()) == 0;
  }
  small_disk(const small_disk&) = delete;
  small_disk& operator=(const small_disk&) = delete;
  ~small_disk() {
    if (mounted_)
      ::umount2(at_.c_str(), MNT_DETACH);
    ::rmdir(at_.c_str());
  }
  bool mounted() const { return mounted_; }
  const std::string& path() const { return at_; }

 private:
  std::string at_;
  bool mounted_ = false;
};

}  // namespace mutant::engine_test

// Ends the test with a line that says why, where the machine does not permit it.
#define SKIP_UNLESS(condition, why)                 \
  if (!(condition)) {                               \
    BOOST_TEST_MESSAGE("skipped: " << (why));       \
    BOOST_WARN_MESSAGE(false, "skipped: " << (why)); \
    return;                                         \
  }

// g++ says it in one way, clang in another.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ENGINE_TEST_SANITIZED 1
#elif defined(__has_feature)
#define ENGINE_TEST_SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define ENGINE_TEST_SANITIZED 0
#endif
