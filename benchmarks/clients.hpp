// Closed-loop load: so many clients as actors, each with one request under way, until a time is over or the work is done.
//
//   auto run = run_clients(system, 64, seconds, count, [store](auto* self, std::uint64_t number, auto answered) {
//     self->request(store, caf::infinite, …).then([answered](T&) { answered(); }, or_end());
//   });
//
// Shape: every client writes into a slot of its own; the slots are read when all clients have ended. Requests have no timer:
// what is compared with each other here is asked the same way, and a bare CAF request has none.
#pragma once

#include <caf/all.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "actors/messages.hpp"
#include "benchmarks/support.hpp"

namespace mutant::bench {

struct client_run {
  double seconds = 0;                      // from the first request to the last answer
  double cpu = 0;                          // seconds of CPU that the whole process used meanwhile
  std::uint64_t requests = 0;
  std::vector<std::uint32_t> latencies_ns;

  double rate() const { return static_cast<double>(requests) / seconds; }
  double cpu_us() const { return cpu * 1e6 / static_cast<double>(requests); }
  double milliseconds(double part) { return percentile(latencies_ns, part) / 1e6; }
};

// The error handler of a benchmark's request: nothing it measures is worth anything after an error.
inline auto or_end(const char* doing) {
  return [doing](caf::error& e) {
    std::fprintf(stderr, "%s: %s\n", doing, to_string(from_caf(e)).c_str());
    std::exit(1);
  };
}

namespace detail {

struct client_plan {
  steady::time_point stop;
  std::uint64_t first = 0, last = 0;       // numbers of the requests that this client may make
};

struct client_slot {
  std::vector<std::uint32_t> latencies_ns;
};

template <class Issue>
struct client_state {
  static inline const char* name = "client";
  client_plan plan;
  client_slot* slot = nullptr;
  std::optional<Issue> issue;
  steady::time_point started;
};

template <class Issue>
void next_request(caf::stateful_actor<client_state<Issue>>* self) {
  auto& s = self->state;
  if (s.plan.first == s.plan.last)
    return self->quit();
  (*s.issue)(self, s.plan.first++, [self] {
    auto& now = self->state;
    const auto answered = steady::now();
    const auto took = std::chrono::duration_cast<std::chrono::nanoseconds>(answered - now.started).count();
    now.slot->latencies_ns.push_back(static_cast<std::uint32_t>(std::min<std::int64_t>(took, UINT32_MAX)));
    now.started = answered;
    if (answered >= now.plan.stop)
      return self->quit();
    next_request(self);
  });
}

template <class Issue>
caf::behavior closed_loop_client(caf::stateful_actor<client_state<Issue>>* self, client_plan plan, client_slot* slot,
                                 Issue issue) {
  self->state.plan = plan;
  self->state.slot = slot;
  self->state.issue.emplace(std::move(issue));
  self->state.started = steady::now();
  next_request(self);
  return {[](caf::unit_t) {}};
}

}  // namespace detail

// `count` requests at most, dealt out to the clients in equal runs of numbers from `first`; no new one after `seconds`.
template <class Issue>
client_run run_clients(caf::actor_system& system, std::size_t clients, double seconds, std::uint64_t count, Issue issue,
                       std::uint64_t first = 0) {
  std::vector<detail::client_slot> slots(clients);
  std::vector<caf::actor> all;
  caf::scoped_actor self{system};
  const auto cpu = cpu_seconds();
  const auto start = steady::now();
  const auto stop = start + std::chrono::duration_cast<steady::duration>(std::chrono::duration<double>(seconds));
  for (std::size_t i = 0; i < clients; ++i) {
    const detail::client_plan plan{stop, first + count * i / clients, first + count * (i + 1) / clients};
    all.push_back(system.spawn(detail::closed_loop_client<Issue>, plan, &slots[i], issue));
  }
  for (auto& client : all)
    self->wait_for(client);
  client_run out;
  out.seconds = seconds_since(start);
  out.cpu = cpu_seconds() - cpu;
  for (auto& slot : slots) {
    out.latencies_ns.insert(out.latencies_ns.end(), slot.latencies_ns.begin(), slot.latencies_ns.end());
    out.requests += slot.latencies_ns.size();
  }
  return out;
}

// The bare exchange: an actor that answers a number with it.
using echo_actor = caf::typed_actor<caf::replies_to<get_atom, std::uint64_t>::with<std::uint64_t>>;

inline echo_actor::behavior_type echo(echo_actor::pointer) {
  return {[](get_atom, std::uint64_t number) { return number; }};
}

inline client_run bare_exchange(caf::actor_system& system, std::size_t clients, double seconds) {
  auto server = system.spawn(echo);
  auto run = run_clients(system, clients, seconds, std::uint64_t{1} << 40, [server](auto* self, std::uint64_t number,
                                                                                     auto answered) {
    self->request(server, caf::infinite, get_atom_v, number).then([answered](std::uint64_t) { answered(); },
                                                                  or_end("a bare exchange"));
  });
  caf::anon_send_exit(server, caf::exit_reason::user_shutdown);
  return run;
}

}  // namespace mutant::bench
