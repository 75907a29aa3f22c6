#include "core/engine/segment_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "core/engine/disk_reserve.hpp"
#include "core/engine/store_format.hpp"
#include "core/files.hpp"
#include "core/limits.hpp"
#include "core/record.hpp"

namespace mutant {
namespace {

constexpr std::size_t block = store_format::block_bytes;
// Records from here up have memory aligned for direct I/O (buffer::for_record).
constexpr std::size_t aligned_from_bytes = 256 * 1024;

constexpr std::size_t whole_blocks(std::size_t bytes) noexcept { return bytes / block * block; }
constexpr std::size_t padded(std::size_t bytes) noexcept { return whole_blocks(bytes + block - 1); }

bool is_aligned(const std::byte* p) noexcept { return reinterpret_cast<std::uintptr_t>(p) % block == 0; }

// Aligned memory of at least this size, from the free list of large blocks: the payload of a record that nobody sees.
buffer aligned_buffer(std::size_t size) {
  return buffer::for_record(record_header_bytes + std::max(padded(size), aligned_from_bytes));
}
byte_span aligned_part(buffer& b) noexcept { return b.span().subspan(record_header_bytes); }

template <class Call>
auto retry_interrupted(Call&& call) {
  auto outcome = call();
  while (outcome < 0 && errno == EINTR)
    outcome = call();
  return outcome;
}

}  // namespace

// -- payloads to write -------------------------------------------------------------------------------------------------

void block_padded::free_memory::operator()(std::byte* memory) const noexcept { std::free(memory); }

block_padded::block_padded(bytes record, bool must_be_aligned) : record_(std::move(record)) {
  auto payload = payload_of(record_);
  front_ = payload.first(whole_blocks(payload.size()));
  auto rest = payload.subspan(front_.size());
  if (!rest.empty()) {
    tail_.reset(static_cast<std::byte*>(std::aligned_alloc(block, block)));
    if (tail_ == nullptr)
      throw std::bad_alloc();
    std::ranges::copy(rest, tail_.get());
    std::fill(tail_.get() + rest.size(), tail_.get() + block, std::byte{0});
    tail_bytes_ = block;
  }
  if (!must_be_aligned || is_aligned(front_.data()))
    return;
  bounce_ = aligned_buffer(front_.size());
  auto copy = aligned_part(bounce_).first(front_.size());
  std::ranges::copy(front_, copy.begin());
  front_ = copy;
  record_ = {};
}

std::span<const iovec> block_padded::parts_from(std::size_t written) noexcept {
  auto from_front = std::min(written, front_.size()), from_tail = written - from_front;
  parts_ = {iovec{const_cast<std::byte*>(front_.data() + from_front), front_.size() - from_front},
            iovec{tail_.get() + from_tail, tail_bytes_ - from_tail}};
  std::span<const iovec> all(parts_);
  if (tail_bytes_ == 0)
    return all.first(1);
  return front_.size() == from_front ? all.last(1) : all;
}

// -- opening -----------------------------------------------------------------------------------------------------------

segment_file::segment_file(segment_file&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)), direct_(other.direct_) {}

segment_file& segment_file::operator=(segment_file&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  std::swap(direct_, other.direct_);
  return *this;
}

segment_file::~segment_file() {
  if (fd_ >= 0)
    ::close(fd_);
}

error segment_file::failed(int number, const char* doing) const {
  auto e = errno_error(number, std::string(doing) + " the segment file " + path_);
  if (e.code == errc::store_full)
    e.message += ": " + std::string(how_to_make_room);
  return e;
}

result<std::optional<segment_file>> segment_file::lock(std::string path, bool create) {
  auto direct = true;
  auto flags = O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0);
  auto fd = ::open(path.c_str(), flags | O_DIRECT, 0600);
  if (fd < 0 && errno == EINVAL) {
    direct = false;
    fd = ::open(path.c_str(), flags, 0600);
  }
  segment_file file(fd, std::move(path), direct);
  if (fd < 0)
    return fail(file.failed(errno, "opening"));
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0)
    return file;
  if (errno == EWOULDBLOCK)
    return std::nullopt;
  return fail(file.failed(errno, "locking"));
}

result<segment_file> segment_file::open_for_reading(std::string path) {
  const auto fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const auto number = errno;
  segment_file file(fd, std::move(path), false);
  if (fd < 0 && number == ENOENT)
    return fail(errc::corrupt_record, "the segment file " + file.path_ + " is missing; restore the store from a copy");
  if (fd < 0)
    return fail(file.failed(number, "opening"));
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);  // a read asks for a whole payload: nothing beyond it is wanted
  return file;
}

