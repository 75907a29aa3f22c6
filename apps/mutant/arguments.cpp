#include "apps/mutant/arguments.hpp"

#include <algorithm>
#include <charconv>

namespace mutant::cli {

namespace {

constexpr char mark_begin = '\1';
constexpr char mark_end = '\2';

std::string mark(std::size_t number) {
  return mark_begin + std::to_string(number) + mark_end;
}

}  // namespace

arguments::arguments(int count, const char* const* words, const std::vector<std::string_view>& valued) {
  for (int i = 1; i < count; ++i)
    words_.emplace_back(words[i]);
  auto command_seen = false, value_next = false, only_words = false;
  for (std::size_t i = 0; i < words_.size(); ++i) {
    const auto& word = words_[i];
    const auto is_option = word.size() > 1 && word.front() == '-' && !only_words && !value_next;
    if (is_option) {
      marked_.push_back(word);
      only_words = word == "--";
      value_next = std::ranges::find(valued, word) != valued.end();
    } else if (!command_seen && !value_next && !only_words) {
      marked_.push_back(word);
      command_ = word;
      command_seen = true;
    } else {
      marked_.push_back(mark(i));
      value_next = false;
    }
  }
}

std::vector<std::string> arguments::for_parser() const {
  return {marked_.rbegin(), marked_.rend()};
}

std::string arguments::resolve(std::string_view text) const {
  std::string out;
  while (!text.empty()) {
    auto begin = text.find(mark_begin);
    auto end = text.find(mark_end, begin == std::string_view::npos ? text.size() : begin);
    if (end == std::string_view::npos)
      break;
    std::size_t number = 0;
    auto digits = text.substr(begin + 1, end - begin - 1);
    auto [stop, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    const auto known = failed == std::errc{} && stop == digits.data() + digits.size() && number < words_.size();
    out += text.substr(0, begin);
    out += known ? words_[number] : std::string(text.substr(begin, end + 1 - begin));
    text.remove_prefix(end + 1);
  }
  return out.append(text);
}

bool arguments::has_flag(std::string_view name) const {
  return std::find(marked_.begin(), std::ranges::find(marked_, "--"), name) != std::ranges::find(marked_, "--");
}

}  // namespace mutant::cli
