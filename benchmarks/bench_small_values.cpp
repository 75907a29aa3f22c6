// Small values on a durable store: what a put costs as the index grows, what group commit brings, how long opening takes,
// how much memory a key takes, and how long a look-up waits while a snapshot is written.
//
//   bench_small_values [--smoke] [--keys N] [--rounds N] [--directory DIR]
//
// Prints what it measured, with medians and spread over the rounds. Fixed seed; ratios within one run are what counts.
#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "actors/client.hpp"
#include "benchmarks/support.hpp"
#include "benchmarks/witness.hpp"
#include "core/engine/engine.hpp"

using namespace mutant;
using namespace mutant::bench;

namespace {

std::string key_of(std::uint64_t i) {
  char text[32];
  std::snprintf(text, sizeof text, "key-%016llx", static_cast<unsigned long long>(i * 0x9e3779b97f4a7c15u));
  return text;
}

const std::string& value() {
  static const std::string v(100, 'v');
  return v;
}

// Puts [from, to), which stand for that many keys over and over, one after the other.
caf::behavior writer(caf::event_based_actor* self, store_actor store, std::shared_ptr<std::uint64_t> next, std::uint64_t to,
                     std::uint64_t keys) {
  auto go = std::make_shared<std::function<void()>>();
  *go = [=] {
    if (*next >= to) {
      self->quit();
      *go = nullptr;
      return;
    }
    put_request request;
    request.key = key_of((*next)++ % keys);
    request.source = bytes::copy_of(value());
    self->request(store, caf::infinite, put_atom_v, std::move(request))
        .then([=](put_result&) { if (*go) (*go)(); },
              [=](caf::error& e) {
                std::fprintf(stderr, "put: %s\n", to_string(from_caf(e)).c_str());
                std::exit(1);
              });
  };
  (*go)();
  return {};
}

// Puts the keys [from, to) with so many at a time.
double put_keys(client& c, std::uint64_t from, std::uint64_t to, std::size_t writers) {
  auto start = steady::now();
  caf::scoped_actor self{c.system()};
  // Writers run on the scheduler's threads, so each takes a stripe of its own.
  std::vector<caf::actor> all;
  const auto share = (to - from + writers - 1) / writers;
  for (std::size_t w = 0; w < writers; ++w) {
    const auto first = std::min(to, from + w * share);
    all.push_back(c.system().spawn(writer, c.store(), std::make_shared<std::uint64_t>(first), std::min(to, first + share), to));
  }
  for (auto& w : all)
    self->wait_for(w);
  return seconds_since(start);
}

client_options options_for(const std::string& directory, bool cache) {
  client_options o;
  o.store.owner.value[0] = std::byte{7};
  o.store.url = "local:" + directory + "/store";
  if (cache)
    o.store.cache_directory = directory + "/cache";
  return o;
}

// One writer's puts per second over existing keys: overwrites, so that the index keeps its size.
double overwrite_seconds(client& c, std::uint64_t keys, std::uint64_t count, std::mt19937_64& random) {
  auto start = steady::now();
  for (std::uint64_t i = 0; i < count; ++i)
    must(c.put(key_of(random() % keys), bytes::copy_of(value())), "put");
  return seconds_since(start) / static_cast<double>(count);
}

// What look-ups waited while commits and snapshots were written, in milliseconds, a figure a round.
struct look_ups {
  std::vector<double> p50, p99, worst, worst_beside;
  std::uint64_t count = 0, snapshots = 0;

