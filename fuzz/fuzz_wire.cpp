// The node protocol, as a node reads a client and as a client reads a node: the cuts between pieces of a stream change
// nothing, memory is bounded, and what was read is read again from what we write of it.
#include <algorithm>
#include <cstdlib>

#include "core/limits.hpp"
#include "core/wire.hpp"

using namespace mutant;
using namespace mutant::wire;

namespace {

void check(bool holds) {
  if (!holds)
    std::abort();
}

struct reading {
  std::vector<frame> frames;
  bool breach = false;
};

reading read_in_pieces(side us, byte_view all, std::size_t largest) {
  reader in(us);
  reading out;
  while (!all.empty() && !out.breach) {
    auto piece = all.first(std::min(largest, all.size()));
    all = all.subspan(piece.size());
    while (true) {
      auto next = in.next(piece);
      check(in.held_bytes() <= max_record_bytes + max_greeting_bytes + max_failure_bytes);
      out.breach = !next;
      check(next.has_value() || next.error().code == errc::io_error);
      if (!next || !*next)
        break;
      out.frames.push_back(std::move(**next));
    }
  }
  return out;
}

bool same(const frame& a, const frame& b) {
  return a.head.kind == b.head.kind && a.what == b.what && a.number() == b.number() && a.payload == b.payload
         && a.record == b.record && a.address == b.address && a.totals == b.totals && a.failure.code == b.failure.code
         && a.failure.category == b.failure.category && a.failure.message == b.failure.message
         && a.failure.detail == b.failure.detail;
}

bool same(const reading& a, const reading& b) {
  return a.breach == b.breach
         && std::equal(a.frames.begin(), a.frames.end(), b.frames.begin(), b.frames.end(),
                       [](const frame& x, const frame& y) { return same(x, y) && x.head.source == y.head.source; });
}

// What we would have sent to be read as this; empty: nothing of ours (errors of other categories).
std::vector<std::byte> written(const frame& f) {
  const auto& h = f.head;
  switch (f.what) {
    case content::put:
    case content::erase: return request_with_record(f.what, f.number(), h.source, h.target, f.record.size());
    case content::get:
    case content::head: return request_for_pad(f.what, f.number(), h.source, h.target, f.address);
    case content::stats: return request_for_totals(f.number(), h.source, h.target);
    case content::done: return answer_done(h);
    case content::record: return answer_record(h, f.record.size());
    case content::totals: return answer_totals(h, f.totals);
    case content::failure: break;
  }
  if (f.failure.category != our_errors || f.failure.code == 0 || f.failure.message.size() > max_failure_bytes / 2)
    return {};
  return answer_failure(h, {static_cast<errc>(f.failure.code), f.failure.message, f.failure.detail});
}

void check_round(side us, const frame& f) {
  if (f.head.kind == frame_kind::client_greeting) {
    auto id = parse_client_greeting(f.payload);
    check(!id || parse_client_greeting(byte_view(greeting_of_client(*id)).subspan(header_bytes)) == *id);
    return;
  }
  if (f.head.kind == frame_kind::server_greeting) {
    auto greeting = parse_server_greeting(f.payload);
    if (!greeting)
      return;
    const auto ours = greeting_of_server(*greeting);
    auto again = parse_server_greeting(byte_view(ours).subspan(header_bytes));
    check(again && again->id == greeting->id && again->applications == greeting->applications
          && again->actor == greeting->actor && again->interface == greeting->interface);
    return;
  }
  auto ours = written(f);
  if (ours.empty())
    return;
  const byte_view record = f.record;
  ours.insert(ours.end(), record.begin(), record.end());
  const auto again = read_in_pieces(us, ours, ours.size());
  check(!again.breach && again.frames.size() == 1 && same(again.frames[0], f));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const bool ready = init_crypto().has_value();
  check(ready);
  const byte_view all(reinterpret_cast<const std::byte*>(data), size);
  for (const auto us : {side::node, side::client}) {
    const auto whole = read_in_pieces(us, all, size + 1);
    for (const std::size_t largest : {1, 33})
      check(same(whole, read_in_pieces(us, all, largest)));
    for (const auto& f : whole.frames)
      check_round(us, f);
  }
  return 0;
}
