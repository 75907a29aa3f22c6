#include "actors/pads/remote_link.hpp"

#include <algorithm>

#include "core/store_claim.hpp"

namespace mutant {

namespace {

constexpr std::uint64_t our_actor = 1;   // any number but 0: a node sends its answers to it
constexpr std::size_t read_bytes = 128 * 1024;
constexpr auto tick_interval = std::chrono::milliseconds(250);

// What a node's own error means here: a claim, in the node's words.
error as_error(const std::string& node, const wire::remote_failure& failure) {
  if (failure.category != wire::our_errors || failure.code < 1 || failure.code > last_errc)
    return from_caf(caf::error(failure.code, static_cast<caf::atom_value>(failure.category)));
  auto claim = store_claim({static_cast<errc>(failure.code), failure.message, failure.detail});
  claim.message = "the node " + node + " says: " + claim.message;
  return claim;
}

// Whether the record that a node sent is what was asked for.
result<void> check_record(wire::content asked, const pad_address& address, const bytes& record) {
  auto header = asked == wire::content::head ? parse_header(record) : parse_record(record);
  if (!header)
    return fail(header.error().code,
                "what came for pad " + short_name(address) + " is not a record: " + header.error().message);
  if (header->address != address)
    return fail(errc::corrupt_record, "asked for pad " + short_name(address) + ", got pad " + short_name(header->address));
  if (asked == wire::content::head && record.size() != record_header_bytes)
    return fail(errc::corrupt_record, "asked for the header of pad " + short_name(address) + ", got "
                                          + std::to_string(record.size()) + " bytes");
  return {};
}

wire::content answer_to(wire::content asked) noexcept {
  switch (asked) {
    case wire::content::get:
    case wire::content::head: return wire::content::record;
    case wire::content::stats: return wire::content::totals;
    default: return wire::content::done;
  }
}

}  // namespace

void remote_link_state::start(self_pointer me, remote_link_options o) {
  self = me;
  options = std::move(o);
  connection = options.scribe->hdl();
  self->add_scribe(std::exchange(options.scribe, nullptr));
  self->ack_writes(connection, true);
  self->configure_read(connection, caf::io::receive_policy::at_most(read_bytes));
  last_moved = self->clock().now();
  tick();
}

// What the node says may come before the message that the connection stands; our greeting goes first either way.
void remote_link_state::connected() {
  if (std::exchange(has_greeted, true))
    return;
  out.push(wire::greeting_of_client(wire::random_peer_id()));
  out.pump(self, connection);
}

void remote_link_state::greeted(const wire::frame& frame) {
  if (node_actor != 0)
    return close("it broke the protocol: it greeted twice");
  if (frame.head.data != wire::protocol_version)
    return close("it speaks version " + std::to_string(frame.head.data) + " of CAF's protocol, and this is "
                 + std::to_string(wire::protocol_version));
  auto greeting = wire::parse_server_greeting(frame.payload);
  if (!greeting)
    return close(greeting.error().message);
  const std::set<std::string> offered(greeting->interface.begin(), greeting->interface.end());
  const auto needed = self->system().message_types<node_interface_actor>();
  if (greeting->actor == 0 || !std::ranges::includes(offered, needed))
    return close("it serves something else than pads");
  connected();
  node_actor = greeting->actor;
  for (auto& promise : std::exchange(waiting_for_greeting, {}))
    promise.deliver(done{});
}

void remote_link_state::send(wire::content what, const bytes& record, const pad_address& address) {
  auto promise = self->make_response_promise();
  if (over || node_actor == 0) {
    promise.deliver(to_caf({errc::unreachable, options.name + " is not connected"}));
    return;
  }
  const auto number = ++last_number;
  const auto now = self->clock().now();
  if (pending.empty()) {
    last_moved = now;
    self->delayed_send(self, tick_interval, deferred{[this] { tick(); }});
  }
  pending.emplace(number, pending_request{what, address, std::move(promise), now});
  switch (what) {
    case wire::content::get:
    case wire::content::head:
      out.push(wire::request_for_pad(what, number, our_actor, node_actor, address), {}, number);
      break;
    case wire::content::stats: out.push(wire::request_for_totals(number, our_actor, node_actor), {}, number); break;
    default:
      out.push(wire::request_with_record(what, number, our_actor, node_actor, record.size()), record, number);
  }
  out.pump(self, connection);
}

void remote_link_state::received(byte_view from) {
  last_moved = self->clock().now();
  while (!over) {
    auto frame = in.next(from);
    if (!frame)
      return close(frame.error().message);
    if (!*frame)
      return;
    if ((*frame)->head.kind == wire::frame_kind::server_greeting)
      greeted(**frame);
    else
      answered(std::move(**frame));
  }
}

void remote_link_state::answered(wire::frame&& answer) {
  const auto number = answer.number();
  if ((answer.head.data & wire::response_flag) == 0 || number == 0 || number > last_number)
    return close("it broke the protocol: an answer to a question that was never asked");
  auto found = pending.find(number);
  if (found == pending.end())
    return;  // too late: given up
  last_answer = last_moved;
  auto request = std::move(found->second);
  pending.erase(found);
  deliver(request, std::move(answer));
}

void remote_link_state::deliver(pending_request& request, wire::frame&& answer) {
  // Of a write, nobody knows then whether it was done.
  const auto reads = answer_to(request.what) != wire::content::done;
  const auto wrong = [&](const std::string& what) {
    request.promise.deliver(to_caf({reads ? errc::corrupt_record : errc::timeout,
                                    "the node " + options.name + " answered wrongly: " + what}));
  };
  if (answer.what == wire::content::failure)
    return request.promise.deliver(to_caf(as_error(options.name, answer.failure)));
  if (answer.what != answer_to(request.what))
    return wrong("asked for " + std::string(wire::name_of(request.what)) + ", got " + std::string(wire::name_of(answer.what)));
  switch (answer.what) {
    case wire::content::record:
      if (auto good = check_record(request.what, request.address, answer.record); !good)
        return wrong(good.error().message);
      return request.promise.deliver(std::move(answer.record));
    case wire::content::totals:
      return request.promise.deliver(
          pad_store_stats{answer.totals.pads, answer.totals.record_bytes, answer.totals.disk_bytes});
    default: return request.promise.deliver(done{});
  }
}

void remote_link_state::tick() {
  if (over)
    return;
  const auto now = self->clock().now();
  const auto seconds = [](auto d) {
    return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(d).count()) + " s";
  };
  if (node_actor == 0 && now - last_moved > options.greeting_timeout)
    return close("no answer within " + seconds(options.greeting_timeout));
  if (!pending.empty() && now - last_moved > options.stall_timeout)
    return close("it stopped answering " + seconds(options.stall_timeout) + " ago");
  while (!pending.empty()) {
    const auto started = pending.begin()->second.started;
    if (now - started <= options.request_timeout && now - std::max(started, last_answer) <= options.answer_timeout)
      break;
    auto request = std::move(pending.begin()->second);
    out.take_back(pending.begin()->first);
    pending.erase(pending.begin());
    request.promise.deliver(to_caf({errc::timeout, options.name + " did not answer within " + seconds(now - started)}));
  }
  if (node_actor == 0 || !pending.empty())
    self->delayed_send(self, tick_interval, deferred{[this] { tick(); }});
}

