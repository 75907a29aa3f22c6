// Where a put's bytes come from: memory, a regular file, or a stream.
#pragma once

#include "actors/interfaces.hpp"

namespace mutant {

class put_source {
 public:
  put_source() = default;
  explicit put_source(value_source from) : from_(std::move(from)) {}

  // Looks at it, before each attempt. invalid_argument: no regular file.
  result<void> open();
  // io_error: the file changed since.
  result<void> check_unchanged() const;

  // Bytes, where it is known; a stream's is not.
  std::optional<std::uint64_t> size() const noexcept { return size_; }
  // Null: it is no stream.
  const chunk_source_actor* stream() const noexcept { return std::get_if<chunk_source_actor>(&from_); }
  const file_source* file() const noexcept { return std::get_if<file_source>(&from_); }
  // Of a value in memory; empty for the other kinds.
  bytes slice(std::uint64_t offset, std::size_t length) const;

 private:
  value_source from_;
  std::optional<std::uint64_t> size_;
  std::int64_t modified_ns_ = 0;       // of a file, to notice a change while it is read
};

}  // namespace mutant
