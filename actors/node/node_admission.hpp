// Who may hold a connection to a node, and who gives way when places are scarce.
//
// Who has not greeted is a newcomer: strangers wait in a small pool of their own, and when it is full the oldest newcomer of
// the address that has most of them goes, those that have not said anything first. Who has greeted takes one of max_sessions
// places, of which an address and a certificate get a share. When they are taken, somebody goes who does not wait for us, the
// longest idle first, of the client that holds most if it can be; when nobody is idle, somebody of that client, if it has more
// than the asking one would have.
// A client is a certificate, or without TLS an address: of IPv6 the first 64 bits, which is what one host can choose from.
//
// Pure but for the functions that it calls to show somebody out. No locks: lives in the multiplexer's thread. Its cost is
// linear in the connections.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/error.hpp"

namespace mutant {

struct admission_limits {
  std::size_t max_sessions = 256;
  std::size_t max_per_address = 0;         // 0: three quarters of max_sessions
  std::size_t max_per_certificate = 0;     // likewise
  std::size_t max_newcomers = 128;
  std::size_t max_newcomers_per_address = 64;

  std::size_t of_an_address() const noexcept { return share(max_per_address); }
  std::size_t of_a_certificate() const noexcept { return share(max_per_certificate); }

 private:
  std::size_t share(std::size_t given) const noexcept {
    return given != 0 ? given : max_sessions - max_sessions / 4;
  }
};

// What a session is doing; it keeps that up to date, and the admission looks.
struct session_activity {
  std::chrono::steady_clock::time_point last;   // when a byte moved, or something was answered
  bool busy = false;                            // it waits for us: a request of it is with the node
};

class node_admission {
 public:
  using id = std::uint64_t;
  // Closes a connection, which counts no more by then.
  using show_out = std::function<void(id who, const std::string& why)>;

  node_admission(admission_limits limits, show_out out) : limits_(limits), out_(std::move(out)) {}

  // A newcomer, who always gets in; somebody else may have to go.
  id arrive(const std::string& address);
  // It has begun to speak: silent newcomers go before it.
  void begun(id who);
  // It has greeted, `certificate` (a fingerprint) with TLS. Its client's number, the same for all connections of that client.
  // overloaded: there is no place for it; the caller closes it.
  result<std::uint64_t> greet(id who, const std::string& certificate, std::shared_ptr<const session_activity> activity);
  void leave(id who);
  // Nobody is shown out any more.
  void forget_listener() { out_ = [](id, const std::string&) {}; }
  // Somebody goes, to make room for others: a newcomer, else who is idle. False: all are busy.
  bool make_room(const std::string& why);

  std::size_t newcomers() const noexcept { return newcomers_.size(); }
  std::size_t sessions() const noexcept { return sessions_.size(); }

 private:
  struct session {
    std::string address, certificate, client;
    std::shared_ptr<const session_activity> activity;
  };
  using session_map = std::map<id, session>;
  template <class Which>
  session_map::const_iterator max_idle(Which which) const;
  template <class Which>
  std::size_t count(Which which) const;
  bool make_place(const session& asking);
  void send_away(id who, const std::string& why);
  void send_away_oldest_newcomer(const std::string& address, const std::string& why);
  std::uint64_t number_of(const std::string& client);
  void forget_client(const std::string& client);

  admission_limits limits_;
  show_out out_;
  struct newcomer {
    std::string address;
    bool silent = true;
  };
  std::map<id, newcomer> newcomers_;               // by id, so by age
  std::map<std::string, std::size_t> strangers_;   // newcomers of an address
  session_map sessions_;
  struct known_client {
    std::uint64_t number = 0;
    std::size_t sessions = 0;
  };
  std::map<std::string, known_client> clients_;
  id last_id_ = 0;
  std::uint64_t last_client_ = 0;
};

}  // namespace mutant
