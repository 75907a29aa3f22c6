#include "apps/mutant/console.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "apps/mutant/text.hpp"

namespace mutant::cli {

namespace {

constexpr std::size_t flush_bytes = 64 * 1024;

// 0 or errno.
int write_all(int descriptor, std::string_view text) noexcept {
  while (!text.empty()) {
    const auto written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EAGAIN) {
      pollfd ready{descriptor, POLLOUT, 0};
      ::poll(&ready, 1, -1);
    } else if (written < 0 && errno != EINTR) {
      return errno;
    } else if (written > 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    }
  }
  return 0;
}

// A character of the basic plane.
std::string json_escape(std::string_view utf8) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(utf8[i])); };
  const auto code = utf8.size() == 1   ? at(0)
                    : utf8.size() == 2 ? (at(0) & 0x1F) << 6 | (at(1) & 0x3F)
                                       : (at(0) & 0x0F) << 12 | (at(1) & 0x3F) << 6 | (at(2) & 0x3F);
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "\\u%04x", code & 0xFFFF);
  return text.data();
}

std::string base64(std::string_view bytes) {
  static constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    auto byte = [&](std::size_t at) { return at < bytes.size() ? static_cast<unsigned char>(bytes[at]) : 0u; };
    const auto group = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    out += digits[group >> 18];
    out += digits[group >> 12 & 63];
    out += i + 1 < bytes.size() ? digits[group >> 6 & 63] : '=';
    out += i + 2 < bytes.size() ? digits[group & 63] : '=';
  }
  return out;
}

}  // namespace

int exit_code(errc code) noexcept {
  switch (code) {
    case errc::invalid_argument: return exit_usage;
    case errc::key_not_found: return 3;
    case errc::key_exists:
    case errc::version_mismatch: return 4;
    case errc::pad_not_found:
    case errc::bad_signature:
    case errc::corrupt_record:
    case errc::decrypt_failed:
    case errc::rollback_detected:
    case errc::index_corrupt:
    case errc::store_damaged: return 5;
    case errc::store_full:
    case errc::overloaded:
    case errc::timeout:
    case errc::unreachable: return 6;
    case errc::cancelled: return exit_interrupted;
    case errc::stale_counter:
    case errc::pad_conflict:
    case errc::too_large:
    case errc::access_denied:
    case errc::io_error:
    case errc::unsupported: break;
  }
  return 1;
}

void add_key(json& to, const std::string& name, std::string_view key) {
  if (is_utf8(key))
    to[name] = std::string(key);
  else
    to[name + "_base64"] = base64(key);
}

json traffic_json(const store_traffic& traffic) {
  return {{"requests", traffic.requests},
          {"sent_bytes", traffic.sent_bytes},
          {"received_bytes", traffic.received_bytes},
          {"retries", traffic.retries}};
}

std::string dump(const json& document) {
  // JSON escapes the controls below 0x20; the others would go through to a terminal.
  const auto text = document.dump(-1, ' ', false, json::error_handler_t::replace);
  std::string out;
  for (std::string_view rest(text); !rest.empty();) {
    const auto sequence = rest.substr(0, std::max<std::size_t>(1, utf8_length(rest)));
    rest.remove_prefix(sequence.size());
    if (is_control(sequence))
      out += json_escape(sequence);
    else
      out += sequence;
  }
  return out;
}

void console::note(std::string_view text) const {
  if (!quiet)
    write_all(STDERR_FILENO, "mutant: " + without_controls(text) + "\n");
}

void console::summary(std::string_view line) {
  if (accomplishments_++ == 0)
    accomplished_ = line;
  if (!quiet && !use_json)
    print(std::string(line) + "\n");
}

void console::print(std::string_view text) {
  pending_ += text;
  if (pending_.size() >= flush_bytes)
    flush();
}

void console::document(const json& what) {
  print(dump(what) + "\n");
}

int console::failed(std::string_view subject, const error& e, json more) {
  auto message = std::string(subject) + ": " + e.message;
  write_all(STDERR_FILENO, "mutant: " + without_controls(message) + "\n");
  if (use_json) {
    more["error"] = {{"code", name_of(e.code)}, {"message", message}};
    document(more);
  }
  return exit_code(e.code);
}

int console::finish(int code) {
  flush();
  if (output_errno_ == 0 || (output_errno_ == EPIPE && code == 0 && accomplishments_ == 0))
    return code;
  auto text = std::string("mutant: writing to standard output: ") + std::strerror(output_errno_);
  if (output_errno_ == EPIPE)
    text += ": it was closed before everything was written";
  if (accomplishments_ != 0)
    text += "; but it is done: " + accomplished_;
  if (accomplishments_ > 1)
    text += ", and " + std::to_string(accomplishments_ - 1) + " more";
  write_all(STDERR_FILENO, text + "\n");
  return code == 0 ? exit_code(errc::io_error) : code;
}

void console::interrupted() const noexcept {
  last_words("cancelled", "interrupted");
}

void console::fault(std::string_view what, errc code) const noexcept {
  last_words(name_of(code), what);
}

// In one write each, and without waiting for whoever reads standard output. No memory is taken.
void console::last_words(std::string_view code, std::string_view what) const noexcept {
  std::array<char, 1024> text;
  std::size_t size = 0;
  const auto add = [&](std::string_view more) {
    more = more.substr(0, text.size() - size);
    std::ranges::copy(more, text.begin() + static_cast<std::ptrdiff_t>(size));
    size += more.size();
  };
  const auto message = what.substr(0, 512);
  add("mutant: ");
  add(message);
  add("\n");
  write_all(STDERR_FILENO, {text.data(), size});
  pollfd ready{STDOUT_FILENO, POLLOUT, 0};
  if (!use_json || begun_ || ::poll(&ready, 1, 0) != 1)
    return;
  size = 0;
  add("{\"error\":{\"code\":\"");
  add(code);
  add("\",\"message\":\"");
  for (const auto& letter : message)  // plain letters alone: what would have to be escaped is left out
    if (letter >= ' ' && letter <= '~' && letter != '"' && letter != '\\')
      add({&letter, 1});
  add("\"}}\n");
  write_all(STDOUT_FILENO, {text.data(), size});
}

void console::flush() {
  if (pending_.empty())
    return;
  begun_ = true;
  if (output_errno_ == 0)
    output_errno_ = write_all(STDOUT_FILENO, pending_);
  pending_.clear();
}

}  // namespace mutant::cli
