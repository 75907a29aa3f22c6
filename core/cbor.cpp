#include "core/cbor.hpp"

#include <cbor.h>

#include <algorithm>
#include <cassert>
#include <cstring>

#include "core/text.hpp"

namespace mutant {

namespace {

constexpr std::size_t max_head_bytes = 9;

// Bytes that the head of an item with this value or length has when it is as short as can be.
constexpr std::size_t head_bytes(std::uint64_t value) noexcept {
  if (value < 24)
    return 1;
  if (value <= 0xff)
    return 2;
  if (value <= 0xffff)
    return 3;
  return value <= 0xffff'ffff ? 5 : 9;
}

}  // namespace

// -- writer -----------------------------------------------------------------------------------------------------------

cbor_writer::cbor_writer(std::size_t expected_bytes) : buffer_(std::max(expected_bytes, max_head_bytes)) {}

unsigned char* cbor_writer::room(std::size_t wanted) {
  if (buffer_.size() - size_ < wanted) {
    buffer larger(std::max(buffer_.size() * 2, size_ + wanted));
    std::memcpy(larger.data(), buffer_.data(), size_);
    buffer_ = std::move(larger);
  }
  return uchars(buffer_.span()) + size_;
}

void cbor_writer::append(byte_view raw) {
  if (raw.empty())
    return;
  std::memcpy(room(raw.size()), raw.data(), raw.size());
  size_ += raw.size();
}

void cbor_writer::uint(std::uint64_t value) {
  size_ += cbor_encode_uint(value, room(max_head_bytes), max_head_bytes);
}

void cbor_writer::integer(std::int64_t value) {
  // -1 - value is the complement of its bits.
  if (value >= 0)
    uint(static_cast<std::uint64_t>(value));
  else
    size_ += cbor_encode_negint(~static_cast<std::uint64_t>(value), room(max_head_bytes), max_head_bytes);
}

void cbor_writer::byte_string(byte_view value) {
  size_ += cbor_encode_bytestring_start(value.size(), room(max_head_bytes), max_head_bytes);
  append(value);
}

void cbor_writer::text(std::string_view value) {
  assert(is_utf8(value));
  size_ += cbor_encode_string_start(value.size(), room(max_head_bytes), max_head_bytes);
  append(as_byte_view(value));
}

void cbor_writer::array(std::size_t items) {
  size_ += cbor_encode_array_start(items, room(max_head_bytes), max_head_bytes);
}

void cbor_writer::map(std::size_t pairs) {
  size_ += cbor_encode_map_start(pairs, room(max_head_bytes), max_head_bytes);
}

void cbor_writer::boolean(bool value) {
  size_ += cbor_encode_bool(value, room(max_head_bytes), max_head_bytes);
}

void cbor_writer::null() {
  size_ += cbor_encode_null(room(max_head_bytes), max_head_bytes);
}

void cbor_writer::optional_uint(const std::optional<std::uint64_t>& value) {
  if (value)
    uint(*value);
  else
    null();
}

bytes cbor_writer::finish() && {
  buffer_.shrink(size_);
  return std::move(buffer_).freeze();
}

// -- reader -----------------------------------------------------------------------------------------------------------

enum class cbor_reader::kind : std::uint8_t { uint, negative, bytes, text, array, map, boolean, null, other };

struct cbor_reader::item {
  kind what = kind::other;
  std::uint64_t value = 0;  // the number, the count, the length
  byte_view content;        // of strings
};

// What libcbor calls for each kind of item: all of them note it in an `item`.
struct cbor_reader::callbacks {
  static void note(void* to, kind what, std::uint64_t value) {
    auto& i = *static_cast<item*>(to);
    i.what = what;
    i.value = value;
  }
  template <class Width, kind What>
  static void number(void* to, Width value) { note(to, What, value); }
  template <kind What>
  static void string(void* to, cbor_data data, std::size_t length) {
    note(to, What, length);
    static_cast<item*>(to)->content = {reinterpret_cast<const std::byte*>(data), length};
  }
  template <kind What>
  static void simple(void* to) { note(to, What, 0); }
  template <kind What>
  static void collection(void* to, std::size_t count) { note(to, What, count); }
  static void boolean(void* to, bool value) { note(to, kind::boolean, value ? 1 : 0); }
  static void floating(void* to, float) { note(to, kind::other, 0); }
  static void double_floating(void* to, double) { note(to, kind::other, 0); }

