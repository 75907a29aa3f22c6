// One client's connection to a node: a broker that reads requests off it (core/wire.hpp), asks the node, and answers.
//
// Holds the client to its share: while its requests and unsent answers weigh more than window_bytes (a read counts as a whole
// record until its answer is there), nothing more is read from it, and TCP makes it wait. The same while the sessions together
// have no room for what it sends or asks for (session_budget). It must connect and greet in time, find a place
// (node_admission), keep to the protocol, and talk to the published actor only; it must have sent a record, or taken one's
// worth of answers, within transfer_timeout; otherwise its connection is closed.
// Ends with the connection, which makes the node drop what the client had queued. Lives in the multiplexer's thread.
#pragma once

#include <chrono>

#include "actors/caf/broker.hpp"
#include "actors/caf/log_limit.hpp"
#include "actors/interfaces.hpp"
#include "actors/net/frame_sender.hpp"
#include "actors/net/transport.hpp"
#include "actors/node/node.hpp"
#include "actors/node/node_admission.hpp"
#include "actors/node/session_budget.hpp"
#include "core/wire.hpp"

namespace mutant {

// What all sessions of a node have in common. Like them, it lives in the multiplexer's thread.
struct session_commons {
  node_admission admission;
  session_budget incoming;                         // records that are not whole yet
  session_budget outgoing;                         // reads under way, and answers that are not sent yet
  log_limiter log;
};

// Sent by the listener, every now and then: a timer of each session's own would keep its memory until it fires, and a flood of
// connections makes very many sessions.
using look_atom = caf::atom_constant<caf::atom("look")>;

struct node_session_options {
  node_actor node;
  wire::server_greeting greeting;
  std::size_t window_bytes = 32u << 20;
  std::size_t max_requests = 256;
  std::shared_ptr<session_commons> commons;
  std::chrono::milliseconds greeting_timeout{10'000};
  std::chrono::milliseconds transfer_timeout{30'000};
  node_admission::id id = 0;                       // as a newcomer
};

struct node_session_state {
  using self_pointer = stateful_broker<node_session_state>*;
  static inline const char* name = "node_session";
  node_session_state() = default;
  ~node_session_state();

  // What a request holds until it is answered.
  struct cost {
    std::size_t charge = 0;     // of the window
    std::size_t reserved = 0;   // of the budget for answers
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
  // Its client has greeted: is there a place for it?
  bool take_place();
  // Asks for room for what comes in next of an unfinished record.
  void admit_incoming();
  void incoming_is_whole();
  // Asks for room for the record that the client wants to read.
  void admit_read(wire::frame&& frame);
  void begin_read();
  void reading();
  void note_activity();
  void write_log(log_level level, const std::string& what, log_fields fields);
  void sent(std::uint64_t written, std::uint64_t left);
  void count_unsent(std::size_t given_back);
  void look_at_clock();
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
  bool waits_for_room = false;        // asked for and not there yet: nothing is read meanwhile
  std::optional<wire::frame> held;    // the read that it is for; otherwise it is for the record that comes in
  session_budget::holder incoming, outgoing;
  std::size_t unsent_bytes = 0;       // of outgoing: for answers
  std::shared_ptr<session_activity> activity = std::make_shared<session_activity>();
  caf::actor_clock::time_point begun;
  caf::actor_clock::time_point incoming_since;
  caf::actor_clock::time_point unsent_since;    // since when one record's worth of answers is waited for
  std::size_t taken_bytes = 0;                  // of that
  std::uint64_t answered = 0;
  std::uint64_t refused = 0;
};

// close_atom: no more requests are taken; ends when those that were taken are answered. With a text: ends now, which is why.
caf::behavior node_session(node_session_state::self_pointer self, caf::io::connection_handle connection,
                           node_session_options options, connection_report_ptr report);

}  // namespace mutant
