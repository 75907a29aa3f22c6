#include "core/engine/lmdb_env.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

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
    case EDQUOT: return {errc::store_full, doing + ": the disk is full; make room, or remove something from the store"};
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
}

result<void> write_txn::commit() {
  auto code = mdb_txn_commit(std::exchange(txn_, nullptr));
  env_->writer_.store({});
  if (code != 0)
    return fail(env_->failure(code, "committing to the store " + env_->directory_));
  return {};
}

result<read_txn> lmdb_env::read() {
  MDB_txn* txn = nullptr;
  {
    std::lock_guard lock(idle_mutex_);
    if (!idle_.empty()) {
      txn = idle_.back();
      idle_.pop_back();
    }
  }
  auto renewed = txn != nullptr;
  auto begin = [&] { return renewed ? mdb_txn_renew(txn) : mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn); };
  auto code = begin();
  if (code == MDB_READERS_FULL && mdb_reader_check(env_, nullptr) == 0)
    code = begin();
  if (code == 0)
    return read_txn(*this, txn);
  if (renewed)
    mdb_txn_abort(txn);
  return fail(reader_error(code, "reading the store " + directory_));
}

void lmdb_env::give_back(MDB_txn* txn) noexcept {
  mdb_txn_reset(txn);
  {
    std::lock_guard lock(idle_mutex_);
    if (idle_.size() < idle_.capacity()) {
      idle_.push_back(txn);
      return;
    }
  }
  mdb_txn_abort(txn);
}

result<write_txn> lmdb_env::write() {
  // LMDB would wait for ever for its own thread.
  if (writer_.load() == std::this_thread::get_id())
    return fail(errc::invalid_argument, "this thread has another batch open on the store " + directory_ + "; commit it first");
  // LMDB reads the head of its file through the map, where there may be no file any more.
  if (auto there = file_->newest(); !there)
    return fail(there.error());
  MDB_txn* txn = nullptr;
  if (auto code = mdb_txn_begin(env_, nullptr, 0, &txn); code != 0)
    return fail(lmdb_error(code, "writing to the store " + directory_));
  writer_.store(std::this_thread::get_id());
  write_txn begun(*this, txn);
  if (auto sound = check_before_writing(begun.id()); !sound)
    return fail(sound.error());
  return begun;
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
