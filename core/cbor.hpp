// Canonical CBOR (RFC 8949, section 4.2.1) over libcbor: a writer that appends, and a strict reader that pulls.
// The only place that includes libcbor. docs/format.md, "CBOR".
//
// The reader takes one item at a time: no tree, no recursion, no allocation; strings are views into the input. It
// refuses integers and lengths that are longer than needed, indefinite lengths, tags, floats, undefined, counts that
// the bytes left cannot hold, and bytes behind the end. The first refusal sticks: every later read gives zero or
// nothing at once, so a codec reads on without checking each step, and asks ok() only where it loops, and finish() at
// the end.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "core/bytes.hpp"
#include "core/error.hpp"

namespace mutant {

class cbor_writer {
 public:
  // Room for the first so many bytes; it grows by itself.
  explicit cbor_writer(std::size_t expected_bytes = 256);

  void uint(std::uint64_t value);
  void integer(std::int64_t value);
  void byte_string(byte_view value);
  void text(std::string_view value);  // must be UTF-8
  void array(std::size_t items);      // its items follow
  void map(std::size_t pairs);        // key, value, key, value, … follow
  void boolean(bool value);
  void null();
  void optional_uint(const std::optional<std::uint64_t>& value);  // null for none

  std::size_t size() const noexcept { return size_; }
  bytes finish() &&;

 private:
  // Space for `wanted` more bytes, behind what is there.
  unsigned char* room(std::size_t wanted);
  void append(byte_view raw);

  buffer buffer_;
  std::size_t size_ = 0;
};

class cbor_reader {
 public:
  static constexpr auto no_limit = std::numeric_limits<std::uint64_t>::max();

  // Errors get this code, and a message that begins with the subject: "a log commit".
  cbor_reader(byte_view input, errc code, std::string_view subject) noexcept;

  // `field` names what is read, for errors: a literal. Values over `max` are refused.
  std::uint64_t uint(const char* field, std::uint64_t max = no_limit);
  std::int64_t integer(const char* field);
  byte_view byte_string(const char* field, std::size_t max_bytes);
  std::string_view text(const char* field, std::size_t max_bytes);  // valid UTF-8
  bool boolean(const char* field);
  void null(const char* field);
  std::optional<std::uint64_t> optional_uint(const char* field, std::uint64_t max = no_limit);

  // The number of items or pairs that follow; refused when the rest of the input cannot hold so many of min_item_bytes
  // each. So a count may be trusted for a loop, and for reserving memory in proportion to min_item_bytes.
  std::size_t array(const char* field, std::size_t min_item_bytes = 1);
  std::size_t map(const char* field);
  // Exactly these.
  void array_of(std::size_t items, const char* field);
  void map_of(std::size_t pairs, const char* field);
  void key(std::uint64_t expected, const char* field);

  // Copies a byte string of exactly this many bytes.
  template <std::size_t N>
  void fixed(std::array<std::byte, N>& out, const char* field) {
    fixed_bytes(out, field);
  }

  // Fails the reading at the item read last. The first refusal counts.
  void refuse(const char* field, std::string_view why);
  // The same under another code than the reader's.
  void refuse(const char* field, std::string_view why, errc code);

  bool ok() const noexcept { return !failed_; }
  std::size_t offset() const noexcept { return at_; }
  std::size_t remaining() const noexcept { return input_.size() - at_; }
  // The refusal, or the one for bytes behind the end.
  result<void> finish();

 private:
  enum class kind : std::uint8_t;
  struct item;
  struct callbacks;

  // Takes the next item if it is of this kind; otherwise the reading has failed.
  bool take(kind wanted, item& out, const char* field);
  bool decode(item& out, const char* field);
  void fixed_bytes(byte_span out, const char* field);

  byte_view input_;
  std::size_t at_ = 0;    // the next item
  std::size_t last_ = 0;  // the item read last
  bool failed_ = false;
  errc code_;
  std::string_view subject_;
  std::string message_;
};

}  // namespace mutant
