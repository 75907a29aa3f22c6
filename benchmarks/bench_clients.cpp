// Small values with many clients at once on a durable store: inlined in the index, and as pads of their own; each against
// its bound in the same run.
//
//   bench_clients [--smoke] [--json] [--clients 64] [--value-bytes 1024] [--keys 100000] [--seconds 1] [--rounds 5]
//                 [--directory DIR] [--only inlined,pads,keys] [--max-keys 1000000]
//
// Clients are actors in the store's own system, each with one request under way, keys uniformly random from a fixed seed. A
// bare exchange is a request to an actor that answers a number with it, from as many clients. In a round everything takes its
// turn, and ratios are taken within a round.
//
//   inlined   durable puts and gets of values that lie in the index, and the bare exchange
//   pads      the same values as pads of their own, and what libsodium allows on all cores for such a pad
//   keys      what a key costs from 10^3 to --max-keys keys: loading, durable puts over them, and look-ups
#include <cstdio>
#include <cstring>
#include <map>
#include <string>

#include "actors/client.hpp"
#include "benchmarks/clients.hpp"
#include "benchmarks/bounds/sodium.hpp"

using namespace mutant;
using namespace mutant::bench;

namespace {

struct settings {
  bool smoke = false;
  std::size_t clients = 64, value_bytes = 1024, rounds = 5;
  std::uint64_t keys = 100'000, max_keys = 1'000'000;
  double seconds = 1;
  std::string only;

