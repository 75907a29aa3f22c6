#include "core/engine/lmdb_env.hpp"

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "core/engine/disk_reserve.hpp"
#include "core/engine/store_directory.hpp"
#include "core/engine/store_reader.hpp"

namespace mutant {

error lmdb_error(int code, const std::string& doing) {
  switch (code) {
    case MDB_MAP_FULL:
      return {errc::store_full, doing + ": the store has reached the size it was opened with; open it with a larger map"};
    case MDB_TXN_FULL: return {errc::store_full, doing + ": the batch is too large; commit more often"};
    case MDB_READERS_FULL: return {errc::overloaded, doing + ": every reader slot of the store is taken; try again"};
    case MDB_MAP_RESIZED:
      return {errc::io_error, doing + ": another process has grown the store beyond the address space reserved here; "
                                      "open it again, and raise the limit on address space (ulimit -v)"};
    case MDB_VERSION_MISMATCH:
      return {errc::unsupported, doing + ": its LMDB format is not the one of this build; use the program that wrote it"};
    case MDB_INVALID:
      return {errc::store_damaged, doing + ": its lock file (lock.mdb) is damaged; end all processes that use the store, "
                                           "remove that file, and try again"};
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_CURSOR_FULL:
    case MDB_PAGE_FULL:
    case MDB_INCOMPATIBLE:
      return {errc::store_damaged, doing + ": data.mdb is damaged (" + mdb_strerror(code)
                                       + "); restore the store from a copy"};
    case MDB_PANIC:
      return {errc::io_error, doing + ": an earlier failure has made the store unusable in this process; open it again"};
    case ENOSPC:
    case EDQUOT: return {errc::store_full, doing + ": " + std::string(how_to_make_room)};
    case ENOMEM:
      return {errc::io_error, doing + ": not enough memory or address space; raise the limits (ulimit -v, -m)"};
    default: break;
  }
  if (code > 0)
    return errno_error(code, doing);
  return {errc::io_error, doing + ": " + mdb_strerror(code)};
}

error lmdb_env::failure(int code, const std::string& doing) const {
  // On a full disk the last write comes out short, and LMDB calls that EIO.
  return lmdb_error(code == EIO && !has_room(directory_) ? ENOSPC : code, doing);
}

// LMDB notes its readers by process id, and holds a lock for each number in use.
error reader_error(int code, const std::string& doing) {
  if (code == EAGAIN || code == EACCES)
    return {errc::unreachable, doing + ": another process that has it open has the same process id, "
                                   + std::to_string(::getpid()) + ", in another process namespace (a container). LMDB "
                                   "cannot tell the two apart: run both in one process namespace, or let one of them use "
                                   "the store through a node"};
  return lmdb_error(code, doing);
}

// -- transactions ------------------------------------------------------------------------------------------------------

read_txn::~read_txn() {
  if (txn_ != nullptr)
    env_->give_back(txn_);
}

write_txn::~write_txn() {
  if (txn_ == nullptr)
    return;
  mdb_txn_abort(txn_);
  env_->writer_.store({});
  std::unique_lock lock(env_->mutex_);
  env_->leave(lock, 0);
}

result<void> write_txn::commit() {
  auto code = mdb_txn_commit(std::exchange(txn_, nullptr));
  env_->writer_.store({});
  auto outcome = result<void>();
  if (code != 0) {
    outcome = fail(env_->failure(code, "committing to the store " + env_->directory_));
    if (env_->has_panicked()) {
      // The meta page may have been written or not.
      outcome = fail(errc::io_error, outcome.error().message + "; whether it was stored shows when the store is read again");
      code = MDB_PANIC;
    }
  }
  std::unique_lock lock(env_->mutex_);
  env_->leave(lock, code);
  return outcome;
}

bool lmdb_env::has_panicked() noexcept {
  MDB_txn* txn = nullptr;
  const auto code = mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn);
  if (code == 0)
    mdb_txn_abort(txn);
  return code == MDB_PANIC;
}

result<void> lmdb_env::enter(std::unique_lock<std::mutex>& lock) {
  constexpr std::chrono::seconds max_transaction_time{10};
  if (panicked_) {
    if (!all_left_.wait_for(lock, max_transaction_time, [this] { return inside_ == 0; }))
      return fail(errc::io_error, "the store " + directory_ + " must be opened again after a failed write, and is still in use "
                                                                "in this process; try again");
    if (panicked_)
      if (auto opened = open_again(); !opened)
        return opened;
  }
  ++inside_;
  return {};
}

void lmdb_env::leave(std::unique_lock<std::mutex>&, int last_code) noexcept {
  panicked_ = panicked_ || last_code == MDB_PANIC;
  if (--inside_ == 0 && panicked_)
    all_left_.notify_all();
}

