#include "core/wire.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/limits.hpp"

namespace mutant::wire {

namespace {

constexpr std::uint8_t named_receiver_flag = 1;
// More than what stands in front of a record: the forwarding stack, type names, the verb, the length.
constexpr std::size_t prelude_bytes = 64;
constexpr std::size_t max_list_items = 64;

struct content_info {
  content what;
  std::string_view type;      // CAF's name of the message's types
  std::uint64_t verb;         // 0: none
  std::string_view name;
};

constexpr std::array<content_info, 9> contents = {{
    {content::put, "@<>+@atom+mutant::bytes", atom("put"), "put"},
    {content::get, "@<>+@atom+mutant::pad_query", atom("get"), "get"},
    {content::head, "@<>+@atom+mutant::pad_query", atom("head"), "head"},
    {content::erase, "@<>+@atom+mutant::bytes", atom("erase"), "erase"},
    {content::stats, "@<>+@atom", atom("stats"), "stats"},
    {content::done, "@<>+mutant::done", 0, "done"},
    {content::record, "@<>+mutant::bytes", 0, "a record"},
    {content::totals, "@<>+mutant::pad_store_stats", 0, "totals"},
    {content::failure, "@<>+@error", 0, "an error"},
}};
constexpr std::string_view error_context = "@<>+@str+@u64";
constexpr std::string_view empty_context = "@<>";
constexpr std::uint64_t default_node = atom("default");

const content_info& info_of(content what) noexcept {
  return contents[static_cast<std::size_t>(what)];
}

constexpr bool carries_record(content what) noexcept {
  return what == content::put || what == content::erase || what == content::record;
}

auto breach(std::string what) {
  return fail(errc::io_error, "it broke the protocol: " + std::move(what));
}

template <class T>
T swapped(T x) noexcept {
  static_assert(std::endian::native == std::endian::little);
  if constexpr (sizeof(T) == 8)
    return __builtin_bswap64(x);
  else if constexpr (sizeof(T) == 4)
    return __builtin_bswap32(x);
  else if constexpr (sizeof(T) == 2)
    return __builtin_bswap16(x);
  else
    return x;
}

class writer {
 public:
  explicit writer(frame_kind kind) : out_(header_bytes) { out_[0] = static_cast<std::byte>(kind); }

  template <class T>
  writer& integer(T x) {
    const auto big = swapped(x);
    const auto* first = reinterpret_cast<const std::byte*>(&big);
    out_.insert(out_.end(), first, first + sizeof big);
    return *this;
  }
  writer& raw(byte_view view) {
    out_.insert(out_.end(), view.begin(), view.end());
    return *this;
  }
  writer& length(std::size_t x) {
    for (; x >= 0x80; x >>= 7)
      out_.push_back(static_cast<std::byte>(x & 0x7F) | std::byte{0x80});
    out_.push_back(static_cast<std::byte>(x));
    return *this;
  }
  writer& text(std::string_view x) { return length(x.size()).raw(as_byte_view(x)); }
  // A caf::message: its types; the elements follow.
  writer& types(std::string_view names) { return integer(std::uint16_t{0}).text(names); }
  writer& node(const peer_id& id) { return integer(default_node).integer(id.process).raw(id.host); }

  // Fills in the header. `behind`: payload bytes that the caller sends itself.
  std::vector<std::byte> finish(std::uint64_t data, std::uint64_t source, std::uint64_t target, std::size_t behind = 0) {
    const auto put = [&](std::size_t at, auto x) {
      const auto big = swapped(x);
      std::memcpy(out_.data() + at, &big, sizeof big);
    };
    put(4, static_cast<std::uint32_t>(out_.size() - header_bytes + behind));
    put(8, data);
    put(16, source);
    put(24, target);
    return std::move(out_);
  }

