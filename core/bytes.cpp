#include "core/bytes.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <new>
#include <vector>

#include "core/limits.hpp"
#include "core/secret_memory.hpp"

namespace mutant {
namespace detail {
namespace {

constexpr std::size_t page_bytes = 4096;
// One page in front of the payload (its tail is the record's header), then the padded payload.
constexpr std::size_t large_capacity_bytes = page_bytes + max_record_bytes;
// Below this a block is plain heap memory: malloc does that well.
constexpr std::size_t large_from_bytes = 256 * 1024;

class large_block_cache {
 public:
  std::byte* take() {
    {
      std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        auto* memory = free_.back();
        free_.pop_back();
        return memory;
      }
    }
    auto* memory = static_cast<std::byte*>(::operator new(large_capacity_bytes, std::align_val_t(page_bytes)));
    exclude_from_dumps(memory, large_capacity_bytes);  // most are plaintext at some time
    return memory;
  }

  void give_back(std::byte* memory) noexcept {
    {
      std::lock_guard lock(mutex_);
      if (free_.size() < limit_ && free_.size() < free_.capacity()) {
        free_.push_back(memory);
        return;
      }
    }
    free_block(memory);
  }

  void limit(std::size_t blocks) noexcept {
    std::lock_guard lock(mutex_);
    limit_ = std::min(blocks, max_blocks);
    while (free_.size() > limit_) {
      free_block(free_.back());
      free_.pop_back();
    }
  }

  ~large_block_cache() {
    for (auto* memory : free_)
      free_block(memory);
  }

 private:
  static void free_block(std::byte* memory) noexcept {
    include_in_dumps(memory, large_capacity_bytes);
    ::operator delete(memory, std::align_val_t(page_bytes));
  }

  static constexpr std::size_t max_blocks = 256;
  std::mutex mutex_;
  std::vector<std::byte*> free_ = [] {
    std::vector<std::byte*> v;
    v.reserve(max_blocks);
    return v;
  }();
  std::size_t limit_ = 16;
};

// Leaked on purpose: bytes may outlive static destruction.
large_block_cache& cache() {
  static auto* instance = new large_block_cache;
  return *instance;
}

}  // namespace

struct adopted_block : byte_block {
  std::shared_ptr<const void> owner;
};

byte_block* allocate_block(std::size_t capacity) {
  if (capacity >= large_from_bytes && capacity <= large_capacity_bytes) {
    auto* memory = cache().take();
    auto* block = new (std::nothrow) byte_block;
    if (block == nullptr) {
      cache().give_back(memory);
      throw std::bad_alloc();
    }
    block->from = byte_block::kind::large;
    block->memory = memory;
    block->capacity = large_capacity_bytes;
    return block;
  }
  // One allocation: the block, then its bytes.
  auto* raw = ::operator new(sizeof(byte_block) + capacity);
  auto* block = new (raw) byte_block;
  block->memory = static_cast<std::byte*>(raw) + sizeof(byte_block);
  block->capacity = capacity;
  return block;
}

void release_block(byte_block* block) noexcept {
  if (block == nullptr || block->references.fetch_sub(1, std::memory_order_acq_rel) != 1)
    return;
  switch (block->from) {
    case byte_block::kind::large:
      cache().give_back(block->memory);
      delete block;
      return;
    case byte_block::kind::adopted: delete static_cast<adopted_block*>(block); return;
    case byte_block::kind::heap:
      block->~byte_block();
      ::operator delete(block);
  }
}

}  // namespace detail

void set_large_block_cache_bytes(std::size_t bytes) noexcept {
  detail::cache().limit(bytes / detail::large_capacity_bytes);
}

buffer::buffer(std::size_t size_bytes)
    : block_(detail::allocate_block(size_bytes)), data_(block_->memory), size_(size_bytes) {}

buffer buffer::for_record(std::size_t size_bytes) {
  using namespace detail;
  buffer result;
  auto payload = size_bytes > record_header_bytes ? size_bytes - record_header_bytes : 0;
  auto padded = (payload + page_bytes - 1) / page_bytes * page_bytes;
  if (page_bytes + padded < large_from_bytes)
    return buffer(size_bytes);
  result.block_ = allocate_block(page_bytes + padded);
  auto lead = result.block_->from == byte_block::kind::large ? page_bytes - record_header_bytes : 0;
  result.data_ = result.block_->memory + lead;
  result.size_ = size_bytes;
  return result;
}

buffer::buffer(buffer&& other) noexcept
    : block_(std::exchange(other.block_, nullptr)), data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

buffer& buffer::operator=(buffer&& other) noexcept {
  std::swap(block_, other.block_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

buffer::~buffer() {
  detail::release_block(block_);
}

void buffer::shrink(std::size_t size_bytes) noexcept {
  size_ = std::min(size_, size_bytes);
}

bytes buffer::freeze() && {
  bytes result;
  result.block_ = std::exchange(block_, nullptr);
  result.data_ = std::exchange(data_, nullptr);
  result.size_ = std::exchange(size_, 0);
  return result;
}

bytes bytes::copy_of(byte_view view) {
  if (view.empty())
    return {};
  buffer copy(view.size());
  std::memcpy(copy.data(), view.data(), view.size());
  return std::move(copy).freeze();
}

bytes bytes::adopt(std::shared_ptr<const void> owner, byte_view view) {
  if (view.empty() || owner == nullptr)
    return {};
  auto* block = new detail::adopted_block;
  block->from = detail::byte_block::kind::adopted;
  block->memory = const_cast<std::byte*>(view.data());  // nobody writes there: only buffers are written
  block->capacity = view.size();
  block->owner = std::move(owner);
  bytes result;
  result.block_ = block;
  result.data_ = view.data();
  result.size_ = view.size();
  return result;
}

bytes::bytes(const bytes& other) noexcept : block_(other.block_), data_(other.data_), size_(other.size_) {
  if (block_ != nullptr)
    block_->references.fetch_add(1, std::memory_order_relaxed);
}

bytes::bytes(bytes&& other) noexcept
    : block_(std::exchange(other.block_, nullptr)), data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

bytes& bytes::operator=(const bytes& other) noexcept {
  bytes copy(other);
  *this = std::move(copy);
  return *this;
}

bytes& bytes::operator=(bytes&& other) noexcept {
  std::swap(block_, other.block_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

bytes::~bytes() {
  detail::release_block(block_);
}

bytes bytes::slice(std::size_t offset, std::size_t length) const {
  bytes part(*this);
  offset = std::min(offset, size_);
  part.data_ += offset;
  part.size_ = std::min(length, size_ - offset);
  return part;
}

std::size_t bytes::slack() const noexcept {
  if (block_ == nullptr)
    return 0;
  return static_cast<std::size_t>(block_->memory + block_->capacity - (data_ + size_));
}

bool bytes::is_compact() const noexcept {
  return block_ == nullptr
         || (block_->from == detail::byte_block::kind::heap && data_ == block_->memory && slack() == 0);
}

bool operator==(const bytes& a, const bytes& b) noexcept {
  return a.size_ == b.size_ && (a.size_ == 0 || std::memcmp(a.data_, b.data_, a.size_) == 0);
}

}  // namespace mutant
