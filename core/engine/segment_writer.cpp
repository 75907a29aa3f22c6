#include "core/engine/segment_writer.hpp"

#include <sys/statvfs.h>

#include <algorithm>
#include <utility>

#include "core/engine/disk_reserve.hpp"
#include "core/engine/store_directory.hpp"
#include "core/record.hpp"

namespace mutant {

using store_format::block_bytes;
using store_format::extent;
using store_format::max_segment_blocks;
using store_format::segment_info;
using store_format::store_meta;

namespace {

// A segment grows by what is wanted, or by a tenth: a small store stays small, and a large one does not grow too often.
constexpr std::uint32_t growth_divisor = 10;
constexpr std::uint32_t max_step_blocks = 32 * 1024;  // 128 MiB
constexpr std::size_t max_owned_segments = 64;      // each is an open file
constexpr int max_taken_over_at_once = 4;           // reading the free space of fragmented segments costs
constexpr std::uint32_t max_numbers_tried = 1000;
// Payloads leave LMDB a few pages: without them the transaction that names them could not be committed.
constexpr std::uint64_t room_for_lmdb_bytes = 64 * 1024;

// What the disk has left for us; as good as no limit where it does not say.
std::uint64_t room_at(const std::string& directory) {
  struct statvfs info {};
  return ::statvfs(directory.c_str(), &info) == 0 ? std::uint64_t{info.f_bavail} * info.f_frsize : ~std::uint64_t{0};
}

constexpr std::size_t max_to_punch = 65536;         // more are left to trim

}  // namespace

std::string segment_writer::path_of(std::uint32_t segment) const {
  return env_.directory() + '/' + store_format::segment_file_name(segment);
}

// -- a batch -----------------------------------------------------------------------------------------------------------

result<extent> segment_writer::write(const write_txn& txn, store_meta& meta, const bytes& record) {
  if (written_.empty())
    room_before_bytes_ = room_at(env_.directory());
  auto place = allocate(txn, meta, store_format::blocks_of(payload_of(record).size()));
  if (!place)
    return fail(place.error());
  auto taken = map_.take(txn.handle(), *place);
  if (!taken)
    return fail(taken.error());
  touched_[place->segment] = *taken;
  current_ = place->segment;
  auto& segment = owned_.at(place->segment);
  segment.unsynced = true;
  written_.push_back(*place);
  if (auto begun = writes_.submit(segment.file, std::uint64_t{place->first} * block_bytes, record); !begun)
    return fail(begun.error());
  return extent{place->segment, place->first, txn.id()};
}

result<void> segment_writer::free(const write_txn& txn, const extent& where, std::size_t payload_bytes, bool wipe) {
  block_range range{where.segment, where.block, store_format::blocks_of(payload_bytes)};
  may_be_untidy_ = true;
  return map_.release(txn.handle(), {range, txn.id(), wipe});
}

// It is free in the state that this transaction leaves, so from the next on it may be written to, and given back.
result<void> segment_writer::make_free(const write_txn& txn, const block_range& range, bool emptied) {
  auto state = map_.reclaim(txn.handle(), range);
  if (!state)
    return fail(state.error());
  touched_[range.segment] = *state;
  reclaimed_.push_back(range);
  if (!emptied)
    reclaimed_full_.push_back(range);
  return {};
}

result<void> segment_writer::reclaim(const write_txn& txn) {
  auto released = map_.released(txn.handle(), max_reclaimed_at_once);
  if (!released)
    return fail(released.error());
  if (released->empty())
    return {};
  if (auto fresh = refresh(); !fresh)
    return fresh;
  for (auto& what : *released) {
    if (what.to_wipe || what.transaction >= txn.id())
      continue;
    if (auto done = make_free(txn, what.range, false); !done)
      return done;
  }
  return {};
}

result<void> segment_writer::sync() {
  if (auto settled = settle(); !settled)
    return settled;
  if (written_.empty())
    return {};
  const auto room = room_at(env_.directory());
  if (room < room_for_lmdb_bytes && room < room_before_bytes_)
    return fail(errc::store_full, "writing to the segment files of the store " + env_.directory()
                                      + ": " + std::string(how_to_make_room));
  auto created = false;
  for (auto& [number, segment] : owned_) {
    if (segment.unsynced)
      if (auto synced = segment.file.sync(); !synced)
        return synced;
    created |= segment.fresh;
  }
  return created ? sync_directory(env_.directory()) : result<void>();
}

void segment_writer::committed() {
  for (auto& [number, info] : touched_)
    if (auto at = owned_.find(number); at != owned_.end())
      at->second.info = info;
  for (auto& range : reclaimed_)
    if (auto at = owned_.find(range.segment); at != owned_.end() && !at->second.stale)
      at->second.space.add(range.first, range.count);
  if (to_punch_.size() + reclaimed_full_.size() <= max_to_punch)
    to_punch_.insert(to_punch_.end(), reclaimed_full_.begin(), reclaimed_full_.end());
  for (auto& [number, segment] : owned_) {
    segment.fresh = segment.unsynced = false;
    segment.blocks_before = 0;
  }
  while (owned_.size() > max_owned_segments)
    owned_.erase(std::ranges::min_element(owned_, {}, [](auto& entry) { return entry.second.space.blocks(); }));
  forget_batch();
}

void segment_writer::aborted(bool in_doubt) {
  static_cast<void>(settle());  // blocks must not be given to another payload while the old write is still under way
  // The disk blocks that the batch got are of no use to anybody, unless it is there after all.
  for (auto& range : written_)
    if (auto at = owned_.find(range.segment); at != owned_.end() && !in_doubt)
      static_cast<void>(
          at->second.file.punch(std::uint64_t{range.first} * block_bytes, std::uint64_t{range.count} * block_bytes));
  for (auto& [number, segment] : owned_) {
    if (!in_doubt && (segment.fresh || segment.blocks_before != 0))
      segment.file.shrink(std::uint64_t{segment.blocks_before} * block_bytes);
    segment.stale |= touched_.contains(number);
    segment.unsynced = false;
    segment.blocks_before = 0;
  }
  // A file that no commit names is taken up again by whoever creates the next segment.
  std::erase_if(owned_, [](auto& entry) { return entry.second.fresh; });
  forget_batch();
}

void segment_writer::forget_batch() {
  touched_.clear();
  written_.clear();
  reclaimed_.clear();
  reclaimed_full_.clear();
  refreshed_ = false;
}

// -- allocation --------------------------------------------------------------------------------------------------------

// Other processes free payloads in our segments too. Looks at the last committed state, never at this batch's own: what
// this batch has freed must not be written to.
result<void> segment_writer::refresh() {
  if (std::exchange(refreshed_, true) || owned_.empty())
    return {};
  auto committed = env_.read();
  if (!committed)
    return fail(committed.error());
  for (auto& [number, segment] : owned_) {
    auto info = map_.info(committed->handle(), number);
    if (!info)
      return fail(info.error());
    if (segment.stale || !*info || (*info)->changes != segment.info.changes)
      if (auto loaded = reload(committed->handle(), number, segment); !loaded)
        return loaded;
  }
  return {};
}

result<void> segment_writer::reload(MDB_txn* committed, std::uint32_t number, owned_segment& segment) {
  auto info = map_.info(committed, number);
  auto space = map_.load(committed, number);
  if (!info || !space)
    return fail(info ? space.error() : info.error());
  segment.info = info->value_or(segment_info{});
  segment.space = std::move(*space);
  segment.stale = false;
  return {};
}

// Free blocks first, wherever we may write; then more blocks; then another file.
result<block_range> segment_writer::allocate(const write_txn& txn, store_meta& meta, std::uint32_t count) {
  if (auto fresh = refresh(); !fresh)
    return fail(fresh.error());
  if (auto place = take_owned(count))
    return *place;
  for (auto way : {&segment_writer::take_over, &segment_writer::grow_owned}) {
    auto place = (this->*way)(txn, count);
    if (!place)
      return fail(place.error());
    if (*place)
      return **place;
  }
  if (auto created = create(txn, meta, count); !created)
    return fail(created.error());
  auto place = take_owned(count);
  return place ? result<block_range>(*place) : fail(errc::io_error, "a new segment of the store has no room");
}

std::optional<block_range> segment_writer::take_owned(std::uint32_t count) {
  auto from = [&](owned_map::iterator at) -> std::optional<block_range> {
    if (auto first = at->second.space.take(count))
      return block_range{at->first, *first, count};
    return std::nullopt;
  };
  if (auto at = owned_.find(current_); at != owned_.end())
    if (auto place = from(at))
      return place;
  for (auto at = owned_.begin(); at != owned_.end(); ++at)
    if (auto place = from(at))
      return place;
  return std::nullopt;
}

// Nothing when somebody else holds it, or when its file cannot be opened: then reading what lies in it will say why.
result<segment_writer::owned_segment*> segment_writer::own(MDB_txn* committed, std::uint32_t number) {
  auto file = segment_file::lock(path_of(number), false);
  if (!file || !*file)
    return nullptr;
  auto& segment = owned_.emplace(number, owned_segment{std::move(**file), {}, {}}).first->second;
  if (auto loaded = reload(committed, number, segment); !loaded)
    return fail(loaded.error());
  return &segment;
}

// Segments that nobody holds: those of processes that have ended. Also one that can grow, if none of ours can.
result<std::optional<block_range>> segment_writer::take_over(const write_txn& txn, std::uint32_t count) {
  auto all = map_.segments(txn.handle());
  auto committed = all ? env_.read() : fail(all.error());
  if (!committed)
    return fail(committed.error());
  auto taken = 0;
  for (auto& [number, info] : *all) {
    if (info.free_blocks < count || owned_.contains(number) || taken == max_taken_over_at_once)
      continue;
    auto segment = own(committed->handle(), number);
    if (!segment)
      return fail(segment.error());
    taken += *segment != nullptr ? 1 : 0;
    if (auto first = *segment != nullptr ? (*segment)->space.take(count) : std::nullopt)
      return block_range{number, *first, count};
  }
  auto can_grow = [&](auto& entry) { return entry.second.info.blocks + count <= max_segment_blocks; };
  for (auto at = all->rbegin(); at != all->rend() && std::ranges::none_of(owned_, can_grow); ++at)
    if (at->second.blocks + count <= max_segment_blocks && !owned_.contains(at->first))
      if (auto segment = own(committed->handle(), at->first); !segment)
        return fail(segment.error());
  return std::nullopt;
}

result<std::optional<block_range>> segment_writer::grow_owned(const write_txn& txn, std::uint32_t count) {
  for (auto& [number, segment] : owned_) {
    if (segment.info.blocks + count > max_segment_blocks)
      continue;
    if (auto grown = grow(txn, number, segment, count); !grown)
      return fail(grown.error());
    if (auto first = segment.space.take(count))
      return block_range{number, *first, count};
  }
  return std::nullopt;
}

// By `count` blocks at least.
result<void> segment_writer::grow(const write_txn& txn, std::uint32_t number, owned_segment& segment, std::uint32_t count) {
  auto blocks = segment.info.blocks;
  auto step = std::max(count, std::min(blocks / growth_divisor, max_step_blocks));
  step = std::min(step, max_segment_blocks - blocks);
  auto to = [&] { return segment.file.grow(std::uint64_t{blocks} * block_bytes, std::uint64_t{blocks + step} * block_bytes); };
  auto room = to();
  if (!room && room.error().code == errc::store_full && step > count) {
    step = count;
    room = to();
  }
  if (!room)
    return room;
  if (segment.blocks_before == 0 && !segment.fresh)
    segment.blocks_before = blocks;
  auto grown = map_.grow(txn.handle(), {number, blocks, step});
  if (!grown)
    return fail(grown.error());
  segment.info = touched_[number] = *grown;
  segment.space.add(blocks, step);
  segment.unsynced = true;
  return {};
}

result<void> segment_writer::create(const write_txn& txn, store_meta& meta, std::uint32_t count) {
  for (std::uint32_t tried = 0; tried < max_numbers_tried; ++tried) {
    auto number = ++meta.last_segment;
    // It may exist already: made for a batch that never committed, and perhaps still held by whoever began it.
    auto file = segment_file::lock(path_of(number), true);
    if (!file)
      return fail(file.error());
    if (!*file)
      continue;
    meta.version = store_format::version_with_segments;
    auto& segment = owned_.emplace(number, owned_segment{std::move(**file), {}, {}, true}).first->second;
    current_ = number;
    return grow(txn, number, segment, count);
  }
  return fail(errc::io_error, "creating a segment file in " + env_.directory() + ": the next thousand names are locked; "
                              "end the processes that use the store, and try again");
}

}  // namespace mutant
