#include "core/folders/tree_writer.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <functional>

#include "core/crypto.hpp"

namespace mutant {

namespace {

constexpr int way_flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr unsigned plain_mode_bits = 0777;

std::string_view without_slash(std::string_view path) {
  return path.ends_with('/') ? path.substr(0, path.size() - 1) : path;
}

std::string_view parent_of(std::string_view path) {
  path = without_slash(path);
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string name_of_path(std::string_view path) {
  path = without_slash(path);
  return std::string(path.substr(path.rfind('/') + 1));
}

std::string temporary_name() {
  return ".mutant-" + std::to_string(random_u64()) + ".tmp";
}

std::string link_of(int descriptor) {
  return "/proc/self/fd/" + std::to_string(descriptor);
}

std::array<timespec, 2> times_of(std::int64_t mtime_ns) {
  constexpr std::int64_t second = 1'000'000'000;
  const auto part = (mtime_ns % second + second) % second;
  return {timespec{0, UTIME_OMIT}, timespec{(mtime_ns - part) / second, part}};
}

struct directory_closer {
  void operator()(DIR* d) const noexcept { ::closedir(d); }
};

// Done, if there is none: no folder, or nothing at all. Nothing is opened through a link.
result<void> remove_folder(int above, const std::string& name) {
  if (::unlinkat(above, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT || errno == ENOTDIR)
    return {};
  if (errno != ENOTEMPTY && errno != EEXIST)
    return fail(errno_error(errno, "removing the folder"));
  const auto descriptor = ::openat(above, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  const std::unique_ptr<DIR, directory_closer> stream(descriptor >= 0 ? ::fdopendir(descriptor) : nullptr);
  if (!stream)
    return fail(errno_error(errno, "opening the folder"));
  std::vector<std::string> names;
  while (const auto* entry = ::readdir(stream.get()))
    if (const std::string_view text(entry->d_name); text != "." && text != "..")
      names.emplace_back(text);
  for (const auto& each : names) {
    if (::unlinkat(descriptor, each.c_str(), 0) == 0)
      continue;
    if (errno != EISDIR)
      return fail(errno_error(errno, "removing " + each + " in it"));
    if (auto removed = remove_folder(descriptor, each); !removed)
      return removed;
  }
  if (::unlinkat(above, name.c_str(), AT_REMOVEDIR) != 0)
    return fail(errno_error(errno, "removing the folder"));
  return {};
}

result<void> check_place(std::string_view path) {
  if (path.empty() || path.ends_with('/'))
    return fail(errc::invalid_argument, "it has the name of a folder");
  return check_item_path(path);
}

}  // namespace

result<tree_writer> tree_writer::open(const std::string& folder, tree_writer_options options) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  auto top = std::make_shared<const unique_fd>(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!*top)
    return fail(failed ? error{errc::io_error, "making the folder " + folder + ": " + failed.message()}
                       : errno_error(errno, "opening the folder " + folder));
  return tree_writer(std::move(top), options);
}

tree_writer::target::target(target&& other) noexcept
    : folder_(std::move(other.folder_)),
      name_(std::move(other.name_)),
      temporary_(std::exchange(other.temporary_, {})),
      file_(std::move(other.file_)) {}

tree_writer::target::~target() {
  if (!temporary_.empty())
    ::unlinkat(folder_->get(), temporary_.c_str(), 0);
}

// The folder under this name; made, if there is none.
result<tree_writer::folder_ptr> tree_writer::enter_child(const folder_ptr& above, const std::string& name,
                                                         std::string_view path) const {
  auto open = [&] { return std::make_shared<const unique_fd>(::openat(above->get(), name.c_str(), way_flags)); };
  auto folder = open();
  if (!*folder && errno == ENOENT) {
    if (::mkdirat(above->get(), name.c_str(), plain_mode_bits) != 0 && errno != EEXIST)
      return fail(errno_error(errno, "making the folder " + std::string(path)));
    folder = open();
  }
  if (*folder)
    return folder;
  if (errno == ENOTDIR || errno == ELOOP)
    return fail(errc::access_denied, "a link or a file is where the folder " + std::string(path)
                                         + " would be; nothing is written through it");
  return fail(errno_error(errno, "opening the folder " + std::string(path)));
}

// The folder with this path, without '/' at its end; empty: the top.
result<tree_writer::folder_ptr> tree_writer::enter(std::string_view folder_path) {
  std::size_t depth = 0;
  auto here = top_;
  for (std::size_t begin = 0; begin < folder_path.size();) {
    const auto end = std::min(folder_path.find('/', begin), folder_path.size());
    const std::string name(folder_path.substr(begin, end - begin));
    if (depth == levels_.size() || levels_[depth].name != name) {
      levels_.resize(depth);
      auto child = enter_child(here, name, folder_path.substr(0, end));
      if (!child)
        return child;
      levels_.push_back({name, std::move(*child)});
    }
    here = levels_[depth++].folder;
    begin = end + 1;
  }
  return here;
}

result<tree_writer::target> tree_writer::create(std::string_view path) {
  if (auto good = check_place(path); !good)
    return fail(good.error());
  auto folder = enter(parent_of(path));
  if (!folder)
    return fail(folder.error());
  target out;
  out.folder_ = std::move(*folder);
  out.name_ = name_of_path(path);
  // Without a name where that can be: then not even a killed process leaves anything behind.
  out.file_ = unique_fd(::openat(out.folder_->get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!out.file_) {
    auto temporary = temporary_name();
    out.file_ = unique_fd(::openat(out.folder_->get(), temporary.c_str(), O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC,
                                   0600));
    if (!out.file_)
      return fail(errno_error(errno, "making it"));
    out.temporary_ = std::move(temporary);
  }
  return out;
}

result<void> tree_writer::set_rights(int descriptor, const folder_item& item) const {
  if (options_.owners && item.owner && ::fchown(descriptor, item.owner->user, item.owner->group) != 0)
    return fail(errno_error(errno, "setting its owner"));
  // What would let a program run as somebody else is taken only with its owner.
  if (item.mode && ::fchmod(descriptor, *item.mode & (options_.owners ? 07777 : plain_mode_bits)) != 0)
    return fail(errno_error(errno, "setting its mode"));
  if (item.mtime_ns && ::futimens(descriptor, times_of(*item.mtime_ns).data()) != 0)
    return fail(errno_error(errno, "setting its time"));
  return {};
}

// Something under `from` gets the name `to` and replaces what has it.
result<void> tree_writer::take_place(const unique_fd& folder, const std::string& from, const std::string& to) const {
  const auto rename = [&] { return ::renameat(folder.get(), from.c_str(), folder.get(), to.c_str()) == 0; };
  if (rename())
    return {};
  if (errno == EISDIR && options_.replace_folders) {
    if (auto removed = remove_folder(folder.get(), to); !removed)
      return removed;
    if (rename())
      return {};
  }
  if (errno == EISDIR || errno == ENOTEMPTY)
    return fail(errc::key_exists, "there is a folder with its name");
  return fail(errno_error(errno, "naming it"));
}

result<void> tree_writer::commit(target& file, std::uint64_t size, const folder_item& item) {
  if (::ftruncate(file.descriptor(), static_cast<off_t>(size)) != 0)
    return fail(errno_error(errno, "writing it"));
  auto described = item;
  if (!described.mode) {
    const auto mask = ::umask(0);
    ::umask(mask);
    described.mode = 0666u & ~mask;
  }
  if (auto set = set_rights(file.descriptor(), described); !set)
    return set;
  if (file.temporary_.empty()) {
    const auto own = link_of(file.descriptor());
    if (::linkat(AT_FDCWD, own.c_str(), file.folder_->get(), file.name_.c_str(), AT_SYMLINK_FOLLOW) == 0)
      return {};
    if (errno != EEXIST)
      return fail(errno_error(errno, "naming it"));
    auto temporary = temporary_name();
    if (::linkat(AT_FDCWD, own.c_str(), file.folder_->get(), temporary.c_str(), AT_SYMLINK_FOLLOW) != 0)
      return fail(errno_error(errno, "naming it"));
    file.temporary_ = std::move(temporary);
  }
  if (auto replaced = take_place(*file.folder_, file.temporary_, file.name_); !replaced)
    return replaced;
  file.temporary_.clear();
  return {};
}

result<void> tree_writer::make_link(const folder_item& item, const std::string& leads_to) {
  if (auto good = check_place(item.path); !good)
    return good;
  if (leads_to.empty() || leads_to.find('\0') != std::string::npos)
    return fail(errc::invalid_argument, "a link cannot lead to nothing, or to a name with a zero byte");
  auto folder = enter(parent_of(item.path));
  if (!folder)
    return fail(folder.error());
  const auto name = name_of_path(item.path);
  const auto temporary = temporary_name();
  const auto in = (*folder)->get();
  if (::symlinkat(leads_to.c_str(), in, temporary.c_str()) != 0)
    return fail(errno_error(errno, "making the link"));
  auto set = [&]() -> result<void> {
    if (options_.owners && item.owner
        && ::fchownat(in, temporary.c_str(), item.owner->user, item.owner->group, AT_SYMLINK_NOFOLLOW) != 0)
      return fail(errno_error(errno, "setting its owner"));
    if (item.mtime_ns && ::utimensat(in, temporary.c_str(), times_of(*item.mtime_ns).data(), AT_SYMLINK_NOFOLLOW) != 0)
      return fail(errno_error(errno, "setting its time"));
    return take_place(**folder, temporary, name);
  }();
  if (!set)
    ::unlinkat(in, temporary.c_str(), 0);
  return set;
}

result<void> tree_writer::make_folder(const folder_item& item) {
  if (!item.path.empty())
    if (auto good = check_item_path(item.path); !good)
      return good;
  auto folder = enter(without_slash(item.path));
  if (!folder)
    return fail(folder.error());
  // Until all is in it, we need these rights to it.
  constexpr mode_t needed = 0300;
  struct stat s {};
  if (item.mode && ::fstat((*folder)->get(), &s) == 0 && (s.st_mode & needed) != needed)
    static_cast<void>(::chmod(link_of((*folder)->get()).c_str(), (s.st_mode & 07777) | needed));
  folders_.push_back(item);
  return {};
}

result<void> tree_writer::restore_rights(const folder_item& item) {
  if (item.kind == item_kind::folder)
    return make_folder(item);
  if (auto good = check_place(item.path); !good)
    return good;
  auto folder = enter(parent_of(item.path));
  if (!folder)
    return fail(folder.error());
  if (item.kind == item_kind::link) {
    if (options_.owners && item.owner
        && ::fchownat((*folder)->get(), name_of_path(item.path).c_str(), item.owner->user, item.owner->group,
                      AT_SYMLINK_NOFOLLOW) != 0)
      return fail(errno_error(errno, "setting its owner"));
    return {};
  }
  const unique_fd file(::openat((*folder)->get(), name_of_path(item.path).c_str(),
                                O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file)
    return fail(errno_error(errno, "opening it to set its mode"));
  return set_rights(file.get(), item);
}

result<void> tree_writer::remove(std::string_view path) {
  if (auto good = check_item_path(path); !good)
    return good;
  auto folder = enter(parent_of(path));
  if (!folder)
    return fail(folder.error());
  levels_.clear();   // one of them may be what is removed
  const auto name = name_of_path(path);
  if (path.ends_with('/'))
    return remove_folder((*folder)->get(), name);
  if (::unlinkat((*folder)->get(), name.c_str(), 0) != 0 && errno != ENOENT)
    return fail(errno_error(errno, "removing it"));
  return {};
}

result<void> tree_writer::set_folder_rights(const folder_item& item) {
  auto above = item.path.empty() ? result<folder_ptr>(top_) : enter(parent_of(item.path));
  if (!above)
    return fail(above.error());
  const auto name = item.path.empty() ? std::string(".") : name_of_path(item.path);
  const unique_fd folder(::openat((*above)->get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder)
    return fail(errno_error(errno, "opening the folder to set its mode"));
  return set_rights(folder.get(), item);
}

void tree_writer::finish(const std::function<void(const std::string& path, const error&)>& failed) {
  // From the bottom up: a folder that may not be entered any more has nothing left to be done in it.
  for (auto item = folders_.rbegin(); item != folders_.rend(); ++item)
    if (auto set = set_folder_rights(*item); !set)
      failed(item->path, set.error());
  folders_.clear();
  if (::syncfs(top_->get()) != 0)
    failed({}, errno_error(errno, "waiting until all is on the disk"));
}

}  // namespace mutant
