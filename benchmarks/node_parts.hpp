// What a put or a get through a node is made of, each part alone: CPU seconds per byte (or per pad).
//
// Sealing, opening and verifying run on one thread for a while; the engine takes and gives records that exist already; the
// exchange is two CAF systems in this process that send each other records over loopback and do nothing with them.
#pragma once

#include <caf/all.hpp>
#include <caf/io/all.hpp>
#include <caf/openssl/all.hpp>
#include <cstring>
#include <filesystem>
#include <optional>

#include "actors/messages.hpp"
#include "actors/store.hpp"
#include "benchmarks/support.hpp"
#include "core/engine/engine.hpp"
#include "core/record.hpp"

namespace mutant::bench {

inline keyring parts_keyring() {
  seed owner;
  owner.value.fill(std::byte{9});
  return keyring(owner);
}

// CPU seconds of one call, over calls for about so long.
template <class Work>
double cpu_of(double seconds, Work work) {
  work();
  const auto start = steady::now();
  const auto before = cpu_seconds();
  std::size_t calls = 0;
  do {
    work();
    ++calls;
  } while (seconds_since(start) < seconds);
  return (cpu_seconds() - before) / static_cast<double>(calls);
}

struct crypto_parts {
  double seal = 0, open = 0, verify = 0;    // of a full record, per byte
  double derive = 0, sign = 0, check = 0;   // of a small pad: keys, signature, signature and hash of 4 KiB
};

inline crypto_parts measure_crypto(double seconds) {
  crypto_parts out;
  const auto ring = parts_keyring();
  const auto keys = ring.data(1);
  const std::vector<std::byte> plain(max_plaintext_bytes, std::byte{1});
  const auto record = seal_private(keys, 1, plain);
  const auto small = seal_private(keys, 1, byte_view(plain).first(4096));
  std::vector<std::byte> text(max_plaintext_bytes);
  constexpr auto size = static_cast<double>(max_record_bytes);
  out.seal = cpu_of(seconds, [&] { static_cast<void>(private_record(max_plaintext_bytes).seal(keys, 1)); }) / size;
  out.open = cpu_of(seconds, [&] { must(open_private_into(keys, 1, record, text), "opening"); }) / size;
  out.verify = cpu_of(seconds, [&] { must(verify_record(record), "verifying"); }) / size;
  std::uint64_t number = 0;
  out.derive = cpu_of(seconds, [&] { static_cast<void>(ring.data(++number)); });
  const auto header = record.view().first(96);
  out.sign = cpu_of(seconds, [&] { static_cast<void>(sign(keys, header)); });
  out.check = cpu_of(seconds, [&] { must(verify_record(small), "verifying"); });
  return out;
}

struct engine_parts {
  double put = 0, get = 0;   // per byte
};

// As many full records as make up the size, committed in batches of what a local store commits together.
inline engine_parts measure_engine(const std::string& directory, std::uint64_t size_bytes) {
  constexpr std::uint64_t batch = (64u << 20) / max_record_bytes;
  lmdb_options options;
  options.directory = directory;
  auto engine = must(open_lmdb_engine(options), "opening the engine");
  const std::vector<std::byte> plain(max_plaintext_bytes, std::byte{1});
  const auto made = seal_private(parts_keyring().data(1), 1, plain);
  const auto count = std::max<std::uint64_t>(1, size_bytes / max_record_bytes);
  const auto address_of = [](std::uint64_t i) {
    pad_address address{};
    i *= 0x9e3779b97f4a7c15u;
    std::memcpy(address.data(), &i, sizeof i);
    return address;
  };
  engine_parts out;
  double before = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    auto raw = buffer::for_record(made.size());
    std::memcpy(raw.data(), made.data(), made.size());
    const auto address = address_of(i + 1);
    std::memcpy(raw.data() + 32, address.data(), address.size());
    const auto record = std::move(raw).freeze();
    before = cpu_seconds();
    must(engine->put(record), "engine put");
    if ((i + 1) % batch == 0 || i + 1 == count)
      must(engine->commit(), "engine commit");
    out.put += cpu_seconds() - before;
  }
  before = cpu_seconds();
  for (std::uint64_t i = 0; i < count; ++i)
    static_cast<void>(must(engine->get(address_of(i + 1)), "engine get"));
  out.get = cpu_seconds() - before;
  const auto total = static_cast<double>(count * max_record_bytes);
  out.put /= total;
  out.get /= total;
  return out;
}