result<read_txn> lmdb_env::read() {
  for (auto tries = 2;; --tries) {
    MDB_txn* txn = nullptr;
    std::unique_lock lock(mutex_);
    if (auto entered = enter(lock); !entered)
      return fail(entered.error());
    if (!idle_.empty()) {
      txn = idle_.back();
      idle_.pop_back();
    }
    lock.unlock();
    auto renewed = txn != nullptr;
    auto begin = [&] { return renewed ? mdb_txn_renew(txn) : mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn); };
    auto code = begin();
    if (code == MDB_READERS_FULL && mdb_reader_check(env_, nullptr) == 0)
      code = begin();
    if (code == 0)
      return read_txn(*this, txn);
    if (renewed)
      mdb_txn_abort(txn);
    lock.lock();
    leave(lock, code);
    if (code != MDB_PANIC || tries == 1)
      return fail(reader_error(code, "reading the store " + directory_));
  }
}

void lmdb_env::give_back(MDB_txn* txn) noexcept {
  mdb_txn_reset(txn);
  std::unique_lock lock(mutex_);
  if (idle_.size() < idle_.capacity()) {
    idle_.push_back(txn);
  } else {
    lock.unlock();
    mdb_txn_abort(txn);
    lock.lock();
  }
  leave(lock, 0);
}

result<write_txn> lmdb_env::write() {
  // LMDB would wait for ever for its own thread.
  if (writer_.load() == std::this_thread::get_id())
    return fail(errc::invalid_argument, "this thread has another batch open on the store " + directory_ + "; commit it first");
  for (auto tries = 2;; --tries) {
    std::unique_lock lock(mutex_);
    if (auto entered = enter(lock); !entered)
      return fail(entered.error());
    lock.unlock();
    // LMDB reads the head of its file through the map, where there may be no file any more.
    if (auto there = file_->newest(); !there) {
      lock.lock();
      leave(lock, 0);
      return fail(there.error());
    }
    MDB_txn* txn = nullptr;
    auto code = mdb_txn_begin(env_, nullptr, 0, &txn);
    if (code == 0) {
      writer_.store(std::this_thread::get_id());
      write_txn begun(*this, txn);
      if (auto sound = check_before_writing(begun.id()); !sound)
        return fail(sound.error());
      return begun;
    }
    lock.lock();
    leave(lock, code);
    if (code != MDB_PANIC || tries == 1)
      return fail(lmdb_error(code, "writing to the store " + directory_));
  }
}

// While we hold LMDB's lock nobody else writes. Another process may have made the file grow, and anybody shorter.
result<void> lmdb_env::check_before_writing(std::uint64_t transaction) {
  auto now = file_->newest();
  if (!now)
    return fail(now.error());
  if (now->meta.transaction + 1 != transaction)
    return fail(file_->damaged(transaction % 2, "it was replaced while the store was open"));
  if (auto whole = file_->check_size(*now); !whole)
    return whole;
  base_ = *now;
  pads_of_base_.reset();
  if (all_checked_ || now->meta.main.depth == 0)
    return {};
  auto table = file_->find_database(*now, store_format::pads_database);
  if (!table)
    return fail(table.error());
  pads_of_base_ = *table;
  return {};
}

result<void> lmdb_env::check_pad(const pad_address& address) const {
  return pads_of_base_ ? file_->check_around(*base_, *pads_of_base_, address) : result<void>();
}

result<std::uint64_t> lmdb_env::free_bytes() {
  constexpr MDB_dbi lmdbs_own = 0;  // transaction -> a list of page numbers, the first of which is their count
  auto txn = read();
  if (!txn)
    return fail(txn.error());
  MDB_cursor* cursor = nullptr;
  auto code = mdb_cursor_open(txn->handle(), lmdbs_own, &cursor);
  std::uint64_t pages = 0;
  MDB_val key{}, value{};
  while (code == 0 && (code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
    std::size_t count = 0;
    if (value.mv_size >= sizeof count)
      std::memcpy(&count, value.mv_data, sizeof count);
    pages += count;
  }
  if (cursor != nullptr)
    mdb_cursor_close(cursor);
  MDB_stat stat{};
  if (code == MDB_NOTFOUND)
    code = mdb_env_stat(env_, &stat);
  if (code != 0)
    return fail(lmdb_error(code, "counting the free pages of the store " + directory_));
  return pages * stat.ms_psize;
}

// -- the meta record ---------------------------------------------------------------------------------------------------

result<std::optional<store_format::store_meta>> lmdb_env::load_meta(MDB_txn* txn) const {
  auto key = to_val(as_byte_view(store_format::meta_key));
  MDB_val value{};
  const auto code = mdb_get(txn, meta_, &key, &value);
  if (code == MDB_NOTFOUND) {
    MDB_stat stat{};
    mdb_stat(txn, meta_, &stat);
    if (stat.ms_entries == 0)
      return std::nullopt;
  } else if (code != 0) {
    return fail(lmdb_error(code, "reading the meta record of the store " + directory_));
  }
  auto meta = parse_store_meta(code == 0 ? to_view(value) : byte_view(), directory_);
  if (!meta)
    return fail(meta.error());
  return *meta;
}

result<void> lmdb_env::save_meta(MDB_txn* txn, const store_format::store_meta& meta) const {
  auto key = to_val(as_byte_view(store_format::meta_key));
  auto value = to_val(std::as_bytes(std::span(&meta, 1)));
  if (auto code = mdb_put(txn, meta_, &key, &value, 0); code != 0)
    return fail(failure(code, "writing the meta record of the store " + directory_));
  return {};
}

}  // namespace mutant
