#include "core/index/upload_record.hpp"

#include <algorithm>
#include <utility>

namespace mutant {

std::optional<upload_record> upload_record::taken_over(const upload& pending, std::optional<std::uint64_t> size,
                                                       std::uint64_t base_version) {
  if (pending.chunks_done == 0 || (size && pending.size && *pending.size != *size))
    return std::nullopt;
  upload_record out;
  for (const auto& piece : pending.pieces)
    out.chunks_.insert(out.chunks_.end(), piece->begin(), piece->end());
  if (base_version != pending.base_version && std::ranges::any_of(out.chunks_, &chunk::inherited))
    return std::nullopt;
  out.in_index_ = out.chunks_.size();
  out.id_ = pending.id;
  out.base_version_ = pending.base_version;
  return out;
}

void upload_record::cut_at(std::uint64_t number) {
  if (number < chunks_.size())
    chunks_.resize(number);
}

operation upload_record::adopt(const std::string& key, std::uint64_t new_id) {
  return adopt_upload_op{key, std::exchange(id_, new_id), new_id, in_index_};
}

// The record in the index goes no further than the source agrees with it.
void upload_record::cut_back(const std::string& key, std::uint64_t new_id, std::vector<operation>& out) {
  if (chunks_.size() < in_index_)
    out.push_back(adopt_upload_op{key, std::exchange(id_, new_id), new_id, chunks_.size()});
}

std::vector<operation> upload_record::extend(const std::string& key, std::optional<std::uint64_t> size,
                                             std::uint32_t chunk_bytes, std::uint64_t base_version,
                                             const chunk_list& finished, std::uint64_t new_id) {
  std::vector<operation> out;
  if (!is_begun()) {
    id_ = new_id;
    base_version_ = base_version;
    out.push_back(begin_upload_op{key, id_, size, chunk_bytes, now_ms(), base_version_});
  } else {
    cut_back(key, new_id, out);
  }
  if (!finished.empty())
    out.push_back(extend_upload_op{key, id_, chunks_.size(), finished});
  return out;
}

void upload_record::added(const chunk_list& finished) {
  chunks_.insert(chunks_.end(), finished.begin(), finished.end());
  in_index_ = chunks_.size();
}

std::vector<operation> upload_record::complete(const std::string& key, std::uint64_t size, const attribute_set& attributes,
                                               const chunk_list& finished, std::uint64_t new_id) {
  std::vector<operation> out;
  cut_back(key, new_id, out);
  out.push_back(complete_upload_op{key, id_, size, now_ms(), attributes, finished});
  return out;
}

}  // namespace mutant
