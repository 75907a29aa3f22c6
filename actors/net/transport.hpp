// Sockets for the brokers: plain or TLS, under CAF's multiplexer, without a thread that waits.
//
// Differs from CAF's own scribes in three ways: connecting does not block, a connection that was halted can be triggered again
// at any moment, and what goes wrong can be read (connection_report). A broker gets ok_atom when the connection stands;
// before that it must not write. Dead peers are noticed by the kernel (keep-alive, user timeout) within 30 seconds.
#pragma once

#include <caf/all.hpp>
#include <caf/io/all.hpp>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "actors/net/tls.hpp"
#include "core/error.hpp"
#include "core/files.hpp"
#include "core/store_url.hpp"

namespace mutant {

// Shared by a broker and the connection under it; the multiplexer's thread alone touches it.
struct connection_report {
  std::string peer;           // HOST:PORT as numbers
  std::string peer_name;      // of its certificate; empty without TLS
  std::string peer_fingerprint;   // likewise: SHA-256, in hex
  bool established = false;
  bool abort = false;         // set by the broker: closing drops what is not sent
  std::string failure;        // why it ended; empty: it was closed
};
using connection_report_ptr = std::shared_ptr<connection_report>;

struct socket_address {
  std::vector<std::byte> raw;   // a sockaddr
  std::string text;             // numbers
  bool loopback = false;
};

// Blocks while names are looked up. unreachable: there is no such host.
result<std::vector<socket_address>> resolve(const host_port& where);
// The same without a look-up; empty: it is a name.
std::vector<socket_address> resolve_numeric(const host_port& where);

// A socket that listens, for make_doorman. The host "*" is every address of this machine, of IPv6 and IPv4 alike.
// invalid_argument: not an address of this machine; access_denied; io_error: taken; unreachable: there is no such host.
struct listening_socket {
  unique_fd socket;
  std::string host;            // numbers, or "*"
  std::uint16_t port = 0;
  bool loopback = false;       // others cannot connect
};
result<listening_socket> listen_on(const host_port& where);
// Whether listen_on would let others than this machine connect; blocks and fails like resolve.
result<bool> is_loopback_only(const host_port& where);

// Starts to connect. The connection reports to `report`; without a context it is plain. Errors: what can be known at once.
result<caf::io::scribe_ptr> start_connecting(caf::actor_system& system, const socket_address& address,
                                             const tls_context_ptr& tls, const std::string& host,
                                             const connection_report_ptr& report);

// Somebody who has connected, and of whom nothing is known yet.
struct accepted_connection {
  unique_fd socket;
  std::string peer;            // HOST:PORT as numbers
  std::string address;         // whom limits are for: HOST, of IPv6 its first 64 bits
};
// What a doorman has for its broker, which is told by new_connection_msg (without a handle) to look.
struct doorway {
  std::deque<accepted_connection> accepted;
  int failure = 0;             // errno: accepting fails for want of descriptors or memory. Halt the doorman for a while
};
caf::io::doorman_ptr make_doorman(caf::actor_system& system, unique_fd socket, std::shared_ptr<doorway> to);
// The node's end of a connection. io_error: TLS has no memory.
result<caf::io::scribe_ptr> make_node_scribe(caf::actor_system& system, accepted_connection connection,
                                             const tls_context_ptr& tls, const connection_report_ptr& report);

}  // namespace mutant
