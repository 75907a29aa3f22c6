#include "core/engine/extent_map.hpp"

#include <cstring>
#include <memory>
#include <string>

namespace mutant {

using store_format::segment_info;

namespace {

template <std::size_t N>
struct big_endian_key {
  std::array<unsigned char, 4 * N> raw{};

  explicit big_endian_key(std::array<std::uint32_t, N> parts) noexcept {
    for (std::size_t i = 0; i < raw.size(); ++i)
      raw[i] = static_cast<unsigned char>(parts[i / 4] >> (24 - 8 * (i % 4)));
  }
  MDB_val val() noexcept { return {raw.size(), raw.data()}; }
};

std::uint32_t big_endian_at(const MDB_val& key, std::size_t at) noexcept {
  auto* p = static_cast<const unsigned char*>(key.mv_data) + at;
  return std::uint32_t{p[0]} << 24 | std::uint32_t{p[1]} << 16 | std::uint32_t{p[2]} << 8 | std::uint32_t{p[3]};
}

template <class T>
std::optional<T> copy_value(const MDB_val& value) noexcept {
  T copy;
  if (value.mv_size != sizeof copy)
    return std::nullopt;
  std::memcpy(&copy, value.mv_data, sizeof copy);
  return copy;
}

struct close_cursor {
  void operator()(MDB_cursor* cursor) const noexcept { mdb_cursor_close(cursor); }
};
using cursor_pointer = std::unique_ptr<MDB_cursor, close_cursor>;

result<cursor_pointer> open_cursor(MDB_txn* txn, MDB_dbi database, const std::string& directory) {
  MDB_cursor* cursor = nullptr;
  if (auto code = mdb_cursor_open(txn, database, &cursor); code != 0)
    return fail(lmdb_error(code, "reading the segment tables of the store " + directory));
  return cursor_pointer(cursor);
}

}  // namespace

error extent_map::failed(int code, std::uint32_t segment) const {
  return env_->failure(code, "updating the free space of " + store_format::segment_file_name(segment) + " in the store "
                                 + env_->directory());
}

error extent_map::contradiction(block_range range, const char* what) const {
  return {errc::store_damaged, "the free space of " + store_format::segment_file_name(range.segment) + " in the store "
                              + env_->directory() + " contradicts itself at block " + std::to_string(range.first) + " ("
                              + what + "); restore the store from a copy"};
}

// -- reading -----------------------------------------------------------------------------------------------------------

result<std::map<std::uint32_t, segment_info>> extent_map::segments(MDB_txn* txn) const {
  auto cursor = open_cursor(txn, env_->segments_database(), env_->directory());
  if (!cursor)
    return fail(cursor.error());
  std::map<std::uint32_t, segment_info> found;
  MDB_val key{}, value{};
  int code = 0;
  while ((code = mdb_cursor_get(cursor->get(), &key, &value, MDB_NEXT)) == 0) {
    auto info = copy_value<segment_info>(value);
    if (key.mv_size != 4 || !info)
      return fail(contradiction({}, "a segment of the wrong shape"));
    found.emplace(big_endian_at(key, 0), *info);
  }
  if (code != MDB_NOTFOUND)
    return fail(failed(code, 0));
  return found;
}

result<std::optional<segment_info>> extent_map::info(MDB_txn* txn, std::uint32_t segment) const {
  big_endian_key<1> name({segment});
  auto key = name.val();
  MDB_val value{};
  auto code = mdb_get(txn, env_->segments_database(), &key, &value);
  if (code == MDB_NOTFOUND)
    return std::nullopt;
  if (code != 0)
    return fail(failed(code, segment));
  return copy_value<segment_info>(value);
}

result<free_space> extent_map::load(MDB_txn* txn, std::uint32_t segment) const {
  auto cursor = open_cursor(txn, env_->free_database(), env_->directory());
  if (!cursor)
    return fail(cursor.error());
  free_space space;
  big_endian_key<2> first({segment, 0});
  auto key = first.val();
  MDB_val value{};
  auto code = mdb_cursor_get(cursor->get(), &key, &value, MDB_SET_RANGE);
  for (; code == 0 && big_endian_at(key, 0) == segment; code = mdb_cursor_get(cursor->get(), &key, &value, MDB_NEXT)) {
    auto count = copy_value<std::uint32_t>(value);
    if (key.mv_size != 8 || !count)
      return fail(contradiction({segment, 0, 0}, "a range of the wrong shape"));
    space.add(big_endian_at(key, 4), *count);
  }
  if (code != 0 && code != MDB_NOTFOUND)
    return fail(failed(code, segment));
  return space;
}

// The range of this segment nearest to the block: from it on, or (backwards) in front of it.
result<std::optional<block_range>> extent_map::seek(MDB_txn* txn, MDB_dbi database, std::uint32_t segment, std::uint32_t block,
                                                    bool backwards) const {
  auto cursor = open_cursor(txn, database, env_->directory());
  if (!cursor)
    return fail(cursor.error());
  big_endian_key<2> name({segment, block});
  auto key = name.val();
  MDB_val value{};
  auto code = mdb_cursor_get(cursor->get(), &key, &value, MDB_SET_RANGE);
  if (backwards && (code == 0 || code == MDB_NOTFOUND))
    code = mdb_cursor_get(cursor->get(), &key, &value, code == MDB_NOTFOUND ? MDB_LAST : MDB_PREV);
  if (code == MDB_NOTFOUND || (code == 0 && big_endian_at(key, 0) != segment))
    return std::nullopt;
  if (code != 0)
    return fail(failed(code, segment));
  std::uint32_t count = 0;  // both kinds of value begin with it
  if (key.mv_size != 8 || value.mv_size < sizeof count)
    return fail(contradiction({segment, block, 0}, "a range of the wrong shape"));
  std::memcpy(&count, value.mv_data, sizeof count);
  return block_range{segment, big_endian_at(key, 4), count};
}

result<std::optional<block_range>> extent_map::at_or_after(MDB_txn* txn, std::uint32_t segment, std::uint32_t block) const {
  return seek(txn, env_->free_database(), segment, block, false);
}

result<std::optional<block_range>> extent_map::before(MDB_txn* txn, std::uint32_t segment, std::uint32_t block) const {
  return seek(txn, env_->free_database(), segment, block, true);
}

result<bool> extent_map::overlaps(MDB_txn* txn, MDB_dbi database, const block_range& range) const {
  auto next = seek(txn, database, range.segment, range.first, false);
  auto previous = seek(txn, database, range.segment, range.first, true);
  if (!next || !previous)
    return fail(next ? previous.error() : next.error());
  return (*next && (*next)->first < range.first + range.count)
         || (*previous && (*previous)->first + (*previous)->count > range.first);
}

result<std::vector<released_range>> extent_map::released(MDB_txn* txn, std::size_t at_most) const {
  auto cursor = open_cursor(txn, env_->released_database(), env_->directory());
  if (!cursor)
    return fail(cursor.error());
  std::vector<released_range> found;
  MDB_val key{}, value{};
  int code = 0;
  while (found.size() < at_most && (code = mdb_cursor_get(cursor->get(), &key, &value, MDB_NEXT)) == 0) {
    auto info = copy_value<store_format::released_info>(value);
    if (key.mv_size != 8 || !info)
      return fail(contradiction({}, "a released range of the wrong shape"));
    found.push_back({{big_endian_at(key, 0), big_endian_at(key, 4), info->blocks},
                     info->transaction,
                     (info->flags & store_format::to_be_wiped_flag) != 0});
  }
  if (code != 0 && code != MDB_NOTFOUND)
    return fail(failed(code, 0));
  return found;
}

// -- changing ----------------------------------------------------------------------------------------------------------

result<void> extent_map::put_range(MDB_txn* txn, block_range range) const {
  big_endian_key<2> name({range.segment, range.first});
  auto key = name.val();
  MDB_val value{sizeof range.count, &range.count};
  if (auto code = mdb_put(txn, env_->free_database(), &key, &value, 0); code != 0)
    return fail(failed(code, range.segment));
  return {};
}

result<void> extent_map::delete_range(MDB_txn* txn, block_range range) const {
  big_endian_key<2> name({range.segment, range.first});
  auto key = name.val();
  if (auto code = mdb_del(txn, env_->free_database(), &key, nullptr); code != 0)
    return fail(failed(code, range.segment));
  return {};
}

result<segment_info> extent_map::update(MDB_txn* txn, std::uint32_t segment, std::int64_t blocks,
                                        std::int64_t free_blocks) const {
  auto found = info(txn, segment);
  if (!found)
    return fail(found.error());
  auto state = found->value_or(segment_info{});
  state.blocks = static_cast<std::uint32_t>(state.blocks + blocks);
  state.free_blocks = static_cast<std::uint32_t>(state.free_blocks + free_blocks);
  ++state.changes;
  big_endian_key<1> name({segment});
  auto key = name.val();
  MDB_val value{sizeof state, &state};
  if (auto code = mdb_put(txn, env_->segments_database(), &key, &value, 0); code != 0)
    return fail(failed(code, segment));
  return state;
}

// Adds a range to the free ones and joins it with those that touch it.
result<void> extent_map::merge(MDB_txn* txn, block_range range) const {
  auto next = at_or_after(txn, range.segment, range.first);
  if (!next)
    return fail(next.error());
  auto previous = before(txn, range.segment, range.first);
  if (!previous)
    return fail(previous.error());
  auto end = range.first + range.count;
  if ((*next && (*next)->first < end) || (*previous && (*previous)->first + (*previous)->count > range.first))
    return fail(contradiction(range, "freed twice"));
  if (*next && (*next)->first == end) {
    range.count += (*next)->count;
    if (auto gone = delete_range(txn, **next); !gone)
      return gone;
  }
  if (*previous && (*previous)->first + (*previous)->count == range.first) {
    range.first = (*previous)->first;
    range.count += (*previous)->count;
  }
  return put_range(txn, range);
}

result<segment_info> extent_map::grow(MDB_txn* txn, block_range added) const {
  if (auto merged = merge(txn, added); !merged)
    return fail(merged.error());
  return update(txn, added.segment, added.count, added.count);
}

result<void> extent_map::release(MDB_txn* txn, const released_range& what) const {
  const auto& range = what.range;
  auto state = info(txn, range.segment);
  if (!state)
    return fail(state.error());
  if (!*state || range.first + range.count > (*state)->blocks)
    return fail(contradiction(range, "outside of its segment"));
  for (auto database : {env_->free_database(), env_->released_database()}) {
    auto twice = overlaps(txn, database, range);
    if (!twice || *twice)
      return fail(twice ? contradiction(range, "freed twice") : twice.error());
  }
  store_format::released_info info{range.count, what.to_wipe ? store_format::to_be_wiped_flag : 0u, what.transaction};
  big_endian_key<2> name({range.segment, range.first});
  auto key = name.val();
  MDB_val value{sizeof info, &info};
  if (auto code = mdb_put(txn, env_->released_database(), &key, &value, MDB_NOOVERWRITE); code != 0)
    return fail(failed(code, range.segment));
  return {};
}

result<segment_info> extent_map::reclaim(MDB_txn* txn, const block_range& range) const {
  big_endian_key<2> name({range.segment, range.first});
  auto key = name.val();
  if (auto code = mdb_del(txn, env_->released_database(), &key, nullptr); code != 0)
    return fail(failed(code, range.segment));
  if (auto merged = merge(txn, range); !merged)
    return fail(merged.error());
  return update(txn, range.segment, 0, range.count);
}

result<segment_info> extent_map::take(MDB_txn* txn, block_range range) const {
  auto around = before(txn, range.segment, range.first + 1);
  if (!around)
    return fail(around.error());
  auto end = range.first + range.count;
  if (!*around || (*around)->first + (*around)->count < end)
    return fail(contradiction(range, "taken twice"));
  auto around_end = (*around)->first + (*around)->count;
  if (auto gone = delete_range(txn, **around); !gone)
    return fail(gone.error());
  if ((*around)->first < range.first)
    if (auto left = put_range(txn, {range.segment, (*around)->first, range.first - (*around)->first}); !left)
      return fail(left.error());
  if (end < around_end)
    if (auto right = put_range(txn, {range.segment, end, around_end - end}); !right)
      return fail(right.error());
  return update(txn, range.segment, 0, -std::int64_t{range.count});
}

result<void> extent_map::remove(MDB_txn* txn, std::uint32_t segment) const {
  auto state = info(txn, segment);
  auto range = at_or_after(txn, segment, 0);
  if (!state || !range)
    return fail(state ? range.error() : state.error());
  if (!*state || !*range || (*range)->count != (*state)->blocks)
    return fail(contradiction({segment, 0, 0}, "removed, but not free"));
  if (auto gone = delete_range(txn, **range); !gone)
    return gone;
  big_endian_key<1> name({segment});
  auto key = name.val();
  if (auto code = mdb_del(txn, env_->segments_database(), &key, nullptr); code != 0)
    return fail(failed(code, segment));
  return {};
}

}  // namespace mutant
