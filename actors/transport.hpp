// Sockets for the brokers: plain or TLS, under CAF's multiplexer, without a thread that waits.
//
// Differs from CAF's own scribes in three ways: connecting does not block, a connection that was halted can be triggered again
// at any moment, and what goes wrong can be read (connection_report). A broker gets ok_atom when the connection stands;
// before that it must not write. Dead peers are noticed by the kernel (keep-alive, user timeout) within 30 seconds.
#pragma once

#include <caf/all.hpp>
#include <caf/io/all.hpp>
#include <memory>
#include <string>
#include <vector>

#include "actors/tls.hpp"
#include "core/error.hpp"
#include "core/store_url.hpp"

namespace mutant {

// Shared by a broker and the connection under it; the multiplexer's thread alone touches it.
struct connection_report {
  std::string peer;           // HOST:PORT as numbers
  std::string peer_name;      // of its certificate; empty without TLS
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

// A socket that listens, for make_doorman. invalid_argument: not an address of this machine; access_denied; io_error: taken.
struct listening_socket {
  int descriptor = -1;
  std::uint16_t port = 0;
};
result<listening_socket> listen_on(const socket_address& address);

// Starts to connect. The connection reports to `report`; without a context it is plain. Errors: what can be known at once.
result<caf::io::scribe_ptr> start_connecting(caf::actor_system& system, const socket_address& address,
                                             const tls_context_ptr& tls, const std::string& host,
                                             const connection_report_ptr& report);

// Accepts for a broker. Each new connection's report is found in `reports` while the broker handles new_connection_msg.
using report_map = std::unordered_map<caf::io::connection_handle, connection_report_ptr>;
caf::io::doorman_ptr make_doorman(caf::actor_system& system, int descriptor, tls_context_ptr tls,
                                  std::shared_ptr<report_map> reports);

}  // namespace mutant
