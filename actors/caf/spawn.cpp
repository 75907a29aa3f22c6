#include "actors/caf/spawn.hpp"

#include <atomic>

#include "actors/messages.hpp"
#include "core/resources.hpp"

namespace mutant {

namespace {

std::atomic<fault_handler> program_handler = nullptr;

}  // namespace

void on_fault(fault_handler handler) noexcept {
  program_handler = handler;
}

caf::error detail::fault_of(const char* actor, const std::exception_ptr& thrown) {
  auto what = std::string("the actor '") + actor + "' failed: " + text_of(thrown);
  if (const auto handler = program_handler.load())
    handler(what);
  return to_caf({errc::io_error, std::move(what)});
}

}  // namespace mutant