  static constexpr cbor_callbacks table = {
      .uint8 = number<std::uint8_t, kind::uint>,
      .uint16 = number<std::uint16_t, kind::uint>,
      .uint32 = number<std::uint32_t, kind::uint>,
      .uint64 = number<std::uint64_t, kind::uint>,
      .negint64 = number<std::uint64_t, kind::negative>,
      .negint32 = number<std::uint32_t, kind::negative>,
      .negint16 = number<std::uint16_t, kind::negative>,
      .negint8 = number<std::uint8_t, kind::negative>,
      .byte_string_start = simple<kind::other>,  // the *_start ones are of indefinite length
      .byte_string = string<kind::bytes>,
      .string = string<kind::text>,
      .string_start = simple<kind::other>,
      .indef_array_start = simple<kind::other>,
      .array_start = collection<kind::array>,
      .indef_map_start = simple<kind::other>,
      .map_start = collection<kind::map>,
      .tag = number<std::uint64_t, kind::other>,
      .float2 = floating,
      .float4 = floating,
      .float8 = double_floating,
      .undefined = simple<kind::other>,
      .null = simple<kind::null>,
      .boolean = boolean,
      .indef_break = simple<kind::other>,
  };

  static const char* name(kind what) {
    static constexpr const char* names[] = {
        "an unsigned integer", "a negative integer", "a byte string", "a text string", "an array", "a map", "a boolean",
        "null", "an item that is not allowed here"};
    return names[static_cast<std::size_t>(what)];
  }
};

cbor_reader::cbor_reader(byte_view input, errc code, std::string_view subject) noexcept
    : input_(input), code_(code), subject_(subject) {}

void cbor_reader::refuse(const char* field, std::string_view why) {
  refuse(field, why, code_);
}

void cbor_reader::refuse(const char* field, std::string_view why, errc code) {
  if (failed_)
    return;
  failed_ = true;
  code_ = code;
  message_ = std::string(subject_) + ", offset " + std::to_string(last_) + ", " + field + ": ";
  message_ += why;
}

bool cbor_reader::decode(item& out, const char* field) {
  if (failed_)
    return false;
  last_ = at_;
  if (remaining() == 0) {
    refuse(field, "the data ends before it");
    return false;
  }
  auto done = cbor_stream_decode(uchars(input_) + at_, remaining(), &callbacks::table, &out);
  if (done.status != CBOR_DECODER_FINISHED) {
    refuse(field, done.status == CBOR_DECODER_NEDATA ? "the data ends within it" : "not CBOR");
    return false;
  }
  at_ += done.read;
  auto simple = out.what == kind::boolean || out.what == kind::null || out.what == kind::other;
  if (!simple && done.read - out.content.size() != head_bytes(out.value)) {
    refuse(field, "a number or length that is written longer than needed");
    return false;
  }
  return true;
}

bool cbor_reader::take(kind wanted, item& out, const char* field) {
  if (!decode(out, field))
    return false;
  if (out.what == wanted)
    return true;
  refuse(field, std::string("expected ") + callbacks::name(wanted) + ", found " + callbacks::name(out.what));
  return false;
}

std::uint64_t cbor_reader::uint(const char* field, std::uint64_t max) {
  item i;
  if (!take(kind::uint, i, field))
    return 0;
  if (i.value > max) {
    refuse(field, std::to_string(i.value) + " is over the limit of " + std::to_string(max));
    return 0;
  }
  return i.value;
}

std::int64_t cbor_reader::integer(const char* field) {
  constexpr std::uint64_t max = std::numeric_limits<std::int64_t>::max();
  item i;
  if (!decode(i, field))
    return 0;
  if (i.what != kind::uint && i.what != kind::negative)
    refuse(field, std::string("expected an integer, found ") + callbacks::name(i.what));
  else if (i.value > max)
    refuse(field, "an integer that does not fit 64 bits");
  if (failed_)
    return 0;
  auto value = static_cast<std::int64_t>(i.value);
  return i.what == kind::uint ? value : -1 - value;
}

byte_view cbor_reader::byte_string(const char* field, std::size_t max_bytes) {
  item i;
  if (!take(kind::bytes, i, field))
    return {};
  if (i.content.size() > max_bytes) {
    refuse(field, std::to_string(i.value) + " bytes are over the limit of " + std::to_string(max_bytes));
    return {};
  }
  return i.content;
}

std::string_view cbor_reader::text(const char* field, std::size_t max_bytes) {
  item i;
  if (!take(kind::text, i, field))
    return {};
  if (i.content.size() > max_bytes)
    refuse(field, std::to_string(i.value) + " bytes are over the limit of " + std::to_string(max_bytes));
  else if (!is_utf8(as_text(i.content)))
    refuse(field, "the text is not UTF-8");
  return failed_ ? std::string_view() : as_text(i.content);
}

bool cbor_reader::boolean(const char* field) {
  item i;
  return take(kind::boolean, i, field) && i.value != 0;
}

void cbor_reader::null(const char* field) {
  item i;
  take(kind::null, i, field);
}

std::optional<std::uint64_t> cbor_reader::optional_uint(const char* field, std::uint64_t max) {
  constexpr std::byte null_byte{0xf6};
  if (ok() && remaining() > 0 && input_[at_] == null_byte) {
    null(field);
    return std::nullopt;
  }
  return uint(field, max);
}

std::size_t cbor_reader::array(const char* field, std::size_t min_item_bytes) {
  item i;
  if (!take(kind::array, i, field))
    return 0;
  if (i.value > remaining() / min_item_bytes) {
    refuse(field, std::to_string(i.value) + " items cannot be in the " + std::to_string(remaining()) + " bytes left");
    return 0;
  }
  return static_cast<std::size_t>(i.value);
}

std::size_t cbor_reader::map(const char* field) {
  item i;
  if (!take(kind::map, i, field))
    return 0;
  if (i.value > remaining() / 2) {
    refuse(field, std::to_string(i.value) + " pairs cannot be in the " + std::to_string(remaining()) + " bytes left");
    return 0;
  }
  return static_cast<std::size_t>(i.value);
}

void cbor_reader::array_of(std::size_t items, const char* field) {
  if (auto found = array(field); found != items)
    refuse(field, "expected " + std::to_string(items) + " items, found " + std::to_string(found));
}

void cbor_reader::map_of(std::size_t pairs, const char* field) {
  if (auto found = map(field); found != pairs)
    refuse(field, "expected " + std::to_string(pairs) + " fields, found " + std::to_string(found));
}

void cbor_reader::key(std::uint64_t expected, const char* field) {
  if (auto found = uint(field); found != expected)
    refuse(field, "expected it as field " + std::to_string(expected) + ", found field " + std::to_string(found));
}

void cbor_reader::fixed_bytes(byte_span out, const char* field) {
  auto content = byte_string(field, out.size());
  if (!failed_ && content.size() != out.size())
    refuse(field, "expected " + std::to_string(out.size()) + " bytes, found " + std::to_string(content.size()));
  if (!failed_)
    copy_bytes(content, out);
}

result<void> cbor_reader::finish() {
  if (!failed_ && remaining() > 0) {
    last_ = at_;
    refuse("end", std::to_string(remaining()) + " bytes too many");
  }
  if (failed_)
    return fail(code_, message_);
  return {};
}

}  // namespace mutant
