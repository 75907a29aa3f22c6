// What the command line of mutant-load says.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "actors/net/tls.hpp"
#include "benchmarks/load/schedule.hpp"
#include "benchmarks/load/value_size.hpp"
#include "benchmarks/load/workload.hpp"
#include "testing/faulty_store.hpp"

namespace mutant::load {

struct settings {
  // where
  std::string store;
  std::string identity_file;                 // empty: a throw-away identity
  std::string prefix = "load/";
  bool no_load = false;
  bool keep = false;
  tls_files tls;
  std::optional<std::chrono::milliseconds> connect_timeout;
  std::optional<std::chrono::milliseconds> pad_timeout;
  std::size_t threads = 0;
  std::size_t pad_workers = 0;               // 0: the store's own default
  std::optional<std::size_t> inline_bytes;

  // what
  workload work;
  std::uint64_t records = 10'000;
  value_size size;
  std::uint64_t large_records = 0;
  value_size large_size;
  double theta = default_theta;
  std::uint64_t max_scan = 100;
  std::uint64_t seed = 1;

  // how
  std::uint64_t clients = 0;
  std::chrono::nanoseconds warm_up{0};
  std::chrono::nanoseconds duration{0};
  std::uint64_t operations = 0;
  double rate = 0;                           // 0: closed loop
  arrival arrivals = arrival::poisson;
  std::uint64_t max_backlog = 100'000;
  std::chrono::milliseconds timeout{60'000};
  fault_options faults;
  std::string faults_text;                   // "": none

  // output
  std::string json_file;
  std::string html_file;
  bool quiet = false;

  bool has_small() const noexcept { return work.mix.small(); }
  bool has_large() const noexcept { return work.mix.large(); }
};

// What to do after reading the command line.
struct parsed_command {
  std::optional<settings> run;   // otherwise print `text` and leave
  std::string text;
};
// invalid_argument: what is wrong, and where to read on.
result<parsed_command> parse_command(int count, const char* const* words);

}  // namespace mutant::load
