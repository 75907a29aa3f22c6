// The report as one page: report.html with the JSON document in it. The page draws itself; nothing is loaded from elsewhere.
#include "benchmarks/load/report.hpp"

namespace mutant::load {

extern const char report_page[];   // report.html, made into a string by CMake

namespace {

constexpr std::string_view place = "/*REPORT*/null";

}  // namespace

std::string as_html(const json& report) {
  auto data = report.dump(-1, ' ', false, json::error_handler_t::replace);
  // "</script>" in a message must not end the script.
  for (std::size_t at = 0; (at = data.find('<', at)) != std::string::npos;)
    data.replace(at, 1, "\\u003c");
  std::string page(report_page);
  page.replace(page.find(place), place.size(), data);
  return page;
}

}  // namespace mutant::load
