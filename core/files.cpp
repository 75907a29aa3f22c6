#include "core/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "core/crypto.hpp"

namespace mutant {

unique_fd::~unique_fd() {
  if (descriptor_ >= 0)
    ::close(descriptor_);
}

result<unique_fd> open_fd(const std::string& path, int flags, unsigned mode) {
  unique_fd file(::open(path.c_str(), flags | O_CLOEXEC, mode));
  if (!file)
    return fail(errno_error(errno, "opening " + path));
  return file;
}

result<void> write_all_at(int descriptor, std::uint64_t offset, byte_view data, const std::string& name) {
  std::size_t at = 0;
  while (at < data.size()) {
    auto n = ::pwrite(descriptor, data.data() + at, data.size() - at, static_cast<off_t>(offset + at));
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return fail(errno_error(errno, "writing " + name + " at byte " + std::to_string(offset + at)));
    at += static_cast<std::size_t>(n);
  }
  return {};
}

unique_fd open_direct(int descriptor) {
  return unique_fd(::open(("/proc/self/fd/" + std::to_string(descriptor)).c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC));
}

result<void> write_all_at(int descriptor, int direct, std::uint64_t offset, byte_view data, const std::string& name) {
  constexpr std::size_t block = 4096;
  if (direct >= 0 && offset % block == 0 && reinterpret_cast<std::uintptr_t>(data.data()) % block == 0) {
    const auto whole = data.size() / block * block;
    const auto n = ::pwrite(direct, data.data(), whole, static_cast<off_t>(offset));
    // Whatever kept it from writing all of it: the usual way writes the rest, or tells.
    const auto written = n < 0 ? 0 : static_cast<std::size_t>(n);
    offset += written;
    data = data.subspan(written);
  }
  if (data.empty())
    return {};
  if (auto written = write_all_at(descriptor, offset, data, name); !written)
    return written;
  begin_writeback(descriptor, offset, data.size());
  return {};
}

namespace {

constexpr std::size_t hole_block_bytes = 4096;

bool is_zero(byte_view block) noexcept {
  return block.front() == std::byte{0} && std::memcmp(block.data(), block.data() + 1, block.size() - 1) == 0;
}

// From `at` on: the end of the blocks that are all zeros, or of those that are not.
std::size_t end_of_run(byte_view data, std::size_t at, bool zeros) noexcept {
  while (at < data.size() && is_zero(data.subspan(at, std::min(hole_block_bytes, data.size() - at))) == zeros)
    at = std::min(at + hole_block_bytes, data.size());
  return at;
}

}  // namespace

result<void> write_sparse_at(int descriptor, int direct, std::uint64_t offset, byte_view data, const std::string& name) {
  // Past the page cache every write waits for the disk: many short ones had better not.
  constexpr std::size_t min_direct_bytes = 256u << 10;
  for (std::size_t at = 0; at < data.size();) {
    const auto begin = end_of_run(data, at, true);
    at = end_of_run(data, begin, false);
    if (begin == at)
      continue;
    const auto run = data.subspan(begin, at - begin);
    if (auto written = write_all_at(descriptor, run.size() < min_direct_bytes ? -1 : direct, offset + begin, run, name);
        !written)
      return written;
  }
  return {};
}

std::size_t leading_hole_bytes(int descriptor, std::uint64_t offset, std::size_t length) noexcept {
  const auto data = ::lseek(descriptor, static_cast<off_t>(offset), SEEK_DATA);
  struct stat info {};
  if (data < 0) {
    // No data from there on: a hole up to the end of the file, which may be nearer by now.
    if (errno != ENXIO || ::fstat(descriptor, &info) != 0 || static_cast<std::uint64_t>(info.st_size) < offset + length)
      return 0;
    return length;
  }
  return static_cast<std::size_t>(std::min<std::uint64_t>(static_cast<std::uint64_t>(data) - offset, length));
}

result<void> read_all_at(int descriptor, std::uint64_t offset, byte_span out, const std::string& name) {
  std::size_t at = 0;
  while (at < out.size()) {
    auto n = ::pread(descriptor, out.data() + at, out.size() - at, static_cast<off_t>(offset + at));
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return fail(errno_error(errno, "reading " + name + " at byte " + std::to_string(offset + at)));
    if (n == 0)
      return fail(errc::io_error, name + " ends at byte " + std::to_string(offset + at) + ", before it should");
    at += static_cast<std::size_t>(n);
  }
  return {};
}

void begin_writeback(int descriptor, std::uint64_t offset, std::uint64_t length) noexcept {
  static_cast<void>(::sync_file_range(descriptor, static_cast<off64_t>(offset), static_cast<off64_t>(length),
                                      SYNC_FILE_RANGE_WRITE));
}

void sync_directory_of(const std::string& path) {
  auto directory = std::filesystem::path(path).parent_path().string();
  unique_fd opened(::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened)
    ::fsync(opened.get());
}

namespace {

std::string own_link(const unique_fd& file) {
  return "/proc/self/fd/" + std::to_string(file.get());
}

// A file without a name in the directory of `path`; false where the file system has no such thing, or it could get no name.
unique_fd open_nameless(const std::string& path) {
  auto directory = std::filesystem::path(path).parent_path();
  unique_fd file(::open(directory.empty() ? "." : directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  return file && ::access(own_link(file).c_str(), F_OK) == 0 ? std::move(file) : unique_fd();
}

// Gives the file the owner and group of `old`, as far as we may, and answers the mode that it can have then: a group that is
// another one than before gets what everybody has, and no more than the group had. Rights to run as somebody are not passed on.
unsigned mode_for_new_owner(int descriptor, const struct stat& old) {
  const unsigned mode = old.st_mode & 0777;
  struct stat now {};
  if (::fstat(descriptor, &now) == 0 && now.st_uid == old.st_uid && now.st_gid == old.st_gid)
    return mode;
  if (::fchown(descriptor, old.st_uid, old.st_gid) == 0 || ::fchown(descriptor, static_cast<uid_t>(-1), old.st_gid) == 0)
    return mode;
  return mode & (0707 | (mode & 07) << 3);
}

}  // namespace

result<replacement_file> replacement_file::create(const std::string& path, unsigned mode) {
  std::string temporary;
  auto file = open_nameless(path);
  if (!file) {
    temporary = path + ".tmp-XXXXXX";
    file = unique_fd(::mkostemp(temporary.data(), O_CLOEXEC));
    if (!file)
      return fail(errno_error(errno, "making a temporary file beside " + path));
  }
  replacement_file made(path, std::move(temporary), std::move(file));
  struct stat old {};
  if (mode == 0 && ::stat(path.c_str(), &old) == 0) {
    mode = mode_for_new_owner(made.descriptor(), old);
  } else if (mode == 0) {
    const auto mask = ::umask(0);
    ::umask(mask);
    mode = 0666 & ~mask;
  }
  if (::fchmod(made.descriptor(), mode) != 0)
    return fail(errno_error(errno, "setting the mode of the temporary file beside " + path));
  return made;
}

replacement_file::replacement_file(replacement_file&& other) noexcept
    : path_(std::move(other.path_)), temporary_(std::exchange(other.temporary_, {})), file_(std::move(other.file_)) {}

replacement_file::~replacement_file() {
  if (!temporary_.empty())
    ::unlink(temporary_.c_str());
}

result<void> replacement_file::commit(std::uint64_t size_bytes, std::optional<std::int64_t> modified_ns) {
  auto ready = ::ftruncate(descriptor(), static_cast<off_t>(size_bytes)) == 0;
  if (ready && modified_ns) {
    constexpr std::int64_t second = 1'000'000'000;
    const auto part = (*modified_ns % second + second) % second;
    const timespec times[] = {{0, UTIME_OMIT}, {(*modified_ns - part) / second, part}};
    ready = ::futimens(descriptor(), times) == 0;
  }
  if (!ready || ::fsync(descriptor()) != 0)
    return fail(errno_error(errno, "writing the temporary file beside " + path_));
  if (temporary_.empty()) {
    // A link cannot replace a file, a rename can: the name beside it lasts only from here to there.
    auto name = path_ + ".tmp-" + std::to_string(random_u64());
    if (::linkat(AT_FDCWD, own_link(file_).c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) != 0)
      return fail(errno_error(errno, "naming the temporary file beside " + path_));
    temporary_ = std::move(name);
  }
  if (::rename(temporary_.c_str(), path_.c_str()) != 0)
    return fail(errno_error(errno, "replacing " + path_));
  temporary_.clear();
  sync_directory_of(path_);
  return {};
}

}  // namespace mutant