 private:
  std::vector<std::byte> out_;
};

writer message_of(content what) {
  const auto& info = info_of(what);
  writer w(frame_kind::message);
  w.length(0).types(info.type);  // no forwarding stack
  if (info.verb != 0)
    w.integer(info.verb);
  return w;
}

std::vector<std::byte> answer(writer& w, const header& request, std::size_t behind = 0) {
  return w.finish(request.data | response_flag, request.target, request.source, behind);
}

std::uint64_t request_number(std::uint64_t number) noexcept {
  return normal_priority | (number & number_mask);
}

// Takes values off the front; after a failure everything that follows fails too.
class parser {
 public:
  explicit parser(byte_view in) noexcept : in_(in) {}

  template <class T>
  T integer() noexcept {
    T x{};
    if (auto from = take(sizeof x); !from.empty())
      std::memcpy(&x, from.data(), sizeof x);
    return swapped(x);
  }
  std::size_t length() noexcept {
    std::uint64_t x = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
      const auto low = integer<std::uint8_t>();
      x |= std::uint64_t{low & 0x7Fu} << shift;
      if ((low & 0x80) == 0)
        return x <= UINT32_MAX ? static_cast<std::size_t>(x) : broken();
    }
    return broken();
  }
  std::string_view text(std::size_t limit) noexcept {
    const auto size = length();
    if (size > limit)
      broken();
    return as_text(take(size));
  }
  std::string_view types(std::size_t limit) noexcept {
    if (integer<std::uint16_t>() != 0)
      broken();
    return text(limit);
  }
  byte_view take(std::size_t size) noexcept {
    if (!good_ || size > in_.size()) {
      good_ = false;
      return {};
    }
    auto out = in_.first(size);
    in_ = in_.subspan(size);
    return out;
  }
  peer_id node() noexcept {
    peer_id id;
    if (integer<std::uint64_t>() != default_node)
      broken();
    id.process = integer<std::uint32_t>();
    if (auto from = take(id.host.size()); !from.empty())
      std::memcpy(id.host.data(), from.data(), from.size());
    return id;
  }
  std::vector<std::string> texts() {
    std::vector<std::string> out;
    const auto count = length();
    if (count > max_list_items)
      broken();
    for (std::size_t i = 0; good_ && i < count; ++i)
      out.emplace_back(text(max_greeting_bytes));
    return out;
  }
  bool good() const noexcept { return good_; }
  bool finished() const noexcept { return good_ && in_.empty(); }
  std::size_t left() const noexcept { return in_.size(); }

 private:
  std::size_t broken() noexcept {
    good_ = false;
    return 0;
  }

  byte_view in_;
  bool good_ = true;
};

remote_failure parse_failure(parser& p) {
  remote_failure f;
  f.code = p.integer<std::uint8_t>();
  f.category = p.integer<std::uint64_t>();
  if (f.code == 0)
    return f;
  // Other contexts than ours (and empty ones) are not looked into: they nest.
  const auto context = p.types(prelude_bytes);
  if (context == error_context) {
    f.message = p.text(max_failure_bytes);
    f.detail = p.integer<std::uint64_t>();
  } else if (p.good() && context != empty_context) {
    p.take(p.left());
  }
  return f;
}

}  // namespace

std::string_view name_of(content what) noexcept {
  return info_of(what).name;
}

peer_id random_peer_id() {
  peer_id id;
  random_fill(id.host);
  id.process = static_cast<std::uint32_t>(random_u64() | 1);
  return id;
}

std::vector<std::byte> greeting_of_client(const peer_id& id) {
  return writer(frame_kind::client_greeting).node(id).finish(0, 0, 0);
}

std::vector<std::byte> greeting_of_server(const server_greeting& greeting) {
  writer w(frame_kind::server_greeting);
  w.node(greeting.id).length(greeting.applications.size());
  for (const auto& name : greeting.applications)
    w.text(name);
  w.integer(greeting.actor).length(greeting.interface.size());
  for (const auto& name : greeting.interface)
    w.text(name);
  return w.finish(protocol_version, 0, 0);
}

