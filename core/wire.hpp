// What goes over the wire between a node and its clients: the part of CAF 0.17's BASP (version 3) that a pad store needs,
// written and read here instead of by CAF, which believes whatever a peer sends. docs/format.md, "Node protocol".
//
// A frame is a 32-byte big-endian header and a payload:
//   0 kind u8 | 1 zero u16 | 3 flags u8 | 4 payload length u32 | 8 data u64 | 16 source actor u64 | 24 target actor u64
// Either side greets once; then a client sends requests (put, get, head, erase, stats) to the one actor that the node's
// greeting names, and the node answers each with the request's number (`data`, its top bit set). Programs that use CAF's own
// middleman are understood: what they send besides (monitor, down and named messages, heartbeats) is passed over unread.
//
// Bounds, before memory is taken: a record 4 MiB, a greeting 16 KiB, an error 16 KiB, anything passed over 64 KiB. Everything
// else (routed messages, other actors, other types) is a breach, after which the connection has to end. Pure; one thread each.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "core/bytes.hpp"
#include "core/crypto.hpp"
#include "core/error.hpp"

namespace mutant::wire {

constexpr std::size_t header_bytes = 32;
constexpr std::uint64_t protocol_version = 3;
constexpr std::size_t max_greeting_bytes = 16 * 1024;
constexpr std::size_t max_failure_bytes = 16 * 1024;
constexpr std::size_t max_ignored_bytes = 64 * 1024;
constexpr std::uint64_t response_flag = std::uint64_t{1} << 63;
constexpr std::uint64_t normal_priority = std::uint64_t{1} << 60;
constexpr std::uint64_t number_mask = normal_priority - 1;

enum class frame_kind : std::uint8_t { server_greeting, client_greeting, message, routed, monitor, down, heartbeat };

struct header {
  frame_kind kind = frame_kind::heartbeat;
  std::uint8_t flags = 0;
  std::uint32_t payload_bytes = 0;
  std::uint64_t data = 0;      // of a message: its number and flags; of a server's greeting: the version
  std::uint64_t source = 0;
  std::uint64_t target = 0;
};

enum class content : std::uint8_t { put, get, head, erase, stats, done, record, totals, failure };
constexpr bool is_request(content what) noexcept { return what <= content::stats; }
std::string_view name_of(content what) noexcept;

struct store_totals {
  std::uint64_t pads = 0;
  std::uint64_t record_bytes = 0;
  std::uint64_t disk_bytes = 0;
  friend bool operator==(const store_totals&, const store_totals&) = default;
};

// A caf::error: ours when the category is our_errors, with message and detail.
struct remote_failure {
  std::uint8_t code = 0;
  std::uint64_t category = 0;
  std::string message;
  std::uint64_t detail = 0;
};

// CAF's atoms: six bits a character behind 0xF.
constexpr std::uint64_t atom(std::string_view text) noexcept {
  std::uint64_t value = 0xF;
  for (auto c : text) {
    const auto code = c >= '0' && c <= '9' ? c - '0' + 1 : c >= 'A' && c <= 'Z' ? c - 'A' + 11 : c == '_' ? 37 : c - 'a' + 38;
    value = value << 6 | static_cast<std::uint64_t>(code);
  }
  return value;
}
constexpr std::uint64_t our_errors = atom("mutant");

// Names a process to its peers; random, so that it tells them nothing.
struct peer_id {
  std::uint32_t process = 0;
  std::array<std::byte, 20> host{};
  friend bool operator==(const peer_id&, const peer_id&) = default;
};
peer_id random_peer_id();

struct server_greeting {
  peer_id id;
  std::vector<std::string> applications;
  std::uint64_t actor = 0;                // where requests go
  std::vector<std::string> interface;     // its messages, by CAF's names
};

// -- writing: the header and all of the payload but the record itself, which follows ------------------------------------

std::vector<std::byte> greeting_of_client(const peer_id& id);
std::vector<std::byte> greeting_of_server(const server_greeting& greeting);
// put and erase: `record_bytes` follow.
std::vector<std::byte> request_with_record(content what, std::uint64_t number, std::uint64_t source, std::uint64_t target,
                                           std::size_t record_bytes);
std::vector<std::byte> request_for_pad(content what, std::uint64_t number, std::uint64_t source, std::uint64_t target,
                                       const pad_address& address);
std::vector<std::byte> request_for_totals(std::uint64_t number, std::uint64_t source, std::uint64_t target);
// Answers go back where the request came from.
std::vector<std::byte> answer_done(const header& request);
std::vector<std::byte> answer_record(const header& request, std::size_t record_bytes);
std::vector<std::byte> answer_totals(const header& request, const store_totals& totals);
std::vector<std::byte> answer_failure(const header& request, const error& e);

// -- reading ---------------------------------------------------------------------------------------------------------------

header parse_header(std::span<const std::byte, header_bytes> from) noexcept;
// io_error: not what such a greeting looks like.
result<peer_id> parse_client_greeting(byte_view payload);
result<server_greeting> parse_server_greeting(byte_view payload);

struct frame {
  header head;
  bytes payload;                             // of a greeting
  content what = content::done;              // of a message
  bytes record;                              // put, erase, record
  pad_address address{};                     // get, head
  store_totals totals;
  remote_failure failure;

  std::uint64_t number() const noexcept { return head.data & number_mask; }
};

enum class side : std::uint8_t { node, client };

// Cuts a stream into frames. A record is read straight into a block of its own, laid out for direct I/O.
class reader {
 public:
  // `us`: a node takes a client's greeting and requests, a client a node's greeting and answers.
  explicit reader(side us) noexcept : us_(us) {}

  // Takes from the front of `in` until a frame is whole or nothing is left. io_error: a breach; the reader is then of no
  // further use.
  result<std::optional<frame>> next(byte_view& in);
  // Size of the record of which some is read, and some is not; 0: there is none.
  std::size_t record_bytes() const noexcept { return stage_ == stage::record ? record_.size() : 0; }
  // How much of it is there.
  std::size_t record_filled_bytes() const noexcept { return stage_ == stage::record ? record_filled_ : 0; }
  // Bytes of memory that an unfinished frame holds, arrived or not: what its bounds are tested by.
  std::size_t held_bytes() const noexcept { return small_.size() + record_.size(); }

 private:
  enum class stage : std::uint8_t { header, skip, small, record };

  result<std::optional<frame>> header_complete();
  result<std::optional<frame>> small_complete();
  result<std::optional<frame>> message_begun();
  frame take_frame();
  void collect(byte_view& in);

  side us_;
  stage stage_ = stage::header;
  std::array<std::byte, header_bytes> header_{};
  std::size_t filled_ = 0;       // bytes of the current stage that are there
  std::size_t wanted_ = 0;       // bytes of `small` or `skip` that it takes
  header current_;
  std::vector<std::byte> small_;
  buffer record_;
  std::size_t record_filled_ = 0;
  frame frame_;
};

}  // namespace mutant::wire
