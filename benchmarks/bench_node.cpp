// A large value through a node on loopback, plain and over TLS, against what the parts allow together.
//
//   bench_node [--smoke] [--rounds N] [--size-mib N] [--directory DIR] [--mutant PROGRAM] [--only plain|tls]
//
// In every round, in turn: the parts (CPU per byte of sealing, opening, verifying; of the engine; of a bare CAF exchange of
// 4 MiB messages, plain and over TLS), then `mutant put` of a file and `mutant get` into /dev/null through a `mutant node`,
// three processes on this machine. Whole commands are timed. The bound is the number of cores divided by the sum of the parts;
// what the commands do besides (reading the file, fingerprints, the index, starting up) is not in it.
#include <algorithm>
#include <cstdio>
#include <random>
#include <thread>

#include "actors/net/tls_certificates.hpp"
#include "benchmarks/node_parts.hpp"
#include "benchmarks/node_support.hpp"

using namespace mutant;
using namespace mutant::bench;

namespace {

struct certificates {
  tls_files node, client;
};

certificates make_certificates_in(const std::string& directory) {
  certificate_request request;
  request.directory = directory;
  request.names = {"127.0.0.1"};
  must(make_certificates(request), "making certificates");
  const auto files = [&](const std::string& who) {
    return tls_files{directory + "/" + who + ".pem", directory + "/" + who + "-key.pem", directory + "/ca.pem"};
  };
  return {files("node"), files("client")};
}

// Incompressible, in the page cache.
void make_file(const std::string& path, std::uint64_t size_bytes) {
  std::mt19937_64 random(1);
  std::vector<std::uint64_t> block((4u << 20) / sizeof(std::uint64_t));
  std::ofstream out(path, std::ios::binary);
  for (std::uint64_t done = 0; done < size_bytes; done += 4u << 20) {
    std::ranges::generate(block, std::ref(random));
    out.write(reinterpret_cast<const char*>(block.data()), 4 << 20);
  }
  if (!out.flush()) {
    std::fprintf(stderr, "writing %s failed\n", path.c_str());
    std::exit(1);
  }
  out.close();
  // Not to be written back while others are measured. Not sync(): that waits for everybody's files.
  const auto descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  ::fsync(descriptor);
  ::close(descriptor);
}

// One direction over one transport: what was measured, round by round.
struct direction {
  std::string name;
  std::vector<double> rate, bound, share, client_cpu, node_cpu;

  void add(double rate_now, double bound_now, double client, double node) {
    rate.push_back(rate_now / 1e6);
    bound.push_back(bound_now / 1e6);
    share.push_back(100 * rate_now / bound_now);
    client_cpu.push_back(client * 1e9);
    node_cpu.push_back(node * 1e9);
  }
  void print() const {
    show(name, rate, "MB/s");
    show(name + ", bound of the parts", bound, "MB/s");
    show(name + ", share of the bound", share, "%");
    show(name + ", CPU of the client", client_cpu, "ns/byte");
    show(name + ", CPU of the node", node_cpu, "ns/byte");
  }
};

struct timed {
  double seconds, client_cpu, node_cpu;
};

timed run_command(const std::vector<std::string>& words, const running_node& node) {
  const auto before = node.process.cpu_seconds();
  const auto start = steady::now();
  child_process command(words);
  const auto client = command.finish();
  return {seconds_since(start), client, node.process.cpu_seconds() - before};
}

struct transport_bench {
  transport_bench(std::string n, certificates c) : name(std::move(n)), tls(std::move(c)) {}

  std::string name;
  certificates tls;   // empty: plain
  direction put{"put, " + name, {}, {}, {}, {}, {}};
  direction get{"get, " + name, {}, {}, {}, {}, {}};
  std::vector<double> exchange_put, exchange_get;

  void round(const node_bench_arguments& a, const scratch_directory& scratch, const std::string& source,
             const crypto_parts& crypto, const engine_parts& engine) {
    const auto size_bytes = a.size_mib << 20;
    const auto cores = static_cast<double>(std::max(1u, std::thread::hardware_concurrency()));
    const auto exchange = measure_exchange(tls.node, tls.client, size_bytes);
    exchange_put.push_back(exchange.put * 1e9);
    exchange_get.push_back(exchange.get * 1e9);
    running_node node(a.mutant, scratch.fresh("pads"), tls.node);
    std::vector<std::string> mutant{a.mutant, "--home", scratch.fresh("home"), "--quiet", "--store", node.url};
    for (const auto& word : tls_words(tls.client))
      mutant.push_back(word);
    const auto with = [&](std::vector<std::string> words) {
      words.insert(words.begin(), mutant.begin(), mutant.end());
      return words;
    };
    const auto size = static_cast<double>(size_bytes);
    const auto stored = run_command(with({"put", "file", source}), node);
    put.add(size / stored.seconds, cores / (crypto.seal + exchange.put + crypto.verify + engine.put), stored.client_cpu / size,
            stored.node_cpu / size);
    const auto got = run_command(with({"get", "file", "/dev/null"}), node);
    get.add(size / got.seconds, cores / (crypto.open + exchange.get + engine.get), got.client_cpu / size,
            got.node_cpu / size);
    node.process.stop();
    std::printf("%s: put %.0f MB/s, %.0f %% of %.0f; get %.0f MB/s, %.0f %% of %.0f\n", name.c_str(), put.rate.back(),
                put.share.back(), put.bound.back(), get.rate.back(), get.share.back(), get.bound.back());
  }
  void print() const {
    show("bare CAF exchange, " + name + ", requests of 4 MiB", exchange_put, "ns/byte");
    show("bare CAF exchange, " + name + ", answers of 4 MiB", exchange_get, "ns/byte");
    put.print();
    get.print();
  }
};

}  // namespace

int main(int argc, char** argv) {
  const auto a = parse_arguments(argc, argv);
  must(init_crypto(), "starting");
  const scratch_directory scratch(a.directory);
  const auto source = scratch.file("source");
  make_file(source, a.size_mib << 20);
  std::printf("%llu MiB through a node on loopback, %u cores, %s\n", static_cast<unsigned long long>(a.size_mib),
              std::thread::hardware_concurrency(), scratch.file("").c_str());
  std::vector<transport_bench> transports;
  if (a.only != "tls")
    transports.emplace_back("plain", certificates());
  if (a.only != "plain")
    transports.emplace_back("TLS", make_certificates_in(scratch.file("certificates")));
  std::vector<double> seal, open, verify, engine_put, engine_get;
  for (std::size_t r = 0; r < a.rounds; ++r) {
    const auto crypto = measure_crypto(a.smoke ? 0.02 : 0.3);
    const auto engine = measure_engine(scratch.fresh("engine"), a.size_mib << 20);
    std::filesystem::remove_all(scratch.file("engine"));
    seal.push_back(crypto.seal * 1e9);
    open.push_back(crypto.open * 1e9);
    verify.push_back(crypto.verify * 1e9);
    engine_put.push_back(engine.put * 1e9);
    engine_get.push_back(engine.get * 1e9);
    for (auto& t : transports)
      t.round(a, scratch, source, crypto, engine);
  }
  show("sealing", seal, "ns/byte");
  show("opening", open, "ns/byte");
  show("verifying", verify, "ns/byte");
  show("engine, durable put", engine_put, "ns/byte");
  show("engine, get", engine_get, "ns/byte");
  for (const auto& t : transports)
    t.print();
  return 0;
}
