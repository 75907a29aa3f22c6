// Where the long-running parts tell what happens. The program that runs them decides what becomes of it.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace mutant {

enum class log_level { debug, info, warning, error };

// Name and value, for logs that are read by machines: {"peer", "10.0.0.7:40112"}.
using log_fields = std::vector<std::pair<std::string, std::string>>;

// Called from any thread. May be empty.
using log_sink = std::function<void(log_level, const std::string& what, const log_fields& fields)>;

inline void tell(const log_sink& sink, log_level level, const std::string& what, const log_fields& fields = {}) {
  if (sink)
    sink(level, what, fields);
}

}  // namespace mutant
