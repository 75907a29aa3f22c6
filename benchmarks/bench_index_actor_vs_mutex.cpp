// The comparison that the design rests on: the same index state machine behind the index actor and behind a mutex.
//
//   bench_index_actor_vs_mutex [--smoke] [--json] [--rounds 5] [--milliseconds 600] [--readers 4] [--writers 8]
//                              [--per-second 1000] [--keys 10000]
//
// Both keep their log in a memory store behind a faulty_store that delays every write by 0.2, 2 or 20 ms; both encode, seal
// and sign every commit for real. The actor is the one that a store uses, with crypto workers of its own, asked by
// client actors; the mutex is taken by threads, which block (index_actor_vs_mutex/mutex_index.hpp says how each variant
// uses it). Neither writes snapshots while it is measured.
//
//   alone      look-ups and nothing else, in a closed loop: one client, and all readers
//   closed     the same with all readers while the writers commit one put each after the other
//   paced      look-ups at a fixed rate meanwhile: this is what a look-up waits. A closed loop would hide it: a reader that is
//              kept for 20 ms makes one slow look-up then, instead of the 20 that it had wanted to make. Time counts from when
//              a look-up was due, unless it was the reader's timer that came late; those still owed at the end count with what
//              they have waited by then.
#include <atomic>
#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <thread>

#include "benchmarks/index_actor_vs_mutex/behind_actor.hpp"
#include "benchmarks/index_actor_vs_mutex/behind_mutex.hpp"

using namespace mutant;
using namespace mutant::bench;

namespace {

struct figures {
  std::vector<double> per_second, commits, p50, p99, p999;   // microseconds
  void add(looked_up&& run) {
    per_second.push_back(run.per_second);
    p50.push_back(percentile(run.ns, 0.5) / 1e3);
    p99.push_back(percentile(run.ns, 0.99) / 1e3);
    p999.push_back(percentile(run.ns, 0.999) / 1e3);
  }
};

// contender -> workload -> figures
using results = std::map<std::string, std::map<std::string, figures>>;

// The writers end with the time, not with the readers: behind a lock that lets anybody in who comes by, a reader may wait for
// as long as there are writers.
template <class LookUp>
void beside_commits(contender& c, const settings& s, figures& into, LookUp look_up) {
  std::atomic<bool> stop{false};
  double committed_per_second = 0;
  std::thread writers([&] {
    const auto start = steady::now();
    const auto committed = c.commits(s.writers, stop);
    committed_per_second = static_cast<double>(committed) / seconds_since(start);
  });
  std::thread timer([&] {
    std::this_thread::sleep_for(std::chrono::duration<double>(s.seconds));
    stop = true;
  });
  into.add(look_up());
  timer.join();
  writers.join();
  into.commits.push_back(committed_per_second);
}

void measure(contender& c, const settings& s, std::map<std::string, figures>& into) {
  c.set_latency(std::chrono::microseconds(0));
  into["alone, one client"].add(c.closed(1, s.seconds));
  into["alone"].add(c.closed(s.readers, s.seconds));
  into["alone, paced"].add(c.paced(s.readers, s.per_second, s.seconds));
  for (const auto latency : {200, 2000, 20'000}) {
    c.set_latency(std::chrono::microseconds(latency));
    const auto ms = std::to_string(latency / 1000) + (latency < 1000 ? "." + std::to_string(latency / 100) : "") + " ms";
    beside_commits(c, s, into[ms + ", closed"], [&] { return c.closed(s.readers, s.seconds); });
    beside_commits(c, s, into[ms + ", paced"], [&] { return c.paced(s.readers, s.per_second, s.seconds); });
  }
}

void tell(const results& all, const std::vector<std::string>& order, report& out) {
  for (const auto* workload : {"alone, one client", "alone", "alone, paced", "0.2 ms, closed", "0.2 ms, paced",
                               "2 ms, closed", "2 ms, paced", "20 ms, closed", "20 ms, paced"}) {
    const auto is_paced = std::string(workload).ends_with("paced");
    out.note("\n%-34s %22s %14s %26s %30s %22s\n", workload, is_paced ? "" : "look-ups/s", "p50 us", "p99 us", "p99.9 us",
             "commits/s");
    for (const auto& name : order) {
      const auto& f = all.at(name).at(workload);
      const auto id = name + ": " + workload + ": ";
      const auto p50 = out.keep(id + "p50", f.p50, "us"), p99 = out.keep(id + "p99", f.p99, "us");
      const auto p999 = out.keep(id + "p99.9", f.p999, "us");
      std::string rate, saved;
      char text[64];
      if (!is_paced) {
        const auto r = out.keep(id + "look-ups", f.per_second, "/s");
        std::snprintf(text, sizeof text, "%.0f (%.0f-%.0f)", r.median, r.low, r.high);
        rate = text;
      }
      if (!f.commits.empty()) {
        const auto r = out.keep(id + "commits", f.commits, "/s");
        std::snprintf(text, sizeof text, "%.0f (%.0f-%.0f)", r.median, r.low, r.high);
        saved = text;
      }
      out.note("  %-32s %22s %14.2f %10.2f (%.2f-%.2f) %10.2f (%.2f-%.2f) %22s\n", name.c_str(), rate.c_str(), p50.median,
               p99.median, p99.low, p99.high, p999.median, p999.low, p999.high, saved.c_str());
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  arguments a(argc, argv,
              "bench_index_actor_vs_mutex [--smoke] [--json] [--rounds N] [--milliseconds N] [--readers N] [--writers N]"
              " [--per-second N] [--keys N]");
  settings s;
  s.smoke = a.flag("--smoke");
  report out(a.flag("--json"));
  s.rounds = std::max<std::uint64_t>(1, a.number("--rounds", s.smoke ? 1 : 5));
  s.seconds = static_cast<double>(a.number("--milliseconds", s.smoke ? 60 : 600)) / 1e3;
  s.readers = std::max<std::uint64_t>(1, a.number("--readers", 4));
  s.writers = std::max<std::uint64_t>(1, a.number("--writers", 8));
  s.per_second = std::clamp<std::uint64_t>(a.number("--per-second", 1000), 1, 1'000'000);
  s.keys = std::max<std::uint64_t>(1, a.number("--keys", s.smoke ? 500 : 10'000));
  a.finish();
  must(init_crypto(), "libsodium");
  out.note("%u cores; %zu readers, %zu writers, %llu keys; medians of %zu rounds of %.0f ms, and what they spread over\n",
           cores(), s.readers, s.writers, static_cast<unsigned long long>(s.keys), s.rounds, s.seconds * 1e3);
  using make = std::function<std::unique_ptr<contender>()>;
  const std::vector<std::pair<std::string, make>> contenders{
      {"actor", [&] { return std::make_unique<behind_actor>(s); }},
      {"mutex held across the save", [&] { return std::make_unique<behind_mutex<std::mutex>>(lock_use::held, s); }},
      {"fair mutex held across the save", [&] { return std::make_unique<behind_mutex<fifo_mutex>>(lock_use::held, s); }},
      {"mutex released, a save a commit", [&] { return std::make_unique<behind_mutex<std::mutex>>(lock_use::released, s); }},
      {"mutex released, group commit", [&] { return std::make_unique<behind_mutex<std::mutex>>(lock_use::group, s); }},
  };
  results all;
  std::vector<std::string> order;
  for (const auto& [name, create] : contenders)
    order.push_back(name);
  for (std::size_t r = 0; r < s.rounds; ++r)
    for (const auto& [name, create] : contenders)
      measure(*create(), s, all[name]);
  tell(all, order, out);
  out.finish();
  return 0;
}
