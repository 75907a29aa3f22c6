#include "core/folders/item.hpp"

#include <algorithm>

namespace mutant {

namespace {

constexpr std::string_view folder_kind = "folder";
constexpr std::string_view link_kind = "link";

}  // namespace

std::string folder_prefix(std::string_view given) {
  std::string prefix(given);
  if (!prefix.empty() && prefix.back() != '/')
    prefix += '/';
  return prefix;
}

attribute_set attributes_of(const folder_item& item) {
  attribute_map values;
  if (item.kind != item_kind::file)
    values.emplace(attribute_name::kind, item.kind == item_kind::folder ? folder_kind : link_kind);
  if (item.mode)
    values.emplace(attribute_name::mode, mode_attribute(*item.mode));
  if (item.mtime_ns)
    values.emplace(attribute_name::mtime, mtime_attribute(*item.mtime_ns));
  if (item.owner)
    values.emplace(attribute_name::owner, owner_attribute(*item.owner));
  return attribute_set(std::move(values));
}

folder_item item_of(std::string path, std::uint64_t size, const attribute_set& attributes) {
  folder_item item;
  const auto* kind = attributes.find(attribute_name::kind);
  // Other programs make folders in this way, too: an empty value with a '/' at the end of its key.
  if (path.empty() || path.back() == '/')
    item.kind = size == 0 ? item_kind::folder : item_kind::file;
  else if (kind != nullptr && *kind == link_kind)
    item.kind = item_kind::link;
  item.path = std::move(path);
  item.size = size;
  item.mtime_ns = mtime_of(attributes);
  item.mode = mode_of(attributes);
  item.owner = owner_of(attributes);
  return item;
}

result<void> check_item_path(std::string_view path) {
  if (path.find('\0') != std::string_view::npos)
    return fail(errc::invalid_argument, "a file's name cannot have a zero byte");
  if (path.ends_with('/'))
    path.remove_suffix(1);
  for (std::size_t begin = 0; begin <= path.size();) {
    const auto end = std::min(path.find('/', begin), path.size());
    const auto name = path.substr(begin, end - begin);
    if (name.empty())
      return fail(errc::invalid_argument, "a file's name cannot be empty, as one beside a '/' is here");
    if (name == "." || name == "..")
      return fail(errc::invalid_argument, "a file cannot be called '" + std::string(name) + "'");
    begin = end + 1;
  }
  return {};
}

bool is_unchanged(const folder_item& from, const folder_item& to) {
  if (from.kind != to.kind || !from.mtime_ns || from.mtime_ns != to.mtime_ns)
    return false;
  return from.kind == item_kind::folder || from.size == to.size;
}

bool has_same_rights(const folder_item& from, const folder_item& to) {
  const auto same_mode = from.kind == item_kind::link || !from.mode || from.mode == to.mode;
  return same_mode && (!from.owner || from.owner == to.owner);
}

bool name_conflicts::is_inside_file(std::string_view path) {
  while (!candidates_.empty() && !path.starts_with(candidates_.back()))
    candidates_.pop_back();
  for (const auto& c : candidates_)
    if (path.size() > c.size() && path[c.size()] == '/')
      return true;
  if (!path.ends_with('/') && !path.empty())
    candidates_.emplace_back(path);
  return false;
}

}  // namespace mutant
