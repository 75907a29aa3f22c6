#include "apps/mutant/store_faults.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "core/engine/store_faults.hpp"

namespace mutant::cli {

namespace {

std::atomic<const console*> where = nullptr;

[[noreturn]] void end(std::string_view message) noexcept {
  static std::atomic_flag told = ATOMIC_FLAG_INIT;
  if (const auto* out = where.load(); out != nullptr && !told.test_and_set())
    out->fault(message, errc::store_damaged);
  ::_exit(exit_code(errc::store_damaged));
}

extern "C" void on_bus_error(int number, siginfo_t* info, void*) {
  // Sent by somebody, or by a bug of ours (BUS_ADRALN): as without a handler.
  if (info->si_code != BUS_ADRERR && info->si_code != BUS_OBJERR && info->si_code != BUS_MCEERR_AR
      && info->si_code != BUS_MCEERR_AO) {
    ::signal(number, SIG_DFL);
    ::raise(number);
    return;
  }
  end("the store is damaged: a file of it became shorter while it was in use, or its medium cannot be read; restore the store "
      "from a copy");
}

void on_assertion(const char*) {
  end("the store is damaged: data.mdb contradicts itself; restore the store from a copy");
}

}  // namespace

void end_on_store_faults(const console& out) {
  where = &out;
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, nullptr);
  set_store_fault_handler(on_assertion);
}

}  // namespace mutant::cli
