// Memory of its own for what must not get out: left out of core files, zeros in a forked child, kept from swap where the system
// allows it (RLIMIT_MEMLOCK), wiped before it goes back.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

namespace mutant {

// Whole pages. Throws std::bad_alloc.
void* allocate_secret(std::size_t size_bytes);
void release_secret(void* memory, std::size_t size_bytes) noexcept;

// Leaves these whole pages out of core files from here on, or no longer. Best effort.
void exclude_from_dumps(void* pages, std::size_t size_bytes) noexcept;
void include_in_dumps(void* pages, std::size_t size_bytes) noexcept;

template <class T>
struct secret_allocator {
  using value_type = T;
  secret_allocator() = default;
  template <class U>
  explicit secret_allocator(const secret_allocator<U>&) noexcept {}
  T* allocate(std::size_t count) { return static_cast<T*>(allocate_secret(count * sizeof(T))); }
  void deallocate(T* memory, std::size_t count) noexcept { release_secret(memory, count * sizeof(T)); }
  friend bool operator==(const secret_allocator&, const secret_allocator&) noexcept { return true; }
};

// A keyring for several threads: std::make_shared, but there.
template <class T, class... Args>
std::shared_ptr<const T> make_secret(Args&&... args) {
  return std::allocate_shared<T>(secret_allocator<T>(), std::forward<Args>(args)...);
}

}  // namespace mutant
