#include "benchmarks/load/report.hpp"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <fstream>
#include <thread>

#include "apps/mutant/console.hpp"
#include "benchmarks/load/fault_profile.hpp"

namespace mutant::load {

namespace {

constexpr double quantiles[] = {0.5, 0.9, 0.95, 0.99, 0.999, 0.9999};
constexpr const char* quantile_names[] = {"p50_ns", "p90_ns", "p95_ns", "p99_ns", "p999_ns", "p9999_ns"};

double per_second(std::uint64_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

// Points of the distribution for a plot whose axis is 1 - q on a logarithmic scale: as many in each decade, up to the largest.
json curve_of(const histogram& h) {
  constexpr double per_decade = 16;
  json points = json::array();
  const auto count = static_cast<double>(h.count());
  for (double i = 0; h.count() != 0; ++i) {
    const auto rest = std::pow(10.0, -i / per_decade);
    if (rest * count < 1)
      break;
    points.push_back({1 - rest, h.quantile(1 - rest)});
  }
  if (h.count() != 0)
    points.push_back({1 - 1 / (count + 1), h.largest()});
  return points;
}

json latency_of(const histogram& h) {
  json out = {{"mean_ns", std::llround(h.mean())}, {"min_ns", h.smallest()}};
  for (std::size_t i = 0; i < std::size(quantiles); ++i)
    out[quantile_names[i]] = h.quantile(quantiles[i]);
  out["max_ns"] = h.largest();
  out["curve"] = curve_of(h);
  return out;
}

json errors_of(const measured& m) {
  json out = json::object();
  for (auto [code, times] : m.errors)
    out[std::string(name_of(code))] = {{"count", times}, {"example", m.examples.at(code)}};
  return out;
}

json operation_of(const measured& m, double seconds, bool open_loop) {
  json out = {{"count", m.count()},
              {"rate", per_second(m.count(), seconds)},
              {"bytes", m.bytes},
              {"bytes_rate", per_second(m.bytes, seconds)},
              {"failed", m.failed()},
              {"errors", errors_of(m)},
              {"retries", m.retries}};
  if (open_loop)
    out["response"] = latency_of(m.response);
  out["service"] = latency_of(m.service);
  return out;
}

json timeline_of(const timeline& t, const per_kind<measured>& kinds, double run_seconds) {
  const auto width = std::chrono::duration<double>(t.width()).count();
  json out = {{"width_s", width}, {"operations", json::object()}};
  for (std::size_t k = 0; k < operation_kinds; ++k) {
    if (kinds[k].count() + kinds[k].failed() == 0 || static_cast<operation_kind>(k) == operation_kind::load)
      continue;
    json rate = json::array(), errors = json::array(), p50 = json::array(), p99 = json::array(), bytes = json::array();
    for (std::size_t i = 0; i < t.all().size(); ++i) {
      const auto& part = t.all()[i].kinds[k];
      // The last one may be a short one.
      const auto seconds = std::clamp(run_seconds - static_cast<double>(i) * width, width / 20, width);
      rate.push_back(per_second(part.latency.count(), seconds));
      bytes.push_back(per_second(part.bytes, seconds));
      errors.push_back(part.errors);
      p50.push_back(part.latency.count() == 0 ? json() : json(part.latency.quantile(0.5)));
      p99.push_back(part.latency.count() == 0 ? json() : json(part.latency.quantile(0.99)));
    }
    out["operations"][std::string(name_of(static_cast<operation_kind>(k)))] = {
        {"rate", rate}, {"bytes_rate", bytes}, {"errors", errors}, {"p50_ns", p50}, {"p99_ns", p99}};
  }
  return out;
}

std::string processor() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name"))
      return line.substr(std::min(line.size(), line.find(':') + 2));
  return "unknown";
}

std::string now_utc() {
  const auto now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

json configuration_of(const settings& s) {
  json c;
  c["store"] = s.store;
  c["workload"] = s.work.name;
  c["mix"] = s.work.mix.text();
  c["clients"] = s.clients;
  c["loop"] = s.rate > 0 ? "open" : "closed";
  if (s.rate > 0) {
    c["rate"] = s.rate;
    c["arrivals"] = name_of(s.arrivals);
    c["max_backlog"] = s.max_backlog;
  }
  if (s.has_small()) {
    c["records"] = s.records;
    c["value_bytes"] = s.size.text();
    c["keys"] = name_of(s.work.order);
    if (s.work.order == key_order::zipfian || s.work.order == key_order::latest)
      c["theta"] = s.theta;
  }
  if (s.work.mix.has(operation_kind::scan))
    c["max_scan"] = s.max_scan;
  if (s.has_large()) {
    c["large_records"] = s.large_records;
    c["large_value_bytes"] = s.large_size.text();
  }
  c["inline_bytes"] = s.inline_bytes.value_or(default_inline_bytes);
  c["threads"] = s.threads != 0 ? s.threads : std::max(1u, std::thread::hardware_concurrency());
  c["warm_up_s"] = std::chrono::duration<double>(s.warm_up).count();
  if (s.duration.count() != 0)
    c["duration_s"] = std::chrono::duration<double>(s.duration).count();
  if (s.operations != 0)
    c["operations"] = s.operations;
  c["timeout_s"] = std::chrono::duration<double>(s.timeout).count();
  if (s.pad_timeout)
    c["pad_timeout_s"] = std::chrono::duration<double>(*s.pad_timeout).count();
  c["faults"] = s.faults_text;
  c["seed"] = s.seed;
  c["identity"] = s.identity_file.empty() ? "throw-away" : s.identity_file;
  return c;
}

json store_of(const run_outcome& o) {
  if (!o.before || !o.after)
    return nullptr;
  const auto &from = o.before->index, &to = o.after->index;
  json out = {{"commits", to.commits - from.commits},
          {"commit_requests", to.commit_requests - from.commit_requests},
          {"log_bytes", to.log_bytes - from.log_bytes},
          {"snapshots", to.snapshots - from.snapshots},
          {"pads", o.after->pads.pads},
          {"record_bytes", o.after->pads.record_bytes},
          {"disk_bytes", o.after->pads.disk_bytes}};
  if (!o.after->pads.traffic.requests.empty())
    out["traffic"] = cli::traffic_json(o.after->pads.traffic - o.before->pads.traffic);
  return out;
}

const char* ending_name(run_outcome::ending how) {
  switch (how) {
    case run_outcome::ending::done: return "done";
    case run_outcome::ending::interrupted: return "interrupted";
    case run_outcome::ending::wrong_value: return "wrong_value";
    case run_outcome::ending::failed: break;
  }
  return "failed";
}

// Errors with which the store itself says that something is damaged.
std::uint64_t damage_in(const recorder& total) {
  std::uint64_t sum = 0;
  for (const auto& m : total.kinds)
    for (auto [code, times] : m.errors)
      if (cli::exit_code(code) == 5)
        sum += times;
  return sum;
}

}  // namespace

int exit_code_of(const run_outcome& o, bool tampering) noexcept {
  switch (o.how) {
    case run_outcome::ending::interrupted: return cli::exit_interrupted;
    case run_outcome::ending::wrong_value: return 5;
    case run_outcome::ending::failed: return cli::exit_code(o.why->code);
    case run_outcome::ending::done: break;
  }
  return !tampering && damage_in(o.total) != 0 ? 5 : 0;
}

json make_report(const settings& s, const run_result& r) {
  const auto& o = *r.outcome;
  json out;
  out["program"] = "mutant-load " MUTANT_VERSION;
  out["finished"] = now_utc();
  out["machine"] = {{"cores", std::thread::hardware_concurrency()}, {"processor", processor()}};
  out["configuration"] = configuration_of(s);
  out["ending"] = ending_name(o.how);
  if (o.why)
    out["message"] = o.why->message;
  else if (const auto damage = damage_in(o.total); damage != 0 && !tampers(s.faults))
    out["message"] = std::to_string(damage) + " operations found damaged data";
  out["exit_code"] = exit_code_of(o, tampers(s.faults));
  out["note"] = r.note;
  const auto& loading = o.total.kinds[static_cast<std::size_t>(operation_kind::load)];
  out["load"] = operation_of(loading, o.load_seconds, false);
  out["load"]["seconds"] = o.load_seconds;
  std::uint64_t count = 0, bytes = 0, failures = 0;
  json operations = json::object();
  for (std::size_t k = 1; k < operation_kinds; ++k) {
    const auto& m = o.total.kinds[k];
    if (m.count() + m.failed() == 0)
      continue;
    count += m.count();
    bytes += m.bytes;
    failures += m.failed();
    operations[std::string(name_of(static_cast<operation_kind>(k)))] = operation_of(m, o.run_seconds, s.rate > 0);
  }
  out["run"] = {{"seconds", o.run_seconds},
                {"count", count},
                {"rate", per_second(count, o.run_seconds)},
                {"bytes", bytes},
                {"bytes_rate", per_second(bytes, o.run_seconds)},
                {"failed", failures},
                {"abandoned", o.total.abandoned},
                {"cpu_cores", o.run_seconds > 0 ? o.cpu_seconds / o.run_seconds : 0},
                {"peak_anonymous_bytes", o.peak_anonymous_bytes}};
  if (s.rate > 0)
    out["run"]["open_loop"] = {{"dropped", o.total.dropped},
                               {"not_started", o.total.not_started},
                               {"largest_backlog", o.total.max_waiting}};
  out["operations"] = std::move(operations);
  out["timeline"] = timeline_of(o.over_time, o.total.kinds, o.run_seconds);
  out["store"] = store_of(o);
  if (r.faults)
    out["faults"] = {{"requests", r.faults->requests}, {"lost", r.faults->lost},         {"repeated", r.faults->repeated},
                     {"refused", r.faults->refused},   {"tampered", r.faults->tampered}};
  return out;
}

}  // namespace mutant::load
