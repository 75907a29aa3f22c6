#include "benchmarks/load/settings.hpp"

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "apps/mutant/text.hpp"
#include "benchmarks/load/fault_profile.hpp"
#include "benchmarks/load/quantities.hpp"
#include "benchmarks/load/value.hpp"

namespace mutant::load {

namespace {

constexpr std::uint64_t max_clients = 4096;
constexpr std::uint64_t max_records = 100'000'000;
constexpr std::uint64_t max_large_value_bytes = std::uint64_t{1} << 40;

// As typed; read when all of it is there, because defaults depend on the workload.
struct typed {
  std::string workload = "a", records = "10000", size = "1000", large_records, large_size = "16MiB", keys, theta = "0.99",
              max_scan = "100", seed = "1", clients, warm_up = "2s", duration, operations, rate, arrivals = "poisson",
              max_backlog = "100000", timeout = "60s", faults, threads, pad_workers, inline_bytes, connect_timeout, pad_timeout;
  bool smoke = false;
};

void add_store_options(CLI::App& app, settings& s, typed& t) {
  const std::string group = "Store";
  auto add = [&](const char* name, std::string& to, const char* about, const char* type) {
    app.add_option(name, to, about)->type_name(type)->group(group);
  };
  add("--store", s.store, "Where the values go: local:DIR, memory:, caf://HOST:PORT, cafs://HOST:PORT", "URL");
  add("--identity", s.identity_file, "An identity file of mutant; else a throw-away identity", "FILE");
  add("--prefix", s.prefix, "What the keys begin with (load/)", "TEXT");
  app.add_flag("--no-load", s.no_load, "The keys are there from an earlier run: store nothing first")->group(group);
  app.add_flag("--keep", s.keep, "Leave a local store that this run has made; else it is removed")->group(group);
  add("--threads", t.threads, "Threads for encryption, and as many for actors; else one per core", "N");
  add("--pad-workers", t.pad_workers, "Requests to the pad store at a time", "N");
  add("--inline", t.inline_bytes, "Values up to this size lie in the index; 0: none (1KiB)", "SIZE");
  add("--pad-timeout", t.pad_timeout, "How long one request to the pad store may take before it is tried again (30s)", "TIME");
  add("--connect-timeout", t.connect_timeout, "How long a remote store may be out of reach (10s)", "TIME");
  add("--tls-cert", s.tls.certificate, "For cafs://: our certificate; else $MUTANT_TLS_CERT", "FILE");
  add("--tls-key", s.tls.key, "Its key; else $MUTANT_TLS_KEY", "FILE");
  add("--tls-ca", s.tls.authority, "The authority that theirs comes from; else $MUTANT_TLS_CA", "FILE");
}

void add_load_options(CLI::App& app, settings& s, typed& t) {
  auto add = [&](const char* name, std::string& to, const char* about, const char* type, const char* group) {
    app.add_option(name, to, about)->type_name(type)->group(group);
  };
  const auto* what = "Workload";
  add("--workload", t.workload, "A preset, or a mix: read=90,update=10 (a)", "NAME|MIX", what);
  add("--records", t.records, "Small values to begin with (10000)", "N", what);
  add("--size", t.size, "Their size: 1000, 100..2000, lognormal:1KiB:0.8, 1KiB*80,64KiB*20 (1000)", "SIZES", what);
  add("--large-records", t.large_records, "Large values, for upload and download (one per client)", "N", what);
  add("--large-size", t.large_size, "Their size, in the same forms (16MiB)", "SIZES", what);
  add("--keys", t.keys, "Which key comes next: uniform, zipfian, latest, own (the workload's)", "CHOICE", what);
  add("--theta", t.theta, "Skew of zipfian and latest (0.99)", "X", what);
  add("--max-scan", t.max_scan, "A scan lists from 1 to so many keys (100)", "N", what);
  add("--seed", t.seed, "The same seed draws the same operations, keys and sizes (1)", "N", what);
  const auto* how = "Pace";
  add("--clients", t.clients, "Clients, each with one operation at a time (64; large values: 4, mixed: 16)", "N", how);
  add("--duration", t.duration, "How long to measure (10s, unless --operations is given)", "TIME", how);
  add("--operations", t.operations, "How many operations to measure", "N", how);
  add("--warmup", t.warm_up, "Traffic before, checked but not measured (2s)", "TIME", how);
  add("--rate", t.rate, "Open loop: operations a second, whatever becomes of them; else closed loop", "R", how);
  add("--arrivals", t.arrivals, "Open loop: poisson or constant (poisson)", "KIND", how);
  add("--max-backlog", t.max_backlog, "Open loop: how many may be due and not started; more are dropped (100000)", "N", how);
  add("--timeout", t.timeout, "For one operation (60s)", "TIME", how);
  add("--faults", t.faults, "Trouble between the store and its pads, from the warm-up on; see below", "PROFILE", how);
  const auto* out = "Output";
  add("--json", s.json_file, "The report as one JSON document; -: on standard output, instead of the text", "FILE|-", out);
  add("--html", s.html_file, "The report as one page with plots, for any browser, offline", "FILE", out);
  app.add_flag("--quiet,-q", s.quiet, "No progress")->group(out);
  app.add_flag("--smoke", t.smoke, "A run of a second on a small memory: store, to see that everything works")->group(out);
}

std::string footer() {
  return "Workloads:\n" + preset_help() +
         "\nFaults (--faults NAME=VALUE,NAME=VALUE…; P is 0.1% or 0.001):\n" + fault_help() +
         "\nEvery value that is read is checked to its last byte, against its key, and against the versions acknowledged\n"
         "before; a wrong one ends the run. Errors are counted by their code. Ctrl-C ends a run in order, with a report.\n"
         "\nExamples:\n"
         "  mutant-load --store local:/tmp/x --workload a --clients 64 --duration 10s\n"
         "  mutant-load --store caf://node1:4370 --workload b --rate 5000 --duration 1min --html report.html\n"
         "  mutant-load --store local:/tmp/x --workload a --faults delay=5ms±2,drop=0.1% --pad-timeout 200ms\n"
         "  mutant-load --store local:/tmp/x --workload upload --large-size 64MiB --clients 16 --operations 64\n"
         "\nExit codes: 0 done, 1 other, 2 usage, 5 a wrong value or damaged data,\n"
         "6 store unavailable or full, 130 interrupted.";
}

// Reads one option after the other; the first that is wrong stays.
class reader {
 public:
  template <class T, class U>
  void read(const char* option, result<T> value, U& to) {
    if (!value)
      fail_with(option, value.error().message);
    else
      to = std::move(*value);
  }
  void count(const char* option, const std::string& text, std::uint64_t least, std::uint64_t most, std::uint64_t& to) {
    auto number = cli::parse_number(text, "this");
    if (!number || *number < least || *number > most)
      return fail_with(option, "takes a number from " + with_commas(least) + " to " + with_commas(most) + ", not '" + text
                                   + "'");
    to = *number;
  }
  void time(const char* option, const std::string& text, std::chrono::nanoseconds least, std::chrono::nanoseconds& to) {
    auto value = parse_time(text);
    if (!value)
      return fail_with(option, value.error().message);
    if (*value < least || *value > std::chrono::hours(24 * 30))
      return fail_with(option, "takes a time from " + human_time(static_cast<double>(least.count())) + " to 30 days, not '"
                                   + text + "'");
    to = *value;
  }
  void fail_with(const char* option, const std::string& why) {
    if (!first_)
      first_ = error{errc::invalid_argument, std::string(option) + ": " + why};
  }
  const std::optional<error>& first() const noexcept { return first_; }

