// Ctrl-C and its relatives (SIGINT, SIGTERM, SIGHUP), taken by one thread of their own.
//
// What the first signal does depends on what is going on; a second one ends the process at once, with exit code 130.
// Nothing that is left half done by that needs repair: a value is old or new, and output files have no name before they
// are whole.
#pragma once

#include <functional>

namespace mutant::cli {

enum class on_signal {
  leave,    // end the process at once: nothing is being changed
  finish,   // let the running step end; the command looks at was_interrupted() between steps
  cancel,   // call `again` until the step ends
};

// Blocks the signals for every thread that is started from here on, and ignores SIGPIPE and SIGXFSZ. `leaving` is called in the
// signal thread before it ends the process. Call once, before there are other threads.
void start_signals(std::function<void()> leaving);

bool was_interrupted() noexcept;

// What a signal does while this lives; `leave` outside of any. `hangup`: what SIGHUP does instead, each time.
class signal_scope {
 public:
  explicit signal_scope(on_signal what, std::function<void()> again = {}, std::function<void()> hangup = {});
  ~signal_scope();
  signal_scope(const signal_scope&) = delete;
  signal_scope& operator=(const signal_scope&) = delete;
};

}  // namespace mutant::cli
