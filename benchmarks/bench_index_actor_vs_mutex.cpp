// The comparison that the design rests on: the same index state machine behind the index actor and behind a mutex.
//
//   bench_index_actor_vs_mutex [--smoke] [--json] [--rounds 5] [--milliseconds 600] [--readers 4] [--writers 8]
//                              [--per-second 1000] [--keys 10000]
//
// Both keep their log in a memory store behind a faulty_store that delays every write by 0.2, 2 or 20 ms; both encode, seal
// and sign every commit for real. The actor is the one that a store uses, with decoders of its own, asked by client actors;
// the mutex (benchmarks/mutex_index.hpp says how each variant uses it) is taken by threads, which block. Neither writes
// snapshots while it is measured.
//
//   alone      look-ups and nothing else, in a closed loop: one client, and all readers
//   closed     the same with all readers while the writers commit one put each after the other
//   paced      look-ups at a fixed rate meanwhile: this is what a look-up waits. A closed loop would hide it: a reader that is
//              kept for 20 ms makes one slow look-up then, instead of the 20 that it had wanted to make. Time counts from when
//              a look-up was due, unless it was the reader's timer that came late; those still owed at the end count with what
//              they have waited by then.
#include <sys/prctl.h>

#include <atomic>
#include <cstdio>
#include <map>
#include <string>
#include <thread>

#include "actors/decoder.hpp"
#include "actors/faulty_store.hpp"
#include "actors/index.hpp"
#include "actors/memory_store.hpp"
#include "actors/store.hpp"
#include "actors/worker_pool.hpp"
#include "benchmarks/clients.hpp"
#include "benchmarks/mutex_index.hpp"
#include "core/engine/engine.hpp"

using namespace mutant;
using namespace mutant::bench;

