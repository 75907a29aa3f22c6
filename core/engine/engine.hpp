// The engine interface: where pads lie on this machine. docs/design.md, "Choices worth knowing".
//
// An engine keeps whole records by address and holds to the write rule (below). It is used by one writer thread and any
// number of reader threads at once; several processes may open the same place. It does not verify signatures: whoever
// takes records from strangers does that first.
#pragma once

#include <memory>
#include <string>

#include "core/bytes.hpp"
#include "core/crypto.hpp"
#include "core/error.hpp"

namespace mutant {

struct engine_stats {
  std::uint64_t pads = 0;
  std::uint64_t record_bytes = 0;  // sum of the records' sizes
  std::uint64_t disk_bytes = 0;    // what the engine's files take
};

class pad_engine {
 public:
  virtual ~pad_engine() = default;

  // -- writing: one thread; puts take effect together, at commit ------------------------------------------------------
  // A batch may hold a lock that other processes wait for: commit soon, in the thread that put. An engine with an open
  // batch is destroyed in that thread too; the batch is then forgotten.

  // Adds a write to the open batch (and opens one). The write rule, against what is stored and what the batch holds:
  // absent or lower counter: taken. Same counter and same bytes: ok again. Same counter, other bytes: pad_conflict;
  // lower counter: stale_counter (both: detail = the stored counter). corrupt_record: not a well-formed record.
  // store_full, io_error: the batch is broken; commit, and it will fail with that error, once. Until then every put fails.
  virtual result<void> put(const bytes& record) = 0;
  // The same for a record that makes room or leads to it: it may use what the engine keeps in reserve for these, as blank
  // records and erasing may. Where a batch of nothing else ends with store_full, the reserve has been given up for it: the same
  // again may do. Where there is a reserve, put is store_full until it is whole again.
  virtual result<void> put_making_room(const bytes& record) { return put(record); }
  // Removes the pad altogether. `blank` is a blank record of it whose counter is higher than the stored one
  // (otherwise stale_counter): the owner's word that it may go. Ok when the pad is absent.
  virtual result<void> erase(const bytes& blank) = 0;
  // Makes the batch durable. After an error none of it is stored. Ok without a batch.
  virtual result<void> commit() = 0;

  // Between batches; invalid_argument in one.
  //
  // Empties what blank records have replaced, makes what was freed ready for use, and gives it back to the system. Cheap when
  // there is nothing to do. io_error: something is still there; this is on record, and is tried again with the next call and
  // when the store is opened again.
  virtual result<void> tidy() { return {}; }
  // The same for all that nothing uses, whoever freed it and when; the bytes released. io_error: as tidy says.
  virtual result<std::uint64_t> trim() { return 0; }

  // -- reading: any thread; sees committed pads ------------------------------------------------------------------------

  // The whole record; pad_not_found.
  virtual result<bytes> get(const pad_address& address) = 0;
  // The first 160 bytes; pad_not_found.
  virtual result<bytes> head(const pad_address& address) = 0;
  virtual result<engine_stats> stats() = 0;
};

struct lmdb_options {
  std::string directory;
  bool create = true;                                  // false: a missing directory is an error
  bool any_file_system = false;                        // also one where other machines may use the store: store_directory.hpp
  std::uint64_t map_bytes = std::uint64_t{1} << 40;    // most the LMDB part can grow to; address space, not disk
  std::uint64_t segment_from_bytes = 65536;            // payloads from here up go to segment files; 0: all into LMDB
};

// The embedded default. With create = false nothing is opened for writing before the first write. Errors: unreachable (missing
// directory, with create = false), access_denied, io_error, store_full, unsupported (another format version, a file system that
// other machines share), invalid_argument (the directory holds something else), store_damaged.
// A file that becomes shorter while LMDB writes to it can still be a SIGBUS: a program that outlives that installs a handler.
result<std::unique_ptr<pad_engine>> open_lmdb_engine(const lmdb_options& options);

// Gone with the process; the same rules. For tests and `memory:`. store_full beyond capacity_bytes.
std::unique_ptr<pad_engine> make_memory_engine(std::uint64_t capacity_bytes);

}  // namespace mutant
