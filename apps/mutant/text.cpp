#include "apps/mutant/text.hpp"

#include <array>
#include <charconv>
#include <cstdio>
#include <ctime>

#include "core/limits.hpp"

namespace mutant::cli {

namespace {

// Length of the well-formed UTF-8 sequence at the front; 0 if there is none.
std::size_t utf8_length(std::string_view text) noexcept {
  auto at = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  auto follows = [&](std::size_t i) { return (at(i) & 0xC0u) == 0x80u; };
  const auto first = at(0);
  if (first < 0x80)
    return 1;
  if (first >= 0xC2 && first <= 0xDF)
    return follows(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const auto overlong = first == 0xE0 && at(1) < 0xA0;
    const auto surrogate = first == 0xED && at(1) >= 0xA0;
    return follows(1) && follows(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const auto outside = (first == 0xF0 && at(1) < 0x90) || (first == 0xF4 && at(1) >= 0x90);
    return follows(1) && follows(2) && follows(3) && !outside ? 4 : 0;
  }
  return 0;
}

void append_octal(std::string& out, char c) {
  const auto value = static_cast<unsigned char>(c);
  out += '\\';
  out += static_cast<char>('0' + (value >> 6));
  out += static_cast<char>('0' + ((value >> 3) & 7));
  out += static_cast<char>('0' + (value & 7));
}

// What would move the cursor, or show text in another order than it has.
bool is_control(std::string_view sequence) noexcept {
  const auto c = static_cast<unsigned char>(sequence.front());
  if (sequence.size() == 1)
    return c < 0x20 || c == 0x7F;
  if (sequence.size() == 2)
    return c == 0xC2 && static_cast<unsigned char>(sequence[1]) < 0xA0;
  const auto last = static_cast<unsigned char>(sequence[2]);
  if (sequence.starts_with("\xE2\x80"))
    return last >= 0xA8 && last <= 0xAE;  // separators of lines, directions
  return sequence.starts_with("\xE2\x81") && last >= 0xA6 && last <= 0xA9;
}

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

bool is_utf8(std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    const auto length = utf8_length(bytes);
    if (length == 0)
      return false;
    bytes.remove_prefix(length);
  }
  return true;
}

std::string printable(std::string_view bytes) {
  std::string out;
  while (!bytes.empty()) {
    const auto length = utf8_length(bytes);
    const auto sequence = bytes.substr(0, length == 0 ? 1 : length);
    bytes.remove_prefix(sequence.size());
    if (sequence == "\\")
      out += "\\\\";
    else if (sequence == "\n")
      out += "\\n";
    else if (sequence == "\t")
      out += "\\t";
    else if (sequence == "\r")
      out += "\\r";
    else if (length == 0 || is_control(sequence))
      for (auto c : sequence)
        append_octal(out, c);
    else
      out += sequence;
  }
  return out;
}

std::string in_quotes(std::string_view key) {
  constexpr std::size_t most = 200;
  auto cut = key.substr(0, most);
  // Not in the middle of a character.
  while (cut.size() < key.size() && !cut.empty() && (static_cast<unsigned char>(key[cut.size()]) & 0xC0) == 0x80)
    cut.remove_suffix(1);
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
