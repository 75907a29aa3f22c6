#include "apps/mutant/node_log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <chrono>

#include "apps/mutant/console.hpp"
#include "apps/mutant/text.hpp"

namespace mutant::cli {

namespace {

spdlog::level::level_enum as_spdlog(log_level level) {
  switch (level) {
    case log_level::debug: return spdlog::level::debug;
    case log_level::info: return spdlog::level::info;
    case log_level::warning: return spdlog::level::warn;
    case log_level::error: break;
  }
  return spdlog::level::err;
}

std::string_view name_of(log_level level) {
  switch (level) {
    case log_level::debug: return "debug";
    case log_level::info: return "info";
    case log_level::warning: return "warning";
    case log_level::error: break;
  }
  return "error";
}

std::string as_text(const std::string& what, const log_fields& fields) {
  auto line = what;
  for (const auto& [name, value] : fields)
    if (!value.empty())
      line += " " + name + "=" + (value.find(' ') == std::string::npos ? printable(value) : "\"" + printable(value) + "\"");
  return line;
}

std::string as_document(log_level level, const std::string& what, const log_fields& fields) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  json line;
  line["time"] = utc_time(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  line["level"] = name_of(level);
  line["message"] = what;
  for (const auto& [name, value] : fields)
    if (!value.empty())
      line[name == "message" ? "detail" : name] = value;
  return dump(line);
}

}  // namespace

result<log_sink> make_log(std::string_view level, bool as_json) {
  for (auto least : {log_level::debug, log_level::info, log_level::warning, log_level::error}) {
    if (level != name_of(least))
      continue;
    auto logger = std::make_shared<spdlog::logger>("node", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_level(as_spdlog(least));
    logger->flush_on(spdlog::level::debug);
    logger->set_pattern(as_json ? "%v" : "%Y-%m-%d %H:%M:%S.%e %-7l %v");
    return [logger, as_json](log_level at, const std::string& what, const log_fields& fields) {
      if (logger->should_log(as_spdlog(at)))
        logger->log(as_spdlog(at), "{}", as_json ? as_document(at, what, fields) : as_text(what, fields));
    };
  }
  return fail(errc::invalid_argument, "--log-level takes debug, info, warning or error");
}

}  // namespace mutant::cli