  void show_as(const std::string& name) const {
    std::printf("%s: %llu, while %llu snapshots were written\n", name.c_str(), static_cast<unsigned long long>(count),
                static_cast<unsigned long long>(snapshots));
    show("  p50", p50, "ms");
    show("  p99", p99, "ms");
    show("  worst", worst, "ms");
    if (worst_beside.size() == worst.size())
      show("  worst beside the machine's stops", worst_beside, "ms");
    else
      std::printf("  whether the machine stopped meanwhile cannot be told without the right to real-time priority\n");
  }
};

// Looks up one key after another while a writer puts them anew, so that the index is written as a snapshot now and then.
void look_up_while_writing(client& c, std::uint64_t keys, std::uint64_t puts, std::mt19937_64& random, look_ups& out) {
  std::vector<time_span> waits;
  const auto before = must(c.stats(), "stats").index.snapshots;
  machine_witness witness;
  caf::scoped_actor self{c.system()};
  auto pump = c.system().spawn(writer, c.store(), std::make_shared<std::uint64_t>(0), puts, keys);
  self->monitor(pump);
  bool going = true;
  while (going) {
    const auto start = steady::now();
    self->request(c.store(), std::chrono::minutes(1), find_atom_v, key_of(random() % keys))
        .receive([](list_item&) {}, [](caf::error&) {});
    waits.push_back({start, steady::now()});
    self->receive([&](caf::down_msg&) { going = false; }, caf::after(std::chrono::seconds(0)) >> [] {});
  }
  const auto stops = witness.stops();
  auto all = milliseconds_of(waits), undisturbed = beside(waits, stops);
  out.p50.push_back(percentile(all, 0.5));
  out.p99.push_back(percentile(all, 0.99));
  out.worst.push_back(percentile(all, 1));
  if (witness.is_reliable())
    out.worst_beside.push_back(percentile(undisturbed, 1));
  out.count += all.size();
  out.snapshots += must(c.stats(), "stats").index.snapshots - before;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t keys = 200'000;
  std::size_t rounds = 5;
  std::string directory;
  bool smoke = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--smoke") == 0)
      smoke = true;
    else if (std::strcmp(argv[i], "--keys") == 0 && i + 1 < argc)
      keys = std::strtoull(argv[++i], nullptr, 10);
    else if (std::strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
      rounds = std::strtoull(argv[++i], nullptr, 10);
    else if (std::strcmp(argv[i], "--directory") == 0 && i + 1 < argc)
      directory = argv[++i];
    else {
      std::fprintf(stderr, "usage: bench_small_values [--smoke] [--keys N] [--rounds N] [--directory DIR]\n");
      return 2;
    }
  }
  if (smoke) {
    keys = 3000;
    rounds = 1;
  }
  rounds = std::max<std::size_t>(rounds, 1);
  const std::uint64_t per_round = smoke ? 100 : 1000;
  const work_directory work(directory);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  std::mt19937_64 random(1);
  std::printf("small values: 20-byte keys, %zu-byte values, %s\n", value().size(), work.path().c_str());

  const auto small_dir = work.make("small"), large_dir = work.make("large");
  {
    // Both sizes are open in one process, and take turns.
    auto small = must(client::open(options_for(small_dir, false)), "open");
    const auto before = anonymous_bytes();
    auto large = must(client::open(options_for(large_dir, false)), "open");
    put_keys(small, 0, 1000, 64);
    const auto load = put_keys(large, 0, keys, 64);
    const auto stats = must(large.stats(), "stats").index;
    std::printf("load, 64 writers: %llu puts in %.2f s = %.0f/s; %llu commits, %.1f puts a commit, %.0f log bytes a put\n",
                static_cast<unsigned long long>(keys), load, static_cast<double>(keys) / load,
                static_cast<unsigned long long>(stats.commits),
                static_cast<double>(stats.commit_requests) / static_cast<double>(stats.commits),
                static_cast<double>(stats.log_bytes) / static_cast<double>(stats.commit_requests));
    std::printf("memory: %.0f anonymous bytes a key beyond the key's 20, everything of the process included\n",
                static_cast<double>(anonymous_bytes() - before) / static_cast<double>(keys) - 20);
    std::vector<double> at_small, at_large, ratio, one, many, gain;
    for (std::size_t r = 0; r < rounds; ++r) {
      at_small.push_back(overwrite_seconds(small, 1000, per_round, random) * 1e6);
      at_large.push_back(overwrite_seconds(large, keys, per_round, random) * 1e6);
      ratio.push_back(at_large.back() / at_small.back());
      one.push_back(1e6 / at_small.back());
      const auto n = per_round * 20;
      many.push_back(static_cast<double>(n) / put_keys(small, 1000 + r * n, 1000 + (r + 1) * n, 64));
      gain.push_back(many.back() / one.back());
    }
    show("durable put, one writer, 1,000 keys", at_small, "us");
    show("durable put, one writer, " + std::to_string(keys) + " keys", at_large, "us");
    show("ratio", ratio, "x");
    show("64 writers, durable puts", many, "/s");
    show("64 writers against one", gain, "x");

    // Takes turns with a small store, which shows what look-ups wait for that is not the size of the snapshots.
    auto tiny = must(client::open(options_for(work.make("tiny"), false)), "open");
    put_keys(tiny, 0, 1000, 64);
    look_ups in_tiny, in_large;
    for (std::size_t r = 0; r < rounds; ++r) {
      look_up_while_writing(tiny, 1000, per_round * 12, random, in_tiny);
      look_up_while_writing(large, keys, per_round * 12, random, in_large);
    }
    in_tiny.show_as("look-ups in 1,000 keys");
    in_large.show_as("look-ups in " + std::to_string(keys) + " keys");
  }
  // Opening: cold (no cache), then with the cache that the first left.
  for (auto what : {"cold", "writes the cache", "warm"}) {
    ::malloc_trim(0);
    const auto before = anonymous_bytes();
    auto start = steady::now();
    const auto cpu = cpu_seconds();
    auto c = must(client::open(options_for(large_dir, std::strcmp(what, "cold") != 0)), "open");
    must(c.find(key_of(1)), "find");
    const auto took = seconds_since(start);
    const auto worked = cpu_seconds() - cpu;
    ::malloc_trim(0);  // what reading it in has left unused
    const auto grown = static_cast<double>(anonymous_bytes() - before);
    std::printf("open, %s: %.3f s to the first answer, %.3f s of CPU; %.0f anonymous bytes a key beyond its 20\n", what, took,
                worked, grown / static_cast<double>(keys) - 20);
    must(c.flush(), "flush");
  }
  return 0;
}
