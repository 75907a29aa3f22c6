#include "core/folders/tree_reader.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

namespace mutant {

namespace {

constexpr int folder_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

struct directory_closer {
  void operator()(DIR* d) const noexcept { ::closedir(d); }
};

std::string_view special_kind(mode_t mode) {
  return S_ISFIFO(mode) ? "a pipe" : S_ISSOCK(mode) ? "a socket" : "a device";
}

bool is_folder(int directory, const dirent& entry) {
  struct stat s {};
  if (entry.d_type != DT_UNKNOWN)
    return entry.d_type == DT_DIR;
  return ::fstatat(directory, entry.d_name, &s, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(s.st_mode);
}

void describe(folder_item& item, const struct stat& s, bool owners) {
  item.kind = S_ISDIR(s.st_mode) ? item_kind::folder : S_ISLNK(s.st_mode) ? item_kind::link : item_kind::file;
  item.size = item.kind == item_kind::folder ? 0 : static_cast<std::uint64_t>(s.st_size);
  item.mtime_ns = std::int64_t{s.st_mtim.tv_sec} * 1'000'000'000 + s.st_mtim.tv_nsec;
  item.mode = item.kind == item_kind::link ? std::nullopt : std::optional<std::uint32_t>(s.st_mode & 07777u);
  item.owner = owners ? std::optional(file_owner{s.st_uid, s.st_gid}) : std::nullopt;
}

}  // namespace

result<tree_reader> tree_reader::open(const std::string& folder, tree_reader_options options) {
  tree_reader out(folder, std::move(options));
  unique_fd top(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat s {};
  if (!top || ::fstat(top.get(), &s) != 0)
    return fail(errno == ENOENT    ? error{errc::key_not_found, "there is no folder " + folder}
                : errno == ENOTDIR ? error{errc::invalid_argument, folder + " is not a folder"}
                                   : errno_error(errno, "opening the folder " + folder));
  describe(out.item_, s, out.options_.owners);
  out.device_ = out.item_device_ = s.st_dev;
  if (auto entered = out.enter(std::move(top), {}); !entered)
    return fail(entered.error());
  out.entered_ = true;
  return out;
}

result<void> tree_reader::enter(unique_fd folder, const std::string& path) {
  // The stream takes its descriptor along when it is closed.
  const auto own = ::fcntl(folder.get(), F_DUPFD_CLOEXEC, 0);
  std::unique_ptr<DIR, directory_closer> stream(own >= 0 ? ::fdopendir(own) : nullptr);
  if (!stream) {
    const auto number = errno;
    if (own >= 0)
      ::close(own);
    return fail(errno_error(number, "reading the folder"));
  }
  level in;
  errno = 0;
  while (const auto* entry = ::readdir(stream.get())) {
    const std::string_view text(entry->d_name);
    if (text != "." && text != "..")
      in.names.push_back({std::string(text) + (is_folder(folder.get(), *entry) ? "/" : "")});
    errno = 0;
  }
  if (errno != 0)
    return fail(errno_error(errno, "reading the folder"));
  std::ranges::sort(in.names, std::greater<>());
  in.folder = std::move(folder);
  in.path_bytes = path.size();
  levels_.push_back(std::move(in));
  return {};
}

// False: it is not entered.
bool tree_reader::enter_item() {
  if (options_.one_file_system && item_device_ != device_) {
    if (options_.not_entered)
      options_.not_entered(item_.path);
    return false;
  }
  unique_fd folder(::openat(levels_.back().folder.get(), own_name().c_str(), folder_flags));
  auto entered = folder ? enter(std::move(folder), item_.path) : fail(errno_error(errno, "opening the folder"));
  if (!entered && options_.failed)
    options_.failed(item_.path, entered.error());
  return entered.has_value();
}

void tree_reader::next() {
  if (at_end_)
    return;
  if (item_.kind == item_kind::folder && !entered_)
    enter_item();
  entered_ = false;
  while (!levels_.empty()) {
    auto& in = levels_.back();
    if (in.names.empty()) {
      levels_.pop_back();
      continue;
    }
    const auto text = std::move(in.names.back().text);
    in.names.pop_back();
    item_.path.resize(in.path_bytes);
    item_.path += text;
    if (!options_.excludes.excludes(item_.path) && look_at(in, text))
      return;
  }
  at_end_ = true;
}

void tree_reader::next_behind() {
  if (entered_)
    levels_.pop_back();
  entered_ = true;
  next();
}

// False: there is nothing to see.
bool tree_reader::look_at(const level& in, const std::string& text) {
  struct stat s {};
  const auto listed_as_folder = text.back() == '/';
  const auto bare = listed_as_folder ? text.substr(0, text.size() - 1) : text;
  if (::fstatat(in.folder.get(), bare.c_str(), &s, AT_SYMLINK_NOFOLLOW) != 0) {
    if (options_.failed)
      options_.failed(item_.path, errno_error(errno, "looking at it"));
    return false;
  }
  if (!S_ISREG(s.st_mode) && !S_ISDIR(s.st_mode) && !S_ISLNK(s.st_mode)) {
    if (options_.left_out)
      options_.left_out(item_.path, special_kind(s.st_mode));
    return false;
  }
  if (S_ISDIR(s.st_mode) != listed_as_folder) {
    if (options_.failed)
      options_.failed(item_.path, {errc::io_error, "it was replaced while the folder was read"});
    return false;
  }
  describe(item_, s, options_.owners);
  item_device_ = s.st_dev;
  return true;
}

std::string tree_reader::own_name() const {
  auto path = std::string_view(item_.path);
  if (path.ends_with('/'))
    path.remove_suffix(1);
  return std::string(path.substr(path.rfind('/') + 1));
}

result<unique_fd> tree_reader::open_file() const {
  // A pipe that took the file's place makes nobody wait.
  unique_fd file(::openat(levels_.back().folder.get(), own_name().c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat s {};
  if (!file || ::fstat(file.get(), &s) != 0)
    return fail(errno_error(errno, "opening it"));
  if (!S_ISREG(s.st_mode))
    return fail(errc::io_error, "it was replaced while the folder was read");
  return file;
}

result<std::string> tree_reader::read_link() const {
  std::array<char, PATH_MAX> text;
  const auto size = ::readlinkat(levels_.back().folder.get(), own_name().c_str(), text.data(), text.size());
  if (size < 0)
    return fail(errno_error(errno, "reading the link"));
  return std::string(text.data(), static_cast<std::size_t>(size));
}

}  // namespace mutant