  bool wants(const char* section) const { return only.empty() || only.find(section) != std::string::npos; }
};

// The same for the same number, and all over the key space for one after the other.
std::string key_of(std::uint64_t number) {
  const auto scattered = number * 0x9e3779b97f4a7c15u;
  return "key-" + to_hex(std::as_bytes(std::span(&scattered, 1)));
}

// A pseudo-random key number for each request number (splitmix64).
std::uint64_t scattered(std::uint64_t n, std::uint64_t keys) {
  n += 0x9e3779b97f4a7c15u;
  n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9u;
  n = (n ^ (n >> 27)) * 0x94d049bb133111ebu;
  return (n ^ (n >> 31)) % keys;
}

bytes random_value(std::size_t n) {
  buffer b(n);
  random_fill(b.span());
  return std::move(b).freeze();
}

client open_store(const std::string& directory, std::size_t inline_bytes) {
  client_options o;
  o.store.owner.value[0] = std::byte{7};
  o.store.url = "local:" + directory + "/store";
  o.store.inline_bytes = inline_bytes;
  return must(client::open(o), "open");
}

constexpr double no_limit = 1e6;   // seconds

// The value with a number in it: a put of what a key has already writes no pad.
bytes numbered(const bytes& value, std::uint64_t number) {
  buffer b(value.size());
  std::memcpy(b.data(), value.data(), value.size());
  std::memcpy(b.data(), &number, std::min(value.size(), sizeof number));
  return std::move(b).freeze();
}

client_run put_keys(client& c, std::size_t clients, double seconds, std::uint64_t count, std::uint64_t first,
                    const bytes& value, std::uint64_t keys) {
  return run_clients(
      c.system(), clients, seconds, count,
      [store = c.store(), value, keys](auto* self, std::uint64_t n, auto answered) {
        put_request request;
        request.key = key_of(keys == 0 ? n : scattered(n, keys));
        request.source = numbered(value, n);
        self->request(store, caf::infinite, put_atom_v, std::move(request))
            .then([answered](put_result&) { answered(); }, or_end("put"));
      },
      first);
}

client_run get_keys(client& c, std::size_t clients, double seconds, std::uint64_t first, std::size_t value_bytes,
                    std::uint64_t keys) {
  return run_clients(
      c.system(), clients, seconds, std::uint64_t{1} << 40,
      [store = c.store(), value_bytes, keys](auto* self, std::uint64_t n, auto answered) {
        get_request request;
        request.key = key_of(scattered(n, keys));
        self->request(store, caf::infinite, get_atom_v, std::move(request))
            .then(
                [answered, value_bytes](get_result& got) {
                  if (got.value.size() != value_bytes)
                    std::abort();
                  answered();
                },
                or_end("get"));
      },
      first);
}

// Rates and latencies of one kind of run, round by round.
struct series {
  std::vector<double> rate, p50, p99, cpu;
  void add(client_run&& run) {
    rate.push_back(run.rate());
    cpu.push_back(run.cpu_us());
    p50.push_back(run.milliseconds(0.5));
    p99.push_back(run.milliseconds(0.99));
  }
  void tell(report& out, const std::string& name, const std::string& what) const {
    out.add(name + "_per_second", what, rate, "/s");
    out.add(name + "_p50_ms", what + ", p50", p50, "ms");
    out.add(name + "_p99_ms", what + ", p99", p99, "ms");
    out.add(name + "_cpu_us", what + ", CPU of the process for each", cpu, "us");
  }
};

void inlined(const settings& s, const work_directory& work, report& out) {
  auto c = open_store(work.make("inlined"), std::max(s.value_bytes, default_inline_bytes));
  const auto value = random_value(s.value_bytes);
  put_keys(c, s.clients, no_limit, s.keys, 0, value, 0);
  series puts, gets, bare;
  for (std::size_t r = 0; r < s.rounds; ++r) {
    const auto first = (r + 1) << 41;
    puts.add(put_keys(c, s.clients, s.seconds, std::uint64_t{1} << 40, first, value, s.keys));
    bare.add(bare_exchange(c.system(), s.clients, s.seconds));
    gets.add(get_keys(c, s.clients, s.seconds, first, s.value_bytes, s.keys));
  }
  puts.tell(out, "inlined_puts", "inlined: durable puts");
  gets.tell(out, "inlined_gets", "inlined: gets");
  bare.tell(out, "bare_exchanges", "bare exchanges");
  out.add("inlined_gets_of_bare", "inlined gets as part of bare exchanges", ratios(gets.rate, bare.rate), "x", 0.60);
  out.add("inlined_gets_of_bare_by_cpu", "the same by CPU time", ratios(bare.cpu, gets.cpu), "x");
  const auto stats = must(c.stats(), "stats").index;
  out.note("  %.1f puts a commit\n",
           static_cast<double>(stats.commit_requests) / static_cast<double>(std::max<std::uint64_t>(stats.commits, 1)));
}

void pads(const settings& s, const work_directory& work, report& out) {
  auto c = open_store(work.make("pads"), 0);
  const auto value = random_value(s.value_bytes);
  const auto keys = std::min<std::uint64_t>(s.keys, 10'000);
  put_keys(c, s.clients, no_limit, keys, 0, value, 0);
  series puts, gets;
  std::vector<double> sealing, opening, sealing_cpu;
  for (std::size_t r = 0; r < s.rounds; ++r) {
    const auto first = (r + 1) << 41;
    const auto cpu = cpu_seconds();
    const auto start = steady::now();
    sealing.push_back(sodium_rate(cores(), s.seconds / 2, s.value_bytes, [](sodium_buffers& b) { b.seal_pad(); }));
    sealing_cpu.push_back((cpu_seconds() - cpu) * 1e6 / (sealing.back() * seconds_since(start)));
    puts.add(put_keys(c, s.clients, s.seconds, std::uint64_t{1} << 40, first, value, keys));
    opening.push_back(sodium_rate(
        cores(), s.seconds / 2, s.value_bytes, [](sodium_buffers& b) { b.encrypt(); },
        [](sodium_buffers& b) { b.open_pad(); }));
    gets.add(get_keys(c, s.clients, s.seconds, first, s.value_bytes, keys));
  }
  puts.tell(out, "pad_puts", "pads of their own: durable puts");
  gets.tell(out, "pad_gets", "pads of their own: gets");
  out.add("pad_seal_bound", "libsodium: keys, seal, sign; all cores", sealing, "/s");
  out.add("pad_open_bound", "libsodium: keys, open; all cores", opening, "/s");
  out.add("pad_seal_cpu_us", "libsodium: CPU for each pad sealed", sealing_cpu, "us");
  out.add("pad_puts_of_bound", "puts as part of that", ratios(puts.rate, sealing), "x", 0.70);
  out.add("pad_puts_of_bound_by_cpu", "the same by CPU time", ratios(sealing_cpu, puts.cpu), "x");
  out.add("pad_gets_of_bound", "gets as part of that", ratios(gets.rate, opening), "x");
}

struct cost_per_key {
  std::vector<double> load, put, find;   // microseconds
};

// One fresh store; for few keys, several one after the other, so that what is timed lasts.
void measure_keys(std::uint64_t n, const settings& s, const work_directory& work, const bytes& value, cost_per_key& cost) {
  const auto times = std::max<std::uint64_t>(1, (s.smoke ? 200 : 10'000) / n);
  double loading = 0;
  for (std::uint64_t i = 0; i < times; ++i) {
    auto c = open_store(work.make("keys"), default_inline_bytes);
    put_keys(c, 1, no_limit, 1, n, value, 0);   // the store's start is not what a key costs
    loading += put_keys(c, s.clients, no_limit, n, 0, value, 0).seconds;
    if (i + 1 < times)
      continue;
    const auto first = std::uint64_t{1} << 41;
    cost.put.push_back(1e6 / put_keys(c, s.clients, s.seconds, std::uint64_t{1} << 40, first, value, n).rate());
    cost.find.push_back(1e6 / get_keys(c, s.clients, s.seconds / 2, first, value.size(), n).rate());
  }
  cost.load.push_back(loading * 1e6 / static_cast<double>(n * times));
}

void keys(const settings& s, const work_directory& work, report& out) {
  const auto value = random_value(100);
  std::map<std::uint64_t, cost_per_key> all;
  for (std::size_t r = 0; r < s.rounds; ++r)
    for (std::uint64_t n = s.smoke ? 100 : 1000; n <= s.max_keys; n *= 10)
      measure_keys(n, s, work, value, all[n]);
  if (all.empty())
    return;
  const auto& least = all.begin()->second;
  for (const auto& [n, cost] : all) {
    const auto count = std::to_string(n);
    out.add("load_us_per_key_" + count, "a key while loading " + count, cost.load, "us");
    out.add("put_us_" + count, "a put over " + count + " keys", cost.put, "us");
    out.add("get_us_" + count, "a get among " + count + " keys", cost.find, "us");
  }
  const auto& most = all.rbegin()->second;
  out.add("load_most_of_least", "loading: a key of the most against the fewest", ratios(most.load, least.load), "x", 1.30,
          true);
  out.add("put_most_of_least", "puts: among the most against the fewest", ratios(most.put, least.put), "x", 1.30, true);
  out.add("get_most_of_least", "gets: among the most against the fewest", ratios(most.find, least.find), "x", 1.30, true);
}

}  // namespace

int main(int argc, char** argv) {
  arguments a(argc, argv,
              "bench_clients [--smoke] [--json] [--clients N] [--value-bytes N] [--keys N] [--seconds N] [--rounds N]"
              " [--directory DIR] [--only inlined,pads,keys] [--max-keys N]");
  settings s;
  s.smoke = a.flag("--smoke");
  report out(a.flag("--json"), !s.smoke);
  s.clients = std::max<std::uint64_t>(1, a.number("--clients", s.smoke ? 8 : 64));
  s.value_bytes = std::clamp<std::uint64_t>(a.number("--value-bytes", 1024), 1, max_inline_bytes);
  s.keys = std::max<std::uint64_t>(1, a.number("--keys", s.smoke ? 500 : 100'000));
  s.max_keys = a.number("--max-keys", s.smoke ? 1000 : 1'000'000);
  s.seconds = s.smoke ? 0.05 : static_cast<double>(a.number("--seconds", 1));
  s.rounds = std::max<std::uint64_t>(1, a.number("--rounds", s.smoke ? 1 : 5));
  s.only = a.text("--only", "");
  work_directory work(a.text("--directory", ""));
  a.finish();
  if (sodium_init() < 0)
    return 1;
  out.note("small values: %zu bytes, %zu clients, %u cores, %zu rounds\n", s.value_bytes, s.clients, cores(), s.rounds);
  if (s.wants("inlined"))
    inlined(s, work, out);
  if (s.wants("pads"))
    pads(s, work, out);
  if (s.wants("keys"))
    keys(s, work, out);
  out.finish();
  return 0;
}
