// What is no error of a command, but the end of the program: an exception that nobody expected, in any thread or actor, and a
// machine that gives no memory or threads. Each is one line on standard error (with --json also the document), and exit code 1,
// at once. Nothing needs to be put in order before: what was acknowledged is durable, and what was not is whole or absent, as
// after a kill.
#pragma once

#include <string_view>

namespace mutant::cli {

// Takes charge of all of them. `say` tells people what happened, in whatever thread that was, and must not take memory. Call
// once, before there are other threads.
void take_faults(void (*say)(std::string_view what) noexcept);

// No other process may look into this one, and it leaves no core file: it holds the key to everything (prctl(2),
// PR_SET_DUMPABLE; RLIMIT_CORE).
void keep_memory_to_ourselves() noexcept;

}  // namespace mutant::cli
