// What an entry says about its value beside the value: names and byte strings. docs/format.md, "Attributes".
//
// Shared and immutable, because entries are copied; an entry without attributes pays for one null pointer.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.hpp"

namespace mutant {

using attribute_map = std::map<std::string, std::string, std::less<>>;  // name to bytes

class attribute_set {
 public:
  attribute_set() = default;
  attribute_set(attribute_map values);  // implicit: what a caller writes down is a map
  const attribute_map& values() const noexcept;
  bool empty() const noexcept { return values_ == nullptr; }
  const std::string* find(std::string_view name) const;  // null: absent
  friend bool operator==(const attribute_set& a, const attribute_set& b) noexcept;

 private:
  std::shared_ptr<const attribute_map> values_;  // null for none
};

// The names that the format defines; all others begin with attribute_name::of_user.
namespace attribute_name {
constexpr std::string_view type = "type";    // media type, as text
constexpr std::string_view mode = "mode";    // of the file that was put: permissions in octal digits
constexpr std::string_view mtime = "mtime";  // of that file: nanoseconds since 1970 in decimal digits, perhaps with a minus
constexpr std::string_view kind = "kind";    // of a folder's item that is no file: "folder" or "link"
constexpr std::string_view owner = "owner";  // of that file: user and group as decimal numbers, "1000:100"
constexpr std::string_view md5 = "md5";      // of the value, 16 bytes
constexpr std::string_view of_user = "x-";
}  // namespace attribute_name

// What every index holds to: names are UTF-8 and not empty, all names and bytes come to 8 KiB at most. invalid_argument.
result<void> check_attributes(const attribute_set& attributes);
// What may be given with a put, beyond that: names that are defined, with content that fits them, and names that begin with x-.
result<void> check_given_attributes(const attribute_set& attributes);

// A file's mode and time as attributes hold them; absent: not there, or not to be understood.
std::string mode_attribute(std::uint32_t mode);
std::string mtime_attribute(std::int64_t nanoseconds);
std::optional<std::uint32_t> mode_of(const attribute_set& attributes);
std::optional<std::int64_t> mtime_of(const attribute_set& attributes);

struct file_owner {
  std::uint32_t user = 0;
  std::uint32_t group = 0;
  friend bool operator==(const file_owner&, const file_owner&) = default;
};
std::string owner_attribute(const file_owner& owner);
std::optional<file_owner> owner_of(const attribute_set& attributes);

}  // namespace mutant
