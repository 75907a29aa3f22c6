// The environment, where a variable that is set but empty is a mistake: MUTANT_PASSPHRASE="$(false)" gives no passphrase, and
// must not make an identity without one.
#pragma once

#include <string>

#include "core/error.hpp"

namespace mutant::cli {

// Empty: it is not set. invalid_argument: it is set, and empty.
result<std::string> from_environment(const char* name);

// As above, for a secret: a pointer into the environment itself, of which no copy is made. Null: it is not set.
result<const char*> secret_from_environment(const char* name);
// Overwrites it there, where /proc/PID/environ shows it as well, and takes it out of the environment.
void wipe_from_environment(const char* name) noexcept;

}  // namespace mutant::cli
