// Text from outside as it may be shown: on a terminal, in a log, in a message. Nothing in it moves the cursor, changes colours,
// sets a window's title, or shows text in another order than it has. Pure.
#pragma once

#include <string>
#include <string_view>

#include "core/text.hpp"

namespace mutant {

// Of one sequence: C0 and C1 controls (ESC, OSC, CSI), DEL, separators of lines, marks of direction.
bool is_control(std::string_view sequence) noexcept;

// On one line: control characters, backslashes and what is not UTF-8 escaped as ls -b does.
std::string printable(std::string_view bytes);
// The same for text that may hold escapes already: backslashes stay as they are.
std::string without_controls(std::string_view text);
// The longest beginning of at most `max_bytes` that does not end within a character.
std::string_view shortened(std::string_view text, std::size_t max_bytes) noexcept;

}  // namespace mutant
