// Patterns for names, as shells have them. Pure; takes time in proportion to pattern times text, whatever the pattern.
//
//   *   any characters but '/'        ?      one character but '/'
//   **  any characters                [a-z]  one of these ([!a-z]: none of these), never '/'
//   **/ any number of whole folders   \x     x itself
//
// A character is one of UTF-8, or one byte that is not UTF-8.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.hpp"

namespace mutant {

class glob {
 public:
  // invalid_argument: empty, a '[' without its ']', a '\' at the end.
  static result<glob> parse(std::string_view pattern);

  // The whole text.
  bool matches(std::string_view text) const;
  // What every text that matches begins with.
  const std::string& literal_prefix() const noexcept { return literal_prefix_; }

 private:
  enum class kind : std::uint8_t { letter, any_letter, one_of, none_of, run, long_run, maybe };
  struct token {
    kind what = kind::letter;
    std::string text;                                        // of a letter
    std::vector<std::pair<std::string, std::string>> ranges; // both ends included
  };
  static result<token> parse_class(std::string_view& rest, std::string_view pattern);
  static bool takes(const token& t, std::string_view letter);
  void enter(std::vector<bool>& states, std::size_t at) const;

  std::vector<token> tokens_;
  std::string literal_prefix_;
};

}  // namespace mutant
