#include "core/engine/segment_reader.hpp"

#include <algorithm>

namespace mutant {
namespace {
constexpr std::size_t max_open_files = 128;
}

result<std::shared_ptr<const segment_file>> segment_reader::file_of(std::uint32_t segment) {
  std::lock_guard lock(mutex_);
  auto at = files_.find(segment);
  if (at == files_.end()) {
    auto opened = segment_file::open_for_reading(directory_ + '/' + store_format::segment_file_name(segment));
    if (!opened)
      return fail(opened.error());
    if (files_.size() >= max_open_files)
      files_.erase(std::ranges::min_element(files_, {}, [](auto& entry) { return entry.second.last_use; }));
    at = files_.emplace(segment, open_file{std::make_shared<const segment_file>(std::move(*opened)), 0}).first;
  }
  at->second.last_use = ++uses_;
  return at->second.file;
}

result<bytes> segment_reader::read(const store_format::extent& where, byte_view header, std::size_t payload_bytes) {
  auto file = file_of(where.segment);
  if (!file)
    return fail(file.error());
  return (*file)->read_record(std::uint64_t{where.block} * store_format::block_bytes, header, payload_bytes);
}

}  // namespace mutant
