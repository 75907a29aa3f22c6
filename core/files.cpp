#include "core/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

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

void sync_directory_of(const std::string& path) {
  auto directory = std::filesystem::path(path).parent_path().string();
  unique_fd opened(::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened)
    ::fsync(opened.get());
}

result<replacement_file> replacement_file::create(const std::string& path, unsigned mode) {
  auto temporary = path + ".tmp-XXXXXX";
  unique_fd file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!file)
    return fail(errno_error(errno, "making a temporary file beside " + path));
  replacement_file made(path, std::move(temporary), std::move(file));
  if (mode == 0) {
    struct stat old {};
    if (::stat(path.c_str(), &old) == 0) {
      mode = old.st_mode & 07777;
    } else {
      const auto mask = ::umask(0);
      ::umask(mask);
      mode = 0666 & ~mask;
    }
  }
  if (::fchmod(made.descriptor(), mode) != 0)
    return fail(errno_error(errno, "setting the mode of " + made.temporary_));
  return made;
}

replacement_file::replacement_file(replacement_file&& other) noexcept
    : path_(std::move(other.path_)), temporary_(std::exchange(other.temporary_, {})), file_(std::move(other.file_)) {}

replacement_file::~replacement_file() {
  if (!temporary_.empty())
    ::unlink(temporary_.c_str());
}

result<void> replacement_file::commit(std::uint64_t size_bytes) {
  if (::ftruncate(descriptor(), static_cast<off_t>(size_bytes)) != 0 || ::fsync(descriptor()) != 0)
    return fail(errno_error(errno, "finishing " + temporary_));
  if (::rename(temporary_.c_str(), path_.c_str()) != 0)
    return fail(errno_error(errno, "replacing " + path_));
  temporary_.clear();
  sync_directory_of(path_);
  return {};
}

}  // namespace mutant