void remote_link_state::close(const std::string& why) {
  if (std::exchange(over, true))
    return;
  const auto e = to_caf({errc::unreachable, options.name + ": " + why});
  for (auto& promise : std::exchange(waiting_for_greeting, {}))
    promise.deliver(e);
  for (auto& [number, request] : std::exchange(pending, {}))
    request.promise.deliver(e);
  options.report->abort = true;
  self->quit(e);
}

caf::behavior remote_link(remote_link_state::self_pointer self, remote_link_options options) {
  auto& s = self->state;
  s.start(self, std::move(options));
  self->set_exit_handler([self](caf::exit_msg&) { self->state.close("it was given up"); });
  return {
      [self](caf::ok_atom) { self->state.connected(); },
      [self](const caf::io::new_data_msg& data) {
        self->state.received(std::as_bytes(std::span(data.buf.data(), data.buf.size())));
      },
      [self](const caf::io::data_transferred_msg& moved) {
        auto& st = self->state;
        st.last_moved = self->clock().now();
        st.out.transferred(moved.remaining);
        st.out.pump(self, st.connection);
      },
      [self](const caf::io::connection_closed_msg&) {
        const auto& why = self->state.options.report->failure;
        self->state.close(why.empty() ? "the connection was closed" : why);
      },
      [self](open_atom) {
        auto& st = self->state;
        auto promise = self->make_response_promise();
        if (st.node_actor != 0)
          promise.deliver(done{});
        else
          st.waiting_for_greeting.push_back(std::move(promise));
      },
      [self](put_atom, const bytes& record) { self->state.send(wire::content::put, record, {}); },
      [self](get_atom, const pad_query& query) { self->state.send(wire::content::get, {}, query.address); },
      [self](head_atom, const pad_query& query) { self->state.send(wire::content::head, {}, query.address); },
      [self](erase_atom, const bytes& blank) { self->state.send(wire::content::erase, blank, {}); },
      [self](stats_atom) { self->state.send(wire::content::stats, {}, {}); },
      [](deferred& later) { later.run(); },
  };
}

}  // namespace mutant
