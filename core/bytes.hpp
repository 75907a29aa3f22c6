// Byte buffers: `buffer` is owned, mutable and unique; `bytes` is immutable, contiguous and reference-counted.
//
// A buffer becomes bytes without a copy. Buffers large enough to hold a pad come from a bounded free list, because fresh
// 4 MiB mappings cost as much in page faults as sealing their contents. Thread-safe: bytes may be shared between threads;
// a buffer belongs to one.
//
// Shape of a large block: the memory is 4096-aligned and a record placed by `buffer::for_record` starts so that its payload
// (160 bytes in) is 4096-aligned and padded to a multiple of 4096: engines can write it with direct I/O, without a copy.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

namespace mutant {

using byte_view = std::span<const std::byte>;
using byte_span = std::span<std::byte>;

inline byte_view as_byte_view(std::string_view text) noexcept {
  return std::as_bytes(std::span(text.data(), text.size()));
}

inline std::string_view as_text(byte_view view) noexcept {
  return {reinterpret_cast<const char*>(view.data()), view.size()};
}

inline const unsigned char* uchars(byte_view view) noexcept {
  return reinterpret_cast<const unsigned char*>(view.data());
}

inline unsigned char* uchars(byte_span view) noexcept {
  return reinterpret_cast<unsigned char*>(view.data());
}

// Into the front of `out`, which is long enough and does not overlap. std::ranges::copy goes byte by byte here.
inline void copy_bytes(byte_view from, byte_span out) noexcept {
  if (!from.empty())
    std::memcpy(out.data(), from.data(), from.size());
}

namespace detail {
struct byte_block {
  std::atomic<std::uint32_t> references{1};
  enum class kind : std::uint8_t { heap, large, adopted };   // large: from the free list
  kind from = kind::heap;
  std::byte* memory = nullptr;     // what to give back
  std::size_t capacity = 0;        // bytes at memory
};
byte_block* allocate_block(std::size_t capacity);
void release_block(byte_block* block) noexcept;
}  // namespace detail

class bytes;

// Owned and mutable; freeze() makes it immutable and shareable. Contents start uninitialised.
class buffer {
 public:
  buffer() = default;
  explicit buffer(std::size_t size_bytes);
  // Room for a record of size_bytes whose payload is aligned and padded for direct I/O (see above).
  static buffer for_record(std::size_t size_bytes);

  buffer(buffer&& other) noexcept;
  buffer& operator=(buffer&& other) noexcept;
  buffer(const buffer&) = delete;
  buffer& operator=(const buffer&) = delete;
  ~buffer();

  std::byte* data() noexcept { return data_; }
  const std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  byte_span span() noexcept { return {data_, size_}; }
  // Makes it shorter; asking for more than size() keeps it as it is.
  void shrink(std::size_t size_bytes) noexcept;
  bytes freeze() &&;

 private:
  friend class bytes;
  detail::byte_block* block_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

class bytes {
 public:
  bytes() = default;
  static bytes copy_of(byte_view view);
  static bytes copy_of(std::string_view text) { return copy_of(as_byte_view(text)); }
  // Memory that another library filled, without a copy: `owner` keeps it, and nobody may change it any more.
  static bytes adopt(std::shared_ptr<const void> owner, byte_view view);

  bytes(const bytes& other) noexcept;
  bytes(bytes&& other) noexcept;
  bytes& operator=(const bytes& other) noexcept;
  bytes& operator=(bytes&& other) noexcept;
  ~bytes();

  const std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  byte_view view() const noexcept { return {data_, size_}; }
  operator byte_view() const noexcept { return view(); }

  // A part that shares the memory. Clamped to what is there.
  bytes slice(std::size_t offset, std::size_t length) const;
  // Bytes of the same block behind the end: memory that is kept and not used.
  std::size_t slack() const noexcept;
  // Whether it surely keeps no more memory than its own size: no part of a larger block, nothing adopted.
  bool is_compact() const noexcept;

  friend bool operator==(const bytes& a, const bytes& b) noexcept;

 private:
  friend class buffer;
  detail::byte_block* block_ = nullptr;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// Most memory the free list of large blocks keeps for reuse, in bytes. The default suits one store.
void set_large_block_cache_bytes(std::size_t bytes) noexcept;

}  // namespace mutant
