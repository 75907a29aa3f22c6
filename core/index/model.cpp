#include "core/index/model.hpp"

#include <algorithm>
#include <chrono>

namespace mutant {
namespace {

// Walks an upload's chunks in order, however they are cut into pieces.
class chunk_walk {
 public:
  explicit chunk_walk(const upload& u) : pieces_(u.pieces) { skip_empty(); }

  const chunk* here() const noexcept { return piece_ < pieces_.size() ? &(*pieces_[piece_])[position_] : nullptr; }
  void next() noexcept {
    ++position_;
    skip_empty();
  }

 private:
  void skip_empty() noexcept {
    while (piece_ < pieces_.size() && (!pieces_[piece_] || position_ == pieces_[piece_]->size())) {
      ++piece_;
      position_ = 0;
    }
  }

  const std::vector<std::shared_ptr<const chunk_list>>& pieces_;
  std::size_t piece_ = 0;
  std::size_t position_ = 0;
};

}  // namespace

std::int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

entry inline_entry(bytes value, attribute_set attributes) {
  entry e;
  e.size = value.size();
  e.modified_ms = now_ms();
  e.inline_value = std::move(value);
  e.attributes = std::move(attributes);
  return e;
}

entry chunked_entry(chunk_list chunks, attribute_set attributes) {
  entry e;
  e.size = bytes_of(chunks);
  e.modified_ms = now_ms();
  e.chunks = std::make_shared<const chunk_list>(std::move(chunks));
  e.attributes = std::move(attributes);
  return e;
}

std::uint64_t bytes_of(const chunk_list& chunks) noexcept {
  std::uint64_t sum = 0;
  for (const auto& c : chunks)
    sum += c.length;
  return sum;
}

bool operator==(const entry& a, const entry& b) noexcept {
  if (a.size != b.size || a.modified_ms != b.modified_ms || a.version != b.version
      || !(a.inline_value == b.inline_value) || !(a.attributes == b.attributes) || a.chunk_count() != b.chunk_count())
    return false;
  return a.chunk_count() == 0 || a.chunks == b.chunks || *a.chunks == *b.chunks;
}

bool operator==(const upload& a, const upload& b) noexcept {
  if (a.id != b.id || a.size != b.size || a.chunk_size != b.chunk_size || a.started_ms != b.started_ms
      || a.base_version != b.base_version || a.bytes_done != b.bytes_done || a.chunks_done != b.chunks_done)
    return false;
  chunk_walk left(a);
  chunk_walk right(b);
  while (left.here() != nullptr && right.here() != nullptr && *left.here() == *right.here()) {
    left.next();
    right.next();
  }
  return left.here() == nullptr && right.here() == nullptr;
}

}  // namespace mutant
