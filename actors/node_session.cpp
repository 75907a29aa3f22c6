#include "actors/node_session.hpp"

namespace mutant {

namespace {

constexpr std::size_t read_bytes = 128 * 1024;
constexpr std::chrono::seconds longest_tick{10};
constexpr std::uint64_t refusals_told = 20;   // of each connection; a flood must not fill the log

bool is_bad_faith(errc code) noexcept {
  return code == errc::bad_signature || code == errc::corrupt_record || code == errc::invalid_argument;
}

}  // namespace

void node_session_state::start(self_pointer me, caf::io::connection_handle on, node_session_options o,
                               connection_report_ptr r) {
  self = me;
  connection = on;
  options = std::move(o);
  report = std::move(r);
  unsent_since = self->clock().now();
  self->ack_writes(connection, true);
  self->configure_read(connection, caf::io::receive_policy::at_most(read_bytes));
  self->trigger(connection, 1);
  self->delayed_send(self, options.greeting_timeout, deferred{[this] {
                       if (!greeted)
                         close("no greeting within " + std::to_string(options.greeting_timeout.count() / 1000) + " s",
                               log_level::warning);
                     }});
  tick();
}

// A client may speak before the message that the connection stands; our greeting goes first either way.
void node_session_state::connected() {
  if (std::exchange(has_greeted, true))
    return;
  out.push(wire::greeting_of_server(options.greeting));
  out.pump(self, connection);
}

bool node_session_state::may_read() const {
  return !over && !draining && !admission && requests < options.max_requests
         && charged_bytes + out.unsent_bytes() < options.window_bytes;
}

// A record that came in at once needs no room: it is the node's by now.
void node_session_state::admit_incoming() {
  if (in.record_bytes() != 0 && incoming_bytes == 0 && !admission && !over)
    admit(in.record_bytes());
}

void node_session_state::admit(std::size_t size_bytes) {
  admission = options.budget->ask(caf::actor_cast<caf::actor>(self), size_bytes, [this] {
    if (over)
      return;
    admitted();
    read_on();
  });
  if (admission->granted)
    admitted();
}

void node_session_state::admitted() {
  const auto size = std::exchange(admission, nullptr)->size_bytes;
  if (!held) {
    incoming_bytes = size;
    incoming_since = self->clock().now();
    return;
  }
  reserved_bytes += size;
  const auto frame = std::move(*held);
  held.reset();
  ask<bytes>(frame.head, frame.what, {size, size}, get_atom_v, pad_query{frame.address});
}

void node_session_state::received(byte_view from) {
  connected();
  if (backlog_at == backlog.size()) {
    backlog.clear();
    backlog_at = 0;
    // The usual case: all of it can be taken in at once.
    while (may_read()) {
      auto frame = in.next(from);
      if (!frame)
        return close(frame.error().message, log_level::warning);
      if (!*frame)
        break;
      handle(std::move(**frame));
    }
  }
  backlog.insert(backlog.end(), from.begin(), from.end());
  admit_incoming();
  if (may_read())
    self->trigger(connection, 1);
  else
    halted = true;
}

void node_session_state::read_on() {
  byte_view from(backlog);
  from = from.subspan(backlog_at);
  while (may_read() && !from.empty()) {
    auto frame = in.next(from);
    if (!frame)
      return close(frame.error().message, log_level::warning);
    backlog_at = backlog.size() - from.size();
    if (*frame)
      handle(std::move(**frame));
  }
  admit_incoming();
  if (halted && may_read()) {
    halted = false;
    self->trigger(connection, 1);
  }
}

template <class Out, class... Args>
void node_session_state::ask(const wire::header& head, wire::content what, cost holds, Args&&... args) {
  ++requests;
  charged_bytes += holds.charge;
  self->request(options.node, caf::infinite, std::forward<Args>(args)...)
      .then(
          [this, head, holds](Out& out_value) {
            if constexpr (std::is_same_v<Out, bytes>) {
              auto front = wire::answer_record(head, out_value.size());
              answer(holds, std::move(front), std::move(out_value));
            } else if constexpr (std::is_same_v<Out, pad_store_stats>) {
              answer(holds, wire::answer_totals(head, {out_value.pads, out_value.record_bytes, out_value.disk_bytes}));
            } else {
              answer(holds, wire::answer_done(head));
            }
          },
          [this, head, what, holds](caf::error& e) { refuse(head, what, holds, from_caf(e)); });
}

void node_session_state::handle(wire::frame&& frame) {
  if (frame.head.kind == wire::frame_kind::client_greeting) {
    // CAF's own clients greet twice.
    if (!wire::parse_client_greeting(frame.payload))
      return close("it broke the protocol: its greeting is malformed", log_level::warning);
    if (!std::exchange(greeted, true))
      tell(options.log, log_level::info, "client connected", {{"peer", report->peer}, {"name", report->peer_name}});
    return;
  }
  if (!greeted || frame.head.target != options.greeting.actor || frame.number() == 0 || frame.head.source == 0
      || (frame.head.data & wire::response_flag) != 0)
    return close("it broke the protocol: a message to somebody else", log_level::warning);
  const auto size = frame.record.size();
  switch (frame.what) {
    case wire::content::put:
      options.budget->change(std::exchange(incoming_bytes, 0), 0);
      return ask<done>(frame.head, frame.what, {size, 0}, put_atom_v, std::move(frame.record));
    case wire::content::erase:
      options.budget->change(std::exchange(incoming_bytes, 0), 0);
      return ask<done>(frame.head, frame.what, {size, 0}, erase_atom_v, std::move(frame.record));
    case wire::content::get:
      held = std::move(frame);
      return admit(max_record_bytes);
    case wire::content::head:
      return ask<bytes>(frame.head, frame.what, {record_header_bytes, 0}, head_atom_v, pad_query{frame.address});
    default: return ask<pad_store_stats>(frame.head, frame.what, {record_header_bytes, 0}, stats_atom_v);
  }
}

void node_session_state::answer(cost holds, std::vector<std::byte> front, bytes body) {
  --requests;
  charged_bytes -= holds.charge;
  ++answered;
  if (over)
    return;
  if (out.unsent_bytes() == 0) {
    unsent_since = self->clock().now();
    taken_bytes = 0;
  }
  out.push(std::move(front), std::move(body));
  out.pump(self, connection);
  reserved_bytes -= holds.reserved;
  count_unsent(holds.reserved);
  read_on();
  end_if_drained();
}

void node_session_state::refuse(const wire::header& head, wire::content what, cost holds, const error& e) {
  if (is_bad_faith(e.code) && ++refused <= refusals_told)
    tell(options.log, log_level::warning, "refused a write",
         {{"peer", report->peer}, {"name", report->peer_name}, {"what", std::string(wire::name_of(what))},
          {"error", std::string(name_of(e.code))}, {"message", e.message}});
  answer(holds, wire::answer_failure(head, e));
}

void node_session_state::count_unsent(std::size_t given_back) {
  const auto before = std::exchange(unsent_bytes, out.unsent_bytes());
  options.budget->change(before + given_back, unsent_bytes);
}

void node_session_state::sent(std::uint64_t written, std::uint64_t left) {
  taken_bytes += static_cast<std::size_t>(written);
  if (taken_bytes >= max_record_bytes) {
    taken_bytes = 0;
    unsent_since = self->clock().now();
  }
  out.transferred(left);
  out.pump(self, connection);
  count_unsent(0);
  read_on();
  end_if_drained();
}

// Shared memory must not be held by somebody who does not move.
void node_session_state::tick() {
  if (over)
    return;
  const auto now = self->clock().now();
  const auto overdue = now - options.transfer_timeout;
  if (!may_read())
    incoming_since = now;  // it waits for us
  const auto limit = std::to_string(options.transfer_timeout.count() / 1000) + " s";
  if (incoming_bytes > 0 && incoming_since < overdue)
    return close("it did not send all of a record within " + limit, log_level::warning);
  if (out.unsent_bytes() > 0 && unsent_since < overdue)
    return close("it did not take an answer within " + limit, log_level::warning);
  const auto pause = std::min<std::chrono::milliseconds>(options.transfer_timeout / 4, longest_tick);
  self->delayed_send(self, pause, deferred{[this] { tick(); }});
}

void node_session_state::drain() {
  draining = true;
  end_if_drained();
}

void node_session_state::end_if_drained() {
  if (draining && !over && requests == 0 && out.unsent_bytes() == 0)
    close("the node stops", log_level::debug);
}

void node_session_state::close(const std::string& why, log_level level) {
  if (std::exchange(over, true))
    return;
  const auto what = greeted ? "client disconnected" : report->established ? "client refused" : "connection refused";
  tell(options.log, level, what,
       {{"peer", report->peer}, {"name", report->peer_name}, {"reason", why}, {"answered", std::to_string(answered)},
        {"refused", std::to_string(refused)}});
  report->abort = true;
  if (auto asked = std::exchange(admission, nullptr))
    options.budget->give_up(asked);
  options.budget->change(std::exchange(incoming_bytes, 0) + std::exchange(reserved_bytes, 0) + std::exchange(unsent_bytes, 0),
                         0);
  // CAF counts triggers down behind the handler, and tells the broker at zero, even one that is gone: keep it above.
  self->trigger(connection, 1);
  self->quit();
}

caf::behavior node_session(node_session_state::self_pointer self, caf::io::connection_handle connection,
                           node_session_options options, connection_report_ptr report) {
  self->state.start(self, connection, std::move(options), std::move(report));
  self->set_exit_handler([self](caf::exit_msg&) { self->state.close("the node stops", log_level::debug); });
  return {
      [self](caf::ok_atom) { self->state.connected(); },
      [self](const caf::io::new_data_msg& data) {
        self->state.received(std::as_bytes(std::span(data.buf.data(), data.buf.size())));
      },
      [self](const caf::io::data_transferred_msg& moved) { self->state.sent(moved.written, moved.remaining); },
      [](const caf::io::connection_passivated_msg&) {},
      [self](const caf::io::connection_closed_msg&) {
        auto& s = self->state;
        const auto& why = s.report->failure;
        s.close(why.empty() ? "the connection was closed" : why, s.greeted ? log_level::info : log_level::warning);
      },
      [self](caf::close_atom) { self->state.drain(); },
      [](deferred& later) { later.run(); },
  };
}

}  // namespace mutant
