// How every actor here is started: with `start`, so that an exception that leaves one of its handlers ends it with an error.
//
//   auto worker = start<caf::detached>(system, crypto_worker, options);          // instead of system.spawn<caf::detached>(…)
//   auto session = self->fork(guarded(node_session), handle, options);     // where CAF spawns in another way
//
// CAF itself would print such an exception on standard output, into whatever a program writes there, and end the actor with a
// number that says nothing. Here whoever monitors the actor gets an io_error that names the actor and the exception, and a
// program may take all of them first (on_fault). Exceptions are faults: of this code, or a machine without threads or memory.
#pragma once

#include <caf/all.hpp>
#include <string>
#include <utility>

namespace mutant {

// Called with "the actor 'crypto_worker': std::bad_alloc", in the thread of the actor, from any number of threads. A program
// that has nothing to save beyond what is durable anyway ends in it. Null, as in the beginning: the actor alone ends.
using fault_handler = void (*)(const std::string& what) noexcept;
void on_fault(fault_handler handler) noexcept;

namespace detail {
caf::error fault_of(const char* actor, const std::exception_ptr& thrown);
}

// The same behaviour function, for CAF to spawn.
template <class Behavior, class Self, class... Parameters>
auto guarded(Behavior (*behavior)(Self*, Parameters...)) {
  return [behavior](Self* self, Parameters... parameters) -> Behavior {
    self->set_exception_handler(
        [](caf::scheduled_actor* failed, std::exception_ptr& thrown) { return detail::fault_of(failed->name(), thrown); });
    return behavior(self, std::forward<Parameters>(parameters)...);
  };
}

// By an actor system, or by an actor: start(*self, …).
template <caf::spawn_options Options = caf::no_spawn_options, class Host, class Behavior, class Self, class... Parameters,
          class... Args>
auto start(Host& host, Behavior (*behavior)(Self*, Parameters...), Args&&... args) {
  return host.template spawn<Options>(guarded(behavior), std::forward<Args>(args)...);
}

}  // namespace mutant
