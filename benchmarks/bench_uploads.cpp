// Large values on a durable store: many uploads at once against one of the same bytes, what a small get waits meanwhile, and
// what a byte costs as values grow.
//
//   bench_uploads [--smoke] [--json] [--size-mib 1024] [--uploads 16] [--rounds 5] [--directory DIR]
//                 [--only concurrent,sizes] [--max-size-mib 4096]
//
//   concurrent   one upload of --size-mib MiB, and --uploads of an equal share each, in turn; a probe gets a small value
//                again and again (a millisecond apart), inlined in the index and in a pad of its own; also told for those
//                gets alone during which the machine stopped no core (witness.hpp)
//   sizes        put, and get to /dev/null, of 16 MiB, 64 MiB … --max-size-mib, nanoseconds a byte. The source is a sparse
//                file: its reads fill the page cache without a disk, at any size; what is sealed and written is the same
//                work for any bytes. Small values are put several times, so that what is timed lasts as long.
#include <fcntl.h>

#include <cstdio>
#include <cstring>
#include <map>
#include <string>

#include "actors/client.hpp"
#include "benchmarks/clients.hpp"
#include "benchmarks/witness.hpp"
#include "core/files.hpp"

using namespace mutant;
using namespace mutant::bench;

namespace {

constexpr std::uint64_t mib = 1u << 20;

struct settings {
  bool smoke = false;
  std::uint64_t size_mib = 1024, max_size_mib = 4096;
  std::size_t uploads = 16, rounds = 5;
  std::string only;

  bool wants(const char* section) const { return only.empty() || only.find(section) != std::string::npos; }
};

client open_store(const std::string& directory) {
  client_options o;
  o.store.owner.value[0] = std::byte{7};
  o.store.url = "local:" + directory + "/store";
  return must(client::open(o), "open");
}

void check(bool ok, const std::string& doing) {
  if (ok)
    return;
  std::fprintf(stderr, "%s: %s\n", doing.c_str(), std::strerror(errno));
  std::exit(1);
}

file_source open_source(const std::string& path) {
  const auto descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  check(descriptor >= 0, "opening " + path);
  return {std::make_shared<const open_file>(descriptor), path};
}

// Random bytes, synced; they stay in the page cache.
file_source random_file(const std::string& path, std::uint64_t size) {
  unique_fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  check(file.get() >= 0, "making " + path);
  std::vector<std::byte> piece(mib);
  for (std::uint64_t at = 0; at < size; at += piece.size()) {
    random_fill(piece);
    const auto n = std::min<std::uint64_t>(piece.size(), size - at);
    check(::write(file.get(), piece.data(), n) == static_cast<ssize_t>(n), "writing " + path);
  }
  check(::fsync(file.get()) == 0, "syncing " + path);
  return open_source(path);
}

file_source sparse_file(const std::string& path, std::uint64_t size) {
  unique_fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  check(file.get() >= 0 && ::ftruncate(file.get(), static_cast<off_t>(size)) == 0, "making " + path);
  return open_source(path);
}

// Puts all of them at once under "<prefix>0", "<prefix>1" …; bytes a second until the last is durable.
double put_at_once(client& c, const std::string& prefix, const std::vector<file_source>& sources, std::uint64_t bytes_each) {
  const auto run = run_clients(c.system(), sources.size(), 1e6, sources.size(),
                               [store = c.store(), prefix, &sources](auto* self, std::uint64_t n, auto answered) {
                                 put_request request;
                                 request.key = prefix + std::to_string(n);
                                 request.source = sources[n];
                                 self->request(store, caf::infinite, put_atom_v, std::move(request))
                                     .then([answered](put_result&) { answered(); }, or_end("put"));
                               });
  return static_cast<double>(bytes_each * sources.size()) / run.seconds;
}

// -- the probe -----------------------------------------------------------------------------------------------------------

using waits = std::vector<time_span>;

// Gets the key, waits a millisecond, gets it again. Every answer's time goes to `into`, which is read when it has ended. A long
// wait also counts for the gets that were due meanwhile, a millisecond less each: who asks again only after the answer would
// see one slow get where others would have met hundreds.
caf::behavior probe(caf::event_based_actor* self, store_actor store, std::string key, std::shared_ptr<waits> into) {
  auto again = [=] { self->delayed_send(self, std::chrono::milliseconds(1), get_atom_v); };
  self->send(self, get_atom_v);
  return {[=](get_atom) {
    const auto start = steady::now();
    get_request request;
    request.key = key;
    self->request(store, caf::infinite, get_atom_v, std::move(request))
        .then(
            [=](get_result&) {
              const auto end = steady::now();
              for (auto due = start; due < end; due += std::chrono::milliseconds(1))
                into->push_back({due, end});
              again();
            },
            or_end("the probe's get"));
  }};
}

class probes {
 public:
  probes(client& c, const std::vector<std::string>& keys) : self_(c.system()) {
    for (const auto& key : keys) {
      seen_.push_back(std::make_shared<waits>());
      actors_.push_back(c.system().spawn(probe, c.store(), key, seen_.back()));
    }
  }
  // Ends them. What they saw, in the order of the keys.
  std::vector<waits> end() {
    for (auto& actor : actors_)
      self_->send_exit(actor, caf::exit_reason::user_shutdown);
    for (auto& actor : actors_)
      self_->wait_for(actor);
    std::vector<waits> out;
    for (auto& w : seen_)
      out.push_back(std::move(*w));
    return out;
  }

