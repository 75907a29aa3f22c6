// One client's connection to a node: a broker that reads requests off it (core/wire.hpp), asks the node, and answers.
//
// Holds the client to its share: while its requests and unsent answers weigh more than window_bytes (a read counts as a whole
// record until its answer is there), nothing more is read from it, and TCP makes it wait. The same while the sessions together
// have no room for the record that it sends or asks for (session_budget). It must connect and greet in time, keep to the
// protocol, and talk to the published actor only; it must have sent a record, or taken one's worth of answers, within
// transfer_timeout; otherwise its connection is closed.
// Ends with the connection, which makes the node drop what the client had queued. Lives in the multiplexer's thread.
#pragma once

#include <chrono>

#include "actors/frame_sender.hpp"
#include "actors/interfaces.hpp"
#include "actors/log.hpp"
#include "actors/session_budget.hpp"
#include "actors/transport.hpp"
#include "core/wire.hpp"

namespace mutant {

struct node_session_options {
  pad_store_actor node;
  wire::server_greeting greeting;
  std::size_t window_bytes = 32u << 20;
  std::size_t max_requests = 256;
  session_budget_ptr budget;                       // of all sessions
  std::chrono::milliseconds greeting_timeout{10'000};
  std::chrono::milliseconds transfer_timeout{30'000};
  log_sink log;
};

struct node_session_state {
  using self_pointer = caf::stateful_actor<node_session_state, caf::io::broker>*;
  static inline const char* name = "node_session";

  // What a request holds until it is answered.
  struct cost {
    std::size_t charge = 0;     // of the window
    std::size_t reserved = 0;   // of the budget
  };

  void start(self_pointer me, caf::io::connection_handle on, node_session_options o, connection_report_ptr r);
  void connected();
  void received(byte_view from);
  // Works off the backlog as far as the window allows.
  void read_on();
  void handle(wire::frame&& frame);
  template <class Out, class... Args>
  void ask(const wire::header& head, wire::content what, cost holds, Args&&... args);
  void answer(cost holds, std::vector<std::byte> front, bytes body = {});
  void refuse(const wire::header& head, wire::content what, cost holds, const error& e);
  bool may_read() const;
  // Asks for room for the record that is coming in, or that the client wants to read.
  void admit(std::size_t size_bytes);
  void admit_incoming();
  void admitted();
  void sent(std::uint64_t written, std::uint64_t left);
  void count_unsent(std::size_t given_back);
  void tick();
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
  session_budget::share_ptr admission;   // asked for and not there yet: nothing is read meanwhile
  std::optional<wire::frame> held;       // the read that it is for; otherwise it is for the record that comes in
  std::size_t incoming_bytes = 0;     // of the budget: for the record that comes in
  std::size_t reserved_bytes = 0;     // for reads
  std::size_t unsent_bytes = 0;       // for answers
  caf::actor_clock::time_point incoming_since;
  caf::actor_clock::time_point unsent_since;    // since when one record's worth of answers is waited for
  std::size_t taken_bytes = 0;                  // of that
  std::uint64_t answered = 0;
  std::uint64_t refused = 0;
};

// close_atom: no more requests are taken; ends when those that were taken are answered.
caf::behavior node_session(node_session_state::self_pointer self, caf::io::connection_handle connection,
                           node_session_options options, connection_report_ptr report);

}  // namespace mutant
