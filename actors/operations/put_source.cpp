#include "actors/operations/put_source.hpp"

#include <sys/stat.h>

namespace mutant {

namespace {

struct file_facts {
  std::uint64_t size = 0;
  std::int64_t modified_ns = 0;
};

result<file_facts> facts_of(const file_source& source) {
  struct stat s {};
  if (::fstat(source.file->descriptor(), &s) != 0)
    return fail(errno_error(errno, "looking at " + source.name));
  if (!S_ISREG(s.st_mode))
    return fail(errc::invalid_argument, source.name + " is not a regular file; put it through a pipe");
  return file_facts{static_cast<std::uint64_t>(s.st_size), s.st_mtim.tv_sec * 1'000'000'000 + s.st_mtim.tv_nsec};
}

}  // namespace

result<void> put_source::open() {
  if (const auto* value = std::get_if<bytes>(&from_)) {
    size_ = value->size();
  } else if (const auto* source = file()) {
    auto facts = facts_of(*source);
    if (!facts)
      return fail(facts.error());
    size_ = facts->size;
    modified_ns_ = facts->modified_ns;
  }
  return {};
}

result<void> put_source::check_unchanged() const {
  const auto* source = file();
  if (source == nullptr)
    return {};
  auto facts = facts_of(*source);
  if (!facts)
    return fail(facts.error());
  if (source->may_grow && facts->size >= size_)
    return {};
  if (facts->size != size_ || facts->modified_ns != modified_ns_)
    return fail(errc::io_error, source->name + " changed while it was read; the value was not stored. Put it again when nobody "
                                      "writes to it. A file that only grows can be put as it is now (--snapshot), or as far "
                                      "as it goes: through a pipe");
  return {};
}

bytes put_source::slice(std::uint64_t offset, std::size_t length) const {
  const auto* value = std::get_if<bytes>(&from_);
  return value != nullptr ? value->slice(offset, length) : bytes();
}

}  // namespace mutant
