// Giving disk space back: the part of segment_writer that runs on request, outside of batches.
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "core/engine/segment_writer.hpp"
#include "core/engine/store_directory.hpp"

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

// -- what was released -------------------------------------------------------------------------------------------------

// Under the write lock nobody else empties these blocks, and while they are released nobody takes them: so a process that is
// slow, or dies here, harms nothing that comes later. What need not be wiped is given back only when the transaction that made
// it free is on the disk: until then LMDB's file may fall back to a state in which it is in use.
result<void> segment_writer::tidy() {
  while (may_be_untidy_) {
    auto more = tidy_some();
    if (!more)
      return fail(more.error());
    may_be_untidy_ = *more;
  }
  return punch_reclaimed();
}

// One transaction. True: there may be more. An error is that of a wipe, if all else went well; that is still on record then.
result<bool> segment_writer::tidy_some() {
  {
    auto txn = env_.read();
    auto any = txn ? map_.released(txn->handle(), 1) : fail(txn.error());
    if (!any || any->empty())
      return any ? result<bool>(false) : fail(any.error());
  }
  auto txn = env_.write();
  auto released = txn ? map_.released(txn->handle(), max_reclaimed_at_once) : fail(txn.error());
  if (!released)
    return fail(released.error());
  if (auto fresh = refresh(); !fresh)
    return fail(fresh.error());
  std::optional<error> not_wiped;
  for (auto& what : *released) {
    if (auto wiped = what.to_wipe ? wipe(what.range) : result<void>(); !wiped) {
      not_wiped = wiped.error();
      continue;
    }
    if (auto done = make_free(*txn, what.range, what.to_wipe); !done) {
      aborted(false);
      return fail(done.error());
    }
  }
  if (!reclaimed_.empty()) {
    auto outcome = txn->commit();
    if (!outcome) {
      aborted(outcome.error().code == errc::io_error);
      return fail(outcome.error());
    }
    committed();
  }
  if (not_wiped)
    return fail(errc::io_error, "what was removed could not be wiped: " + not_wiped->message
                                    + "; this is on record, and purge --wipe tries it again");
  return released->size() == max_reclaimed_at_once;
}

// A hole, or zeros where the file system has none. A segment whose file is gone has nothing.
result<void> segment_writer::wipe(const block_range& range) {
  auto file = segment_file::open_for_wiping(path_of(range.segment));
  if (!file)
    return file.error().code == errc::pad_not_found ? result<void>() : fail(file.error());
  if (auto wiped = file->wipe(std::uint64_t{range.first} * block_bytes, std::uint64_t{range.count} * block_bytes); !wiped)
    return wiped;
  return file->sync();
}

// What became free. It may have been taken again meanwhile.
result<void> segment_writer::punch_reclaimed() {
  if (to_punch_.empty())
    return {};
  auto ranges = std::exchange(to_punch_, {});
  std::ranges::sort(ranges, {}, [](const block_range& range) { return std::pair(range.segment, range.first); });
  auto txn = env_.write();
  if (!txn)
    return fail(txn.error());
  free_space space;
  std::optional<segment_file> file;
  std::uint32_t segment = 0;
  for (auto& range : ranges) {
    if (std::exchange(segment, range.segment) != range.segment) {
      auto loaded = map_.load(txn->handle(), range.segment);
      auto opened = segment_file::open_for_wiping(path_of(range.segment));
      if (!loaded)
        return fail(loaded.error());
      space = std::move(*loaded);
      file = opened ? std::optional(std::move(*opened)) : std::nullopt;
    }
    if (!file)
      continue;
    auto at = space.ranges().upper_bound(range.first);
    if (at != space.ranges().begin())
      --at;
    for (; at != space.ranges().end() && at->first < range.first + range.count; ++at) {
      const auto from = std::max(at->first, range.first), end = std::min(at->first + at->second, range.first + range.count);
      if (from < end)
        if (auto punched = file->punch(std::uint64_t{from} * block_bytes, std::uint64_t{end - from} * block_bytes);
            !punched || !*punched)
          return {};
    }
  }
  return {};
}

// -- all that is free --------------------------------------------------------------------------------------------------

result<std::uint64_t> segment_writer::trim() {
  const auto before = directory_disk_bytes(env_.directory());
  may_be_untidy_ = true;
  auto tidied = tidy();
  for (auto step : {&segment_writer::remove_empty_segments, &segment_writer::punch_holes})
    if (auto done = (this->*step)(); !done)
      return fail(tidied ? done.error() : tidied.error());
  if (!tidied)
    return fail(tidied.error());
  return before - std::min(before, directory_disk_bytes(env_.directory()));
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
    } else if (auto file = segment_file::lock(path_of(number), false); file && *file) {
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
    auto file = segment_file::lock(path_of(number), false);
    if (!file || !*file)
      continue;
    released += (*file)->disk_bytes();
    if (auto removed = (*file)->remove(); !removed)
      return fail(removed.error());
  }
  return released;
}

// What is free in the last commit stays free while we hold the segment's lock: nobody else takes blocks in it.
result<std::uint64_t> segment_writer::punch_holes() {
  std::map<std::uint32_t, store_format::segment_info> all;
  {
    auto listed = env_.read();
    auto found = listed ? map_.segments(listed->handle()) : fail(listed.error());
    if (!found)
      return fail(found.error());
    all = std::move(*found);
  }
  std::uint64_t released = 0;
  for (auto& [number, info] : all) {
    auto own = owned_.find(number);
    result<std::optional<segment_file>> locked(std::nullopt);
    if (info.free_blocks == 0)
      continue;
    if (own == owned_.end())
      locked = segment_file::lock(path_of(number), false);
    if (own == owned_.end() && (!locked || !*locked))
      continue;
    auto& file = own == owned_.end() ? **locked : own->second.file;
    auto committed_state = env_.read();  // after the lock
    auto space = committed_state ? map_.load(committed_state->handle(), number) : fail(committed_state.error());
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
