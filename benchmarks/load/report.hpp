// The report of a run: one JSON document, from which the text and the HTML page are made.
//
// benchmarks/README.md names its members. Times are in nanoseconds (…_ns) or seconds (…_s), sizes in bytes.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "benchmarks/load/run.hpp"

namespace mutant::load {

using json = nlohmann::ordered_json;

// docs/operations.md, "Exit codes".
int exit_code_of(const run_outcome& outcome, bool tampering) noexcept;

json make_report(const settings& s, const run_result& result);
std::string as_text(const json& report);
std::string as_html(const json& report);

// What the run said about itself while it went on.
std::string progress_line(phase what, double seconds, std::uint64_t operations, double rate);

}  // namespace mutant::load
