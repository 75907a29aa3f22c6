// A node on the network: a pad store, a node in front of it, and the port where clients connect. What a program runs.
//
// Three kinds of actors: the node, one listener (a broker with the port), and one session per connection. The listener ends
// with the node, and the sessions with the listener. It takes in everybody at once, so that nobody's connection is lost in the
// kernel, and lets the admission decide who goes; under TLS, sessions begin no faster than handshakes may. When there are no
// descriptors left, somebody goes, and accepting pauses.
#pragma once

#include <chrono>
#include <optional>

#include "actors/caf/broker.hpp"
#include "actors/caf/log.hpp"
#include "actors/net/tls.hpp"
#include "actors/node/handshake_queue.hpp"
#include "actors/node/node.hpp"
#include "actors/node/node_session.hpp"

namespace mutant {

struct node_server_options {
  host_port listen;                              // port 0: any; host "*": every address of both families
  tls_files tls;                                 // empty: plain
  tls_allow_list tls_allow;                      // empty: every client of the authority
  bool insecure = false;                         // plain even where others than this machine can connect
  node_options node;                             // store: of the caller, who also ends it
  std::size_t max_connections = 256;             // of clients that have greeted
  std::size_t max_per_client = 0;                // of one address, and of one certificate; 0: three quarters of them
  std::size_t max_newcomers = 128;               // that have not greeted, beside those
  unsigned handshakes_per_second = 200;
  std::size_t window_bytes = 0;                  // of one connection; 0: an eighth of max_pending_bytes, 8 to 32 MiB
  // session_budget, for reads and answers; half as much for records that come in. 0: half of max_pending_bytes, 16 to 128 MiB
  std::size_t transfer_bytes = 0;
  std::chrono::milliseconds greeting_timeout{10'000};
  std::chrono::milliseconds transfer_timeout{30'000};
  log_sink log;
};

struct node_listener_options {
  node_session_options session;                  // commons: of the listener
  admission_limits admission;
  unsigned handshakes_per_second = 0;
  std::uint64_t transfer_bytes = 0;
  log_sink log;
  unique_fd socket;
  std::shared_ptr<tls_context_ptr> tls;          // of new connections; null inside: plain. The multiplexer's thread alone
};

struct node_listener_state {
  using self_pointer = stateful_broker<node_listener_state>*;
  using queue = handshake_queue<accepted_connection>;
  static inline const char* name = "node_listener";
  node_listener_state() = default;
  ~node_listener_state();

  void start(self_pointer me, std::shared_ptr<node_listener_options> o);
  void look_into_doorway();
  void begin_handshakes();
  void open_session(node_admission::id who, accepted_connection connection);
  void show_out(node_admission::id who, const std::string& why);
  void out_of_descriptors(int number);
  void watch_pressure();
  void look_at_clock();
  void session_down(const caf::actor_addr& who);
  void drain();
  void end_if_drained();
  void end(const caf::error& reason);

  self_pointer self = nullptr;
  std::shared_ptr<node_listener_options> options;
  std::shared_ptr<session_commons> commons;
  std::shared_ptr<doorway> door = std::make_shared<doorway>();
  caf::io::accept_handle doorman;
  std::optional<queue> handshakes;               // under TLS
  std::map<node_admission::id, caf::actor> sessions;
  std::map<caf::actor_addr, node_admission::id> ids;
  std::vector<caf::response_promise> stopping;
  bool handshake_timer = false;
  bool watching = false;                         // a look at who does not move is due
  bool starved = false;                          // said that there are no descriptors
  bool draining = false;
};

// A handle. Whoever starts a server stops it, or ends its node; the actor system waits for that.
class node_server {
 public:
  // Listens when it returns. The system needs the middleman: mutant::system_config for a caf:// URL.
  // invalid_argument: an address that is not this machine's, unusable certificates, or no TLS on an address that others
  // can reach without `insecure`; unreachable: no such host.
  static result<node_server> start(caf::actor_system& system, node_server_options options);

  // Reads the certificates' files again; connections that are made from now on use them. Errors: as they were on start; the
  // node goes on with what it has.
  result<void> reload_certificates();

  std::uint16_t port() const noexcept { return port_; }
  const pad_store_actor& node() const noexcept { return node_; }
  const std::string& address() const noexcept { return address_; }   // that it listens on, with the port

  // Takes no more requests, answers those that it took, and closes. False: that took too long, and the rest was dropped.
  bool stop(std::chrono::milliseconds patience);

 private:
  caf::actor_system* system_ = nullptr;
  tls_files tls_;
  tls_allow_list allow_;
  std::shared_ptr<tls_context_ptr> context_;
  pad_store_actor node_;
  caf::actor listener_;
  std::uint16_t port_ = 0;
  std::string address_;
};

}  // namespace mutant
