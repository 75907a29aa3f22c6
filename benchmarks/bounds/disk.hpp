// What the disk under a directory does alone: one big file in 4 MiB pieces past the page cache and through it, durable at
// the end, the same read again, and how long a small write takes to become durable.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "benchmarks/support.hpp"

namespace mutant::bench {

constexpr std::size_t piece_bytes = 4u << 20;

inline void must_work(bool ok, const char* doing) {
  if (ok)
    return;
  std::fprintf(stderr, "%s: %s\n", doing, std::strerror(errno));
  std::exit(1);
}

struct raw_file {
  raw_file(const std::string& path, int flags, std::uint64_t allocate) : name(path) {
    descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | flags, 0600);
    must_work(descriptor >= 0, path.c_str());
    errno = ::posix_fallocate(descriptor, 0, static_cast<off_t>(allocate));
    must_work(errno == 0, "allocating a file");
    must_work(::fsync(descriptor) == 0, "fsync");
  }
  raw_file(const raw_file&) = delete;
  raw_file& operator=(const raw_file&) = delete;
  ~raw_file() {
    ::close(descriptor);
    ::unlink(name.c_str());
  }
  std::string name;
  int descriptor = -1;
};

// Memory for direct I/O, with contents that no disk can guess.
struct aligned_piece {
  aligned_piece() : memory(static_cast<unsigned char*>(std::aligned_alloc(4096, piece_bytes)), std::free) {
    std::uint64_t x = 88172645463325252u;
    for (std::size_t i = 0; i + 8 <= piece_bytes; i += 8) {
      x ^= x << 13, x ^= x >> 7, x ^= x << 17;
      std::memcpy(memory.get() + i, &x, 8);
    }
  }
  std::unique_ptr<unsigned char, void (*)(void*)> memory;
};

// Bytes a second, the fdatasync at the end included, with so many writes under way at once.
inline double write_whole_file(const std::string& path, bool direct, unsigned at_once, std::uint64_t size) {
  const raw_file file(path, direct ? O_DIRECT : 0, size);
  std::vector<aligned_piece> pieces(at_once);
  std::atomic<std::uint64_t> next{0};
  const auto start = steady::now();
  std::vector<std::thread> all;
  for (unsigned i = 0; i < at_once; ++i)
    all.emplace_back([&, i] {
      for (auto at = next.fetch_add(piece_bytes); at < size; at = next.fetch_add(piece_bytes))
        must_work(::pwrite(file.descriptor, pieces[i].memory.get(), piece_bytes, static_cast<off_t>(at))
                      == static_cast<ssize_t>(piece_bytes),
                  "writing a piece");
    });
  for (auto& t : all)
    t.join();
  must_work(::fdatasync(file.descriptor) == 0, "fdatasync");
  return static_cast<double>(size) / seconds_since(start);
}

// Bytes a second of reading a file of so many bytes, with so many reads under way at once. Nothing of it is in the page cache
// before.
inline double read_whole_file(const std::string& path, bool direct, unsigned at_once, std::uint64_t size) {
  const raw_file file(path, O_DIRECT, size);
  std::vector<aligned_piece> pieces(at_once);
  for (std::uint64_t at = 0; at < size; at += piece_bytes)
    must_work(::pwrite(file.descriptor, pieces[0].memory.get(), piece_bytes, static_cast<off_t>(at))
                  == static_cast<ssize_t>(piece_bytes),
              "writing a piece");
  must_work(::fdatasync(file.descriptor) == 0, "fdatasync");
  const auto from = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | (direct ? O_DIRECT : 0));
  must_work(from >= 0, path.c_str());
  std::atomic<std::uint64_t> next{0};
  const auto start = steady::now();
  std::vector<std::thread> all;
  for (unsigned i = 0; i < at_once; ++i)
    all.emplace_back([&, i] {
      for (auto at = next.fetch_add(piece_bytes); at < size; at = next.fetch_add(piece_bytes))
        must_work(::pread(from, pieces[i].memory.get(), piece_bytes, static_cast<off_t>(at))
                      == static_cast<ssize_t>(piece_bytes),
                  "reading a piece");
    });
  for (auto& t : all)
    t.join();
  const auto took = seconds_since(start);
  ::close(from);
  return static_cast<double>(size) / took;
}

// Milliseconds of each 4 KiB write and fdatasync, over and over within an allocated file.
inline std::vector<double> small_sync_ms(const std::string& path, std::size_t count) {
  const std::uint64_t size = 64u << 20;
  const raw_file file(path, 0, size);
  const aligned_piece piece;
  std::vector<double> out;
  for (std::size_t i = 0; i < count + 16; ++i) {
    const auto start = steady::now();
    must_work(::pwrite(file.descriptor, piece.memory.get(), 4096, static_cast<off_t>(i * 4096 % size)) == 4096, "writing");
    must_work(::fdatasync(file.descriptor) == 0, "fdatasync");
    if (i >= 16)
      out.push_back(seconds_since(start) * 1e3);
  }
  return out;
}

inline void disk_bounds(const std::string& directory, bool smoke, std::size_t rounds, report& out) {
  const auto size = std::uint64_t{smoke ? 16u : 1024u} << 20;
  const auto path = directory + "/written";
  std::vector<double> direct, direct_four, buffered, read_four, read_cached, p50, p99;
  for (std::size_t r = 0; r < rounds; ++r) {
    direct.push_back(write_whole_file(path, true, 1, size) / 1e6);
    direct_four.push_back(write_whole_file(path, true, 4, size) / 1e6);
    buffered.push_back(write_whole_file(path, false, 1, size) / 1e6);
    read_four.push_back(read_whole_file(path, true, 4, size) / 1e6);
    read_cached.push_back(read_whole_file(path, false, 4, size) / 1e6);
    auto syncs = small_sync_ms(path, smoke ? 20 : 500);
    p50.push_back(percentile(syncs, 0.5));
    p99.push_back(percentile(syncs, 0.99));
  }
  out.add("disk_direct_mb_per_second", "disk: direct, 4 MiB pieces one by one, fdatasync", direct, "MB/s");
  out.add("disk_direct_4_mb_per_second", "disk: direct, four pieces at once, fdatasync", direct_four, "MB/s");
  out.add("disk_buffered_mb_per_second", "disk: through the page cache, fdatasync", buffered, "MB/s");
  out.add("disk_read_4_mb_per_second", "disk: direct reads, four pieces at once", read_four, "MB/s");
  out.add("disk_read_cached_mb_per_second", "disk: reads through an empty page cache, four at once", read_cached, "MB/s");
  out.more()["disk_write_bytes_per_second"] = of(direct_four).median * 1e6;
  out.more()["disk_read_bytes_per_second"] = of(read_four).median * 1e6;
  out.add("disk_small_sync_p50_ms", "disk: 4 KiB and fdatasync, p50", p50, "ms");
  out.add("disk_small_sync_p99_ms", "disk: 4 KiB and fdatasync, p99", p99, "ms");
}

}  // namespace mutant::bench
