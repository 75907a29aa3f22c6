// What CAF alone does: a request and its answer within a process, and pad-sized messages over loopback TCP with its
// middleman, plain and with its OpenSSL module, between two actor systems.
#pragma once

#include <caf/io/all.hpp>
#include <caf/openssl/all.hpp>
#include <string>

#include "actors/net/tls_certificates.hpp"
#include "actors/store.hpp"
#include "benchmarks/clients.hpp"

namespace mutant::bench {

// Takes a message of any size and says that it is there: what a put to a remote pad store costs at least.
using taker_actor = caf::typed_actor<caf::replies_to<put_atom, bytes>::with<done>>;

inline taker_actor::behavior_type taker(taker_actor::pointer) {
  return {[](put_atom, const bytes&) { return done{}; }};
}

// One end of a connection. With a directory of certificates: over TLS, with CAF's own OpenSSL module.
struct loopback_config : system_config {
  loopback_config(const std::string& certificates, const std::string& role) : system_config("caf:") {
    if (certificates.empty())
      return;
    load<caf::openssl::manager>();
    openssl_certificate = certificates + "/" + role + ".pem";
    openssl_key = certificates + "/" + role + "-key.pem";
    openssl_cafile = certificates + "/ca.pem";
  }
};

template <class T>
T must_connect(caf::expected<T> r, caf::actor_system& system, const char* doing) {
  if (!r) {
    std::fprintf(stderr, "%s: %s\n", doing, system.render(r.error()).c_str());
    std::exit(1);
  }
  return std::move(*r);
}

// Bytes a second with `window` messages under way. certificates: see above; empty: plain TCP.
inline double loopback_rate(std::size_t window, double seconds, std::size_t message_bytes, const std::string& certificates) {
  loopback_config there_config(certificates, "node"), here_config(certificates, "client");
  caf::actor_system there(there_config), here(here_config);
  const auto tls = !certificates.empty();
  auto server = there.spawn(taker);
  const auto port = must_connect(tls ? caf::openssl::publish(server, 0, "127.0.0.1")
                                     : there.middleman().publish(server, 0, "127.0.0.1"),
                                 there, "publishing an actor");
  auto remote = must_connect(tls ? caf::openssl::remote_actor<taker_actor>(here, "127.0.0.1", port)
                                 : here.middleman().remote_actor<taker_actor>("127.0.0.1", port),
                             here, "connecting to 127.0.0.1");
  auto message = buffer(message_bytes);
  std::fill_n(message.data(), message_bytes, std::byte{7});
  const auto run = run_clients(here, window, seconds, std::uint64_t{1} << 40,
                               [to = remote, what = std::move(message).freeze()](auto* self, std::uint64_t, auto answered) {
                                 self->request(to, caf::infinite, put_atom_v, what)
                                     .then([answered](done) { answered(); }, or_end("a message over loopback"));
                               });
  caf::anon_send_exit(server, caf::exit_reason::user_shutdown);
  return run.rate() * static_cast<double>(message_bytes);
}

inline void caf_bounds(const work_directory& work, bool smoke, std::size_t rounds, std::size_t clients, report& out) {
  const auto seconds = smoke ? 0.05 : 0.5;
  std::vector<double> one, p50, many, plain, secret;
  {
    system_config config;
    caf::actor_system system(config);
    for (std::size_t r = 0; r < rounds; ++r) {
      auto alone = bare_exchange(system, 1, seconds);
      one.push_back(alone.rate());
      p50.push_back(alone.milliseconds(0.5) * 1e3);
      many.push_back(bare_exchange(system, clients, seconds).rate());
    }
  }
  const auto certificates = work.path() + "/certificates";
  certificate_request wanted;
  wanted.directory = certificates;
  wanted.names = {"127.0.0.1"};
  must(make_certificates(wanted), "making certificates");
  for (std::size_t r = 0; r < rounds; ++r) {
    plain.push_back(loopback_rate(4, seconds, max_record_bytes, {}) / 1e6);
    secret.push_back(loopback_rate(4, seconds, max_record_bytes, certificates) / 1e6);
  }
  out.add("caf_exchange_p50_us", "CAF: a request and its answer, one client, p50", p50, "us");
  out.add("caf_exchanges_one_per_second", "CAF: requests and answers, one client", one, "/s");
  out.add("caf_exchanges_per_second", "CAF: requests and answers, " + std::to_string(clients) + " clients", many, "/s");
  out.add("caf_loopback_mb_per_second", "CAF: 4 MiB messages over loopback TCP, 4 under way", plain, "MB/s");
  out.add("caf_loopback_tls_mb_per_second", "CAF: the same over TLS", secret, "MB/s");
}

}  // namespace mutant::bench
