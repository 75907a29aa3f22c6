// Small durable puts through a node on loopback, 64 in flight, against redis-server and against what the cores allow.
//
//   bench_node_small [--smoke] [--rounds N] [--directory DIR] [--mutant PROGRAM] [--only inlined|pads]
//
// In every round, in turn, each on an empty directory of the same file system:
//   inlined  256-byte values, which lie in the index (many to a commit), and `redis-server` with `appendfsync always` under
//            `redis-benchmark -t set -c 64 -d 256`;
//   pads     4 KiB values, a pad each, and the CPU time of one key derivation, one signature and one verification: with that
//            alone the cores would do so many puts.
// The node is a `mutant node`; the client is a store embedded in this program, as a program with 64 actors would use it.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdio>
#include <thread>

#include "actors/client.hpp"
#include "benchmarks/node_parts.hpp"
#include "benchmarks/node_support.hpp"

using namespace mutant;
using namespace mutant::bench;

namespace {

constexpr std::size_t in_flight = 64;

struct stripe {
  std::uint64_t from, to;
};

// Puts its stripe of keys, one after the other.
caf::behavior writer(caf::event_based_actor* self, store_actor store, bytes value, stripe keys) {
  auto next = std::make_shared<std::function<void()>>();
  auto at = std::make_shared<std::uint64_t>(keys.from);
  *next = [=] {
    if (*at >= keys.to) {
      self->quit();
      return;
    }
    put_request request;
    request.key = "key-" + std::to_string((*at)++);
    request.source = bytes::copy_of(value);
    self->request(store, std::chrono::minutes(5), put_atom_v, std::move(request))
        .then([next](put_result&) { (*next)(); },
              [](caf::error& e) {
                std::fprintf(stderr, "put: %s\n", to_string(from_caf(e)).c_str());
                std::exit(1);
              });
  };
  (*next)();
  self->attach_functor([next] { *next = nullptr; });
  return {};
}

struct put_figures {
  double per_second = 0, client_cpu = 0, node_cpu = 0, commits = 0;   // CPU: seconds per put
};

put_figures measure_puts(const node_bench_arguments& a, const scratch_directory& scratch, std::size_t value_bytes,
                         std::uint64_t count) {
  running_node node(a.mutant, scratch.fresh("pads"));
  client_options options;
  options.store.owner.value.fill(std::byte{7});
  options.store.url = node.url;
  auto store = must(client::open(options), "open");
  const auto value = bytes::copy_of(std::string(value_bytes, 'v'));
  const auto put_all = [&](std::uint64_t from, std::uint64_t to) {
    caf::scoped_actor self{store.system()};
    std::vector<caf::actor> all;
    const auto share = (to - from + in_flight - 1) / in_flight;
    for (std::size_t w = 0; w < in_flight; ++w)
      all.push_back(store.system().spawn(writer, store.store(), value,
                                         stripe{std::min(to, from + w * share), std::min(to, from + (w + 1) * share)}));
    for (auto& w : all)
      self->wait_for(w);
  };
  put_all(0, in_flight * 4);
  const auto commits = must(store.stats(), "stats").index.commits;
  const auto node_before = node.process.cpu_seconds(), client_before = cpu_seconds();
  const auto start = steady::now();
  put_all(1'000'000, 1'000'000 + count);
  const auto took = seconds_since(start);
  const auto n = static_cast<double>(count);
  put_figures out{n / took, (cpu_seconds() - client_before) / n, (node.process.cpu_seconds() - node_before) / n,
                  n / static_cast<double>(must(store.stats(), "stats").index.commits - commits)};
  return out;
}

std::uint16_t free_port() {
  const auto s = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ::bind(s, reinterpret_cast<sockaddr*>(&address), size);
  ::getsockname(s, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(s);
  return ntohs(address.sin_port);
}

// Sets a second; 0: there is no redis here.
double measure_redis(const scratch_directory& scratch, std::size_t value_bytes, std::uint64_t count) {
  if (!std::filesystem::exists("/usr/bin/redis-server") || !std::filesystem::exists("/usr/bin/redis-benchmark"))
    return 0;
  const auto port = std::to_string(free_port());
  child_process server({"redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", scratch.fresh("redis"), "--save", "",
                        "--appendonly", "yes", "--appendfsync", "always", "--loglevel", "warning"});
  const auto run = [&](std::uint64_t n) {
    child_process load({"redis-benchmark", "-h", "127.0.0.1", "-p", port, "-t", "set", "-c", std::to_string(in_flight), "-d",
                        std::to_string(value_bytes), "-n", std::to_string(n), "--csv"});
    const auto text = load.read_all();
    load.finish();
    const auto at = text.find("\"SET\",\"");
    return at == std::string::npos ? 0 : std::strtod(text.c_str() + at + 7, nullptr);
  };
  for (int i = 0; i < 100; ++i) {
    child_process ping({"sh", "-c", "redis-cli -h 127.0.0.1 -p " + port + " ping 2>&1 || true"});
    if (ping.read_line() == "PONG")
      break;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  run(in_flight * 4);
  return run(count);
}

void inlined(const node_bench_arguments& a, const scratch_directory& scratch) {
  std::vector<double> puts, redis, ratio, client, node, commit;
  for (std::size_t r = 0; r < a.rounds; ++r) {
    const auto ours = measure_puts(a, scratch, 256, a.smoke ? 500 : 15'000);
    puts.push_back(ours.per_second);
    client.push_back(ours.client_cpu * 1e6);
    node.push_back(ours.node_cpu * 1e6);
    commit.push_back(ours.commits);
    redis.push_back(measure_redis(scratch, 256, a.smoke ? 500 : 15'000));
    ratio.push_back(redis.back() > 0 ? ours.per_second / redis.back() : 0);
  }
  show("256-byte puts through a node, 64 in flight", puts, "/s");
  show("256-byte puts, a commit", commit, "puts");
  show("256-byte puts, CPU of the client", client, "us");
  show("256-byte puts, CPU of the node", node, "us");
  if (of(redis).low <= 0)
    return static_cast<void>(std::printf("redis-server and redis-benchmark are not installed: no comparison\n"));
  show("redis-server, appendfsync always", redis, "/s");
  show("puts through a node against redis", ratio, "x");
}

void pads(const node_bench_arguments& a, const scratch_directory& scratch) {
  const auto cores = static_cast<double>(std::max(1u, std::thread::hardware_concurrency()));
  std::vector<double> puts, bound, share, client, node, derive, sign, check;
  for (std::size_t r = 0; r < a.rounds; ++r) {
    const auto crypto = measure_crypto(a.smoke ? 0.02 : 0.3);
    const auto ours = measure_puts(a, scratch, 4096, a.smoke ? 300 : 8'000);
    derive.push_back(crypto.derive * 1e6);
    sign.push_back(crypto.sign * 1e6);
    check.push_back(crypto.check * 1e6);
    puts.push_back(ours.per_second);
    bound.push_back(cores / (crypto.derive + crypto.sign + crypto.check));
    share.push_back(100 * puts.back() / bound.back());
    client.push_back(ours.client_cpu * 1e6);
    node.push_back(ours.node_cpu * 1e6);
  }
  show("4 KiB puts through a node, 64 in flight", puts, "/s");
  show("deriving a pad's keys", derive, "us");
  show("signing", sign, "us");
  show("verifying a record of 4 KiB", check, "us");
  show("4 KiB puts, bound of these three", bound, "/s");
  show("4 KiB puts, share of the bound", share, "%");
  show("4 KiB puts, CPU of the client", client, "us");
  show("4 KiB puts, CPU of the node", node, "us");
}

}  // namespace

int main(int argc, char** argv) {
  const auto a = parse_arguments(argc, argv);
  must(init_crypto(), "starting");
  const scratch_directory scratch(a.directory);
  std::printf("small durable puts through a node on loopback, %u cores, %s\n", std::thread::hardware_concurrency(),
              scratch.file("").c_str());
  if (a.only != "pads")
    inlined(a, scratch);
  if (a.only != "inlined")
    pads(a, scratch);
  return 0;
}