 private:
  std::optional<error> first_;
};

void read_store_options(reader& r, settings& s, const typed& t) {
  using std::chrono::milliseconds;
  const auto optional_time = [&](const char* option, const std::string& text, std::optional<milliseconds>& to) {
    std::chrono::nanoseconds time{0};
    if (text.empty())
      return;
    r.time(option, text, milliseconds(1), time);
    to = std::chrono::duration_cast<milliseconds>(time);
  };
  optional_time("--connect-timeout", t.connect_timeout, s.connect_timeout);
  optional_time("--pad-timeout", t.pad_timeout, s.pad_timeout);
  std::uint64_t number = 0;
  if (!t.threads.empty()) {
    r.count("--threads", t.threads, 1, 256, number);
    s.threads = number;
  }
  if (!t.pad_workers.empty()) {
    r.count("--pad-workers", t.pad_workers, 1, 4096, number);
    s.pad_workers = number;
  }
  if (!t.inline_bytes.empty()) {
    auto size = parse_size(t.inline_bytes);
    if (!size || *size > max_inline_bytes)
      return r.fail_with("--inline", "takes a size up to 64KiB, not '" + t.inline_bytes + "'");
    s.inline_bytes = *size;
  }
  const auto from_environment = [](std::string& file, const char* name) {
    const auto* value = std::getenv(name);
    if (file.empty() && value != nullptr)
      file = value;
  };
  if (!s.store.starts_with("cafs:"))
    return;
  from_environment(s.tls.certificate, "MUTANT_TLS_CERT");
  from_environment(s.tls.key, "MUTANT_TLS_KEY");
  from_environment(s.tls.authority, "MUTANT_TLS_CA");
}

void read_pace(reader& r, settings& s, const typed& t) {
  using std::chrono::milliseconds, std::chrono::nanoseconds;
  s.clients = s.work.clients;
  if (!t.clients.empty())
    r.count("--clients", t.clients, 1, max_clients, s.clients);
  r.time("--warmup", t.warm_up, nanoseconds(0), s.warm_up);
  if (!t.operations.empty())
    r.count("--operations", t.operations, 1, std::uint64_t{1} << 50, s.operations);
  if (!t.duration.empty() || t.operations.empty())
    r.time("--duration", t.duration.empty() ? "10s" : t.duration, milliseconds(10), s.duration);
  if (!t.rate.empty()) {
    auto rate = parse_real(t.rate);
    if (!rate || *rate <= 0 || *rate > 1e7)
      r.fail_with("--rate", "takes operations a second, above 0 and at most 10,000,000, not '" + t.rate + "'");
    else
      s.rate = *rate;
  }
  r.read("--arrivals", parse_arrival(t.arrivals), s.arrivals);
  r.count("--max-backlog", t.max_backlog, 1, 1'000'000'000, s.max_backlog);
  nanoseconds timeout{0};
  r.time("--timeout", t.timeout, milliseconds(1), timeout);
  s.timeout = std::chrono::duration_cast<milliseconds>(timeout);
  if (!t.faults.empty()) {
    r.read("--faults", parse_faults(t.faults), s.faults);
    s.faults_text = to_string(s.faults);
  }
}

result<settings> read_all(settings s, const typed& t) {
  reader r;
  r.read("--workload", workload::parse(t.workload), s.work);
  if (!t.keys.empty())
    r.read("--keys", parse_key_order(t.keys), s.work.order);
  read_store_options(r, s, t);
  read_pace(r, s, t);
  r.count("--records", t.records, 1, max_records, s.records);
  s.large_records = s.clients;
  if (!t.large_records.empty())
    r.count("--large-records", t.large_records, 1, max_records, s.large_records);
  r.read("--size", value_size::parse(t.size, stamp_bytes), s.size);
  r.read("--large-size", value_size::parse(t.large_size, stamp_bytes, max_large_value_bytes), s.large_size);
  auto theta = parse_real(t.theta);
  if (!theta || *theta <= 0 || *theta > 10)
    r.fail_with("--theta", "takes a number above 0, at most 10, not '" + t.theta + "'");
  else
    s.theta = *theta;
  r.count("--max-scan", t.max_scan, 1, 10'000, s.max_scan);
  r.count("--seed", t.seed, 0, ~std::uint64_t{0} >> 1, s.seed);
  if (s.prefix.size() > 256)
    r.fail_with("--prefix", "takes at most 256 bytes");
  if (s.store.empty())
    r.fail_with("--store", "is missing: where should the values go? For instance --store local:/tmp/x, or --store memory:");
  if (r.first())
    return fail(*r.first());
  return s;
}

// Every kind of operation, quickly.
void make_smoke(settings& s, typed& t) {
  s.store = s.store.empty() ? "memory:" : s.store;
  t.workload = "read=40,update=20,insert=5,scan=10,modify=10,upload=5,download=5";
  t.records = "200";
  t.large_size = "100KiB..5MiB";
  t.clients = "8";
  t.warm_up = "100ms";
  t.duration = "1s";
}

}  // namespace

result<parsed_command> parse_command(int count, const char* const* words) {
  CLI::App app("Puts load on a mutant store, checks every value that it reads, and tells how long everything took",
               "mutant-load");
  settings s;
  typed t;
  app.set_version_flag("--version", "mutant-load " MUTANT_VERSION);
  app.get_formatter()->column_width(32);
  app.footer(footer());
  add_store_options(app, s, t);
  add_load_options(app, s, t);
  try {
    app.parse(count, words);
  } catch (const CLI::Success& wanted) {
    std::ostringstream text;
    app.exit(wanted, text, text);
    return parsed_command{std::nullopt, text.str()};
  } catch (const CLI::ParseError& e) {
    return fail(errc::invalid_argument, std::string(e.what()) + " (see mutant-load --help)");
  }
  if (t.smoke)
    make_smoke(s, t);
  auto read = read_all(std::move(s), t);
  if (!read)
    return fail(errc::invalid_argument, read.error().message + " (see mutant-load --help)");
  return parsed_command{std::move(*read), {}};
}

}  // namespace mutant::load
