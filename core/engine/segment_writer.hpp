// Places payloads in segments and frees them: the writing half of the segment files, for the one writer thread of an engine.
//
// Why nothing is lost or torn:
// - A payload is written and synced before the LMDB transaction that names it commits. Until then its blocks are free as far
//   as LMDB knows, so after a crash they simply are.
// - Only blocks that were free in the last *committed* state are written to, and what a transaction frees is only released by
//   it: it becomes free in a later one (store_format.hpp). A crash in mid-batch finds every old payload untouched, and so does
//   a fall back of LMDB's file to the transaction before the last.
// - What is to be wiped is on record in the transaction that releases it, and does not become free before it is wiped.
// - Only the holder of a segment's lock writes to it. LMDB's write lock is not enough: it passes to another process when a
//   writer is killed, perhaps before the kernel has finished the last write of the dead one.
// - Files are created under the write transaction, and numbers of segments that were ever committed are never used again.
// - Readers hold no lock. They read first and then ask LMDB whether the pad still has the very same extent (its stamp tells
//   a later use of the same blocks apart); if not, they start again (lmdb_engine.cpp). So a stopped or slow reader never
//   keeps blocks from being used, and no reader table has to be trusted.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/engine/extent_map.hpp"
#include "core/engine/free_space.hpp"
#include "core/engine/lmdb_env.hpp"
#include "core/engine/segment_file.hpp"
#include "core/engine/write_queue.hpp"

namespace mutant {

class segment_writer {
 public:
  explicit segment_writer(lmdb_env& env) : env_(env), map_(env) {}

  // Begins to write the record's payload to free blocks and takes them in the transaction. store_full, io_error (perhaps
  // of an earlier write of this batch): the batch must be aborted.
  result<store_format::extent> write(const write_txn& txn, store_format::store_meta& meta, const bytes& record);
  // wipe: its blocks are to be emptied once the transaction is durable, by tidy.
  result<void> free(const write_txn& txn, const store_format::extent& where, std::size_t payload_bytes, bool wipe);

  // What was written can be read afterwards.
  result<void> settle() { return writes_.drain(); }
  // What was written is on disk afterwards: before the transaction commits.
  result<void> sync();
  // Makes what earlier transactions released free in this one, but for what is to be wiped first.
  result<void> reclaim(const write_txn& txn);
  // How the transaction ended. in_doubt: perhaps it is there after all.
  void committed();
  void aborted(bool in_doubt);

  // Between batches, see pad_engine. Both write transactions of their own, if there is something to do.
  result<void> tidy();
  result<std::uint64_t> trim();

 private:
  struct owned_segment {
    segment_file file;
    store_format::segment_info info;
    free_space space;       // usable now: free in the last commit and not taken since
    bool fresh = false;     // created by this batch
    bool unsynced = false;
    std::uint32_t blocks_before = 0;  // of a segment that this batch has made longer: what it was; 0: it has not
    bool stale = false;     // an aborted batch has left `space` wrong
  };
  static constexpr std::size_t max_reclaimed_at_once = 4096;  // in one transaction
  using owned_map = std::map<std::uint32_t, owned_segment>;

  std::string path_of(std::uint32_t segment) const;
  result<void> refresh();
  result<void> reload(MDB_txn* committed, std::uint32_t number, owned_segment& segment);
  result<block_range> allocate(const write_txn& txn, store_format::store_meta& meta, std::uint32_t count);
  result<owned_segment*> own(MDB_txn* committed, std::uint32_t number);
  std::optional<block_range> take_owned(std::uint32_t count);
  result<std::optional<block_range>> take_over(const write_txn& txn, std::uint32_t count);
  result<std::optional<block_range>> grow_owned(const write_txn& txn, std::uint32_t count);
  result<void> grow(const write_txn& txn, std::uint32_t number, owned_segment& segment, std::uint32_t count);
  result<void> create(const write_txn& txn, store_format::store_meta& meta, std::uint32_t count);
  result<void> make_free(const write_txn& txn, const block_range& range, bool emptied);
  void forget_batch();
  result<bool> tidy_some();
  result<void> wipe(const block_range& range);
  result<void> punch_reclaimed();
  result<std::uint64_t> remove_empty_segments();
  result<std::uint64_t> remove_orphans(const std::map<std::uint32_t, store_format::segment_info>& known);
  result<std::uint64_t> punch_holes();

  lmdb_env& env_;
  extent_map map_;
  owned_map owned_;
  write_queue writes_;  // goes before the files it writes to
  std::uint32_t current_ = 0;  // where the last payload went
  bool may_be_untidy_ = true;  // something may be released; it may be from before we came
  std::vector<block_range> to_punch_;  // became free, and are not given back to the file system yet
  // Of the open batch:
  bool refreshed_ = false;
  std::map<std::uint32_t, store_format::segment_info> touched_;
  std::vector<block_range> written_;
  std::uint64_t room_before_bytes_ = 0;  // on the disk, before its first payload
  std::vector<block_range> reclaimed_;
  std::vector<block_range> reclaimed_full_;  // those of them that are to be punched
};

}  // namespace mutant
