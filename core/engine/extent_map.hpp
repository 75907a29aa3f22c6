// Which blocks of which segment are free, as LMDB holds it. Every function works inside the caller's transaction, so that a
// pad's extent and the free space change together or not at all. store_format.hpp has the shape.
//
// Errors: store_damaged when the tables contradict themselves (a block freed twice), and what LMDB says.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "core/engine/free_space.hpp"
#include "core/engine/lmdb_env.hpp"
#include "core/engine/store_format.hpp"
#include "core/error.hpp"

namespace mutant {

struct block_range {
  std::uint32_t segment = 0;
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};

struct released_range {
  block_range range;
  std::uint64_t transaction = 0;
  bool to_wipe = false;
};

class extent_map {
 public:
  explicit extent_map(const lmdb_env& env) noexcept : env_(&env) {}

  result<std::map<std::uint32_t, store_format::segment_info>> segments(MDB_txn* txn) const;
  // nullopt: there is no such segment.
  result<std::optional<store_format::segment_info>> info(MDB_txn* txn, std::uint32_t segment) const;
  result<free_space> load(MDB_txn* txn, std::uint32_t segment) const;

  // Blocks that become part of the segment, and free.
  result<store_format::segment_info> grow(MDB_txn* txn, block_range added) const;
  // The range must be free. The segment's new state.
  result<store_format::segment_info> take(MDB_txn* txn, block_range range) const;
  // The range is no longer in use.
  result<void> release(MDB_txn* txn, const released_range& what) const;
  // The first of them, in the order of their places.
  result<std::vector<released_range>> released(MDB_txn* txn, std::size_t at_most) const;
  // A released range becomes free. The segment's new state.
  result<store_format::segment_info> reclaim(MDB_txn* txn, const block_range& range) const;
  // A segment all of whose blocks are free.
  result<void> remove(MDB_txn* txn, std::uint32_t segment) const;

 private:
  result<std::optional<block_range>> at_or_after(MDB_txn* txn, std::uint32_t segment, std::uint32_t block) const;
  result<std::optional<block_range>> before(MDB_txn* txn, std::uint32_t segment, std::uint32_t block) const;
  result<std::optional<block_range>> seek(MDB_txn* txn, MDB_dbi database, std::uint32_t segment, std::uint32_t block,
                                          bool backwards) const;
  // Whether a range of the database has blocks in common with this one.
  result<bool> overlaps(MDB_txn* txn, MDB_dbi database, const block_range& range) const;
  result<void> put_range(MDB_txn* txn, block_range range) const;
  result<void> delete_range(MDB_txn* txn, block_range range) const;
  result<void> merge(MDB_txn* txn, block_range range) const;
  result<store_format::segment_info> update(MDB_txn* txn, std::uint32_t segment, std::int64_t blocks,
                                            std::int64_t free_blocks) const;
  error failed(int code, std::uint32_t segment) const;
  error contradiction(block_range range, const char* what) const;

  const lmdb_env* env_;
};

}  // namespace mutant
