#include "apps/mutant/text.hpp"

#include <array>
#include <charconv>
#include <cstdio>
#include <ctime>

#include "core/limits.hpp"
#include "core/text.hpp"

namespace mutant::cli {

namespace {

std::string with_commas(std::uint64_t count) {
  const auto digits = std::to_string(count);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i != 0 && (digits.size() - i) % 3 == 0)
      text += ',';
    text += digits[i];
  }
  return text;
}

std::string formatted_time(std::int64_t ms, const char* format, bool utc) {
  const auto seconds = static_cast<std::time_t>(ms / 1000 - (ms % 1000 < 0 ? 1 : 0));
  std::tm parts{};
  if ((utc ? ::gmtime_r(&seconds, &parts) : ::localtime_r(&seconds, &parts)) == nullptr)
    return "?";
  std::array<char, 64> text{};
  return {text.data(), std::strftime(text.data(), text.size(), format, &parts)};
}

}  // namespace

std::string in_quotes(std::string_view key) {
  const auto cut = shortened(key, 200);
  return "'" + printable(cut) + (cut.size() < key.size() ? "…'" : "'");
}

std::string human_bytes(std::uint64_t count) {
  static constexpr std::array<const char*, 7> units = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (count < 1024)
    return std::to_string(count) + " B";
  auto value = static_cast<double>(count);
  std::size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  std::array<char, 32> text{};
  const auto length = std::snprintf(text.data(), text.size(), value < 100 ? "%.1f %s" : "%.0f %s", value, units[unit]);
  return {text.data(), static_cast<std::size_t>(length)};
}

std::string exact_bytes(std::uint64_t count) {
  if (count < 1024)
    return counted(count, "byte");
  return human_bytes(count) + " (" + with_commas(count) + " bytes)";
}

std::string counted(std::uint64_t count, std::string_view thing) {
  auto text = with_commas(count) + " ";
  text += thing;
  return count == 1 ? text : text + "s";
}

std::string traffic_text(const store_traffic& traffic) {
  std::string out;
  for (const auto& [kind, count] : traffic.requests)
    out += (out.empty() ? "" : ", ") + std::to_string(count) + " " + kind;
  out += "; " + human_bytes(traffic.sent_bytes) + " sent, " + human_bytes(traffic.received_bytes) + " received";
  return traffic.retries == 0 ? out : out + ", " + std::to_string(traffic.retries) + " made again";
}

std::string local_time(std::int64_t ms) {
  return formatted_time(ms, "%Y-%m-%d %H:%M", false);
}

std::string utc_time(std::int64_t ms) {
  const auto rest = (ms % 1000 + 1000) % 1000;
  std::array<char, 8> fraction{};
  std::snprintf(fraction.data(), fraction.size(), ".%03dZ", static_cast<int>(rest));
  return formatted_time(ms, "%Y-%m-%dT%H:%M:%S", true) + fraction.data();
}

result<std::uint64_t> parse_number(std::string_view text, std::string_view what) {
  std::uint64_t number = 0;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc{} || end != text.data() + text.size() || (number >> 63) != 0)
    return fail(errc::invalid_argument, std::string(what) + " takes a number, not " + in_quotes(text));
  return number;
}

std::string position_text(std::uint64_t sequence, const content_hash& hash) {
  return std::to_string(sequence) + ":" + to_hex(byte_view(hash).first(8));
}

result<position> parse_position(std::string_view text, std::string_view what) {
  const auto refused = [&] {
    return fail(errc::invalid_argument, std::string(what) + " takes a position as `mutant sync` shows it, SEQUENCE:HASH with "
                                            "16 to 64 hex digits, not " + in_quotes(text));
  };
  const auto colon = text.find(':');
  if (colon == std::string_view::npos)
    return refused();
  const auto sequence = parse_number(text.substr(0, colon), what);
  const auto hex = text.substr(colon + 1);
  position out;
  out.hash.resize(hex.size() / 2);
  if (!sequence || *sequence == 0 || hex.size() % 2 != 0 || hex.size() < 16 || hex.size() > 2 * sizeof(content_hash)
      || !from_hex(hex, out.hash))
    return refused();
  out.sequence = *sequence;
  return out;
}

result<byte_range> parse_range(std::string_view text) {
  auto wrong = [&] {
    return fail(errc::invalid_argument,
                "--range takes A-B (bytes A to B, both included) or A- (from A to the end), not " + in_quotes(text));
  };
  const auto dash = text.find('-');
  if (dash == std::string_view::npos)
    return wrong();
  auto from = parse_number(text.substr(0, dash), "--range");
  if (!from)
    return wrong();
  byte_range range{*from, std::nullopt};
  if (dash + 1 == text.size())
    return range;
  auto to = parse_number(text.substr(dash + 1), "--range");
  if (!to)
    return wrong();
  if (*to < *from)
    return fail(errc::invalid_argument, "--range " + in_quotes(text) + " ends before it begins");
  range.length = *to - *from + 1;
  return range;
}

result<void> check_key(std::string_view key) {
  if (key.empty())
    return fail(errc::invalid_argument, "a key has at least one byte");
  if (key.size() > max_key_bytes)
    return fail(errc::invalid_argument,
                "a key has at most " + with_commas(max_key_bytes) + " bytes; this one has " + with_commas(key.size()));
  return {};
}

}  // namespace mutant::cli