std::vector<std::byte> request_with_record(content what, std::uint64_t number, std::uint64_t source, std::uint64_t target,
                                           std::size_t record_bytes) {
  return message_of(what).length(record_bytes).finish(request_number(number), source, target, record_bytes);
}

std::vector<std::byte> request_for_pad(content what, std::uint64_t number, std::uint64_t source, std::uint64_t target,
                                       const pad_address& address) {
  return message_of(what).raw(address).finish(request_number(number), source, target);
}

std::vector<std::byte> request_for_totals(std::uint64_t number, std::uint64_t source, std::uint64_t target) {
  return message_of(content::stats).finish(request_number(number), source, target);
}

std::vector<std::byte> answer_done(const header& request) {
  auto w = message_of(content::done);
  return answer(w, request);
}

std::vector<std::byte> answer_record(const header& request, std::size_t record_bytes) {
  auto w = message_of(content::record);
  return answer(w.length(record_bytes), request, record_bytes);
}

std::vector<std::byte> answer_totals(const header& request, const store_totals& totals) {
  auto w = message_of(content::totals);
  return answer(w.integer(totals.pads).integer(totals.record_bytes).integer(totals.disk_bytes), request);
}

std::vector<std::byte> answer_failure(const header& request, const error& e) {
  auto w = message_of(content::failure);
  w.integer(static_cast<std::uint8_t>(e.code)).integer(our_errors).types(error_context);
  return answer(w.text(std::string_view(e.message).substr(0, max_failure_bytes / 2)).integer(e.detail), request);
}

header parse_header(std::span<const std::byte, header_bytes> from) noexcept {
  parser p(from);
  header h;
  h.kind = static_cast<frame_kind>(p.integer<std::uint8_t>());
  p.integer<std::uint16_t>();
  h.flags = p.integer<std::uint8_t>();
  h.payload_bytes = p.integer<std::uint32_t>();
  h.data = p.integer<std::uint64_t>();
  h.source = p.integer<std::uint64_t>();
  h.target = p.integer<std::uint64_t>();
  return h;
}

result<peer_id> parse_client_greeting(byte_view payload) {
  parser p(payload);
  auto id = p.node();
  if (!p.finished())
    return breach("its greeting is malformed");
  return id;
}

result<server_greeting> parse_server_greeting(byte_view payload) {
  parser p(payload);
  server_greeting g;
  g.id = p.node();
  g.applications = p.texts();
  g.actor = p.integer<std::uint64_t>();
  g.interface = p.texts();
  if (!p.finished())
    return breach("its greeting is malformed");
  return g;
}

void reader::collect(byte_view& in) {
  const auto room = wanted_ - small_.size();
  const auto size = std::min(room, in.size());
  small_.insert(small_.end(), in.begin(), in.begin() + static_cast<std::ptrdiff_t>(size));
  in = in.subspan(size);
}

result<std::optional<frame>> reader::next(byte_view& in) {
  while (true) {
    switch (stage_) {
      case stage::header: {
        const auto size = std::min(header_bytes - filled_, in.size());
        std::copy_n(in.begin(), size, header_.begin() + static_cast<std::ptrdiff_t>(filled_));
        in = in.subspan(size);
        filled_ += size;
        if (filled_ < header_bytes)
          return std::nullopt;
        filled_ = 0;
        if (auto whole = header_complete(); !whole || *whole)
          return whole;
        break;
      }
      case stage::skip: {
        const auto size = std::min(wanted_, in.size());
        in = in.subspan(size);
        wanted_ -= size;
        if (wanted_ > 0)
          return std::nullopt;
        stage_ = stage::header;
        break;
      }
      case stage::small: {
        collect(in);
        if (small_.size() < wanted_)
          return std::nullopt;
        if (auto whole = small_complete(); !whole || *whole)
          return whole;
        break;
      }
      case stage::record: {
        const auto size = std::min(record_.size() - record_filled_, in.size());
        if (size > 0)
          std::memcpy(record_.data() + record_filled_, in.data(), size);
        in = in.subspan(size);
        record_filled_ += size;
        if (record_filled_ < record_.size())
          return std::nullopt;
        frame_.record = std::move(record_).freeze();
        return take_frame();
      }
    }
  }
}

