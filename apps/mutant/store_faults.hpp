// The last resort for a damaged store: a page of a file that is mapped and can no longer be read (SIGBUS), and LMDB's own
// assertions. What is read is checked first, so that this is for a file that is cut off while LMDB writes to it, and for a
// medium that fails then.
#pragma once

#include "apps/mutant/console.hpp"

namespace mutant::cli {

// From here on such a fault is one message, one JSON document and the exit code of damage. `out` must stay.
void end_on_store_faults(const console& out);

}  // namespace mutant::cli
