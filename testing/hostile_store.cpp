#include "testing/hostile_store.hpp"

#include <cstring>

namespace mutant {

namespace {

using self_pointer = hostile_store_actor::stateful_pointer<hostile_store_state>;

constexpr std::size_t counter_at = 8;   // docs/format.md, "Record"

template <class... Atoms>
caf::result<done> change(self_pointer self, const bytes& record, Atoms... atoms) {
  auto& s = self->state;
  s.keep(record);
  if (s.chance(s.options.lies.refuse_write))
    return s.any_error();
  const auto denied = s.chance(s.options.lies.deny_write) ? std::optional(s.any_error()) : std::nullopt;
  auto promise = self->template make_response_promise<done>();
  self->request(s.options.store, s.options.timeout, atoms..., record)
      .then(
          [promise, denied](done out) mutable {
            if (denied)
              promise.deliver(*denied);
            else
              promise.deliver(out);
          },
          [promise](caf::error& e) mutable { promise.deliver(std::move(e)); });
  return promise;
}

template <class Atom>
caf::result<bytes> read(self_pointer self, Atom atom, const pad_query& query) {
  auto cut = [](const bytes& record) {
    return record.slice(0, std::is_same_v<Atom, head_atom> ? record_header_bytes : record.size());
  };
  auto& s = self->state;
  if (auto lie = s.instead_of(query.address)) {
    if (!*lie)
      return lie->error();
    return cut(s.altered(**lie));
  }
  auto promise = self->template make_response_promise<bytes>();
  self->request(s.options.store, s.options.timeout, atom, query)
      .then([self, promise, cut](bytes& record) mutable { promise.deliver(cut(self->state.altered(record))); },
            [promise](caf::error& e) mutable { promise.deliver(std::move(e)); });
  return promise;
}

caf::result<pad_store_stats> totals(self_pointer self, stats_atom atom) {
  auto& s = self->state;
  if (s.chance(s.options.lies.refuse_read))
    return s.any_error();
  if (s.chance(s.options.lies.refuse_read))
    return pad_store_stats{s.random(), s.random(), s.random()};
  return self->delegate(s.options.store, atom);
}

}  // namespace

result<void> hostile_options::validate() const {
  for (auto p : {refuse_write, deny_write, show_another, alter_header, forge_counter, hide, refuse_read})
    if (!(p >= 0 && p <= 1))
      return fail(errc::invalid_argument, "the chance of a lie is from 0 to 1");
  return {};
}

result<void> hostile_store_options::validate() const {
  if (!store)
    return fail(errc::invalid_argument, "a hostile store needs a store behind it");
  return lies.validate();
}

// 53 bits of one draw: the same on every machine.
bool hostile_store_state::chance(double p) {
  return p > 0 && static_cast<double>(random() >> 11) * 0x1p-53 < p;
}

void hostile_store_state::keep(const bytes& record) {
  if (auto header = parse_header(record))
    kept[header->address].push_back(record);
}

// A text that a terminal should not see, and a counter that nothing has; now and then an error that is not one of ours at all.
caf::error hostile_store_state::any_error() {
  std::string text;
  for (auto left = random() % 60; left > 0; --left)
    text += static_cast<char>(random() & 0xff);
  const std::uint64_t details[] = {0, 1, random() % 100, max_number - 1, ~std::uint64_t{0}, random()};
  const auto detail = details[random() % std::size(details)];
  if (options.lies.any_code) {
    static constexpr caf::atom_value foreign[] = {caf::atom("system"), caf::atom("exit"), caf::atom("other")};
    const auto kind = random() % 8;
    const auto code = static_cast<std::uint8_t>(1 + random() % (kind == 0 ? 255 : last_errc));
    if (kind == 1)
      return {code, foreign[random() % std::size(foreign)], caf::make_message(text)};
    return to_caf({static_cast<errc>(code), std::move(text), detail});
  }
  static constexpr errc codes[] = {errc::pad_not_found, errc::stale_counter, errc::pad_conflict, errc::bad_signature,
                                   errc::corrupt_record, errc::store_full, errc::overloaded, errc::timeout, errc::unreachable,
                                   errc::access_denied, errc::io_error, errc::too_large, errc::unsupported};
  return to_caf({codes[random() % std::size(codes)], std::move(text), detail});
}

std::optional<caf::expected<bytes>> hostile_store_state::instead_of(const pad_address& address) {
  if (auto at = shown.find(address); at != shown.end())
    return at->second;
  const auto& lies = options.lies;
  if (chance(lies.refuse_read))
    return any_error();
  if (chance(lies.hide))
    return to_caf({errc::pad_not_found, "there is no such pad"});
  const auto at = kept.find(address);
  if (at == kept.end() || !chance(lies.show_another))
    return std::nullopt;
  return at->second[random() % at->second.size()];
}

bytes hostile_store_state::altered(const bytes& record) {
  const auto byte = chance(options.lies.alter_header);
  const auto counter = chance(options.lies.forge_counter);
  if ((!byte && !counter) || record.size() < record_header_bytes)
    return record;
  buffer out(record.size());
  std::memcpy(out.data(), record.data(), record.size());
  if (byte)
    out.data()[random() % record_header_bytes] ^= static_cast<std::byte>(1 + random() % 255);
  if (counter) {
    std::uint64_t now = 0;
    std::memcpy(&now, record.data() + counter_at, sizeof now);
    const std::uint64_t forged[] = {now + 1, now - 1, now + random() % 1000, max_number - 1, random()};
    const auto value = forged[random() % std::size(forged)];
    std::memcpy(out.data() + counter_at, &value, sizeof value);
  }
  return std::move(out).freeze();
}

hostile_store_actor::behavior_type hostile_store(self_pointer self, hostile_store_options options) {
  self->state.random.seed(options.seed);
  self->state.options = std::move(options);
  return {
      [self](put_atom atom, const bytes& record) { return change(self, record, atom); },
      [self](put_atom atom, room_atom room, const bytes& record) { return change(self, record, atom, room); },
      [self](get_atom atom, const pad_query& query) { return read(self, atom, query); },
      [self](head_atom atom, const pad_query& query) { return read(self, atom, query); },
      [self](erase_atom atom, const bytes& blank) { return change(self, blank, atom); },
      [self](stats_atom atom) { return totals(self, atom); },
      [self](trim_atom atom) { return self->delegate(self->state.options.store, atom); },
      [self](const hostile_options& lies) { self->state.options.lies = lies; },
      [self](const kept_query& query) { return self->state.kept[query.address]; },
      [self](const show_instead& what) {
        if (what.record.empty())
          self->state.shown.erase(what.address);
        else
          self->state.shown[what.address] = what.record;
      },
  };
}

}  // namespace mutant