namespace {

constexpr std::uint64_t ring_slots = 1u << 16;   // so long that neither has to snapshot
constexpr std::size_t group_requests = 256;      // the index actor's own limit

struct settings {
  bool smoke = false;
  std::size_t rounds = 5, readers = 4, writers = 8;
  std::uint64_t keys = 10'000, per_second = 1000;
  double seconds = 0.6;
};

std::string key_of(std::uint64_t n) {
  return "key-" + std::to_string(n * 0x9e3779b97f4a7c15u);
}

std::uint64_t scattered(std::uint64_t n, std::uint64_t keys) {
  return (n * 0x9e3779b97f4a7c15u >> 20) % keys;
}

operation put_of(std::uint64_t n) {
  entry e;
  e.size = 100;
  e.inline_value = bytes::copy_of(std::string(100, 'v'));
  return put_op{key_of(n), std::move(e)};
}

seed owner() {
  seed s;
  s.value[0] = std::byte{7};
  return s;
}

// -- what is measured ------------------------------------------------------------------------------------------------------

struct looked_up {
  double per_second = 0;
  std::vector<std::uint32_t> ns;   // of all of them, or of a sample
};

class contender {
 public:
  virtual ~contender() = default;
  virtual void set_latency(std::chrono::microseconds latency) = 0;
  virtual looked_up closed(std::size_t readers, double seconds) = 0;
  virtual looked_up paced(std::size_t readers, std::uint64_t per_second, double seconds) = 0;
  // Commits until `stop`; how many were answered.
  virtual std::uint64_t commits(std::size_t writers, const std::atomic<bool>& stop) = 0;
};

// The store that both write to: half of the latency before the write, half before its answer.
struct slow_store {
  explicit slow_store(caf::actor_system& system)
      : memory(system.spawn(memory_store, std::shared_ptr<pad_engine>(make_memory_engine(std::uint64_t{1} << 32)))) {
    faulty_store_options o;
    o.store = memory;
    store = system.spawn(faulty_store, o);
  }
  ~slow_store() {
    caf::anon_send_exit(store, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(memory, caf::exit_reason::user_shutdown);
  }
  void set_latency(std::chrono::microseconds latency) const {
    fault_options f;
    f.shortest_delay = f.longest_delay = latency / 2;
    caf::anon_send(store, f);
  }
  pad_store_actor memory;
  faulty_store_actor store;
};

// When look-ups are due. Late is late from the due time; a timer that fires late is not the index' fault.
struct pace {
  explicit pace(std::uint64_t per_second)
      : period(std::chrono::nanoseconds(1'000'000'000 / per_second)), due(steady::now()) {}
  steady::duration period;
  steady::time_point due, started;

  // 0: go now.
  steady::duration wait() const { return std::max(steady::duration{0}, due - steady::now()); }
  void start(bool waited) { started = waited ? steady::now() : due; }
  std::uint32_t end() {
    due += period;
    const auto took = std::chrono::duration_cast<std::chrono::nanoseconds>(steady::now() - started).count();
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(took, 0, UINT32_MAX));
  }
  // The time is over: what is still owed counts with what it has waited so far.
  bool over(steady::time_point stop, std::vector<std::uint32_t>& into) {
    const auto now = steady::now();
    if (now < stop && due < stop)
      return false;
    for (; due < stop && due < now; due += period)
      into.push_back(static_cast<std::uint32_t>(std::min<std::int64_t>((now - due).count(), UINT32_MAX)));
    return true;
  }
};

looked_up gathered(std::vector<std::vector<std::uint32_t>>&& parts, std::uint64_t count, double seconds) {
  looked_up out;
  for (auto& p : parts)
    out.ns.insert(out.ns.end(), p.begin(), p.end());
  out.per_second = static_cast<double>(count) / seconds;
  return out;
}

// -- behind the actor --------------------------------------------------------------------------------------------------------

struct paced_state {
  static inline const char* name = "paced_reader";
  std::optional<pace> rhythm;
  std::uint64_t next = 0;
};

caf::behavior paced_reader(caf::stateful_actor<paced_state>* self, index_actor target, std::uint64_t keys,
                           std::uint64_t per_second, steady::time_point stop, std::uint64_t first,
                           std::vector<std::uint32_t>* into) {
  self->state.rhythm.emplace(per_second);
  self->state.next = first;
  self->send(self, get_atom_v, false);
  return {[=](get_atom, bool waited) {
    auto& s = self->state;
    if (s.rhythm->over(stop, *into))
      return self->quit();
    s.rhythm->start(waited);
    self->request(target, caf::infinite, find_atom_v, find_request{key_of(scattered(s.next++, keys)), false})
        .then(
            [=](found&) {
              auto& now = self->state;
              into->push_back(now.rhythm->end());
              const auto wait = now.rhythm->wait();
              if (wait.count() == 0)
                self->send(self, get_atom_v, false);
              else
                self->delayed_send(self, wait, get_atom_v, true);
            },
            or_end("a look-up"));
  }};
}

class behind_actor : public contender {
 public:
  explicit behind_actor(const settings& s) : settings_(s), system_(config_), store_(system_) {
    worker_pool_options<decoder_actor> pool;
    pool.name = "the decoder pool";
    pool.workers = cores();
    decoder_options decode{std::make_shared<const keyring>(owner())};
    pool.spawn = [this, decode]() -> decoder_actor { return system_.spawn<caf::detached>(decoder, decode); };
    decoders_ = system_.spawn(worker_pool<decoder_actor>, std::move(pool));
    index_options o;
    o.pads = caf::actor_cast<pad_store_actor>(store_.store);
    o.decoders = decoders_;
    o.ring_slots = ring_slots;
    o.snapshot_log_bytes = std::uint64_t{1} << 40;
    random_fill(o.writer);
    must(o.validate(), "index");
    index_ = system_.spawn(index_manager, o);
    fill();
  }
  ~behind_actor() override {
    caf::anon_send_exit(index_, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(decoders_, caf::exit_reason::user_shutdown);
    index_ = nullptr;
    decoders_ = nullptr;
  }

  void set_latency(std::chrono::microseconds latency) override { store_.set_latency(latency); }

  looked_up closed(std::size_t readers, double seconds) override {
    auto run = run_clients(system_, readers, seconds, std::uint64_t{1} << 40,
                           [index = index_, keys = settings_.keys](auto* self, std::uint64_t n, auto answered) {
                             self->request(index, caf::infinite, find_atom_v, find_request{key_of(scattered(n, keys)), false})
                                 .then([answered](found&) { answered(); }, or_end("a look-up"));
                           });
    return {run.rate(), std::move(run.latencies_ns)};
  }

  looked_up paced(std::size_t readers, std::uint64_t per_second, double seconds) override {
    std::vector<std::vector<std::uint32_t>> all(readers);
    caf::scoped_actor self{system_};
    const auto stop = steady::now() + std::chrono::duration_cast<steady::duration>(std::chrono::duration<double>(seconds));
    std::vector<caf::actor> actors;
    for (std::size_t i = 0; i < readers; ++i)
      actors.push_back(system_.spawn(paced_reader, index_, settings_.keys, per_second, stop, i << 32, &all[i]));
    for (auto& a : actors)
      self->wait_for(a);
    return gathered(std::move(all), 0, seconds);
  }

  std::uint64_t commits(std::size_t writers, const std::atomic<bool>& stop) override {
    std::atomic<std::uint64_t> answers{0};
    run_clients(system_, writers, 1e6, std::uint64_t{1} << 40,
                [&, index = index_, keys = settings_.keys](auto* self, std::uint64_t n, auto answered) {
                  if (stop)
                    return self->quit();
                  commit_request request{{put_of(scattered(n, keys))}, {}};
                  self->request(index, caf::infinite, commit_atom_v, std::move(request))
                      .then(
                          [&answers, answered](commit_result) {
                            ++answers;
                            answered();
                          },
                          or_end("a commit"));
                });
    return answers;
  }

 private:
  void fill() {
    caf::scoped_actor self{system_};
    for (std::uint64_t n = 0; n < settings_.keys;) {
      commit_request request;
      for (; n < settings_.keys && request.operations.size() < 1000; ++n)
        request.operations.push_back(put_of(n));
      self->request(index_, std::chrono::minutes(1), commit_atom_v, std::move(request))
          .receive([](commit_result) {}, or_end("filling the index"));
    }
  }

  settings settings_;
  system_config config_;
  caf::actor_system system_;
  slow_store store_;
  decoder_actor decoders_;
  index_actor index_;
};

// -- behind a mutex ------------------------------------------------------------------------------------------------------------

template <class Mutex>
class behind_mutex : public contender {
 public:
  behind_mutex(lock_use use, const settings& s)
      : settings_(s), system_(config_), store_(system_), index_(use, owner(), ring_slots, group_requests) {
    caf::scoped_actor self{system_};
    const auto write = writer(self);
    for (std::uint64_t n = 0; n < settings_.keys;) {
      std::vector<operation> operations;
      for (; n < settings_.keys && operations.size() < 1000; ++n)
        operations.push_back(put_of(n));
      must(index_.fill(operations, write), "filling the index");
    }
  }

