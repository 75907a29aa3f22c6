#include "core/engine/store_directory.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "core/engine/store_format.hpp"

namespace mutant {
namespace {

namespace fs = std::filesystem;

constexpr off_t lock_file_bytes = 64 * 1024;  // about a thousand readers

class file_descriptor {
 public:
  explicit file_descriptor(int fd) noexcept : fd_(fd) {}
  file_descriptor(const file_descriptor&) = delete;
  file_descriptor& operator=(const file_descriptor&) = delete;
  ~file_descriptor() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

std::string file_in(const std::string& directory, std::string_view name) {
  return (fs::path(directory) / name).string();
}

result<void> make_directories(const fs::path& directory) {
  std::error_code ignored;
  if (auto parent = directory.parent_path(); !parent.empty() && !fs::exists(parent, ignored))
    if (auto made = make_directories(parent); !made)
      return made;
  if (::mkdir(directory.c_str(), 0700) != 0) {
    if (errno == EEXIST)
      return {};
    return fail(errno_error(errno, "creating the store's directory " + directory.string()));
  }
  auto parent = directory.has_parent_path() ? directory.parent_path() : fs::path(".");
  return sync_directory(parent.string());
}

// False for an empty file: a store that is just being created. The lock file is not touched.
result<bool> has_lmdb_header(const std::string& path) {
  file_descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0)
    return fail(errno_error(errno, "opening " + path));
  constexpr std::uint32_t lmdb_magic = 0xBEEFC0DE;  // behind the 16 bytes of LMDB's page header
  std::array<char, 20> front{};
  auto count = ::pread(file.get(), front.data(), front.size(), 0);
  if (count < 0)
    return fail(errno_error(errno, "reading " + path));
  if (count == 0)
    return false;
  std::uint32_t found = 0;
  std::memcpy(&found, front.data() + 16, sizeof found);
  if (count != static_cast<ssize_t>(front.size()) || found != lmdb_magic)
    return fail(errc::invalid_argument, path + " is not an LMDB file: this is not a store; give another directory");
  return true;
}

bool may_lie_in_an_empty_store(const std::string& name) {
  return name == store_format::data_file || name == store_format::lock_file || name == "lost+found";
}

result<void> refuse_foreign_files(const std::string& directory) {
  std::error_code code;
  for (fs::directory_iterator at(directory, code), end; !code && at != end; at.increment(code))
    if (auto name = at->path().filename().string(); !may_lie_in_an_empty_store(name))
      return fail(errc::invalid_argument, "the directory " + directory + " is not a store and not empty (it holds " + name
                                              + "); give an empty or a new directory");
  if (code)
    return fail(errno_error(code.value(), "listing the directory " + directory));
  return {};
}

}  // namespace

result<void> prepare_store_directory(const std::string& directory, bool create) {
  if (directory.empty())
    return fail(errc::invalid_argument, "the store's directory has an empty name");
  struct stat info {};
  if (::stat(directory.c_str(), &info) != 0) {
    if (errno != ENOENT)
      return fail(errno_error(errno, "looking at the store's directory " + directory));
    if (!create)
      return fail(errc::unreachable, "there is no store at " + directory + ": the directory is missing");
    return make_directories(fs::path(directory));
  }
  if (!S_ISDIR(info.st_mode))
    return fail(errc::invalid_argument, directory + " is not a directory; a store needs one");
  auto data = file_in(directory, store_format::data_file);
  if (::access(data.c_str(), F_OK) == 0) {
    auto present = has_lmdb_header(data);
    if (!present)
      return fail(present.error());
    if (*present)
      return {};
  }
  if (!create)
    return fail(errc::unreachable, "there is no store in the directory " + directory);
  return refuse_foreign_files(directory);
}

result<void> allocate_lock_file(const std::string& directory) {
  auto path = file_in(directory, store_format::lock_file);
  file_descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (file.get() < 0)
    return fail(errno_error(errno, "opening the store's lock file " + path));
  // A file system without fallocate gets the sparse file. (posix_fallocate would write into a file that others have mapped.)
  if (::fallocate(file.get(), 0, 0, lock_file_bytes) != 0 && errno != EOPNOTSUPP)
    return fail(errno_error(errno, "allocating the store's lock file " + path));
  return {};
}

result<void> sync_directory(const std::string& directory) {
  file_descriptor file(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (file.get() < 0 || ::fsync(file.get()) != 0)
    return fail(errno_error(errno, "syncing the directory " + directory));
  return {};
}

bool has_room(const std::string& directory) {
  constexpr off_t probe_bytes = 1 << 20;
  // Trying it, rather than asking statvfs, knows about quotas and reserved blocks. The file has no name and goes at once.
  file_descriptor file(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file.get() < 0)
    return errno != ENOSPC && errno != EDQUOT;
  return ::fallocate(file.get(), 0, 0, probe_bytes) == 0 || (errno != ENOSPC && errno != EDQUOT);
}

std::uint64_t directory_disk_bytes(const std::string& directory) {
  std::uint64_t total = 0;
  std::error_code code;
  for (fs::directory_iterator at(directory, code), end; !code && at != end; at.increment(code)) {
    struct stat info {};
    if (::stat(at->path().c_str(), &info) == 0 && S_ISREG(info.st_mode))
      total += static_cast<std::uint64_t>(info.st_blocks) * 512;
  }
  return total;
}

}  // namespace mutant
