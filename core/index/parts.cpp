// Snapshot parts out: whole states piece by piece, and changes.
#include <algorithm>

#include "core/index/codec.hpp"
#include "core/index/state.hpp"

namespace mutant {
namespace {

constexpr std::size_t removed_key_bound = 9;  // beside the key's own bytes

// Up to `count` chunks of an upload from number `first` on.
chunk_list cut(const upload& u, std::uint64_t first, std::uint64_t count) {
  chunk_list out;
  out.reserve(count);
  for (const auto& piece : u.pieces) {
    if (first >= piece->size()) {
      first -= piece->size();
      continue;
    }
    auto take = std::min<std::uint64_t>(piece->size() - first, count - out.size());
    auto from = piece->begin() + static_cast<std::ptrdiff_t>(first);
    out.insert(out.end(), from, from + static_cast<std::ptrdiff_t>(take));
    first = 0;
    if (out.size() == count)
      break;
  }
  return out;
}

std::shared_ptr<const chunk_list> cut(const entry& value, std::uint64_t first, std::uint64_t count) {
  if (count == value.chunk_count())
    return value.chunks;
  auto from = value.chunks->begin() + static_cast<std::ptrdiff_t>(first);
  return std::make_shared<const chunk_list>(from, from + static_cast<std::ptrdiff_t>(count));
}

// Fills one part after another. put() says whether the item is in the part as a whole; if not, take() the part and put the
// item again. An empty part takes any item, or at least one chunk of it.
class part_filler {
 public:
  explicit part_filler(std::size_t max_bytes)
      : room_(max_bytes > part_overhead_bytes ? max_bytes - part_overhead_bytes : 0) {}

  // first: the chunks that earlier parts hold; moves on, and is 0 again when the whole value is in.
  bool put(const std::string& key, const entry& value, std::uint64_t& first) {
    auto total = value.chunk_count();
    auto count = fitting_chunks(encoded_bytes_bound(key, value), total, first);
    if (!count)
      return false;
    snapshot_part::entry_item item;
    item.key = key;
    item.first = first;
    if (first == 0) {
      item.value = value;
      item.chunk_total = total;
    }
    item.value.chunks = *count > 0 ? cut(value, first, *count) : nullptr;
    part_.entries.push_back(std::move(item));
    return advance(first, *count, total);
  }

  bool put(const std::string& key, const upload& value, std::uint64_t& first) {
    auto count = fitting_chunks(encoded_bytes_bound(key, value), value.chunks_done, first);
    if (!count)
      return false;
    snapshot_part::upload_item item;
    item.key = key;
    item.first = first;
    if (first == 0)
      item.value = value;
    item.value.pieces.clear();
    if (*count > 0)
      item.value.pieces.push_back(std::make_shared<const chunk_list>(cut(value, first, *count)));
    part_.uploads.push_back(std::move(item));
    return advance(first, *count, value.chunks_done);
  }

  bool put_removed_entry(const std::string& key) {
    return fits(key.size() + removed_key_bound) && (part_.removed_entries.push_back(key), true);
  }
  bool put_removed_upload(const std::string& key) {
    return fits(key.size() + removed_key_bound) && (part_.removed_uploads.push_back(key), true);
  }
  bool put_free_pad(const pad_ref& pad) { return fits(pad_bytes_bound) && (part_.free_pads.push_back(pad), true); }
  bool put_taken_pad(std::uint64_t number) {
    return fits(pad_bytes_bound) && (part_.taken_pads.push_back(number), true);
  }

  bool empty() const noexcept { return empty_; }
  snapshot_part take() {
    used_ = 0;
    empty_ = true;
    return std::exchange(part_, {});
  }

 private:
  bool fits(std::size_t bytes) {
    if (!empty_ && used_ + bytes > room_)
      return false;
    used_ += bytes;
    empty_ = false;
    return true;
  }

  // How many chunks from `first` on go into this part, beside the item's own bytes; nothing: the item waits for the next.
  // Only a list that no part can hold is split.
  std::optional<std::uint64_t> fitting_chunks(std::size_t item_bytes, std::uint64_t total, std::uint64_t first) {
    auto rest = total - first;
    auto whole_bytes = item_bytes + rest * chunk_bytes_bound;
    if (used_ + whole_bytes <= room_) {
      used_ += whole_bytes;
      empty_ = false;
      return rest;
    }
    if (whole_bytes <= room_)
      return std::nullopt;
    auto count = used_ + item_bytes < room_ ? (room_ - used_ - item_bytes) / chunk_bytes_bound : 0;
    if (count == 0 && !empty_)
      return std::nullopt;
    count = std::min<std::uint64_t>(std::max<std::size_t>(count, 1), rest);
    used_ += item_bytes + count * chunk_bytes_bound;
    empty_ = false;
    return count;
  }

  static bool advance(std::uint64_t& first, std::uint64_t count, std::uint64_t total) {
    first += count;
    if (first < total)
      return false;
    first = 0;
    return true;
  }

  std::size_t room_;
  std::size_t used_ = 0;
  bool empty_ = true;
  snapshot_part part_;
};

}  // namespace

part_cutter::part_cutter(frozen_index whole, std::size_t max_part_bytes)
    : whole_(std::move(whole)), max_part_bytes_(max_part_bytes), entries_(whole_.entries.begin()),
      uploads_(whole_.uploads.begin()), free_pads_(whole_.free_pads.begin()) {}

std::optional<snapshot_part> part_cutter::next() {
  part_filler part(max_part_bytes_);
  for (; !entries_.at_end(); entries_.next())
    if (!part.put(entries_.key(), entries_.value(), first_))
      return part.take();
  for (; !uploads_.at_end(); uploads_.next())
    if (!part.put(uploads_.key(), *uploads_.value(), first_))
      return part.take();
  for (; !free_pads_.at_end(); free_pads_.next())
    if (!part.put_free_pad({free_pads_.key(), free_pads_.value()}))
      return part.take();
  if (part.empty()) {
    entries_ = {};
    uploads_ = {};
    free_pads_ = {};
    whole_ = {};
    return std::nullopt;
  }
  return part.take();
}

std::vector<snapshot_part> delta_parts(index_changes changes, std::size_t max_part_bytes) {
  changes.settle();
  std::vector<snapshot_part> parts;
  part_filler part(max_part_bytes);
  auto place = [&](auto put) {
    while (!put())
      parts.push_back(part.take());
  };
  std::uint64_t first = 0;
  for (const auto& entry : changes.entries)
    place([&] { return entry.now ? part.put(entry.key, *entry.now, first) : part.put_removed_entry(entry.key); });
  for (const auto& upload : changes.uploads)
    place([&] { return upload.now ? part.put(upload.key, *upload.now, first) : part.put_removed_upload(upload.key); });
  for (const auto& pad : changes.pads)
    place([&] {
      return pad.free_counter ? part.put_free_pad({pad.number, *pad.free_counter}) : part.put_taken_pad(pad.number);
    });
  if (!part.empty())
    parts.push_back(part.take());
  return parts;
}

}  // namespace mutant
