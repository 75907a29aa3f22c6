#include "core/folders/excludes.hpp"

#include <algorithm>

namespace mutant {

result<void> exclude_list::add(std::string_view pattern) {
  const auto whole = pattern;
  const auto of_folders = pattern.size() > 1 && pattern.back() == '/';
  if (of_folders)
    pattern.remove_suffix(1);
  const auto of_names = pattern.find('/') == std::string_view::npos;
  if (pattern.starts_with('/'))
    pattern.remove_prefix(1);
  auto parsed = glob::parse(pattern);
  if (!parsed)
    return fail(errc::invalid_argument,
                parsed.error().message + (pattern == whole ? "" : " (of '" + std::string(whole) + "')"));
  rules_.push_back({std::move(*parsed), of_names, of_folders});
  return {};
}

result<void> exclude_list::add_lines(std::string_view text, std::string_view name) {
  for (std::size_t number = 1; !text.empty(); ++number) {
    auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    if (line.empty() || line.front() == '#')
      continue;
    const auto place = std::string(name) + ", line " + std::to_string(number) + ": ";
    // Other programs take something back with it; here it would silently leave out another name.
    if (line.front() == '!')
      return fail(errc::invalid_argument, place + "a pattern cannot take back another one; '\\!' stands for the character");
    if (auto added = add(line); !added)
      return fail(errc::invalid_argument, place + added.error().message);
  }
  return {};
}

bool exclude_list::excludes(std::string_view path) const {
  const auto is_folder = path.ends_with('/');
  if (is_folder)
    path.remove_suffix(1);
  if (path.empty())
    return false;
  const auto name = path.substr(path.rfind('/') + 1);
  return std::ranges::any_of(rules_, [&](const rule& r) {
    return (is_folder || !r.of_folders) && r.pattern.matches(r.of_names ? name : path);
  });
}

bool exclude_list::covers(std::string_view path) const {
  if (rules_.empty())
    return false;
  for (auto slash = path.find('/'); slash != std::string_view::npos && slash + 1 < path.size();
       slash = path.find('/', slash + 1))
    if (excludes(path.substr(0, slash + 1)))
      return true;
  return excludes(path);
}

}  // namespace mutant
