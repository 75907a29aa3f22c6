// Random index data from a seed, for the properties of the codecs. Well-formed field by field, and with a taste for the
// edges of ranges; not necessarily a state that an index can be in.
#pragma once

#include <algorithm>
#include <random>
#include <set>

#include "core/index/model.hpp"
#include "core/limits.hpp"

namespace mutant::test {

class random_index {
 public:
  explicit random_index(std::uint64_t seed) : engine_(seed) {}

  std::uint64_t number(std::uint64_t max) {
    switch (engine_() % 8) {
      case 0: return 0;
      case 1: return max;
      case 2: return std::min<std::uint64_t>(max, engine_() % 24);
      default: return std::uniform_int_distribution<std::uint64_t>(0, max >> (engine_() % 64))(engine_);
    }
  }
  std::size_t count(std::size_t max) { return static_cast<std::size_t>(engine_() % (max + 1)); }
  bool coin() { return (engine_() & 1) != 0; }
  std::int64_t time() {
    auto bits = number(~std::uint64_t{0});
    return static_cast<std::int64_t>(bits);
  }

  std::string text(std::size_t min, std::size_t max) {
    std::string s(min + count(max - min), '\0');
    for (auto& c : s)
      c = static_cast<char>(engine_());
    return s;
  }
  std::string key() { return coin() ? text(1, 12) : text(1, engine_() % 16 == 0 ? max_key_bytes : 300); }

  pad_ref pad(bool written = true) {
    return {number(max_number - 1), std::max<std::uint64_t>(written ? 1 : 0, number(~std::uint64_t{0}))};
  }
  chunk one_chunk(bool may_be_kept) {
    chunk c;
    if (!may_be_kept || coin())
      c.pad = pad();
    if (!c.inherited()) {
      c.address[0] = static_cast<std::byte>(engine_());
      c.encoding = coin() ? chunk_encoding::plain : chunk_encoding::zstd;
    }
    c.length = static_cast<std::uint32_t>(std::max<std::uint64_t>(1, number(max_chunk_bytes)));
    for (auto& b : c.print)
      b = static_cast<std::byte>(engine_());
    return c;
  }
  chunk_list chunks(std::size_t min, bool may_be_kept) {
    chunk_list list(min + count(4));
    for (auto& c : list)
      c = one_chunk(may_be_kept);
    return list;
  }
  std::uint32_t chunk_size() { return static_cast<std::uint32_t>(std::max<std::uint64_t>(1, number(max_chunk_bytes))); }
  std::optional<std::uint64_t> maybe_size() {
    return coin() ? std::optional(number(max_number)) : std::nullopt;
  }

  // Few names, so that some meet; sometimes as much as there may be.
  attribute_set attributes() {
    attribute_map values;
    for (auto left = coin() ? 0 : count(4); left > 0; --left)
      values["x-" + (coin() ? std::string(1 + count(3), 'a') : std::string("\u00e9"))] = text(0, 30);
    if (engine_() % 16 == 0)
      values = {{"type", text(max_attribute_bytes - 4, max_attribute_bytes - 4)}};
    return attribute_set(std::move(values));
  }

  entry value() {
    entry e;
    e.modified_ms = time();
    e.attributes = attributes();
    if (coin()) {
      e.inline_value = bytes::copy_of(text(0, engine_() % 32 == 0 ? max_inline_bytes : 60));
      e.size = e.inline_value.size();
      return e;
    }
    e.size = number(max_number);
    e.chunks = std::make_shared<const chunk_list>(chunks(1, false));
    return e;
  }

  operation one_operation() {
    switch (engine_() % 10) {
      case 0: return put_op{key(), value()};
      case 1: return remove_op{key()};
      case 2: return rename_op{key(), key()};
      case 3: return begin_upload_op{key(), number(~std::uint64_t{0}), maybe_size(), chunk_size(), time(),
                                     number(max_number - 1)};
      case 4: return extend_upload_op{key(), number(~std::uint64_t{0}), number(max_number), chunks(0, true)};
      case 5: return complete_upload_op{key(), number(~std::uint64_t{0}), number(max_number), time(), attributes(),
                                        chunks(0, true)};
      case 7: return adopt_upload_op{key(), number(~std::uint64_t{0}), number(~std::uint64_t{0}), number(max_number)};
      case 6: return drop_upload_op{key(), number(~std::uint64_t{0})};
      case 8: {
        assemble_op op{key(), time(), attributes(), {}};
        for (auto left = count(4); left > 0; --left)
          op.parts.push_back(key());
        return op;
      }
      default: {
        free_pads_op op;
        op.pads.resize(count(5));
        for (auto& p : op.pads)
          p = pad(false);
        return op;
      }
    }
  }

