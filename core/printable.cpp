#include "core/printable.hpp"

namespace mutant {

namespace {

void append_octal(std::string& out, char c) {
  const auto value = static_cast<unsigned char>(c);
  out += '\\';
  out += static_cast<char>('0' + (value >> 6));
  out += static_cast<char>('0' + ((value >> 3) & 7));
  out += static_cast<char>('0' + (value & 7));
}

std::string escaped(std::string_view bytes, bool backslashes) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const auto length = utf8_length(bytes);
    const auto sequence = bytes.substr(0, length == 0 ? 1 : length);
    bytes.remove_prefix(sequence.size());
    if (sequence == "\\")
      out += backslashes ? "\\\\" : "\\";
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

}  // namespace

bool is_control(std::string_view sequence) noexcept {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(sequence[i]); };
  if (sequence.size() == 1)
    return at(0) < 0x20 || at(0) == 0x7F;
  if (sequence.size() == 2)
    return (at(0) == 0xC2 && at(1) < 0xA0) || (at(0) == 0xD8 && at(1) == 0x9C);  // C1; the Arabic letter mark
  if (sequence.starts_with("\xE2\x80"))
    return (at(2) >= 0xA8 && at(2) <= 0xAE) || at(2) == 0x8E || at(2) == 0x8F;   // separators of lines, directions
  return sequence.starts_with("\xE2\x81") && at(2) >= 0xA6 && at(2) <= 0xA9;
}

std::string printable(std::string_view bytes) {
  return escaped(bytes, true);
}

std::string without_controls(std::string_view text) {
  return escaped(text, false);
}

std::string_view shortened(std::string_view text, std::size_t max_bytes) noexcept {
  auto cut = text.substr(0, max_bytes);
  while (cut.size() < text.size() && !cut.empty() && (static_cast<unsigned char>(text[cut.size()]) & 0xC0) == 0x80)
    cut.remove_suffix(1);
  return cut;
}

}  // namespace mutant
