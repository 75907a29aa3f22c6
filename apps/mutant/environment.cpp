#include "apps/mutant/environment.hpp"

#include <cstdlib>
#include <cstring>

namespace mutant::cli {

result<const char*> secret_from_environment(const char* name) {
  const char* value = std::getenv(name);
  if (value != nullptr && *value == '\0')
    return fail(errc::invalid_argument, "$" + std::string(name) + " is set, but empty: give it a value, or take it out of the "
                                            + "environment (unset " + name + ")");
  return value;
}

result<std::string> from_environment(const char* name) {
  auto value = secret_from_environment(name);
  if (!value)
    return fail(value.error());
  return *value == nullptr ? std::string() : std::string(*value);
}

void wipe_from_environment(const char* name) noexcept {
  if (auto* value = std::getenv(name))
    ::explicit_bzero(value, std::strlen(value));
  ::unsetenv(name);
}

}  // namespace mutant::cli
