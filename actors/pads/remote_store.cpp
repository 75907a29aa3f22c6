#include "actors/pads/remote_store.hpp"

#include <algorithm>

#include "actors/caf/spawn.hpp"
#include "core/engine/write_rule.hpp"
#include "core/outcome.hpp"

namespace mutant {

namespace {

using self_pointer = remote_store_state::self_pointer;
using runner_actor = caf::typed_actor<reacts_to<deferred>>;

std::string name_of(const host_port& where) {
  const auto v6 = where.host.find(':') != std::string::npos;
  return (v6 ? "[" + where.host + "]" : where.host) + ":" + std::to_string(where.port);
}

std::string text_of(std::chrono::milliseconds time) {
  return time.count() % 1000 == 0 ? std::to_string(time.count() / 1000) + " s" : std::to_string(time.count()) + " ms";
}

// Detached: what it runs may block.
runner_actor::behavior_type runner(runner_actor::pointer) {
  return {[](deferred& work) { work.run(); }};
}

constexpr std::chrono::milliseconds first_overload_pause{25};
constexpr std::chrono::milliseconds max_overload_pause{1'000};

// Half to all of it, so that clients do not come back together.
std::chrono::milliseconds jittered(std::chrono::milliseconds pause) {
  const auto half = pause.count() / 2;
  return std::chrono::milliseconds(half + static_cast<std::int64_t>(random_u64() % static_cast<std::uint64_t>(half + 1)));
}

// How many answers to this request were no good.
template <class T>
unsigned refused_before(const T&) noexcept {
  return 0;
}
unsigned refused_before(const pad_query& query) noexcept {
  return query.refused;
}

}  // namespace

result<void> remote_store_options::validate() const {
  if (hosts.empty())
    return fail(errc::invalid_argument, "a remote store needs a host");
  for (auto time : {connect_timeout, unreachable_after, stall_timeout, answer_timeout, request_timeout, first_pause})
    if (time.count() <= 0 || time > std::chrono::hours(24))
      return fail(errc::invalid_argument, "a remote store's times are above zero and at most a day");
  if (max_pause < first_pause || max_flight == 0 || max_flight_bytes == 0 || max_waiting == 0 || max_tries == 0)
    return fail(errc::invalid_argument, "a remote store needs room for one request, one try, and ordered pauses");
  return {};
}

// -- requests ----------------------------------------------------------------------------------------------------------------

template <class Out, class... Args>
caf::result<Out> remote_store_state::take(std::size_t charge, bool reads, Args... args) {
  if (given_up)
    return to_caf(unreachable());
  if (waiting.size() >= options.max_waiting)
    return to_caf({errc::overloaded, std::to_string(waiting.size()) + " requests wait for the nodes; try again later"});
  auto promise = self->template make_response_promise<Out>();
  auto j = std::make_shared<job>();
  j->charge = charge;
  j->reads = reads;
  if (const auto refused = (0u + ... + refused_before(args)); refused > 0)
    j->rather_at = (refused - 1) % nodes.size();
  j->started = self->clock().now();
  j->fail = [promise](const error& e) mutable { promise.deliver(to_caf(e)); };
  j->go = [this, promise, args...](std::size_t at, const job_ptr& me) {
    // Without a timer: the link answers in time, or goes down, and with it all that is in flight.
    const auto flight = ++last_flight;
    nodes[at].in_flight.emplace(flight, me);
    self->request(caf::actor_cast<pad_store_actor>(nodes[at].link), caf::infinite, args...)
        .then(
            [this, promise, at, flight](Out& out) mutable {
              if (!completed(at, flight))
                return;
              promise.deliver(std::move(out));
              dispatch();
            },
            [this, at, flight](caf::error& e) {
              if (auto done_job = completed(at, flight)) {
                failed(at, done_job, from_caf(e));
                dispatch();
              }
            });
  };
  waiting.push_back(std::move(j));
  dispatch();
  return promise;
}

std::optional<std::size_t> remote_store_state::pick(const job& j) const {
  auto has_room = [&](const node& n) {
    const auto flight = n.in_flight.size();
    return flight == 0 || (flight < options.max_flight && n.flight_bytes + j.charge <= options.max_flight_bytes);
  };
  if (j.rather_at && j.rather_at != j.not_at && nodes[*j.rather_at].connected)
    return has_room(nodes[*j.rather_at]) ? j.rather_at : std::nullopt;
  const auto others = std::ranges::any_of(nodes, [&](const node& n) {
    return n.connected && j.not_at != static_cast<std::size_t>(&n - nodes.data());
  });
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const auto at = (turn + i) % nodes.size();
    const auto& n = nodes[at];
    if (!n.connected || (others && j.not_at == at) || !has_room(n))
      continue;
    auto load = [](const node& of) { return std::pair(of.flight_bytes, of.in_flight.size()); };
    if (!best || load(n) < load(nodes[*best]))
      best = at;
  }
  return best;
}

void remote_store_state::dispatch() {
  while (!waiting.empty()) {
    const auto at = pick(*waiting.front());
    if (!at)
      return;
    auto j = std::move(waiting.front());
    waiting.pop_front();
    turn = *at + 1;
    nodes[*at].flight_bytes += j->charge;
    j->go(*at, j);
  }
}

// Nothing: its link went down before, and that was its answer.
remote_store_state::job_ptr remote_store_state::completed(std::size_t at, std::uint64_t flight) {
  auto found = nodes[at].in_flight.extract(flight);
  if (!found)
    return nullptr;
  nodes[at].flight_bytes -= found.mapped()->charge;
  return found.mapped();
}

void remote_store_state::failed(std::size_t at, const job_ptr& j, const error& e) {
  const auto may_pass = is_transient(e.code);
  // A node that says so of a write speaks of our record.
  const auto wrong_answer = (e.code == errc::corrupt_record || e.code == errc::unsupported) && j->reads;
  const auto in_time = self->clock().now() - j->started < options.request_timeout;
  if (!(may_pass || wrong_answer) || !in_time)
    return j->fail(e);
  if (given_up)
    return j->fail(unreachable());
  j->not_at = at;
  if (e.code == errc::overloaded) {
    j->pause = std::clamp(j->pause * 2, first_overload_pause, max_overload_pause);
    self->delayed_send(self, jittered(j->pause), deferred{[this, j] { again(j); }});
    return;
  }
  if (++j->tries >= options.max_tries)
    return j->fail(e);
  const auto elsewhere = std::ranges::any_of(nodes, [&](const node& n) { return n.connected && &n != &nodes[at]; });
  if (elsewhere)
    return waiting.push_front(j);
  // Its link may be going down, and not have said so yet: tries must not be used up on that.
  self->delayed_send(self, options.first_pause, deferred{[this, j] { again(j); }});
}

void remote_store_state::again(const job_ptr& j) {
  if (given_up)
    return j->fail(unreachable());
  waiting.push_front(j);
  dispatch();
}

// -- connections -------------------------------------------------------------------------------------------------------------

void remote_store_state::connect(std::size_t at) {
  auto& n = nodes[at];
  n.addresses = resolve_numeric(n.where);
  if (!n.addresses.empty())
    return open_link(at);
  if (!resolver)
    resolver = caf::actor_cast<caf::actor>(start<caf::detached + caf::linked>(*self, runner));
  auto look_up = [this, at, where = n.where, asking = caf::actor_cast<caf::actor>(self)] {
    auto found = std::make_shared<result<std::vector<socket_address>>>(resolve(where));
    caf::anon_send(asking, deferred{[this, at, found] { resolved(at, std::move(*found)); }});
  };
  self->send(caf::actor_cast<runner_actor>(resolver), deferred{std::move(look_up)});
}

void remote_store_state::resolved(std::size_t at, result<std::vector<socket_address>> found) {
  if (!found || found->empty())
    return connection_lost(at, nodes[at].name + ": " + (found ? "it has no address" : found.error().message));
  nodes[at].addresses = std::move(*found);
  open_link(at);
}

void remote_store_state::open_link(std::size_t at) {
  auto& n = nodes[at];
  const auto& address = n.addresses[n.next_address++ % n.addresses.size()];
  remote_link_options link;
  link.name = n.name;
  link.report = std::make_shared<connection_report>();
  link.greeting_timeout = options.connect_timeout;
  link.stall_timeout = options.stall_timeout;
  link.answer_timeout = options.answer_timeout;
  link.request_timeout = options.request_timeout;
  auto scribe = start_connecting(self->system(), address, options.tls, n.where.host, link.report);
  if (!scribe)
    return connection_lost(at, n.name + ": " + scribe.error().message);
  link.scribe = std::move(*scribe);
  n.link = self->system().middleman().spawn_broker(guarded(remote_link), std::move(link));
  self->monitor(n.link);
  // An error is followed by the link's end.
  self->request(n.link, options.connect_timeout + std::chrono::seconds(5), open_atom_v)
      .then(
          [this, at, link_now = n.link->address()](done) {
            auto& there = nodes[at];
            if (!there.link || there.link->address() != link_now)
              return;
            there.connected = true;
            there.connected_since = self->clock().now();
            there.trouble.clear();
            given_up = false;
            dispatch();
          },
          [](caf::error&) {});
}

void remote_store_state::link_down(const caf::down_msg& down) {
  for (std::size_t at = 0; at < nodes.size(); ++at)
    if (nodes[at].link && nodes[at].link->address() == down.source)
      return connection_lost(at, from_caf(down.reason).message);
}

void remote_store_state::connection_lost(std::size_t at, const std::string& why) {
  auto& n = nodes[at];
  const auto was_connected = std::exchange(n.connected, false);
  n.link = nullptr;
  n.trouble = why;
  // Where idle connections give way, clients that all come back at once would show each other out for ever.
  const auto lasted = was_connected && self->clock().now() - n.connected_since > options.max_pause;
  n.pause = std::clamp(lasted ? options.first_pause : n.pause * 2, options.first_pause, options.max_pause);
  self->delayed_send(self, n.pause, deferred{[this, at] { connect(at); }});
  if (was_connected && connected_nodes() == 0)
    none_connected();
  // A message that reaches a broker while it ends may never be answered.
  n.flight_bytes = 0;
  for (auto& [flight, j] : std::exchange(n.in_flight, {}))
    failed(at, j, {errc::unreachable, why});
  dispatch();
}

std::size_t remote_store_state::connected_nodes() const {
  return static_cast<std::size_t>(std::ranges::count(nodes, true, &node::connected));
}

void remote_store_state::none_connected() {
  const auto which = ++outage;
  self->delayed_send(self, options.unreachable_after, deferred{[this, which] {
                       if (which != outage || connected_nodes() != 0)
                         return;
                       given_up = true;
                       for (auto& j : std::exchange(waiting, {}))
                         j->fail(unreachable());
                     }});
}

error remote_store_state::unreachable() const {
  std::string text = nodes.size() == 1 ? "the node could not be reached" : "none of the nodes could be reached";
  text += " within " + text_of(options.unreachable_after) + " (";
  for (const auto& n : nodes)
    text += (&n == &nodes.front() ? "" : "; ") + (n.trouble.empty() ? n.name : n.trouble);
  return {errc::unreachable, text + ")"};
}

void remote_store_state::end(const caf::error& reason) {
  for (auto& j : std::exchange(waiting, {}))
    j->fail({errc::unreachable, "the store is closed"});
  for (auto& n : nodes)
    if (n.link)
      self->send_exit(n.link, reason);
  self->quit(reason);
}

remote_store_state::actor_type::behavior_type remote_store(self_pointer self, remote_store_options options) {
  auto& s = self->state;
  s.self = self;
  s.options = std::move(options);
  for (const auto& where : s.options.hosts) {
    remote_store_state::node n;
    n.where = where;
    n.name = name_of(where);
    s.nodes.push_back(std::move(n));
  }
  self->set_down_handler([self](caf::down_msg& down) { self->state.link_down(down); });
  self->set_exit_handler([self](caf::exit_msg& exit) { self->state.end(exit.reason); });
  for (std::size_t at = 0; at < s.nodes.size(); ++at)
    s.connect(at);
  s.none_connected();
  return {
      [self](put_atom atom, bytes& record) {
        const auto size = record.size();
        return self->state.take<done>(size, false, atom, std::move(record));
      },
      [self](put_atom atom, room_atom, bytes& record) {
        const auto size = record.size();
        return self->state.take<done>(size, false, atom, std::move(record));
      },
      [self](get_atom atom, pad_query query) { return self->state.take<bytes>(max_record_bytes, true, atom, query); },
      [self](head_atom atom, pad_query query) { return self->state.take<bytes>(record_header_bytes, true, atom, query); },
      [self](erase_atom atom, bytes& blank) -> caf::result<done> {
        if (auto good = parse_blank(blank); !good)  // a node would say so too, but that code is not believed of one
          return to_caf(good.error());
        const auto size = blank.size();
        return self->state.take<done>(size, false, atom, std::move(blank));
      },
      [self](stats_atom atom) { return self->state.take<pad_store_stats>(record_header_bytes, true, atom); },
      [](trim_atom) { return std::uint64_t{0}; },
      [](deferred& later) { later.run(); },
  };
}

}  // namespace mutant
