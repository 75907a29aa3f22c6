#include "core/output_place.hpp"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <filesystem>

namespace mutant {

namespace {

namespace fs = std::filesystem;

constexpr int max_links = 40;   // as many as Linux follows

fs::path directory_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

bool holds_no_files(const fs::path& directory) {
  struct statfs info {};
  return ::statfs(directory.c_str(), &info) == 0 && (info.f_type == PROC_SUPER_MAGIC || info.f_type == SYSFS_MAGIC);
}

// "/proc/<us>/fd/7" is our descriptor 7; -1: it is not ours.
int own_descriptor_at(const fs::path& path) {
  std::error_code failed;
  const auto directory = fs::canonical(directory_of(path), failed);
  if (failed || directory != "/proc/" + std::to_string(::getpid()) + "/fd")
    return -1;
  const auto name = path.filename().string();
  int number = -1;
  const auto [end, wrong] = std::from_chars(name.data(), name.data() + name.size(), number);
  return wrong == std::errc{} && end == name.data() + name.size() ? number : -1;
}

}  // namespace

result<output_place> find_output(const std::string& name) {
  fs::path path = name;
  for (int links = 0; links <= max_links; ++links) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0)
      return output_place{path.string(), false, -1};   // making it shows what is wrong, if anything is
    if (holds_no_files(directory_of(path)))
      return output_place{path.string(), true, own_descriptor_at(path)};
    if (!S_ISLNK(info.st_mode))
      return output_place{path.string(), !S_ISREG(info.st_mode), -1};
    std::array<char, PATH_MAX> target{};
    const auto length = ::readlink(path.c_str(), target.data(), target.size());
    if (length < 0 || static_cast<std::size_t>(length) == target.size())
      return fail(errno_error(length < 0 ? errno : ENAMETOOLONG, "following the link " + path.string()));
    path = directory_of(path) / fs::path(std::string(target.data(), static_cast<std::size_t>(length)));
  }
  return fail(errno_error(ELOOP, "following the link " + name));
}

}  // namespace mutant
