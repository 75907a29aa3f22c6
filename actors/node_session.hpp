// One client's connection to a node: a broker that reads requests off it (core/wire.hpp), asks the node, and answers.
//
// Holds the client to its share: while its requests and unsent answers weigh more than window_bytes (a read counts as a whole
// record until its answer is there), nothing more is read from it, and TCP makes it wait. It must connect and greet in
// time, keep to the protocol, and talk to the published actor only; otherwise its connection is closed.
// Ends with the connection, which makes the node drop what the client had queued. Lives in the multiplexer's thread.
#pragma once

#include <chrono>

#include "actors/frame_sender.hpp"
#include "actors/interfaces.hpp"
#include "actors/log.hpp"
#include "actors/transport.hpp"
#include "core/wire.hpp"

namespace mutant {

struct node_session_options {
  pad_store_actor node;
  wire::server_greeting greeting;
  std::size_t window_bytes = 32u << 20;
  std::size_t max_requests = 256;
  std::chrono::milliseconds greeting_timeout{10'000};
  std::chrono::milliseconds timeout{300'000};      // for the node
  log_sink log;
};

struct node_session_state {
  using self_pointer = caf::stateful_actor<node_session_state, caf::io::broker>*;
  static inline const char* name = "node_session";

  void start(self_pointer me, caf::io::connection_handle on, node_session_options o, connection_report_ptr r);
  void connected();
  void received(byte_view from);
  // Works off the backlog as far as the window allows.
  void read_on();
  void handle(wire::frame&& frame);
  template <class Out, class... Args>
  void ask(const wire::header& head, wire::content what, std::size_t charge, Args&&... args);
  void answer(std::size_t charge, std::vector<std::byte> front, bytes body = {});
  void refuse(const wire::header& head, wire::content what, std::size_t charge, const error& e);
  bool may_read() const;
  void sent(std::uint64_t left);
  void drain();
  void end_if_drained();
  void close(const std::string& why, log_level level);

  self_pointer self = nullptr;
  node_session_options options;
  connection_report_ptr report;
  caf::io::connection_handle connection;
  wire::reader in{wire::side::node};
  frame_sender out;
  std::vector<std::byte> backlog;     // read, but not looked at yet
  std::size_t backlog_at = 0;
  bool has_greeted = false;   // the client by us
  bool greeted = false;
  bool halted = false;                // nothing is read off the socket
  bool draining = false;
  bool over = false;
  std::size_t requests = 0;           // with the node
  std::size_t charged_bytes = 0;
  std::uint64_t answered = 0;
  std::uint64_t refused = 0;
};

// close_atom: no more requests are taken; ends when those that were taken are answered.
caf::behavior node_session(node_session_state::self_pointer self, caf::io::connection_handle connection,
                           node_session_options options, connection_report_ptr report);

}  // namespace mutant
