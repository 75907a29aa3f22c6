#include "apps/mutant/faults.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <exception>
#include <iostream>
#include <new>

#include "actors/caf/spawn.hpp"
#include "apps/mutant/console.hpp"
#include "core/resources.hpp"

namespace mutant::cli {

namespace {

#if defined(__has_feature)
#define MUTANT_HAS_FEATURE(x) __has_feature(x)
#else
#define MUTANT_HAS_FEATURE(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || MUTANT_HAS_FEATURE(address_sanitizer) \
    || MUTANT_HAS_FEATURE(thread_sanitizer)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

void (*tell_people)(std::string_view) noexcept = nullptr;

// The first fault is told; others that follow from it wait for the end.
[[noreturn]] void end_by(std::string_view what) noexcept {
  static std::atomic_flag ending;
  while (ending.test_and_set())
    ::pause();
  tell_people(what);
  ::_exit(exit_code(errc::io_error));
}

void no_memory() {
  end_by("the system gave no more memory (see ulimit -v, and the limits of the container); what was acknowledged is stored");
}

[[noreturn]] void nobody_took_it() noexcept {
  if (const auto thrown = std::current_exception())
    end_by(text_of(thrown));
  end_by("an internal fault");
}

void aborted(int) {
  end_by("an internal fault; what it was may be said above");
}

}  // namespace

void take_faults(void (*say)(std::string_view what) noexcept) {
  tell_people = say;
  std::set_new_handler(no_memory);
  std::set_terminate([] { nobody_took_it(); });
  on_fault([](const std::string& what) noexcept { end_by(what); });
  // LMDB, CAF and the C library end a process in this way.
  struct sigaction action {};
  action.sa_handler = aborted;
  ::sigaction(SIGABRT, &action, nullptr);
  // What CAF has to say goes there otherwise, into the value that `get` writes.
  std::cout.rdbuf(std::cerr.rdbuf());
}

void keep_memory_to_ourselves() noexcept {
  if (sanitized)  // sanitizers look into their own process
    return;
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0);
}

}  // namespace mutant::cli
