// What the index has on record of a put under way, and the operations that bring the record up to date. Behind the recorded
// chunks comes the tail: chunks that are finished and not on record yet.
//
// Under one id a record only grows, so that whoever looked it up before, and adopts it now, finds the chunks in it that it saw:
// who adopts it, and who cuts it back because the source differs there, gives it a new id.
// Pure: ids are given. docs/design.md, "Uploads".
#pragma once

#include <optional>

#include "core/index/model.hpp"

namespace mutant {

class upload_record {
 public:
  upload_record() = default;
  // Takes over what an earlier attempt recorded. Nothing: it is of another source, or what it inherited is gone.
  // size: the source's, if it is known; base_version: of the value under the key now, 0: none.
  static std::optional<upload_record> taken_over(const upload& pending, std::optional<std::uint64_t> size,
                                                 std::uint64_t base_version);

  bool is_begun() const noexcept { return id_ != 0; }
  // The version of the value whose chunks it may inherit; 0: none.
  std::uint64_t base_version() const noexcept { return base_version_; }
  // As far as the source agrees with it.
  const chunk_list& chunks() const noexcept { return chunks_; }
  // The source differs at this chunk, or ends before it: the record counts no further.
  void cut_at(std::uint64_t number);

  // The record goes on under another id, as it is in the index.
  operation adopt(const std::string& key, std::uint64_t new_id);
  // Begins the record, or cuts it back in the index, where that is needed; then adds these finished chunks. After the commit,
  // added() is to be called with them.
  std::vector<operation> extend(const std::string& key, std::optional<std::uint64_t> size, std::uint32_t chunk_bytes,
                                std::uint64_t base_version, const chunk_list& finished, std::uint64_t new_id);
  void added(const chunk_list& finished);
  // The last of it: what makes the value the key's.
  std::vector<operation> complete(const std::string& key, std::uint64_t size, const attribute_set& attributes,
                                  const chunk_list& finished, std::uint64_t new_id);
  // It is not wanted any more.
  operation drop(const std::string& key) const { return drop_upload_op{key, id_}; }

 private:
  void cut_back(const std::string& key, std::uint64_t new_id, std::vector<operation>& out);

  chunk_list chunks_;
  std::uint64_t in_index_ = 0;         // chunks that the index holds of it; from chunks_.size() on the source differs
  std::uint64_t id_ = 0;               // 0: none is recorded
  std::uint64_t base_version_ = 0;
};

}  // namespace mutant