 private:
  caf::scoped_actor self_;
  std::vector<caf::actor> actors_;
  std::vector<std::shared_ptr<waits>> seen_;
};

void concurrent(const settings& s, const work_directory& work, report& out) {
  auto c = open_store(work.make("concurrent"));
  const auto each = s.size_mib * mib / s.uploads;
  const std::vector<file_source> whole{random_file(work.path() + "/whole", each * s.uploads)};
  std::vector<file_source> shares;
  for (std::size_t i = 0; i < s.uploads; ++i)
    shares.push_back(random_file(work.path() + "/share" + std::to_string(i), each));
  const std::vector<std::string> small{"inlined", "pad"};
  must(c.put("inlined", bytes::copy_of(std::string(100, 'i'))), "put");
  must(c.put("pad", bytes::copy_of(std::string(2000, 'p'))), "put");
  std::vector<double> one, many, inlined_p50, inlined_p99, pad_p50, pad_p99, pad_undisturbed, stops, max_stop;
  bool reliable = true;
  for (std::size_t r = 0; r < s.rounds; ++r) {
    {
      probes running(c, small);
      one.push_back(put_at_once(c, "whole", whole, each * s.uploads) / 1e6);
      running.end();
    }
    machine_witness witness;
    probes running(c, small);
    many.push_back(put_at_once(c, "share", shares, each) / 1e6);
    const auto seen = running.end();
    const auto stopped = witness.stops();
    reliable = reliable && witness.is_reliable();
    inlined_p50.push_back(percentile(milliseconds_of(seen[0]), 0.5));
    inlined_p99.push_back(percentile(milliseconds_of(seen[0]), 0.99));
    pad_p50.push_back(percentile(milliseconds_of(seen[1]), 0.5));
    pad_p99.push_back(percentile(milliseconds_of(seen[1]), 0.99));
    pad_undisturbed.push_back(percentile(beside(seen[1], stopped), 0.99));
    stops.push_back(static_cast<double>(stopped.size()));
    max_stop.push_back(percentile(milliseconds_of(stopped), 1));
    // What is there would only be compared the next time.
    must(c.remove("whole0"), "remove");
    for (std::size_t i = 0; i < s.uploads; ++i)
      must(c.remove("share" + std::to_string(i)), "remove");
  }
  out.add("one_upload_mb_per_second", "one upload of " + std::to_string(s.size_mib) + " MiB", one, "MB/s");
  out.add("uploads_mb_per_second",
          std::to_string(s.uploads) + " uploads of " + std::to_string(each / mib) + " MiB at once", many, "MB/s");
  out.add("uploads_of_one", "that against one", ratios(many, one), "x", 0.95);
  out.add("get_inlined_p50_ms", "a small get meanwhile, inlined, p50", inlined_p50, "ms");
  out.add("get_inlined_p99_ms", "a small get meanwhile, inlined, p99", inlined_p99, "ms", 10.0, true);
  out.add("get_pad_p50_ms", "a small get meanwhile, a pad of its own, p50", pad_p50, "ms");
  out.add("get_pad_p99_ms", "a small get meanwhile, a pad of its own, p99", pad_p99, "ms", 10.0, true);
  if (!reliable)
    return out.note("whether the machine stopped meanwhile cannot be told without the right to real-time priority\n");
  out.add("get_pad_p99_undisturbed_ms", "  of those while no core was stopped", pad_undisturbed, "ms");
  out.add("machine_stops", "  stops of a core by the machine, of 1 ms or more", stops, "");
  out.add("machine_stop_longest_ms", "  the longest of them", max_stop, "ms");
}

// -- cost against size -----------------------------------------------------------------------------------------------------

struct cost_per_byte {
  std::vector<double> put, get, put_cpu, get_cpu;   // nanoseconds
};

void measure_size(client& c, const file_source& source, std::uint64_t size, std::uint64_t times, cost_per_byte& cost) {
  const std::vector<file_source> sources{source};
  const auto per_byte = 1e9 / static_cast<double>(size * times);
  double putting = 0, getting = 0, put_cpu = 0, get_cpu = 0;
  for (std::uint64_t i = 0; i < times; ++i) {
    auto cpu = cpu_seconds();
    putting += static_cast<double>(size) / put_at_once(c, "value", sources, size);
    put_cpu += cpu_seconds() - cpu;
    cpu = cpu_seconds();
    const auto start = steady::now();
    must(c.get_file("value0", "/dev/null"), "get");
    getting += seconds_since(start);
    get_cpu += cpu_seconds() - cpu;
    must(c.remove("value0"), "remove");
  }
  cost.put.push_back(putting * per_byte);
  cost.get.push_back(getting * per_byte);
  cost.put_cpu.push_back(put_cpu * per_byte);
  cost.get_cpu.push_back(get_cpu * per_byte);
}

void sizes(const settings& s, const work_directory& work, report& out) {
  auto c = open_store(work.make("sizes"));
  std::map<std::uint64_t, cost_per_byte> all;
  for (std::size_t r = 0; r < s.rounds; ++r)
    for (std::uint64_t size = s.smoke ? 1 : 16; size <= s.max_size_mib; size *= 4) {
      const auto source = sparse_file(work.path() + "/source", size * mib);
      measure_size(c, source, size * mib, std::max<std::uint64_t>(1, s.smoke ? 1 : 512 / size), all[size]);
    }
  if (all.empty())
    return;
  const auto& least = all.begin()->second;
  for (const auto& [size, cost] : all) {
    const auto name = std::to_string(size);
    out.add("put_ns_per_byte_" + name + "_mib", "put of " + name + " MiB, a byte", cost.put, "ns");
    out.add("get_ns_per_byte_" + name + "_mib", "get of " + name + " MiB, a byte", cost.get, "ns");
    out.add("put_cpu_ns_per_byte_" + name + "_mib", "  put, CPU of all threads for a byte", cost.put_cpu, "ns");
    out.add("get_cpu_ns_per_byte_" + name + "_mib", "  get, CPU of all threads for a byte", cost.get_cpu, "ns");
    if (&cost != &least) {
      out.add("put_" + name + "_mib_of_least", "  put against the smallest", ratios(cost.put, least.put), "x");
      out.add("get_" + name + "_mib_of_least", "  get against the smallest", ratios(cost.get, least.get), "x");
    }
  }
  const auto& most = all.rbegin()->second;
  out.add("put_largest_of_smallest", "put: a byte of the largest against the smallest", ratios(most.put, least.put), "x",
          1.15, true);
  out.add("get_largest_of_smallest", "get: a byte of the largest against the smallest", ratios(most.get, least.get), "x",
          1.15, true);
}

}  // namespace

int main(int argc, char** argv) {
  arguments a(argc, argv,
              "bench_uploads [--smoke] [--json] [--size-mib N] [--uploads N] [--rounds N] [--directory DIR]"
              " [--only concurrent,sizes] [--max-size-mib N]");
  settings s;
  s.smoke = a.flag("--smoke");
  report out(a.flag("--json"), !s.smoke);
  s.size_mib = std::max<std::uint64_t>(1, a.number("--size-mib", s.smoke ? 32 : 1024));
  s.uploads = std::clamp<std::uint64_t>(a.number("--uploads", s.smoke ? 4 : 16), 1, s.size_mib);
  s.max_size_mib = a.number("--max-size-mib", s.smoke ? 16 : 4096);
  s.rounds = std::max<std::uint64_t>(1, a.number("--rounds", s.smoke ? 1 : 5));
  s.only = a.text("--only", "");
  work_directory work(a.text("--directory", ""));
  a.finish();
  must(init_crypto(), "libsodium");
  out.note("large values, %u cores, %zu rounds\n", cores(), s.rounds);
  if (s.wants("concurrent"))
    concurrent(s, work, out);
  if (s.wants("sizes"))
    sizes(s, work, out);
  out.finish();
  return 0;
}
