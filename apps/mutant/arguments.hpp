// The command line on its way to CLI11. Keys and file names may be any bytes, but CLI11 has its own ideas about some of them:
// "[a,b]" becomes two values, "{}" none, and a key that is called like a command starts that command. So what are plain words
// reach it as marks, which are resolved again when they are read.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mutant::cli {

class arguments {
 public:
  // `valued` names the options that take their value from the next word.
  arguments(int count, const char* const* words, const std::vector<std::string_view>& valued);

  // For CLI::App::parse: in reverse order, without the program's name.
  std::vector<std::string> for_parser() const;
  // What a parsed value stands for; text without marks is itself.
  std::string resolve(std::string_view text) const;

  // The first plain word; empty: there is none.
  std::string command() const { return command_; }
  // Is the word `name` there, before any "--"? For what must be known even if parsing fails.
  bool has_flag(std::string_view name) const;

 private:
  std::string command_;
  std::vector<std::string> words_;    // as given
  std::vector<std::string> marked_;   // the same with marks
};

}  // namespace mutant::cli
