// What remains when LMDB cannot go on: one of its assertions has failed, and it ends the process when the callback returns.
// The pages it follows are checked before (lmdb_file.hpp), so that this is the last resort: a program says how it wants to end.
#pragma once

namespace mutant {

// `what` is for a message. Must not return if the process is not to be aborted; called by any thread, with LMDB's locks held.
using store_fault_handler = void (*)(const char* what);

// For programs. Without one, LMDB's message goes to standard error and the process is aborted.
void set_store_fault_handler(store_fault_handler handler) noexcept;

void report_store_fault(const char* what);

}  // namespace mutant
