#include "core/secret_memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <new>

#include "core/crypto.hpp"

namespace mutant {

namespace {

std::size_t whole_pages(std::size_t size_bytes) noexcept {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return (size_bytes + page - 1) / page * page;
}

}  // namespace

void* allocate_secret(std::size_t size_bytes) {
  const auto size = whole_pages(size_bytes);
  auto* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    throw std::bad_alloc();
  exclude_from_dumps(memory, size);
  ::madvise(memory, size, MADV_WIPEONFORK);
  ::mlock(memory, size);
  return memory;
}

void release_secret(void* memory, std::size_t size_bytes) noexcept {
  wipe({static_cast<std::byte*>(memory), size_bytes});
  ::munmap(memory, whole_pages(size_bytes));
}

void exclude_from_dumps(void* pages, std::size_t size_bytes) noexcept {
  ::madvise(pages, size_bytes, MADV_DONTDUMP);
}

void include_in_dumps(void* pages, std::size_t size_bytes) noexcept {
  ::madvise(pages, size_bytes, MADV_DODUMP);
}

}  // namespace mutant
