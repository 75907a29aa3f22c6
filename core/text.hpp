// UTF-8 (RFC 3629): shortest form, no surrogates. Pure functions.
#pragma once

#include <cstddef>
#include <string_view>

namespace mutant {

// Length of the well-formed sequence at the front of the text; 0: there is none.
std::size_t utf8_length(std::string_view text) noexcept;

bool is_utf8(std::string_view text) noexcept;

}  // namespace mutant
