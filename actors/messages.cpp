#include "actors/messages.hpp"


namespace mutant {

namespace {

const caf::atom_value error_category = caf::atom("mutant");

// A length, then the bytes in one piece.
caf::error read_sized(caf::deserializer& f, std::size_t limit, buffer& out) {
  std::size_t size = 0;
  if (auto e = f.begin_sequence(size))
    return e;
  if (size > limit)
    return caf::make_error(caf::sec::invalid_argument);
  out = buffer::for_record(size);
  if (size > 0)
    if (auto e = f.apply_raw(size, out.data()))
      return e;
  return f.end_sequence();
}

}  // namespace

store_traffic operator-(const store_traffic& later, const store_traffic& earlier) {
  auto out = later;
  for (const auto& [kind, count] : earlier.requests)
    out.requests[kind] -= count;
  std::erase_if(out.requests, [](const auto& kind) { return kind.second == 0; });
  out.sent_bytes -= earlier.sent_bytes;
  out.received_bytes -= earlier.received_bytes;
  out.retries -= earlier.retries;
  return out;
}

caf::error inspect(caf::serializer& f, bytes& x) {
  auto size = x.size();
  if (auto e = f.begin_sequence(size))
    return e;
  if (size > 0)
    if (auto e = f.apply_raw(size, const_cast<std::byte*>(x.data())))
      return e;
  return f.end_sequence();
}

caf::error inspect(caf::deserializer& f, bytes& x) {
  buffer in;
  if (auto e = read_sized(f, max_record_bytes, in))
    return e;
  x = std::move(in).freeze();
  return caf::none;
}

caf::error inspect(caf::serializer& f, pad_query& x) {
  return f.apply_raw(x.address.size(), x.address.data());
}

caf::error inspect(caf::deserializer& f, pad_query& x) {
  return f.apply_raw(x.address.size(), x.address.data());
}

caf::error to_caf(const error& e) {
  return {static_cast<std::uint8_t>(e.code), error_category, caf::make_message(e.message, e.detail)};
}

error from_caf(const caf::error& e) {
  if (!e)
    return {errc::io_error, "an empty error was delivered"};
  if (e.category() == error_category && e.code() >= 1 && e.code() <= last_errc) {
    error ours{static_cast<errc>(e.code()), {}};
    const auto& context = e.context();
    if (context.match_elements<std::string, std::uint64_t>()) {
      ours.message = context.get_as<std::string>(0);
      ours.detail = context.get_as<std::uint64_t>(1);
    }
    return ours;
  }
  if (e.category() == caf::atom("exit"))
    return {errc::unreachable, "the actor that was asked has ended"};
  if (e.category() == caf::atom("system")) {
    auto code = static_cast<caf::sec>(e.code());
    switch (code) {
      case caf::sec::request_timeout: return {errc::timeout, "no answer came in time"};
      case caf::sec::request_receiver_down:
      case caf::sec::cannot_connect_to_node:
      case caf::sec::disconnect_during_handshake:
      case caf::sec::no_route_to_receiving_node:
      case caf::sec::no_proxy_registry: return {errc::unreachable, "the actor that was asked is gone"};
      default: return {errc::io_error, "the actor system failed: " + to_string(code)};
    }
  }
  return {errc::io_error, "an actor failed with code " + std::to_string(e.code())};
}

void register_errors(caf::actor_system_config& config) {
  config.add_error_category(error_category, [](std::uint8_t code, caf::atom_value, const caf::message& context) {
    error e{static_cast<errc>(code), {}};
    if (context.match_elements<std::string, std::uint64_t>())
      e.message = context.get_as<std::string>(0);
    return to_string(e);
  });
}

}  // namespace mutant