  void set_latency(std::chrono::microseconds latency) override { store_.set_latency(latency); }

  looked_up closed(std::size_t readers, double seconds) override {
    std::vector<std::vector<std::uint32_t>> all(readers);
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> total{0};
    const auto start = steady::now();
    in_threads(readers, [&](std::size_t i) {
      std::uint64_t n = std::uint64_t{i} << 32, count = 0;
      // Reading the clock takes as long as half a look-up: one in 16 is timed.
      for (; !stop.load(std::memory_order_relaxed); ++count) {
        const auto timed = count % 16 == 0;
        const auto began = timed ? steady::now() : steady::time_point{};
        index_.find(key_of(scattered(n++, settings_.keys)));
        if (timed)
          all[i].push_back(static_cast<std::uint32_t>(std::min<std::int64_t>((steady::now() - began).count(), UINT32_MAX)));
      }
      total += count;
    }, [&] {
      std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
      stop = true;
    });
    return gathered(std::move(all), total, seconds_since(start));
  }

  looked_up paced(std::size_t readers, std::uint64_t per_second, double seconds) override {
    std::vector<std::vector<std::uint32_t>> all(readers);
    const auto stop = steady::now() + std::chrono::duration_cast<steady::duration>(std::chrono::duration<double>(seconds));
    in_threads(readers, [&](std::size_t i) {
      ::prctl(PR_SET_TIMERSLACK, 1000);
      pace rhythm(per_second);
      for (auto n = std::uint64_t{i} << 32; !rhythm.over(stop, all[i]); ++n) {
        const auto wait = rhythm.wait();
        if (wait.count() != 0)
          std::this_thread::sleep_for(wait);
        rhythm.start(wait.count() != 0);
        index_.find(key_of(scattered(n, settings_.keys)));
        all[i].push_back(rhythm.end());
      }
    }, [] {});
    return gathered(std::move(all), 0, seconds);
  }

  std::uint64_t commits(std::size_t writers, const std::atomic<bool>& stop) override {
    std::atomic<std::uint64_t> answers{0};
    in_threads(writers, [&](std::size_t i) {
      caf::scoped_actor self{system_};
      const auto write = writer(self);
      for (auto n = std::uint64_t{i} << 32; !stop; ++n) {
        must(index_.commit(put_of(scattered(n, settings_.keys)), write), "a commit");
        ++answers;
      }
    }, [] {});
    return answers;
  }

 private:
  template <class Work, class Meanwhile>
  static void in_threads(std::size_t count, Work work, Meanwhile meanwhile) {
    std::vector<std::thread> all;
    for (std::size_t i = 0; i < count; ++i)
      all.emplace_back(work, i);
    meanwhile();
    for (auto& t : all)
      t.join();
  }

  // The same store, asked by a thread that waits for it.
  write_record writer(caf::scoped_actor& self) {
    return [&self, store = store_.store](const bytes& record) {
      self->request(store, caf::infinite, put_atom_v, record).receive([](done) {}, or_end("writing the log"));
    };
  }

  settings settings_;
  system_config config_;
  caf::actor_system system_;
  slow_store store_;
  mutex_index<Mutex> index_;
};

// -- the rounds ------------------------------------------------------------------------------------------------------------------

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
