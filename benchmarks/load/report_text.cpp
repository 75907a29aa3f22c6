// The report for a terminal.
#include <array>
#include <cstdarg>
#include <cstdio>

#include "apps/mutant/text.hpp"
#include "benchmarks/load/quantities.hpp"
#include "benchmarks/load/report.hpp"

namespace mutant::load {

namespace {

[[gnu::format(printf, 1, 2)]] std::string format(const char* how, ...) {
  std::array<char, 512> text{};
  va_list values;
  va_start(values, how);
  std::vsnprintf(text.data(), text.size(), how, values);
  va_end(values);
  return text.data();
}

std::string rate_text(double rate) {
  return rate >= 100 ? with_commas(static_cast<std::uint64_t>(std::llround(rate))) : format("%.1f", rate);
}

std::string bytes_rate_text(double rate) {
  return cli::human_bytes(static_cast<std::uint64_t>(std::llround(rate))) + "/s";
}

// To a width as it is seen: "µ" is two bytes and one column.
std::string right(const std::string& text, std::size_t width) {
  std::size_t columns = 0;
  for (const auto c : text)
    columns += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return std::string(width > columns ? width - columns : 0, ' ') + text;
}

std::string head(const json& report) {
  const auto& c = report["configuration"];
  const auto name = c["workload"].get<std::string>();
  auto out = (name.find('=') == std::string::npos ? name + ": " : "") + c["mix"].get<std::string>();
  out += "; " + with_commas(c["clients"]) + " clients, ";
  out += c["loop"] == "open" ? "open loop at " + rate_text(c["rate"]) + "/s (" + c["arrivals"].get<std::string>() + ")"
                             : "closed loop";
  if (c.contains("records"))
    out += "\n" + with_commas(c["records"]) + " values of " + c["value_bytes"].get<std::string>() + " bytes, keys "
           + c["keys"].get<std::string>();
  if (c.contains("large_records"))
    out += "\n" + with_commas(c["large_records"]) + " large values of " + c["large_value_bytes"].get<std::string>();
  out += "\n" + c["store"].get<std::string>() + ", seed " + std::to_string(c["seed"].get<std::uint64_t>());
  if (!c["faults"].get<std::string>().empty())
    out += ", faults " + c["faults"].get<std::string>();
  return out + "\n";
}

std::string latency_row(const json& latency) {
  std::string out;
  for (const auto* name : {"mean_ns", "p50_ns", "p90_ns", "p99_ns", "p999_ns", "p9999_ns", "max_ns"})
    out += right(human_time(latency[name].get<double>()), 10);
  return out;
}

std::string table(const json& report) {
  std::string out = format("%-22s %12s %10s", "", "operations", "per s");
  for (const auto* name : {"mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"})
    out += format("%10s", name);
  out += "\n";
  for (const auto& [name, o] : report["operations"].items()) {
    const auto open = o.contains("response");
    out += format("%-22s %12s %10s", name.c_str(), with_commas(o["count"]).c_str(), rate_text(o["rate"]).c_str());
    out += latency_row(open ? o["response"] : o["service"]) + "\n";
    if (open)
      out += format("%-22s %12s %10s", "  from sending on", "", "") + latency_row(o["service"]) + "\n";
  }
  return out;
}

std::string errors(const std::string& part, const json& o) {
  std::string out;
  for (const auto& [code, e] : o["errors"].items())
    out += format("%-22s %12s %s: ", ("  " + part + " failed").c_str(), with_commas(e["count"]).c_str(), code.c_str())
           + e["example"].get<std::string>() + "\n";
  if (o["retries"].get<std::uint64_t>() != 0)
    out += format("%-22s %12s times another client was faster\n", ("  " + part + " retried").c_str(),
                  with_commas(o["retries"]).c_str());
  return out;
}

// What a provider's bill counts.
std::string traffic(const json& t) {
  std::string out = "requests";
  for (const auto& [kind, count] : t["requests"].items())
    out += " " + with_commas(count) + " " + kind + ",";
  return out + " " + cli::human_bytes(t["sent_bytes"]) + " sent, " + cli::human_bytes(t["received_bytes"]) + " received, "
         + with_commas(t["retries"]) + " made again\n";
}

std::string below(const json& report) {
  const auto& run = report["run"];
  std::string out = "values " + bytes_rate_text(run["bytes_rate"]) + ", " + format("%.2f", run["cpu_cores"].get<double>())
                    + " cores busy, at most " + cli::human_bytes(run["peak_anonymous_bytes"]) + " of anonymous memory\n";
  if (const auto& store = report["store"]; !store.is_null()) {
    const auto commits = store["commits"].get<double>();
    out += "index " + with_commas(store["commits"]) + " log writes";
    if (commits > 0)
      out += ", " + format("%.1f", store["commit_requests"].get<double>() / commits) + " changes each";
    out += ", " + with_commas(store["snapshots"]) + " snapshots; store " + with_commas(store["pads"]) + " pads, "
           + cli::human_bytes(store["disk_bytes"]) + "\n";
    if (store.contains("traffic"))
      out += traffic(store["traffic"]);
  }
  if (report.contains("faults")) {
    const auto& f = report["faults"];
    out += "faults " + with_commas(f["requests"]) + " requests: " + with_commas(f["lost"]) + " lost, "
           + with_commas(f["repeated"]) + " repeated, " + with_commas(f["refused"]) + " refused, "
           + with_commas(f["tampered"]) + " tampered with\n";
  }
  if (run.contains("open_loop")) {
    const auto& o = run["open_loop"];
    out += "backlog " + with_commas(o["largest_backlog"]) + " at most; " + with_commas(o["dropped"]) + " dropped, "
           + with_commas(o["not_started"]) + " not started when the run ended\n";
    if (o["dropped"].get<std::uint64_t>() + o["not_started"].get<std::uint64_t>() > 0)
      out += "  those have no latency: the percentiles above are too low. The rate is more than so many clients get.\n";
  }
  if (run["abandoned"].get<std::uint64_t>() != 0)
    out += with_commas(run["abandoned"]) + " operations were still under way and are not counted\n";
  return out;
}

}  // namespace

std::string as_text(const json& report) {
  auto out = head(report) + "\n";
  const auto& load = report["load"];
  if (load["count"].get<std::uint64_t>() != 0)
    out += "load  " + with_commas(load["count"]) + " values in " + format("%.1f s", load["seconds"].get<double>()) + ", "
           + rate_text(load["rate"]) + "/s, " + bytes_rate_text(load["bytes_rate"]) + "\n" + errors("load", load);
  const auto& run = report["run"];
  if (run["seconds"].get<double>() > 0) {
    out += "run   " + with_commas(run["count"]) + " operations in " + format("%.1f s", run["seconds"].get<double>()) + ", "
           + rate_text(run["rate"]) + "/s, " + with_commas(run["failed"]) + " failed\n\n";
    out += table(report);
    for (const auto& [name, o] : report["operations"].items())
      out += errors(name, o);
    out += "\n" + below(report);
  }
  if (!report["note"].get<std::string>().empty())
    out += report["note"].get<std::string>() + "\n";
  return out;
}

std::string progress_line(phase what, double seconds, std::uint64_t operations, double rate) {
  return format("%-8s %6.1f s  %12s operations  %10s/s", std::string(name_of(what)).c_str(), seconds,
                with_commas(operations).c_str(), rate_text(rate).c_str());
}

}  // namespace mutant::load