frame reader::take_frame() {
  stage_ = stage::header;
  small_.clear();
  record_ = buffer();
  record_filled_ = 0;
  auto out = std::move(frame_);
  out.head = current_;
  frame_ = frame();
  return out;
}

result<std::optional<frame>> reader::header_complete() {
  current_ = parse_header(header_);
  const auto size = current_.payload_bytes;
  const auto greeting = us_ == side::node ? frame_kind::client_greeting : frame_kind::server_greeting;
  if (current_.kind == greeting) {
    if (size == 0 || size > max_greeting_bytes)
      return breach("a greeting of " + std::to_string(size) + " bytes");
    stage_ = stage::small;
    wanted_ = size;
    return std::nullopt;
  }
  switch (current_.kind) {
    case frame_kind::message:
      if ((current_.flags & named_receiver_flag) != 0)
        break;
      if (size < 4 || size > max_record_bytes + prelude_bytes)
        return breach("a message of " + std::to_string(size) + " bytes");
      stage_ = stage::small;
      wanted_ = std::min<std::size_t>(size, prelude_bytes);
      return std::nullopt;
    case frame_kind::monitor:
    case frame_kind::down:
    case frame_kind::heartbeat: break;
    default: return breach("a frame of kind " + std::to_string(static_cast<unsigned>(current_.kind)));
  }
  if (size > max_ignored_bytes)
    return breach("a message of " + std::to_string(size) + " bytes that concerns nobody here");
  stage_ = stage::skip;
  wanted_ = size;
  return std::nullopt;
}

result<std::optional<frame>> reader::small_complete() {
  if (current_.kind == frame_kind::message)
    return message_begun();
  frame_.payload = bytes::copy_of(byte_view(small_));
  return take_frame();
}

result<std::optional<frame>> reader::message_begun() {
  parser p(small_);
  if (p.length() != 0)
    return breach("a message with a forwarding stack");
  const auto types = p.types(prelude_bytes);
  const auto verb = us_ == side::node ? p.integer<std::uint64_t>() : 0;
  const auto known = std::ranges::find_if(contents, [&](const content_info& c) {
    return is_request(c.what) == (us_ == side::node) && c.type == types && c.verb == verb;
  });
  if (!p.good() || known == contents.end())
    return breach("a message that is no part of the pad store's interface");
  frame_.what = known->what;
  if (carries_record(known->what)) {
    const auto size = p.length();
    const auto ahead = small_.size() - p.left();
    if (!p.good() || size > max_record_bytes || ahead + size != current_.payload_bytes)
      return breach("a record whose length does not fit its message");
    record_ = buffer::for_record(size);
    record_filled_ = p.left();
    if (record_filled_ > 0)
      std::memcpy(record_.data(), p.take(record_filled_).data(), record_filled_);
    stage_ = stage::record;
    return std::nullopt;
  }
  if (small_.size() < current_.payload_bytes) {
    if (current_.payload_bytes > max_failure_bytes)
      return breach("an answer of " + std::to_string(current_.payload_bytes) + " bytes");
    wanted_ = current_.payload_bytes;
    return std::nullopt;  // again, with all of it
  }
  switch (known->what) {
    case content::get:
    case content::head:
      if (auto from = p.take(frame_.address.size()); !from.empty())
        std::memcpy(frame_.address.data(), from.data(), from.size());
      break;
    case content::totals:
      frame_.totals.pads = p.integer<std::uint64_t>();
      frame_.totals.record_bytes = p.integer<std::uint64_t>();
      frame_.totals.disk_bytes = p.integer<std::uint64_t>();
      break;
    case content::failure: frame_.failure = parse_failure(p); break;
    default: break;
  }
  if (!p.finished())
    return breach("a malformed message: " + std::string(known->name));
  return take_frame();
}

}  // namespace mutant::wire
