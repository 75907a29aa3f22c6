// A node under a flood: eight clients write 4 MiB records as fast as it takes them, and its anonymous memory is followed.
//
//   bench_node_flood [--smoke] [--rounds N] [--directory DIR] [--mutant PROGRAM]
//
// The node is a `mutant node` with its usual --max-pending (256 MiB; --smoke: 32 MiB). A client is a connection of its own
// with all of its records under way at once; it comes back when the node is overloaded. Every record is verified and stored.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <thread>

#include "actors/pads/remote_store.hpp"
#include "benchmarks/node_parts.hpp"
#include "benchmarks/node_support.hpp"

using namespace mutant;
using namespace mutant::bench;

namespace {

constexpr std::size_t clients = 8;

// Puts all of the records at once, and ends when all are stored.
caf::behavior flooder(caf::event_based_actor* self, pad_store_actor node, std::vector<bytes> records) {
  auto left = std::make_shared<std::size_t>(records.size());
  for (const auto& record : records)
    self->request(node, std::chrono::minutes(5), put_atom_v, record)
        .then(
            [=](done) {
              if (--*left == 0)
                self->quit();
            },
            [](caf::error& e) {
              std::fprintf(stderr, "put: %s\n", to_string(from_caf(e)).c_str());
              std::exit(1);
            });
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const auto a = parse_arguments(argc, argv);
  must(init_crypto(), "starting");
  const scratch_directory scratch(a.directory);
  const std::uint64_t pending_mib = a.smoke ? 32 : 256;
  const std::size_t records_each = a.smoke ? 4 : 48;
  // Sealed beforehand: the flood must not wait for its own cores.
  const auto ring = parts_keyring();
  const std::vector<std::byte> plain(max_plaintext_bytes, std::byte{1});
  std::vector<std::vector<bytes>> records(clients);
  for (std::size_t c = 0; c < clients; ++c)
    for (std::size_t i = 0; i < records_each; ++i)
      records[c].push_back(seal_private(ring.data(c * records_each + i), 1, plain));
  std::vector<double> peak, rate;
  for (std::size_t r = 0; r < a.rounds; ++r) {
    running_node node(a.mutant, scratch.fresh("pads"), {}, {"--max-pending", std::to_string(pending_mib) + "M"});
    std::atomic<bool> over{false};
    std::uint64_t most = 0;
    std::thread watch([&] {
      while (!over) {
        most = std::max(most, node.process.anonymous_bytes());
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      }
    });
    const auto start = steady::now();
    {
      system_config config("caf:");
      caf::actor_system system(config);
      remote_store_options options;
      options.hosts = {{"127.0.0.1", node.port}};
      options.max_flight_bytes = std::uint64_t{1} << 40;
      std::vector<caf::actor> floods;
      std::vector<pad_store_actor> stores;
      for (std::size_t c = 0; c < clients; ++c) {
        stores.push_back(system.spawn(remote_store, options));
        floods.push_back(system.spawn(flooder, stores.back(), records[c]));
      }
      caf::scoped_actor self{system};
      for (auto& f : floods)
        self->wait_for(f);
      for (auto& s : stores)
        self->send_exit(s, caf::exit_reason::user_shutdown);
    }
    const auto took = seconds_since(start);
    over = true;
    watch.join();
    node.process.stop();
    peak.push_back(static_cast<double>(most) / (1 << 20));
    rate.push_back(static_cast<double>(clients * records_each * max_record_bytes) / took / 1e6);
  }
  std::printf("%zu clients, %zu records of 4 MiB each, at once; --max-pending %lluM\n", clients, records_each,
              static_cast<unsigned long long>(pending_mib));
  show("what the node stored", rate, "MB/s");
  show("peak anonymous memory of the node", peak, "MiB");
  const auto bound = static_cast<double>(pending_mib + 200);
  std::printf("bound: %.0f MiB, %s\n", bound, of(peak).high < bound ? "kept" : "EXCEEDED");
  return of(peak).high < bound ? 0 : 1;
}
