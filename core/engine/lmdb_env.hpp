// The LMDB environment under the embedded store: opening, transactions, errors. It knows databases, not pads.
//
// One environment per directory and process: LMDB's file locks belong to the process, so that closing a second environment
// would silently drop the locks of the first. Engines of one process that open the same directory share it.
//
// Flags. MDB_NOTLS: read transactions are pooled and move between threads. MDB_NORDAHEAD: records lie at random places.
// Not MDB_WRITEMAP: its data file is sparse and written through the map, so that a full disk is a SIGBUS in the middle of a
// memcpy instead of an error from pwrite, and a stray write of the program would reach the store. Nor does it pay: durable
// batches of 4 MiB records took 1.1-1.9 ns of CPU a byte with it and 0.3-1.4 without, in one run side by side.
// Commits are durable: data pages are synced before the meta page that names them.
//
// After a meta page that could not be written LMDB refuses everything (MDB_PANIC) until the environment is opened again. That
// happens here, as soon as nobody is inside any more: the commit that met it ends with io_error, its outcome unknown, and the
// next transaction finds a fresh environment.
#pragma once

#include <lmdb.h>
#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/bytes.hpp"
#include "core/engine/engine.hpp"
#include "core/engine/lmdb_file.hpp"
#include "core/engine/store_format.hpp"
#include "core/error.hpp"

namespace mutant {

class lmdb_env;

// An error from an LMDB (or errno) code. store_full: ENOSPC and a full map; unsupported: another LMDB version; store_damaged:
// what LMDB itself finds wrong with its file.
error lmdb_error(int code, const std::string& doing);
// The same when a read transaction could not begin.
error reader_error(int code, const std::string& doing);

inline MDB_val to_val(byte_view view) noexcept {
  return {view.size(), const_cast<std::byte*>(view.data())};
}

inline byte_view to_view(const MDB_val& value) noexcept {
  return {static_cast<const std::byte*>(value.mv_data), value.mv_size};
}

// Reads one committed state; what it returns lies in the map and is valid while it lives. Any one thread at a time.
class read_txn {
 public:
  read_txn(lmdb_env& env, MDB_txn* txn) noexcept : env_(&env), txn_(txn) {}
  read_txn(read_txn&& other) noexcept : env_(other.env_), txn_(std::exchange(other.txn_, nullptr)) {}
  read_txn& operator=(read_txn&&) = delete;
  ~read_txn();

  MDB_txn* handle() const noexcept { return txn_; }

 private:
  lmdb_env* env_;
  MDB_txn* txn_;
};

// The one write transaction of all processes. Ends in the thread that began it. Aborts unless committed.
class write_txn {
 public:
  write_txn(lmdb_env& env, MDB_txn* txn) noexcept : env_(&env), txn_(txn) {}
  write_txn(write_txn&& other) noexcept : env_(other.env_), txn_(std::exchange(other.txn_, nullptr)) {}
  write_txn& operator=(write_txn&&) = delete;
  ~write_txn();

  MDB_txn* handle() const noexcept { return txn_; }
  std::uint64_t id() const noexcept { return mdb_txn_id(txn_); }
  // Durable when it returns ok; nothing is stored otherwise, but for io_error: then all of it may be or nothing. The
  // transaction is over either way.
  result<void> commit();

 private:
  lmdb_env* env_;
  MDB_txn* txn_;
};

class lmdb_env {
 public:
  // Opens or creates; the errors of open_lmdb_engine.
  static result<std::shared_ptr<lmdb_env>> open(const lmdb_options& options);
  ~lmdb_env();
  lmdb_env(const lmdb_env&) = delete;
  lmdb_env& operator=(const lmdb_env&) = delete;

  // Cheap: reuses a reader slot. overloaded: every slot is taken. Not for a thread that reads already: where the environment
  // must be opened again, it would wait for itself.
  result<read_txn> read();
  // Waits for the writers of other threads and processes. invalid_argument: this thread already holds it; store_damaged: the
  // file is no longer what the last commit made of it.
  result<write_txn> write();
  // Before LMDB looks for a pad in a write transaction: whether the pages that it will meet are sound. store_damaged.
  result<void> check_pad(const pad_address& address) const;

  const std::string& directory() const noexcept { return directory_; }
  MDB_dbi pads_database() const noexcept { return pads_; }
  MDB_dbi segments_database() const noexcept { return segments_; }
  MDB_dbi free_database() const noexcept { return free_; }
  MDB_dbi released_database() const noexcept { return released_; }
  // What lies in the data file and is not used: the next transactions take it before the file grows. io_error.
  result<std::uint64_t> free_bytes();

  // lmdb_error, which also knows that a full disk may look like EIO.
  error failure(int code, const std::string& doing) const;

  // nullopt: the store is just being created.
  result<std::optional<store_format::store_meta>> load_meta(MDB_txn* txn) const;
  result<void> save_meta(MDB_txn* txn, const store_format::store_meta& meta) const;

 private:
  friend class read_txn;
  friend class write_txn;

  lmdb_env(MDB_env* env, std::string directory) : env_(env), directory_(std::move(directory)) {}
  static result<std::shared_ptr<lmdb_env>> share(std::pair<dev_t, ino_t> key, const lmdb_options& options);
  static result<std::unique_ptr<lmdb_env>> open_new(const lmdb_options& options);
  static result<MDB_env*> map_largest(const std::string& directory, std::uint64_t map_bytes);
  static result<bool> probe(const std::string& directory);
  result<void> check_before_writing(std::uint64_t transaction);
  enum class contents { nothing, older_store, store };  // older: without the tables for segments
  result<contents> look();
  result<contents> open_databases(MDB_txn* txn, unsigned flags);
  result<void> open_or_create_databases();
  result<void> set_up();
  // Everybody who uses env_ is inside, from before the first call on it to after the last.
  result<void> enter(std::unique_lock<std::mutex>& lock);
  void leave(std::unique_lock<std::mutex>& lock, int last_code) noexcept;
  result<void> open_again();
  bool has_panicked() noexcept;
  void give_back(MDB_txn* txn) noexcept;

  MDB_env* env_;  // null: it could not be opened again yet
  std::string directory_;
  std::optional<lmdb_file> file_;             // the same file, for looking at it before LMDB does
  bool all_checked_ = false;                  // when it was opened, no page was left out
  std::optional<lmdb_file::state> base_;      // of the open write transaction
  std::optional<lmdb_pages::database> pads_of_base_;
  std::uint64_t map_bytes_ = 0;
  MDB_dbi meta_ = 0, pads_ = 0, segments_ = 0, free_ = 0, released_ = 0;
  std::mutex set_up_mutex_;
  std::atomic<bool> ready_{false};  // the database handles are set
  std::mutex mutex_;
  std::condition_variable all_left_;
  std::size_t inside_ = 0;
  bool panicked_ = false;       // to be opened again
  std::vector<MDB_txn*> idle_;  // reset read transactions
  std::atomic<std::thread::id> writer_{};
};

}  // namespace mutant
