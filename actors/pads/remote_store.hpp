// The pad store behind caf:// and cafs:// URLs: several nodes as interchangeable fronts of one store.
//
// Requests go to the connected node that has least to do for us. What was in flight when a node went away, or was answered
// wrongly, goes to another one: a write may arrive twice, which the write rule allows. Lost nodes are tried again in the
// background, with back-off, for ever. While none is connected requests wait; when that has lasted unreachable_after they are
// answered `unreachable`, naming the hosts, and from then on at once until a node is back. A node that is overloaded is asked
// again after a pause that grows, until request_timeout.
//
// Memory: per connection at most max_flight_bytes (a read counts as a whole record) and max_flight requests are under way,
// the rest waits; beyond max_waiting requests are `overloaded`. No handler blocks: names are looked up by a detached actor.
#pragma once

#include <chrono>
#include <deque>
#include <map>

#include "actors/interfaces.hpp"
#include "actors/pads/remote_link.hpp"

namespace mutant {

struct remote_store_options {
  std::vector<host_port> hosts;
  tls_context_ptr tls;                                   // null: plain
  std::chrono::milliseconds connect_timeout{5'000};      // of one attempt: connecting, TLS, greeting
  std::chrono::milliseconds unreachable_after{10'000};
  std::chrono::milliseconds stall_timeout{15'000};       // no byte moves while requests wait: the node is given up
  std::chrono::milliseconds answer_timeout{30'000};      // a node that answers nothing at all
  std::chrono::milliseconds request_timeout{120'000};    // after this a failed request is not tried again
  std::chrono::milliseconds first_pause{100};            // before a lost node is tried again; doubles
  std::chrono::milliseconds max_pause{5'000};
  std::size_t max_flight_bytes = 64u << 20;
  std::size_t max_flight = 256;
  std::size_t max_waiting = 65'536;
  unsigned max_tries = 4;                                // of one request, at different nodes if there are

  result<void> validate() const;
  // Longest that one request may take.
  std::chrono::milliseconds max_request_time() const { return request_timeout * 2 + unreachable_after; }
};

struct remote_store_state {
  using actor_type = pad_store_actor::extend<reacts_to<deferred>>;
  using self_pointer = actor_type::stateful_pointer<remote_store_state>;
  static inline const char* name = "remote_store";

  // One request, until it is answered. `go` sends it to a node.
  struct job;
  using job_ptr = std::shared_ptr<job>;
  struct job {
    std::function<void(std::size_t at, const job_ptr& me)> go;
    std::function<void(const error&)> fail;
    std::size_t charge = 0;                // bytes
    bool reads = false;
    unsigned tries = 0;
    caf::actor_clock::time_point started;
    std::chrono::milliseconds pause{0};    // of the last time that a node was overloaded
    std::optional<std::size_t> not_at;     // the node that failed it last
    std::optional<std::size_t> rather_at;  // the node to ask while it is there: the others' answers may be damaged
  };

  struct node {
    host_port where;
    std::string name;
    std::vector<socket_address> addresses;
    std::size_t next_address = 0;
    caf::actor link;                       // while connecting and connected
    bool connected = false;
    caf::actor_clock::time_point connected_since;
    std::chrono::milliseconds pause{0};    // before it is tried again; grows while connections do not last
    std::string trouble;                   // why it is not connected
    std::map<std::uint64_t, job_ptr> in_flight;
    std::size_t flight_bytes = 0;
  };

  template <class Out, class... Args>
  caf::result<Out> take(std::size_t charge, bool reads, Args... args);
  // The connected node that has least to do and room for the job; not the one that just failed it, if there is another.
  std::optional<std::size_t> pick(const job& j) const;
  void dispatch();
  job_ptr completed(std::size_t at, std::uint64_t flight);
  void failed(std::size_t at, const job_ptr& j, const error& e);
  void again(const job_ptr& j);
  void connect(std::size_t at);
  void resolved(std::size_t at, result<std::vector<socket_address>> found);
  void open_link(std::size_t at);
  void link_down(const caf::down_msg& down);
  void connection_lost(std::size_t at, const std::string& why);
  std::size_t connected_nodes() const;
  void none_connected();
  error unreachable() const;
  void end(const caf::error& reason);

  self_pointer self = nullptr;
  remote_store_options options;
  std::vector<node> nodes;
  std::deque<job_ptr> waiting;
  caf::actor resolver;                     // detached; there when a host is a name
  bool given_up = false;                   // none could be reached for so long that requests fail at once
  std::uint64_t outage = 0;                // counts the times that no node was connected
  std::uint64_t last_flight = 0;
  std::size_t turn = 0;                    // who comes first among equals
};

// The middleman must be loaded.
remote_store_state::actor_type::behavior_type remote_store(remote_store_state::self_pointer self,
                                                           remote_store_options options);

}  // namespace mutant