  commit one_commit(std::size_t max_operations) {
    commit c;
    c.sequence = std::max<std::uint64_t>(1, number(max_number - 1));
    for (auto& b : c.writer)
      b = static_cast<std::byte>(engine_());
    for (auto left = count(max_operations); left > 0; --left)
      c.operations.push_back(one_operation());
    c.previous = hash();
    return c;
  }

  snapshot_part one_part(std::size_t max_items) {
    snapshot_part p;
    for (auto& k : keys(max_items))
      p.entries.push_back(entry_of(k));
    p.removed_entries = keys(max_items);
    for (auto& k : keys(max_items))
      p.uploads.push_back(upload_of(k));
    p.removed_uploads = keys(max_items);
    for (auto n : numbers(max_items))
      p.free_pads.push_back({n, number(~std::uint64_t{0})});
    p.taken_pads = numbers(max_items);
    return p;
  }

  root one_root(std::size_t max_parts) {
    root r;
    r.sequence = number(max_number - 1);
    r.next_pad = number(max_number);
    r.ring_slots = min_ring_slots + count(60);
    std::vector<pad_address> ring(r.ring_slots);
    std::ranges::generate(ring, [&] { return hash(); });
    r.ring.slots = std::make_shared<const std::vector<pad_address>>(std::move(ring));
    r.shared = count(1) != 0;
    r.next_part = std::max<std::uint64_t>(1, number(max_number));
    r.parts_floor = number(r.next_part);
    auto parts = count(max_parts);
    auto base = count(parts);
    for (std::size_t i = 0; i < parts; ++i)
      r.parts.push_back(
          {{number(r.next_part - 1), pad().counter}, number(r.sequence), number(max_plaintext_bytes), i < base, hash(),
           hash()});
    r.last_commit = hash();
    return r;
  }

 private:
  content_hash hash() {
    content_hash out;
    for (auto& b : out)
      b = static_cast<std::byte>(engine_());
    return out;
  }
  std::vector<std::string> keys(std::size_t max) {
    std::set<std::string> ascending;
    for (auto left = count(max); left > 0; --left)
      ascending.insert(key());
    return {ascending.begin(), ascending.end()};
  }
  std::vector<std::uint64_t> numbers(std::size_t max) {
    std::set<std::uint64_t> ascending;
    for (auto left = count(max); left > 0; --left)
      ascending.insert(number(max_number - 1));
    return {ascending.begin(), ascending.end()};
  }

  snapshot_part::entry_item entry_of(const std::string& key) {
    snapshot_part::entry_item item;
    item.key = key;
    if (engine_() % 4 == 0) {
      item.first = 1 + number(max_number - 1);
      item.value.chunks = std::make_shared<const chunk_list>(chunks(1, false));
      return item;
    }
    item.value = value();
    item.value.version = number(max_number - 1);
    if (item.value.chunks)
      item.chunk_total = item.value.chunk_count() + number(1000);
    return item;
  }
  snapshot_part::upload_item upload_of(const std::string& key) {
    snapshot_part::upload_item item;
    item.key = key;
    auto list = std::make_shared<const chunk_list>(chunks(engine_() % 4 == 0 ? 0 : 1, true));
    if (!list->empty())
      item.value.pieces.push_back(list);
    if (engine_() % 4 == 0) {
      item.first = 1 + number(max_number - 1);
      return item;
    }
    auto& u = item.value;
    u.id = number(~std::uint64_t{0});
    u.size = maybe_size();
    u.chunk_size = chunk_size();
    u.started_ms = time();
    u.base_version = number(max_number - 1);
    u.bytes_done = number(max_number);
    u.chunks_done = list->size() + number(1000);
    return item;
  }

  std::mt19937_64 engine_;
};

inline bool operator==(const snapshot_part::entry_item& a, const snapshot_part::entry_item& b) {
  return a.key == b.key && a.first == b.first && a.value == b.value && a.chunk_total == b.chunk_total;
}
inline bool operator==(const snapshot_part::upload_item& a, const snapshot_part::upload_item& b) {
  return a.key == b.key && a.first == b.first && a.value == b.value;
}
inline bool same(const snapshot_part& a, const snapshot_part& b) {
  auto equal = [](const auto& x, const auto& y) {
    return std::equal(x.begin(), x.end(), y.begin(), y.end(), [](const auto& i, const auto& j) { return i == j; });
  };
  return equal(a.entries, b.entries) && equal(a.uploads, b.uploads) && a.removed_entries == b.removed_entries
         && a.removed_uploads == b.removed_uploads && a.free_pads == b.free_pads && a.taken_pads == b.taken_pads;
}

}  // namespace mutant::test
