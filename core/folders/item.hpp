// What a folder consists of, on a disk as in a store: files, symbolic links, and folders. Pure.
//
// A path is relative to the folder, with '/' between names. That of a folder ends with '/', so that paths in the order of
// their bytes are a walk: a folder comes before what is in it, and nothing else comes between. The key of an item is the prefix
// of the folder and this path.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"
#include "core/index/attributes.hpp"

namespace mutant {

enum class item_kind : std::uint8_t { file, folder, link };

struct folder_item {
  std::string path;                       // empty: the folder itself
  item_kind kind = item_kind::file;
  std::uint64_t size = 0;                 // bytes; of a link, those of its target
  std::optional<std::int64_t> mtime_ns;
  std::optional<std::uint32_t> mode;      // 12 bits
  std::optional<file_owner> owner;
};

// The prefix that keys of the folder have: with a '/' at its end, or empty for the whole store.
std::string folder_prefix(std::string_view given);

// The attributes that a value of this item has.
attribute_set attributes_of(const folder_item& item);
// The item that a value stands for.
folder_item item_of(std::string path, std::uint64_t size, const attribute_set& attributes);

// Whether a path can be a place in a folder. invalid_argument, and why: names that are empty, '.' or '..', zero bytes.
result<void> check_item_path(std::string_view path);

// Nothing that a put or get would carry over is different, as far as size and time tell.
bool is_unchanged(const folder_item& from, const folder_item& to);
// Beside the content, mode and owner are the same as far as both are known.
bool has_same_rights(const folder_item& from, const folder_item& to);

// A store can have both the value `a` and `a/b`, a disk cannot. Asked with all paths in their order.
class name_conflicts {
 public:
  // Whether something before was a file or link where this path has a folder.
  bool is_inside_file(std::string_view path);

 private:
  std::vector<std::string> candidates_;   // each begins with the one before
};

}  // namespace mutant
