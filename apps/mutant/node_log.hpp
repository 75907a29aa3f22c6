// The node's log: one line an event on standard error, for people or (as JSON) for machines.
#pragma once

#include <string_view>

#include "actors/caf/log.hpp"
#include "core/error.hpp"

namespace mutant::cli {

// level: "debug", "info", "warning" or "error". invalid_argument: something else.
result<log_sink> make_log(std::string_view level, bool as_json);

}  // namespace mutant::cli