// -- a bare exchange over CAF's middleman ------------------------------------------------------------------------------------

inline caf::behavior exchange_server(caf::event_based_actor*, bytes record) {
  return {[](put_atom, const bytes&) { return done{}; }, [record](get_atom) { return record; }};
}

// Sends so many requests, a few at a time, and ends; with an error when one is not answered.
inline caf::behavior exchange_client(caf::event_based_actor* self, caf::actor server, bytes record, bool gets,
                                     std::uint64_t count) {
  struct progress {
    std::uint64_t left, flying = 0;
  };
  auto p = std::make_shared<progress>(progress{count});
  auto next = std::make_shared<std::function<void()>>();
  const auto failed = [=](caf::error& e) {
    *next = nullptr;
    self->quit(std::move(e));
  };
  const auto landed = [=] {
    if (!*next)
      return;
    if (--p->flying == 0 && p->left == 0) {
      self->quit();
      *next = nullptr;
    } else {
      (*next)();
    }
  };
  *next = [=] {
    for (; p->left > 0 && p->flying < 8; --p->left, ++p->flying)
      if (gets)
        self->request(server, std::chrono::seconds(15), get_atom_v).then([=](const bytes&) { landed(); }, failed);
      else
        self->request(server, std::chrono::seconds(15), put_atom_v, record).then([=](done) { landed(); }, failed);
  };
  (*next)();
  return {};
}

struct exchange_config : caf::actor_system_config {
  explicit exchange_config(const tls_files& tls) {
    configure(*this, "caf:");
    if (!tls.given())
      return;
    openssl_certificate = tls.certificate;
    openssl_key = tls.key;
    openssl_cafile = tls.authority;
    load<caf::openssl::manager>();
  }
};

struct exchange_parts {
  double put = 0, get = 0;               // CPU seconds per byte, both sides
  double put_rate = 0, get_rate = 0;     // bytes per second
};

// Nothing when a message was not answered in 15 s: seen once in ten runs, on a busy machine.
inline std::optional<exchange_parts> try_exchange(const tls_files& node, const tls_files& client, std::uint64_t size_bytes) {
  const std::vector<std::byte> plain(max_plaintext_bytes, std::byte{1});
  const auto record = seal_private(parts_keyring().data(1), 1, plain);
  exchange_config server_config(node), client_config(client);
  caf::actor_system server_system(server_config), client_system(client_config);
  const auto server = server_system.spawn(exchange_server, record);
  const auto port = node.given() ? caf::openssl::publish(server, 0, "127.0.0.1")
                                 : server_system.middleman().publish(server, 0, "127.0.0.1");
  const auto remote = !port          ? caf::expected<caf::actor>(port.error())
                      : node.given() ? caf::openssl::remote_actor(client_system, "127.0.0.1", *port)
                                     : client_system.middleman().remote_actor("127.0.0.1", *port);
  if (!remote) {
    std::fprintf(stderr, "the bare exchange could not connect: %s\n", client_system.render(remote.error()).c_str());
    std::exit(1);
  }
  caf::scoped_actor self{client_system};
  const auto count = std::max<std::uint64_t>(8, size_bytes / max_record_bytes);
  exchange_parts out;
  auto good = true;
  const auto run = [&](bool gets, std::uint64_t requests) {
    if (!good)
      return;
    self->monitor(client_system.spawn(exchange_client, *remote, record, gets, requests));
    self->receive([&](caf::down_msg& down) { good = !down.reason; });
  };
  const auto measure = [&](bool gets, double& cpu, double& rate) {
    run(gets, 8u);
    const auto start = steady::now();
    const auto before = cpu_seconds();
    run(gets, count);
    const auto total = static_cast<double>(count * max_record_bytes);
    cpu = (cpu_seconds() - before) / total;
    rate = total / seconds_since(start);
  };
  measure(false, out.put, out.put_rate);
  measure(true, out.get, out.get_rate);
  caf::anon_send_exit(server, caf::exit_reason::user_shutdown);
  if (!good)
    return std::nullopt;
  return out;
}

inline exchange_parts measure_exchange(const tls_files& node, const tls_files& client, std::uint64_t size_bytes) {
  for (int i = 0; i < 3; ++i)
    if (auto parts = try_exchange(node, client, size_bytes))
      return *parts;
    else
      std::printf("a bare CAF exchange stalled; measured again\n");
  std::fprintf(stderr, "the bare CAF exchange stalled three times\n");
  std::exit(1);
}

}  // namespace mutant::bench
