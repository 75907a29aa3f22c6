#include "core/index/attributes.hpp"

#include <charconv>

#include "core/limits.hpp"
#include "core/text.hpp"

namespace mutant {

namespace {

constexpr std::uint32_t permission_bits = 07777;
constexpr std::size_t md5_bytes = 16;

// The whole text as a number.
template <class Number>
std::optional<Number> parse(std::string_view text, int base) {
  Number value{};
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (failed != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

template <class Number>
std::optional<Number> parse(const std::string* text, int base) {
  return text != nullptr ? parse<Number>(std::string_view(*text), base) : std::nullopt;
}

tl::unexpected<error> bad(std::string_view name, std::string_view why) {
  return fail(errc::invalid_argument, "attribute '" + std::string(name) + "' " + std::string(why));
}

bool is_plain_text(std::string_view text) {
  for (const auto c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      return false;
  return is_utf8(text);
}

}  // namespace

attribute_set::attribute_set(attribute_map values) {
  if (!values.empty())
    values_ = std::make_shared<const attribute_map>(std::move(values));
}

const attribute_map& attribute_set::values() const noexcept {
  static const attribute_map none;
  return values_ ? *values_ : none;
}

const std::string* attribute_set::find(std::string_view name) const {
  const auto at = values().find(name);
  return at != values().end() ? &at->second : nullptr;
}

bool operator==(const attribute_set& a, const attribute_set& b) noexcept {
  return a.values_ == b.values_ || a.values() == b.values();
}

result<void> check_attributes(const attribute_set& attributes) {
  std::size_t size = 0;
  for (const auto& [name, content] : attributes.values()) {
    if (name.empty() || !is_utf8(name))
      return fail(errc::invalid_argument, "the name of an attribute is empty or not UTF-8");
    size += name.size() + content.size();
  }
  if (size > max_attribute_bytes)
    return fail(errc::invalid_argument, "the attributes have " + std::to_string(size) + " bytes, more than "
                                            + std::to_string(max_attribute_bytes));
  return {};
}

result<void> check_given_attributes(const attribute_set& attributes) {
  for (const auto& [name, content] : attributes.values()) {
    if (name == attribute_name::type) {
      if (content.empty() || !is_plain_text(content))
        return bad(name, "is not a media type: it is empty, or holds control characters");
    } else if (name == attribute_name::md5) {
      if (content.size() != md5_bytes)
        return bad(name, "has " + std::to_string(content.size()) + " bytes, not 16");
    } else if (name == attribute_name::mode) {
      if (!mode_of(attributes))
        return bad(name, "is not a file mode in octal digits");
    } else if (name == attribute_name::mtime) {
      if (!mtime_of(attributes))
        return bad(name, "is not a time in nanoseconds since 1970");
    } else if (name == attribute_name::kind) {
      if (content != "folder" && content != "link")
        return bad(name, "is neither 'folder' nor 'link'");
    } else if (name == attribute_name::owner) {
      if (!owner_of(attributes))
        return bad(name, "is not USER:GROUP in decimal numbers");
    } else if (!name.starts_with(attribute_name::of_user) || name.size() == attribute_name::of_user.size()) {
      return bad(name, "is not known; names of your own begin with 'x-'");
    }
  }
  return check_attributes(attributes);
}

std::string mode_attribute(std::uint32_t mode) {
  std::string text(8, '\0');
  const auto end = std::to_chars(text.data(), text.data() + text.size(), mode & permission_bits, 8).ptr;
  text.resize(static_cast<std::size_t>(end - text.data()));
  return text;
}

std::string mtime_attribute(std::int64_t nanoseconds) {
  return std::to_string(nanoseconds);
}

std::optional<std::uint32_t> mode_of(const attribute_set& attributes) {
  const auto mode = parse<std::uint32_t>(attributes.find(attribute_name::mode), 8);
  return mode && *mode <= permission_bits ? mode : std::nullopt;
}

std::optional<std::int64_t> mtime_of(const attribute_set& attributes) {
  return parse<std::int64_t>(attributes.find(attribute_name::mtime), 10);
}

std::string owner_attribute(const file_owner& owner) {
  return std::to_string(owner.user) + ":" + std::to_string(owner.group);
}

std::optional<file_owner> owner_of(const attribute_set& attributes) {
  const auto* text = attributes.find(attribute_name::owner);
  const auto colon = text != nullptr ? text->find(':') : std::string::npos;
  if (colon == std::string::npos)
    return std::nullopt;
  const auto user = parse<std::uint32_t>(std::string_view(*text).substr(0, colon), 10);
  const auto group = parse<std::uint32_t>(std::string_view(*text).substr(colon + 1), 10);
  if (!user || !group)
    return std::nullopt;
  return file_owner{*user, *group};
}

}  // namespace mutant
