// A node on the network: a pad store, a node in front of it, and the port where clients connect. What a program runs.
//
// Three kinds of actors: the node, one listener (a broker with the port), and one session per connection. The listener ends
// with the node, and the sessions with the listener.
#pragma once

#include <chrono>

#include "actors/log.hpp"
#include "actors/node.hpp"
#include "actors/node_session.hpp"
#include "actors/tls.hpp"

namespace mutant {

struct node_server_options {
  host_port listen;                              // port 0: any
  tls_files tls;                                 // empty: plain
  bool insecure = false;                         // plain even where others than this machine can connect
  node_options node;                             // store: of the caller, who also ends it
  std::size_t max_connections = 256;
  std::size_t window_bytes = 0;                  // of one client; 0: an eighth of max_pending_bytes, 8 to 32 MiB
  std::size_t transfer_bytes = 0;                // of all sessions: session_budget; 0: half of max_pending_bytes, 16 to 128 MiB
  std::chrono::milliseconds greeting_timeout{10'000};
  std::chrono::milliseconds transfer_timeout{30'000};
  log_sink log;
};

struct node_listener_options {
  node_session_options session;
  std::size_t max_connections = 0;
  int descriptor = -1;
  tls_context_ptr tls;
};

struct node_listener_state {
  static inline const char* name = "node_listener";
  node_listener_options options;
  std::shared_ptr<report_map> reports = std::make_shared<report_map>();
  std::map<caf::actor_addr, caf::actor> sessions;
  std::vector<caf::response_promise> stopping;
  bool draining = false;
};

// A handle. Whoever starts a server stops it, or ends its node; the actor system waits for that.
class node_server {
 public:
  // Listens when it returns. The system needs the middleman: mutant::system_config for a caf:// URL.
  // invalid_argument: an address that is not this machine's, unusable certificates, or no TLS on an address that others
  // can reach without `insecure`; unreachable: no such host.
  static result<node_server> start(caf::actor_system& system, node_server_options options);

  std::uint16_t port() const noexcept { return port_; }
  const pad_store_actor& node() const noexcept { return node_; }
  const std::string& address() const noexcept { return address_; }   // that it listens on, with the port

  // Takes no more requests, answers those that it took, and closes. False: that took too long, and the rest was dropped.
  bool stop(std::chrono::milliseconds patience);

 private:
  caf::actor_system* system_ = nullptr;
  pad_store_actor node_;
  caf::actor listener_;
  std::uint16_t port_ = 0;
  std::string address_;
};

}  // namespace mutant
