#include "apps/mutant/signals.hpp"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <thread>

#include "apps/mutant/console.hpp"

namespace mutant::cli {

namespace {

constexpr std::array signals_taken = {SIGINT, SIGTERM, SIGHUP};
// A cancellation finds nothing to cancel if it comes a moment too early: so it is repeated.
constexpr long repeat_ns = 50'000'000;

struct signal_state {
  std::mutex mutex;
  on_signal what = on_signal::leave;
  std::function<void()> again;
  std::function<void()> hangup;
  std::function<void()> leaving;
  std::atomic<bool> interrupted = false;
};

// Never destroyed: the signal thread runs until the process ends.
signal_state& state() {
  static auto* instance = new signal_state;
  return *instance;
}

[[noreturn]] void leave() {
  if (state().leaving)
    state().leaving();
  ::_exit(exit_interrupted);
}

void wait_for_signals(sigset_t set) {
  auto& s = state();
  for (unsigned seen = 0;;) {
    const timespec pause{0, repeat_ns};
    const auto got = seen == 0 ? ::sigwaitinfo(&set, nullptr) : ::sigtimedwait(&set, nullptr, &pause);
    if (got < 0 && errno == EINTR)
      continue;
    std::unique_lock lock(s.mutex);
    if (got == SIGHUP && s.hangup) {
      s.hangup();
      continue;
    }
    if (got > 0)
      ++seen;
    s.interrupted = true;
    if (seen > 1 || (got > 0 && s.what == on_signal::leave))
      leave();
    if (s.what == on_signal::cancel && s.again)
      s.again();
  }
}

}  // namespace

void start_signals(std::function<void()> leaving) {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow any more (ulimit -f) is an error of the write
  sigset_t set;
  ::sigemptyset(&set);
  for (auto number : signals_taken) {
    struct sigaction before {};
    ::sigaction(number, nullptr, &before);
    if (before.sa_handler != SIG_IGN)  // nohup, and jobs in the background of a script
      ::sigaddset(&set, number);
  }
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  state().leaving = std::move(leaving);
  std::thread(wait_for_signals, set).detach();
}

bool was_interrupted() noexcept {
  return state().interrupted;
}

signal_scope::signal_scope(on_signal what, std::function<void()> again, std::function<void()> hangup) {
  std::lock_guard lock(state().mutex);
  state().what = what;
  state().again = std::move(again);
  state().hangup = std::move(hangup);
}

signal_scope::~signal_scope() {
  std::lock_guard lock(state().mutex);
  state().what = on_signal::leave;
  state().again = nullptr;
  state().hangup = nullptr;
}

}  // namespace mutant::cli
