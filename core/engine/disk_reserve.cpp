#include "core/engine/disk_reserve.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "core/engine/store_format.hpp"
#include "core/files.hpp"

namespace mutant {
namespace {

constexpr std::uint64_t usual_bytes = 256 * 1024;
constexpr std::uint64_t small_disk_bytes = 4 << 20;

std::uint64_t size_for(const std::string& directory) {
  struct statvfs info {};
  const auto known = ::statvfs(directory.c_str(), &info) == 0 && info.f_blocks != 0;
  return known && std::uint64_t{info.f_blocks} * info.f_frsize < small_disk_bytes ? usual_bytes / 2 : usual_bytes;
}

}  // namespace

disk_reserve::disk_reserve(const std::string& directory)
    : path_(directory + '/' + std::string(store_format::reserve_file)), size_bytes_(size_for(directory)) {}

result<void> disk_reserve::make_whole() {
  struct stat info {};
  if (::stat(path_.c_str(), &info) == 0) {
    const auto enough = static_cast<std::uint64_t>(info.st_size) >= size_bytes_;
    if (enough && (written_ || static_cast<std::uint64_t>(info.st_blocks) * 512 >= size_bytes_))
      return {};
  }
  auto failed = [this](int number) {
    auto e = errno_error(number, "keeping room for removals in " + path_);
    if (e.code == errc::store_full)
      e.message += ": " + std::string(how_to_make_room);
    return fail(std::move(e));
  };
  unique_fd file(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (file.get() < 0)
    return failed(errno);
  if (::fallocate(file.get(), 0, 0, static_cast<off_t>(size_bytes_)) == 0)
    return {};
  if (errno != EOPNOTSUPP) {
    const auto number = errno;
    static_cast<void>(::ftruncate(file.get(), 0) != 0);  // what it got of it is of no use
    return failed(number);
  }
  const std::vector<std::byte> zeros(size_bytes_);
  auto written = write_all_at(file.get(), 0, zeros, path_);
  written_ = written.has_value();
  return written;
}

void disk_reserve::give_up() noexcept {
  written_ = false;
  static_cast<void>(::truncate(path_.c_str(), 0) != 0);
}

}  // namespace mutant
