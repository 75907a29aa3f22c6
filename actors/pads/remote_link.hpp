// One connection to one node: a broker that turns pad store messages into frames (core/wire.hpp) and back.
//
// Trusts nothing that it reads: frames are bounded, an answer must fit its request, a record must parse and belong to the pad
// that was asked for. A wrong answer is corrupt_record (to a write: timeout, for nobody knows), a breach of the protocol ends
// the link. It also ends, with everything in flight answered `unreachable`, when the connection closes or does not stand in
// time, or when requests wait and no byte moves either way for stall_timeout. A request is `timeout` when it is older than
// request_timeout, or than answer_timeout while nothing at all is answered.
// Lives in the multiplexer's thread.
#pragma once

#include <chrono>
#include <map>

#include "actors/caf/broker.hpp"
#include "actors/interfaces.hpp"
#include "actors/net/frame_sender.hpp"
#include "actors/net/transport.hpp"
#include "core/wire.hpp"

namespace mutant {

struct remote_link_options {
  std::string name;                                  // HOST:PORT, for messages
  caf::io::scribe_ptr scribe;
  connection_report_ptr report;
  std::chrono::milliseconds greeting_timeout{5'000};
  std::chrono::milliseconds stall_timeout{15'000};
  std::chrono::milliseconds answer_timeout{30'000};
  std::chrono::milliseconds request_timeout{120'000};
};

struct remote_link_state {
  using self_pointer = stateful_broker<remote_link_state>*;
  using clock = caf::actor_clock;
  static inline const char* name = "remote_link";

  struct pending_request {
    wire::content what{};
    pad_address address{};
    caf::response_promise promise;
    clock::time_point started;
  };

  void start(self_pointer me, remote_link_options o);
  void connected();
  void greeted(const wire::frame& greeting);
  void send(wire::content what, const bytes& record, const pad_address& address);
  void received(byte_view in);
  void answered(wire::frame&& answer);
  void deliver(pending_request& request, wire::frame&& answer);
  void tick();
  void close(const std::string& why);

  self_pointer self = nullptr;
  remote_link_options options;
  caf::io::connection_handle connection;
  wire::reader in{wire::side::client};
  frame_sender out;
  bool has_greeted = false;
  std::uint64_t node_actor = 0;                       // 0: not greeted yet
  std::uint64_t last_number = 0;
  std::map<std::uint64_t, pending_request> pending;   // by number, so by age
  std::vector<caf::response_promise> waiting_for_greeting;
  clock::time_point last_moved;                       // a byte, either way
  clock::time_point last_answer;
  bool over = false;
};

// Answers open_atom with `done` when requests can be sent; otherwise the messages of pad_store_actor.
caf::behavior remote_link(remote_link_state::self_pointer self, remote_link_options options);

}  // namespace mutant
