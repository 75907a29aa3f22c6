#include "actors/node_server.hpp"

#include <algorithm>

#include "actors/spawn.hpp"

namespace mutant {

namespace {

using listener_pointer = caf::stateful_actor<node_listener_state, caf::io::broker>*;

void accept(listener_pointer self, const caf::io::new_connection_msg& connection) {
  auto& s = self->state;
  auto report = s.reports->at(connection.handle);
  if (s.draining || s.sessions.size() >= s.options.max_connections) {
    tell(s.options.session.log, log_level::warning, "connection refused",
         {{"peer", report->peer}, {"reason", "there are " + std::to_string(s.sessions.size()) + " connections already"}});
    report->abort = true;
    self->close(connection.handle);
    return;
  }
  auto session = self->fork(guarded(node_session), connection.handle, s.options.session, std::move(report));
  self->monitor(session);
  s.sessions.emplace(session->address(), session);
}

void end(listener_pointer self, const caf::error& reason) {
  for (auto& [address, session] : self->state.sessions)
    self->send_exit(session, reason);
  self->quit(reason);
}

void end_if_drained(listener_pointer self) {
  auto& s = self->state;
  if (!s.draining || !s.sessions.empty())
    return;
  for (auto& promise : std::exchange(s.stopping, {}))
    promise.deliver(done{});
  self->quit();
}

caf::behavior node_listener(listener_pointer self, const node_listener_options& options) {
  auto& state = self->state;
  state.options = options;
  self->add_doorman(make_doorman(self->system(), options.descriptor, options.tls, state.reports));
  self->monitor(options.session.node);
  self->set_down_handler([self](caf::down_msg& down) {
    auto& s = self->state;
    if (s.sessions.erase(down.source) == 0 && down.source == s.options.session.node.address())
      end(self, down.reason);
    else
      end_if_drained(self);
  });
  self->set_exit_handler([self](caf::exit_msg& exit) { end(self, exit.reason); });
  return {
      [self](const caf::io::new_connection_msg& connection) { accept(self, connection); },
      [](const caf::io::acceptor_closed_msg&) {},
      [self](caf::close_atom) {
        auto& s = self->state;
        s.stopping.push_back(self->make_response_promise());
        if (!std::exchange(s.draining, true)) {
          self->close_all();  // the sessions have taken their connections along
          for (auto& [address, session] : s.sessions)
            self->send(session, caf::close_atom_v);
        }
        end_if_drained(self);
      },
  };
}

result<socket_address> address_of(const host_port& where) {
  auto found = resolve(where);
  if (!found)
    return fail(found.error());
  if (found->empty())
    return fail(errc::unreachable, "the host " + where.host + " has no address");
  return found->front();
}

}  // namespace

result<node_server> node_server::start(caf::actor_system& system, node_server_options options) {
  if (!system.has_middleman())
    return fail(errc::unsupported, "this actor system has no middleman; make it from mutant::system_config(\"caf://…\")");
  if (auto ready = init_crypto(); !ready)
    return fail(ready.error());
  if (auto valid = options.node.validate(); !valid)
    return fail(valid.error());
  auto address = address_of(options.listen);
  if (!address)
    return fail(address.error());
  if (!options.tls.given() && !options.insecure && !address->loopback)
    return fail(errc::invalid_argument,
                "others can connect to " + address->text + ", and without TLS anybody who does may read and fill this store: "
                    "give --tls-cert, --tls-key and --tls-ca (mutant node --make-certs DIR makes them), or --insecure");
  node_listener_options listener;
  if (options.tls.given()) {
    auto tls = tls_context::load(options.tls, tls_role::node);
    if (!tls)
      return fail(tls.error());
    listener.tls = std::move(*tls);
  }
  auto socket = listen_on(*address);
  if (!socket)
    return fail(socket.error());

  node_server server;
  server.system_ = &system;
  server.port_ = socket->port;
  server.address_ = address->text.substr(0, address->text.rfind(':') + 1) + std::to_string(socket->port);
  server.node_ = mutant::start(system, mutant::node, options.node);

  auto& session = listener.session;
  session.node = server.node_;
  session.greeting.id = wire::random_peer_id();
  session.greeting.applications = {"generic-caf-app"};   // what CAF's own clients expect
  session.greeting.actor = server.node_.id();
  const auto messages = system.message_types<pad_store_actor>();
  session.greeting.interface.assign(messages.begin(), messages.end());
  session.window_bytes = options.window_bytes != 0
                             ? options.window_bytes
                             : std::clamp<std::uint64_t>(options.node.max_pending_bytes / 8, 8u << 20, 32u << 20);
  session.budget = std::make_shared<session_budget>(
      options.transfer_bytes != 0 ? options.transfer_bytes
                                  : std::clamp<std::uint64_t>(options.node.max_pending_bytes / 2, 16u << 20, 128u << 20));
  session.greeting_timeout = options.greeting_timeout;
  session.transfer_timeout = options.transfer_timeout;
  session.log = options.log;
  listener.max_connections = options.max_connections;
  listener.descriptor = socket->descriptor;
  server.listener_ = system.middleman().spawn_broker(guarded(node_listener), std::move(listener));
  return server;
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
