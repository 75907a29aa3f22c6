#include "actors/node/node_session.hpp"

namespace mutant {

namespace {

constexpr std::size_t read_bytes = 128 * 1024;
constexpr std::uint64_t refusals_told = 20;   // of each connection; a flood must not fill the log

bool is_bad_faith(errc code) noexcept {
  return code == errc::bad_signature || code == errc::corrupt_record || code == errc::invalid_argument;
}

}  // namespace

node_session_state::~node_session_state() {
  if (over || !options.commons)
    return;
  options.commons->incoming.withdraw(incoming);
  options.commons->outgoing.withdraw(outgoing);
  options.commons->admission.leave(options.id);
}

void node_session_state::start(self_pointer me, caf::io::connection_handle on, node_session_options o,
                               connection_report_ptr r) {
  self = me;
  connection = on;
  options = std::move(o);
  report = std::move(r);
  begun = unsent_since = activity->last = self->clock().now();
  incoming.session = outgoing.session = options.id;
  const auto when_granted = [this](auto go_on) {
    return [this, go_on, me_again = caf::actor_cast<caf::actor_addr>(self)] {
      if (auto there = caf::actor_cast<caf::actor>(me_again))
        caf::anon_send(there, deferred{[this, go_on] {
                         if (!over)
                           go_on();
                       }});
    };
  };
  incoming.granted = when_granted([this] {
    waits_for_room = false;
    read_on();
  });
  outgoing.granted = when_granted([this] {
    waits_for_room = false;
    begin_read();
    read_on();
  });
  self->ack_writes(connection, true);
  self->configure_read(connection, caf::io::receive_policy::at_most(read_bytes));
  self->trigger(connection, 1);
}

// A client may speak before the message that the connection stands; our greeting goes first either way.
void node_session_state::connected() {
  if (std::exchange(has_greeted, true))
    return;
  out.push(wire::greeting_of_server(options.greeting));
  out.pump(self, connection);
}

bool node_session_state::may_read() const {
  return !over && !draining && !waits_for_room && requests < options.max_requests
         && charged_bytes + out.unsent_bytes() < options.window_bytes;
}

bool node_session_state::take_place() {
  auto client = options.commons->admission.greet(options.id, report->peer_fingerprint, activity);
  if (!client) {
    close(client.error().message, log_level::warning);
    return false;
  }
  options.commons->outgoing.withdraw(outgoing);   // our greeting, perhaps, which was nobody's yet
  unsent_bytes = 0;
  incoming.client = outgoing.client = *client;
  self->send(options.node, join_atom::value, *client);
  write_log(log_level::info, "client connected", {{"peer", report->peer}, {"name", report->peer_name}});
  return true;
}

// A record that came in at once needs no room: it is the node's by now. One that comes piece by piece is charged for what is
// there, and for what is read next.
void node_session_state::admit_incoming() {
  const auto size = in.record_bytes();
  if (size == 0 || waits_for_room || over)
    return;
  const auto needed = std::min(size, in.record_filled_bytes() + read_bytes);
  if (incoming.held_bytes == 0)
    incoming_since = self->clock().now();
  if (needed > incoming.held_bytes)
    waits_for_room = !options.commons->incoming.ask(incoming, needed - incoming.held_bytes);
}

void node_session_state::incoming_is_whole() {
  session_budget::judge(incoming, false, {});
  options.commons->incoming.change(incoming, incoming.held_bytes, 0);
}

void node_session_state::admit_read(wire::frame&& frame) {
  held = std::move(frame);
  waits_for_room = !options.commons->outgoing.ask(outgoing, max_record_bytes);
  if (!waits_for_room)
    begin_read();
}

void node_session_state::begin_read() {
  const auto frame = std::move(*held);
  held.reset();
  ask<bytes>(frame.head, frame.what, {max_record_bytes, max_record_bytes}, get_atom_v, pad_query{frame.address});
}

void node_session_state::received(byte_view from) {
  connected();
  const auto now = self->clock().now();
  activity->last = now;
  session_budget::moved(incoming, from.size(), now);
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
  if (over)
    return;
  backlog.insert(backlog.end(), from.begin(), from.end());
  admit_incoming();
  halted = true;
  reading();
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
  reading();
}

// Goes on reading off the socket if it may. Only then is it the client's turn to move.
void node_session_state::reading() {
  if (over)
    return;
  if (halted && may_read()) {
    halted = false;
    self->trigger(connection, 1);
  }
  session_budget::judge(incoming, in.record_bytes() != 0 && !halted, self->clock().now());
  note_activity();
}

void node_session_state::note_activity() {
  const auto was_busy = std::exchange(activity->busy, requests != 0);
  if (was_busy != activity->busy)
    activity->last = self->clock().now();
}

void node_session_state::write_log(log_level level, const std::string& what, log_fields fields) {
  options.commons->log.write(level, what, std::move(fields), self->clock().now());
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
    if (!greeted)
      greeted = take_place();
    return;
  }
  if (!greeted || frame.head.target != options.greeting.actor || frame.number() == 0 || frame.head.source == 0
      || (frame.head.data & wire::response_flag) != 0)
    return close("it broke the protocol: a message to somebody else", log_level::warning);
  const auto size = frame.record.size();
  switch (frame.what) {
    case wire::content::put:
      incoming_is_whole();
      return ask<done>(frame.head, frame.what, {size, 0}, put_atom_v, std::move(frame.record));
    case wire::content::erase:
      incoming_is_whole();
      return ask<done>(frame.head, frame.what, {size, 0}, erase_atom_v, std::move(frame.record));
    case wire::content::get:
      return admit_read(std::move(frame));
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
  activity->last = self->clock().now();
  out.push(std::move(front), std::move(body));
  out.pump(self, connection);
  count_unsent(holds.reserved);
  read_on();
  end_if_drained();
}

void node_session_state::refuse(const wire::header& head, wire::content what, cost holds, const error& e) {
  if (is_bad_faith(e.code) && ++refused <= refusals_told)
    write_log(log_level::warning, "refused a write",
              {{"peer", report->peer}, {"name", report->peer_name}, {"what", std::string(wire::name_of(what))},
               {"error", std::string(name_of(e.code))}, {"message", e.message}});
  answer(holds, wire::answer_failure(head, e));
}

void node_session_state::count_unsent(std::size_t given_back) {
  const auto before = std::exchange(unsent_bytes, out.unsent_bytes());
  options.commons->outgoing.change(outgoing, before + given_back, unsent_bytes);
  session_budget::judge(outgoing, unsent_bytes != 0, self->clock().now());
}

void node_session_state::sent(std::uint64_t written, std::uint64_t left) {
  const auto now = self->clock().now();
  activity->last = now;
  session_budget::moved(outgoing, static_cast<std::size_t>(written), now);
  taken_bytes += static_cast<std::size_t>(written);
  if (taken_bytes >= max_record_bytes) {
    taken_bytes = 0;
    unsent_since = now;
  }
  out.transferred(left);
  out.pump(self, connection);
  count_unsent(0);
  read_on();
  end_if_drained();
}

// Shared memory must not be held by somebody who does not move, nor a place by somebody who does not say what for.
void node_session_state::look_at_clock() {
  if (over)
    return;
  const auto now = self->clock().now();
  if (!greeted && now - begun > options.greeting_timeout)
    return close("no greeting within " + std::to_string(options.greeting_timeout.count() / 1000) + " s", log_level::warning);
  const auto overdue = now - options.transfer_timeout;
  if (!may_read())
    incoming_since = now;  // it waits for us
  const auto limit = std::to_string(options.transfer_timeout.count() / 1000) + " s";
  if (incoming.held_bytes > 0 && incoming_since < overdue)
    return close("it did not send all of a record within " + limit, log_level::warning);
  if (out.unsent_bytes() > 0 && unsent_since < overdue)
    close("it did not take an answer within " + limit, log_level::warning);
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
  write_log(level, what,
            {{"peer", report->peer}, {"name", report->peer_name}, {"reason", why}, {"answered", std::to_string(answered)},
             {"refused", std::to_string(refused)}});
  report->abort = true;
  options.commons->incoming.withdraw(incoming);
  options.commons->outgoing.withdraw(outgoing);
  options.commons->admission.leave(options.id);
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
      [self](caf::close_atom, const std::string& why) { self->state.close(why, log_level::info); },
      [self](look_atom) { self->state.look_at_clock(); },
      [](deferred& later) { later.run(); },
  };
}

}  // namespace mutant
