// Whether this machine will give what is about to be needed: threads and descriptors.
//
// CAF starts a thread in the middle of making an actor, or an actor system, and cannot take it back when the system refuses:
// what is half made waits for ever, or the process is aborted. So they are asked for beforehand, all at once, and given back.
// Somebody else may take them in between; that is a fault (actors/caf/spawn.hpp).
#pragma once

#include <cstddef>
#include <exception>
#include <string>

#include "core/error.hpp"

namespace mutant {

// Starts as many threads and lets them end. io_error: the system gave fewer (says how many), for want of processes
// (ulimit -u, a container's limit) or of memory for their stacks (ulimit -v). About 20 us a thread.
result<void> check_threads(std::size_t count);

// io_error: not as many descriptors are left to this process (ulimit -n).
result<void> check_descriptors(std::size_t count);

// What an exception that nobody expected says: what() of it, and advice where the system gave no thread or no memory.
std::string text_of(const std::exception_ptr& thrown);

// How many this process may have open at a time (RLIMIT_NOFILE), after that was raised to `wanted` as far as it may be.
std::size_t raise_descriptor_limit(std::size_t wanted) noexcept;

}  // namespace mutant