result<segment_file> segment_file::open_for_wiping(std::string path) {
  const auto fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  const auto number = errno;
  segment_file file(fd, std::move(path), false);
  if (fd >= 0)
    return file;
  auto e = file.failed(number, "opening");
  if (number == ENOENT)
    e.code = errc::pad_not_found;
  return fail(std::move(e));
}

// -- writing -----------------------------------------------------------------------------------------------------------

result<void> segment_file::grow(std::uint64_t old_size_bytes, std::uint64_t size_bytes) {
  const auto from = static_cast<off_t>(old_size_bytes), to = static_cast<off_t>(size_bytes);
  if (retry_interrupted([&] { return ::fallocate(fd_, 0, from, to - from); }) == 0)
    return {};
  if (errno != EOPNOTSUPP) {
    auto e = failed(errno, "allocating room in");
    shrink(old_size_bytes);  // some file systems keep what they could get
    return fail(std::move(e));
  }
  struct stat info {};
  if (::fstat(fd_, &info) != 0 || (info.st_size < to && ::ftruncate(fd_, to) != 0))
    return fail(failed(errno, "growing"));
  return {};
}

void segment_file::shrink(std::uint64_t size_bytes) noexcept {
  static_cast<void>(::ftruncate(fd_, static_cast<off_t>(size_bytes)) != 0);
}

// Some file systems accept O_DIRECT and refuse it when it comes to writing. False: it was not that.
bool segment_file::leave_direct_mode() noexcept {
  direct_ = false;
  auto flags = ::fcntl(fd_, F_GETFL);
  return flags >= 0 && (flags & O_DIRECT) != 0 && ::fcntl(fd_, F_SETFL, flags & ~O_DIRECT) == 0;
}

result<void> segment_file::write(std::uint64_t offset, block_padded& payload) {
  for (std::size_t done = 0; done < payload.size();) {
    auto parts = payload.parts_from(done);
    auto written = ::pwritev(fd_, parts.data(), static_cast<int>(parts.size()), static_cast<off_t>(offset + done));
    if (written < 0 && (errno == EINTR || (errno == EINVAL && leave_direct_mode())))
      continue;
    if (written <= 0)
      return fail(failed(written < 0 ? errno : ENOSPC, "writing to"));
    done += static_cast<std::size_t>(written);
  }
  return {};
}

result<void> segment_file::sync() {
  if (retry_interrupted([&] { return ::fdatasync(fd_); }) != 0)
    return fail(failed(errno, "syncing"));
  return {};
}

// -- reading -----------------------------------------------------------------------------------------------------------

result<bytes> segment_file::read_record(std::uint64_t offset, byte_view header, std::size_t payload_bytes) const {
  auto record = buffer::for_record(record_header_bytes + payload_bytes);
  std::memcpy(record.data(), header.data(), record_header_bytes);
  auto rest = record.span().subspan(record_header_bytes);
  while (!rest.empty()) {
    auto count = ::pread(fd_, rest.data(), rest.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return fail(failed(errno, "reading"));
    if (count == 0)
      return fail(errc::corrupt_record,
                  "reading the segment file " + path_ + ": it ends too soon; restore the store from a copy");
    offset += static_cast<std::uint64_t>(count);
    rest = rest.subspan(static_cast<std::size_t>(count));
  }
  return std::move(record).freeze();
}

// -- giving back -------------------------------------------------------------------------------------------------------

result<bool> segment_file::punch(std::uint64_t offset, std::uint64_t length) {
  auto code = retry_interrupted([&] {
    return ::fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), static_cast<off_t>(length));
  });
  if (code == 0)
    return true;
  if (errno == EOPNOTSUPP)
    return false;
  return fail(failed(errno, "punching holes into"));
}

result<void> segment_file::wipe(std::uint64_t offset, std::uint64_t length) {
  auto punched = punch(offset, length);
  if (!punched || *punched)
    return punched ? result<void>() : fail(punched.error());
  static const std::vector<std::byte> zeros(std::size_t{1} << 20);
  for (std::uint64_t done = 0; done < length;) {
    auto part = byte_view(zeros).first(std::min<std::uint64_t>(zeros.size(), length - done));
    if (auto written = write_all_at(fd_, offset + done, part, "the segment file " + path_); !written)
      return written;
    done += part.size();
  }
  return {};
}

result<void> segment_file::remove() {
  if (::ftruncate(fd_, 0) != 0 || ::unlink(path_.c_str()) != 0)
    return fail(failed(errno, "removing"));
  return {};
}

std::uint64_t segment_file::disk_bytes() const {
  struct stat info {};
  return ::fstat(fd_, &info) == 0 ? static_cast<std::uint64_t>(info.st_blocks) * 512 : 0;
}

}  // namespace mutant
