#include "actors/node/node_server.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "actors/caf/spawn.hpp"

namespace mutant {

namespace {

using listener_pointer = node_listener_state::self_pointer;

constexpr std::chrono::milliseconds pressure_look{100};      // how often who does not move is looked for
constexpr std::chrono::milliseconds starved_pause{20};       // of accepting, without descriptors
constexpr int starved_places = 8;                            // that are made meanwhile
constexpr std::chrono::milliseconds max_look_time{5'000};     // between looks at the clock
constexpr unsigned handshake_burst = 64;
constexpr std::chrono::milliseconds silent_look{10};         // at those who have not begun to shake hands

session_budget::limits budget(std::uint64_t limit_bytes, std::uint64_t reserve_bytes) {
  session_budget::limits out;
  out.limit_bytes = limit_bytes;
  out.reserve_bytes = reserve_bytes;
  return out;
}

}  // namespace

void node_listener_state::start(self_pointer me, std::shared_ptr<node_listener_options> o) {
  self = me;
  options = std::move(o);
  const auto out = [this](node_admission::id who, const std::string& why) { show_out(who, why); };
  commons.reset(new session_commons{node_admission(options->admission, out),
                                    session_budget(budget(options->transfer_bytes / 2, max_record_bytes)),
                                    session_budget(budget(options->transfer_bytes, 0)), log_limiter(options->log)});
  options->session.commons = commons;
  // Called by sessions, in this thread but not in this actor's turn.
  const auto watch = [this, me_again = caf::actor_cast<caf::actor_addr>(self)] {
    if (std::exchange(watching, true))
      return;
    if (auto there = caf::actor_cast<caf::actor>(me_again))
      caf::anon_send(there, deferred{[this] { watch_pressure(); }});
  };
  commons->incoming.on_pressure = commons->outgoing.on_pressure = watch;
  if (*options->tls)
    handshakes.emplace(options->handshakes_per_second, handshake_burst, self->clock().now());
  auto accepting = make_doorman(self->system(), std::move(options->socket), door);
  doorman = accepting->hdl();
  self->add_doorman(std::move(accepting));
  self->monitor(options->session.node);
  look_at_clock();
}

namespace {

// Whether a client has begun to speak.
peer_state state_of(const accepted_connection& connection) {
  char first = 0;
  const auto got = ::recv(connection.socket.get(), &first, 1, MSG_PEEK | MSG_DONTWAIT);
  if (got > 0)
    return peer_state::ready;
  return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) ? peer_state::silent : peer_state::gone;
}

}  // namespace

void node_listener_state::look_into_doorway() {
  while (!door->accepted.empty()) {
    auto connection = std::move(door->accepted.front());
    door->accepted.pop_front();
    if (draining)
      continue;
    const auto who = commons->admission.arrive(connection.address);
    if (handshakes) {
      const auto address = connection.address;
      handshakes->push(address, who, std::move(connection));
    } else {
      open_session(who, std::move(connection));
    }
  }
  if (handshakes)
    begin_handshakes();
  if (const auto number = std::exchange(door->failure, 0); number != 0)
    out_of_descriptors(number);
  else
    starved = false;
}

void node_listener_state::begin_handshakes() {
  const auto look = [this](node_admission::id who, const accepted_connection& connection) {
    const auto state = state_of(connection);
    if (state == peer_state::gone)
      commons->admission.leave(who);
    return state;
  };
  while (auto next = handshakes->next(self->clock().now(), look)) {
    commons->admission.begun(next->first);
    open_session(next->first, std::move(next->second));
  }
  if (handshakes->empty() || std::exchange(handshake_timer, true))
    return;
  const auto now = self->clock().now();
  self->delayed_send(self, std::max(handshakes->next_time(), now + silent_look) - now, deferred{[this] {
                       handshake_timer = false;
                       begin_handshakes();
                     }});
}

void node_listener_state::open_session(node_admission::id who, accepted_connection connection) {
  auto report = std::make_shared<connection_report>();
  auto scribe = make_node_scribe(self->system(), std::move(connection), *options->tls, report);
  if (!scribe)
    return commons->admission.leave(who);
  const auto handle = (*scribe)->hdl();
  self->add_scribe(std::move(*scribe));
  auto mine = options->session;
  mine.id = who;
  auto session = self->fork(guarded(node_session), handle, std::move(mine), std::move(report));
  self->monitor(session);
  ids.emplace(session->address(), who);
  sessions.emplace(who, std::move(session));
}

void node_listener_state::show_out(node_admission::id who, const std::string& why) {
  if (handshakes && handshakes->drop(who))
    return commons->log.write(log_level::info, "connection refused", {{"reason", why}}, self->clock().now());
  if (const auto found = sessions.find(who); found != sessions.end())
    caf::anon_send(found->second, caf::close_atom_v, why);
}

void node_listener_state::out_of_descriptors(int number) {
  const auto now = self->clock().now();
  if (!std::exchange(starved, true))
    commons->log.write(log_level::error, "no more connections can be accepted for now",
                       {{"error", errno_error(number, "accepting").message},
                        {"connections", std::to_string(sessions.size())},
                        {"advice", "raise the limit of open files (ulimit -n), or lower --max-connections"}}, now);
  for (int i = 0; i < starved_places; ++i)
    commons->admission.make_room("there are no descriptors left");
  self->halt(doorman);
  self->delayed_send(self, starved_pause, deferred{[this] {
                       if (!draining)
                         self->trigger(doorman);
                     }});
}

// Somebody waits for room: whoever holds some and does not move has to go.
void node_listener_state::watch_pressure() {
  const auto now = self->clock().now();
  for (auto* budget : {&commons->incoming, &commons->outgoing})
    if (budget->waiting())
      for (const auto who : budget->slow(now))
        show_out(who, budget == &commons->incoming ? "it did not send its record while others waited for room"
                                                   : "it did not take an answer while others waited for room");
  watching = commons->incoming.waiting() || commons->outgoing.waiting();
  if (watching)
    self->delayed_send(self, pressure_look, deferred{[this] { watch_pressure(); }});
}

void node_listener_state::look_at_clock() {
  commons->log.flush(self->clock().now());
  for (auto& [id, session] : sessions)
    self->send(session, look_atom::value);
  const auto& mine = options->session;
  self->delayed_send(self, std::min({max_look_time, mine.transfer_timeout / 4, mine.greeting_timeout / 4}),
                     deferred{[this] { look_at_clock(); }});
}

void node_listener_state::session_down(const caf::actor_addr& who) {
  const auto found = ids.find(who);
  if (found == ids.end())
    return;
  commons->admission.leave(found->second);
  sessions.erase(found->second);
  ids.erase(found);
  end_if_drained();
}

void node_listener_state::drain() {
  stopping.push_back(self->make_response_promise());
  if (!std::exchange(draining, true)) {
    self->close_all();  // the sessions have taken their connections along
    if (handshakes)
      handshakes->clear();
    for (auto& [id, session] : sessions)
      self->send(session, caf::close_atom_v);
  }
  end_if_drained();
}

void node_listener_state::end_if_drained() {
  if (!draining || !sessions.empty())
    return;
  for (auto& promise : std::exchange(stopping, {}))
    promise.deliver(done{});
  end(caf::error());
}

void node_listener_state::end(const caf::error& reason) {
  commons->log.flush(self->clock().now(), true);
  for (auto& [id, session] : sessions)
    self->send_exit(session, reason);
  self->quit(reason);
}

// Sessions live a moment longer.
node_listener_state::~node_listener_state() {
  if (!commons)
    return;
  commons->admission.forget_listener();
  commons->incoming.on_pressure = commons->outgoing.on_pressure = nullptr;
}

namespace {

caf::behavior node_listener(listener_pointer self, std::shared_ptr<node_listener_options> options) {
  self->state.start(self, std::move(options));
  self->set_down_handler([self](caf::down_msg& down) {
    if (down.source == self->state.options->session.node.address())
      self->state.end(down.reason);
    else
      self->state.session_down(down.source);
  });
  self->set_exit_handler([self](caf::exit_msg& exit) { self->state.end(exit.reason); });
  return {
      [self](const caf::io::new_connection_msg&) { self->state.look_into_doorway(); },
      [](const caf::io::acceptor_closed_msg&) {},
      [self](caf::close_atom) { self->state.drain(); },
      [](deferred& later) { later.run(); },
  };
}

result<std::shared_ptr<tls_context_ptr>> load_context(const tls_files& files, const tls_allow_list& allow) {
  auto out = std::make_shared<tls_context_ptr>();
  if (!files.given())
    return out;
  auto loaded = tls_context::load(files, tls_role::node, allow);
  if (!loaded)
    return fail(loaded.error());
  *out = std::move(*loaded);
  return out;
}

}  // namespace

result<node_server> node_server::start(caf::actor_system& system, node_server_options options) {
  if (!system.has_middleman())
    return fail(errc::unsupported, "this actor system has no middleman; make it from mutant::system_config(\"caf://…\")");
  if (auto ready = init_crypto(); !ready)
    return fail(ready.error());
  if (auto valid = options.node.validate(); !valid)
    return fail(valid.error());
  auto loopback = is_loopback_only(options.listen);
  if (!loopback)
    return fail(loopback.error());
  if (!options.tls.given() && !options.insecure && !*loopback)
    return fail(errc::invalid_argument,
                "others can connect to " + options.listen.host + ", and without TLS anybody who does may read and fill this "
                    "store: give --tls-cert, --tls-key and --tls-ca (mutant node --make-certs DIR makes them), or --insecure");
  if (!options.tls_allow.empty() && !options.tls.given())
    return fail(errc::invalid_argument, "a list of allowed clients is of no use without TLS: give certificates, too");
  auto context = load_context(options.tls, options.tls_allow);
  if (!context)
    return fail(context.error());
  auto socket = listen_on(options.listen);
  if (!socket)
    return fail(socket.error());

  node_server server;
  server.system_ = &system;
  server.tls_ = options.tls;
  server.allow_ = options.tls_allow;
  server.context_ = *context;
  server.port_ = socket->port;
  server.address_ = socket->host + ":" + std::to_string(socket->port);
  auto node = mutant::start(system, mutant::node, options.node);
  server.node_ = node;

  auto listener = std::make_shared<node_listener_options>();
  auto& session = listener->session;
  session.node = node;
  session.greeting.id = wire::random_peer_id();
  session.greeting.applications = {"generic-caf-app"};   // what CAF's own clients expect
  session.greeting.actor = server.node_.id();
  const auto messages = system.message_types<node_interface_actor>();
  session.greeting.interface.assign(messages.begin(), messages.end());
  session.window_bytes = options.window_bytes != 0
                             ? options.window_bytes
                             : std::clamp<std::uint64_t>(options.node.max_pending_bytes / 8, 8u << 20, 32u << 20);
  session.greeting_timeout = options.greeting_timeout;
  session.transfer_timeout = options.transfer_timeout;
  listener->transfer_bytes = options.transfer_bytes != 0
                                 ? options.transfer_bytes
                                 : std::clamp<std::uint64_t>(options.node.max_pending_bytes / 2, 16u << 20, 128u << 20);
  listener->admission.max_sessions = options.max_connections;
  listener->admission.max_per_address = listener->admission.max_per_certificate = options.max_per_client;
  listener->admission.max_newcomers = options.max_newcomers;
  listener->admission.max_newcomers_per_address = std::max<std::size_t>(1, options.max_newcomers / 2);
  listener->handshakes_per_second = options.handshakes_per_second;
  listener->log = options.log;
  listener->socket = std::move(socket->socket);
  listener->tls = *context;
  server.listener_ = system.middleman().spawn_broker(guarded(node_listener), std::move(listener));
  return server;
}

result<void> node_server::reload_certificates() {
  if (!tls_.given())
    return {};
  auto loaded = load_context(tls_, allow_);
  if (!loaded)
    return fail(loaded.error());
  caf::anon_send(listener_, deferred{[now = context_, next = **loaded] { *now = next; }});
  return {};
}

bool node_server::stop(std::chrono::milliseconds patience) {
  auto in_order = false;
  {
    caf::scoped_actor self{*system_};
    self->request(listener_, patience, caf::close_atom_v)
        .receive([&](done) { in_order = true; }, [&](caf::error&) {});
    self->send_exit(listener_, caf::exit_reason::user_shutdown);
    self->send_exit(node_, caf::exit_reason::user_shutdown);
  }
  listener_ = nullptr;
  node_ = nullptr;
  return in_order;
}

}  // namespace mutant
