#include "apps/mutant/producer.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern "C" {   // glibc 2.36 forgot to say so
#include <sys/pidfd.h>
}

#include <array>
#include <cerrno>

#include "apps/mutant/text.hpp"

namespace mutant::cli {

namespace {

constexpr int patience_ms = 5000;   // between SIGTERM and SIGKILL

// The command gets the signals as any program does: we block some and ignore one, which would stay so in it.
void set_signals(posix_spawnattr_t& attributes) {
  sigset_t set;
  ::sigemptyset(&set);
  ::posix_spawnattr_setsigmask(&attributes, &set);
  ::sigaddset(&set, SIGPIPE);
  ::posix_spawnattr_setsigdefault(&attributes, &set);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

}  // namespace

result<std::shared_ptr<const producer>> producer::start(const std::vector<std::string>& words) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return fail(errno_error(errno, "making a pipe for " + in_quotes(words.front())));
  unique_fd output(ends[0]), input(ends[1]);
  std::vector<char*> argv;
  for (const auto& word : words)
    argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_adddup2(&files, input.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
  set_signals(attributes);
  pid_t pid = -1;
  const auto failed = ::posix_spawnp(&pid, argv.front(), &files, &attributes, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&files);
  ::posix_spawnattr_destroy(&attributes);
  if (failed != 0)
    return fail(errc::invalid_argument, "starting " + in_quotes(words.front()) + ": "
                                            + errno_error(failed, "running it").message);
  unique_fd process(::pidfd_open(pid, 0));
  if (!process) {
    const auto number = errno;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return fail(errno_error(number, "watching " + in_quotes(words.front())));
  }
  return std::shared_ptr<const producer>(new producer(words.front(), std::move(output), std::move(process)));
}

producer::~producer() {
  stop();
  siginfo_t ignored{};
  ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(process_.get()), &ignored, WEXITED);
}

void producer::stop() const {
  ::pidfd_send_signal(process_.get(), SIGTERM, nullptr, 0);
  pollfd ended{process_.get(), POLLIN, 0};
  if (::poll(&ended, 1, patience_ms) == 0)
    ::pidfd_send_signal(process_.get(), SIGKILL, nullptr, 0);
}

result<void> producer::succeeded() const {
  siginfo_t how{};
  while (::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(process_.get()), &how, WEXITED) != 0)
    if (errno != EINTR)
      return fail(errno_error(errno, "waiting for " + in_quotes(name_)));
  if (how.si_code == CLD_EXITED && how.si_status == 0)
    return {};
  return fail(errc::io_error, in_quotes(name_)
                                  + (how.si_code == CLD_EXITED ? " ended with exit code " : " was ended by signal ")
                                  + std::to_string(how.si_status) + "; nothing was stored, the key is as it was");
}

}  // namespace mutant::cli
