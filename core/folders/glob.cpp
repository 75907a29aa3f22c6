#include "core/folders/glob.hpp"

#include <algorithm>

#include "core/text.hpp"

namespace mutant {

namespace {

// The character at the front, taken off.
std::string_view take_letter(std::string_view& text) {
  const auto letter = text.substr(0, std::max<std::size_t>(1, utf8_length(text)));
  text.remove_prefix(letter.size());
  return letter;
}

tl::unexpected<error> bad(std::string_view pattern, std::string_view why) {
  return fail(errc::invalid_argument, "the pattern '" + std::string(pattern) + "' " + std::string(why));
}

}  // namespace

// Behind the '['.
result<glob::token> glob::parse_class(std::string_view& rest, std::string_view pattern) {
  token t;
  t.what = kind::one_of;
  if (!rest.empty() && (rest.front() == '!' || rest.front() == '^')) {
    t.what = kind::none_of;
    rest.remove_prefix(1);
  }
  for (bool first = true; !rest.empty(); first = false) {
    auto low = take_letter(rest);
    if (low == "]" && !first)
      return t;
    if (low == "\\" && !rest.empty())
      low = take_letter(rest);
    auto high = low;
    if (rest.size() > 1 && rest[0] == '-' && rest[1] != ']') {
      rest.remove_prefix(1);
      high = take_letter(rest);
      if (high == "\\" && !rest.empty())
        high = take_letter(rest);
    }
    t.ranges.emplace_back(low, high);
  }
  return bad(pattern, "has a '[' without its ']'; '\\[' stands for the character");
}

result<glob> glob::parse(std::string_view pattern) {
  if (pattern.empty())
    return fail(errc::invalid_argument, "a pattern is empty");
  glob out;
  auto literal = true;
  for (auto rest = pattern; !rest.empty();) {
    auto letter = take_letter(rest);
    token t;
    if (letter == "*" && !rest.starts_with('*')) {
      t.what = kind::run;
    } else if (letter == "*") {
      const auto begins_name = out.tokens_.empty() || out.tokens_.back().text == "/";
      while (rest.starts_with('*'))
        rest.remove_prefix(1);
      if (begins_name && rest.starts_with('/')) {   // maybe, and what may be left out: a long run and its '/'
        t.what = kind::maybe;
        out.tokens_.push_back(t);
      }
      t.what = kind::long_run;
    } else if (letter == "?") {
      t.what = kind::any_letter;
    } else if (letter == "[") {
      auto parsed = parse_class(rest, pattern);
      if (!parsed)
        return fail(parsed.error());
      t = std::move(*parsed);
    } else {
      if (letter == "\\") {
        if (rest.empty())
          return bad(pattern, "ends with a '\\'");
        letter = take_letter(rest);
      }
      t.text = letter;
    }
    literal = literal && t.what == kind::letter;
    if (literal)
      out.literal_prefix_ += t.text;
    out.tokens_.push_back(std::move(t));
  }
  return out;
}

bool glob::takes(const token& t, std::string_view letter) {
  const auto listed = [&] {
    return std::ranges::any_of(t.ranges, [&](const auto& r) { return r.first <= letter && letter <= r.second; });
  };
  switch (t.what) {
    case kind::letter: return t.text == letter;
    case kind::any_letter:
    case kind::run: return letter != "/";
    case kind::one_of: return letter != "/" && listed();
    case kind::none_of: return letter != "/" && !listed();
    case kind::long_run: return true;
    case kind::maybe: break;
  }
  return false;
}

// The state, and those that it leads to without a character.
void glob::enter(std::vector<bool>& states, std::size_t at) const {
  while (!states[at]) {
    states[at] = true;
    if (at == tokens_.size())
      return;
    const auto what = tokens_[at].what;
    if (what == kind::maybe)
      enter(states, at + 3);
    else if (what != kind::run && what != kind::long_run)
      return;
    ++at;
  }
}

bool glob::matches(std::string_view text) const {
  std::vector<bool> now(tokens_.size() + 1);
  std::vector<bool> next(tokens_.size() + 1);
  enter(now, 0);
  while (!text.empty()) {
    const auto letter = take_letter(text);
    std::fill(next.begin(), next.end(), false);
    auto alive = false;
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      if (!now[i] || !takes(tokens_[i], letter))
        continue;
      const auto repeats = tokens_[i].what == kind::run || tokens_[i].what == kind::long_run;
      enter(next, repeats ? i : i + 1);
      alive = true;
    }
    if (!alive)
      return false;
    now.swap(next);
  }
  return now.back();
}

}  // namespace mutant
