// Giving disk space back: the part of segment_writer that runs on request, outside of batches.
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <system_error>

#include "core/engine/segment_writer.hpp"

namespace mutant {

using store_format::block_bytes;

namespace {

// The number in "segment-0000000007"; 0: some other file.
std::uint32_t segment_number(const std::string& name) {
  constexpr auto prefix = store_format::segment_prefix;
  std::uint32_t number = 0;
  if (!name.starts_with(prefix))
    return 0;
  auto* end = name.data() + name.size();
  auto [stop, failure] = std::from_chars(name.data() + prefix.size(), end, number);
  return failure == std::errc() && stop == end ? number : 0;
}

}  // namespace

result<std::uint64_t> segment_writer::trim() {
  std::uint64_t released = 0;
  for (auto step : {&segment_writer::remove_empty_segments, &segment_writer::punch_holes}) {
    auto bytes = (this->*step)();
    if (!bytes)
      return bytes;
    released += *bytes;
  }
  return released;
}

// First from the tables, then from the directory: a crash between the two leaves a file that no table names, and the next
// trim removes it.
result<std::uint64_t> segment_writer::remove_empty_segments() {
  auto txn = env_.write();
  if (!txn)
    return fail(txn.error());
  auto all = map_.segments(txn->handle());
  if (!all)
    return fail(all.error());
  // Under the transaction: nobody creates segments meanwhile.
  auto released = remove_orphans(*all);
  if (!released)
    return released;
  std::vector<segment_file> empty;
  for (auto& [number, info] : *all) {
    if (info.free_blocks != info.blocks)
      continue;
    if (auto own = owned_.find(number); own != owned_.end()) {
      empty.push_back(std::move(own->second.file));
      owned_.erase(own);
    } else if (auto file = segment_file::lock(path_of(number), direct_, false); file && *file) {
      empty.push_back(std::move(**file));
    } else {
      continue;
    }
    if (auto removed = map_.remove(txn->handle(), number); !removed)
      return fail(removed.error());
  }
  if (auto committed = empty.empty() ? result<void>() : txn->commit(); !committed)
    return fail(committed.error());
  for (auto& file : empty) {
    *released += file.disk_bytes();
    if (auto removed = file.remove(); !removed)
      return fail(removed.error());
  }
  return released;
}

// Files of batches that never committed, unless their process may still be writing.
result<std::uint64_t> segment_writer::remove_orphans(const std::map<std::uint32_t, store_format::segment_info>& known) {
  std::uint64_t released = 0;
  std::error_code ignored;
  for (std::filesystem::directory_iterator at(env_.directory(), ignored), end; !ignored && at != end; at.increment(ignored)) {
    auto number = segment_number(at->path().filename().string());
    if (number == 0 || known.contains(number) || owned_.contains(number))
      continue;
    auto file = segment_file::lock(path_of(number), direct_, false);
    if (!file || !*file)
      continue;
    released += (*file)->disk_bytes();
    if (auto removed = (*file)->remove(); !removed)
      return fail(removed.error());
  }
  return released;
}

// Under the write lock nobody takes blocks: what is free in the last commit stays free, whoever holds the segment's own lock.
void segment_writer::wipe() {
  if (to_wipe_.empty())
    return;
  if (auto txn = env_.write())
    std::erase_if(to_wipe_, [&](const block_range& range) { return wipe_in(txn->handle(), range).has_value(); });
}

// The part of the range that is still free; the rest holds something else by now. A segment that is gone has nothing.
result<void> segment_writer::wipe_in(MDB_txn* txn, const block_range& range) {
  auto space = map_.load(txn, range.segment);
  if (!space)
    return fail(space.error());
  auto file = segment_file::open_for_wiping(path_of(range.segment));
  if (!file)
    return file.error().code == errc::pad_not_found ? result<void>() : fail(file.error());
  for (auto& [first, count] : space->ranges()) {
    const auto from = std::max(first, range.first), end = std::min(first + count, range.first + range.count);
    if (from < end)
      if (auto wiped = file->wipe(std::uint64_t{from} * block_bytes, std::uint64_t{end - from} * block_bytes); !wiped)
        return wiped;
  }
  return file->sync();
}

// What is free in the last commit stays free while we hold the segment's lock: nobody else takes blocks in it.
result<std::uint64_t> segment_writer::punch_holes() {
  auto listed = env_.read();
  auto all = listed ? map_.segments(listed->handle()) : fail(listed.error());
  if (!all)
    return fail(all.error());
  std::uint64_t released = 0;
  for (auto& [number, info] : *all) {
    auto own = owned_.find(number);
    result<std::optional<segment_file>> locked(std::nullopt);
    if (info.free_blocks == 0)
      continue;
    if (own == owned_.end())
      locked = segment_file::lock(path_of(number), direct_, false);
    if (own == owned_.end() && (!locked || !*locked))
      continue;
    auto& file = own == owned_.end() ? **locked : own->second.file;
    auto committed = env_.read();  // after the lock
    auto space = committed ? map_.load(committed->handle(), number) : fail(committed.error());
    if (!space)
      return fail(space.error());
    auto before = file.disk_bytes();
    for (auto& [first, count] : space->ranges()) {
      auto punched = file.punch(std::uint64_t{first} * store_format::block_bytes,
                                std::uint64_t{count} * store_format::block_bytes);
      if (!punched || !*punched)
        return punched ? result<std::uint64_t>(released) : fail(punched.error());
    }
    released += before - std::min(before, file.disk_bytes());
  }
  return released;
}

}  // namespace mutant
