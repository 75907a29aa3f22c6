// Places payloads in segments and frees them: the writing half of the segment files, for the one writer thread of an engine.
//
// Why nothing is lost or torn:
// - A payload is written and synced before the LMDB transaction that names it commits. Until then its blocks are free as far
//   as LMDB knows, so after a crash they simply are.
// - Only blocks that were free in the last *committed* state are written to: what a batch frees becomes usable after its
//   commit, which is durable when it returns. A crash in mid-batch finds every old payload untouched.
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
  segment_writer(lmdb_env& env, bool direct) : env_(env), map_(env), direct_(direct) {}

  // Begins to write the record's payload to free blocks and takes them in the transaction. store_full, io_error (perhaps
  // of an earlier write of this batch): the batch must be aborted.
  result<store_format::extent> write(const write_txn& txn, store_format::store_meta& meta, const bytes& record);
  // wipe: its blocks are to be emptied once the transaction is durable.
  result<void> free(const write_txn& txn, const store_format::extent& where, std::size_t payload_bytes, bool wipe);

  // What was written can be read afterwards.
  result<void> settle() { return writes_.drain(); }
  // What was written is on disk afterwards: before the transaction commits.
  result<void> sync();
  // How the transaction ended.
  void committed();
  void aborted();
  // Between batches: empties the blocks of what was freed to be wiped. What fails is tried again the next time.
  void wipe();

  // Outside of a batch: gives free blocks of all segments that no other process holds back to the file system, and removes
  // segments without payloads. The bytes released.
  result<std::uint64_t> trim();

 private:
  struct owned_segment {
    segment_file file;
    store_format::segment_info info;
    free_space space;       // usable now: free in the last commit and not taken since
    bool fresh = false;     // created by this batch
    bool unsynced = false;
    bool stale = false;     // an aborted batch has left `space` wrong
  };
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
  result<void> wipe_in(MDB_txn* txn, const block_range& range);
  result<std::uint64_t> remove_empty_segments();
  result<std::uint64_t> remove_orphans(const std::map<std::uint32_t, store_format::segment_info>& known);
  result<std::uint64_t> punch_holes();

  lmdb_env& env_;
  extent_map map_;
  bool direct_;
  owned_map owned_;
  write_queue writes_;  // goes before the files it writes to
  std::uint32_t current_ = 0;  // where the last payload went
  std::vector<block_range> to_wipe_;
  // Of the open batch:
  bool refreshed_ = false;
  std::map<std::uint32_t, store_format::segment_info> touched_;
  std::vector<block_range> freed_;
  std::vector<block_range> freed_to_wipe_;
};

}  // namespace mutant
