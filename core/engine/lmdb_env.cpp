#include "core/engine/lmdb_env.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <utility>

#include "core/engine/store_directory.hpp"

namespace mutant {
namespace {

constexpr unsigned env_flags = MDB_NOTLS | MDB_NORDAHEAD;
constexpr std::uint64_t least_map_bytes = std::uint64_t{64} << 20;
constexpr std::size_t most_idle_readers = 64;
constexpr unsigned reader_slots = 1000;
constexpr MDB_dbi most_databases = 8;

// Who has which directory open in this process. Closing happens under the mutex too: a new environment must not appear
// while the old one is still letting go of the process's locks.
struct open_environments {
  struct entry {
    std::unique_ptr<lmdb_env> env;
    std::size_t users = 0;
  };
  std::mutex mutex;
  std::map<std::pair<dev_t, ino_t>, entry> entries;
  pid_t process = ::getpid();

  // After a fork the parent's environments are of no use here, and closing them is not ours to do.
  void forget_those_of_the_parent() {
    if (process == ::getpid())
      return;
    for (auto& [key, inherited] : entries)
      static_cast<void>(inherited.env.release());
    entries.clear();
    process = ::getpid();
  }
};

open_environments& environments() {
  static auto* instance = new open_environments;  // leaked: engines may outlive static destruction
  return *instance;
}

}  // namespace

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
    case MDB_INVALID: return {errc::invalid_argument, doing + ": not an LMDB file"};
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
  // On a full disk the last write comes out short, and LMDB calls that EIO.
  if (code == EIO && !has_room(env_->directory_))
    code = ENOSPC;
  if (code != 0)
    return fail(lmdb_error(code, "committing to the store " + env_->directory_));
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
  return fail(lmdb_error(code, "reading the store " + directory_));
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
  MDB_txn* txn = nullptr;
  if (auto code = mdb_txn_begin(env_, nullptr, 0, &txn); code != 0)
    return fail(lmdb_error(code, "writing to the store " + directory_));
  writer_.store(std::this_thread::get_id());
  return write_txn(*this, txn);
}

// -- opening -----------------------------------------------------------------------------------------------------------

result<std::shared_ptr<lmdb_env>> lmdb_env::open(const lmdb_options& options) {
  if (auto prepared = prepare_store_directory(options.directory, options.create); !prepared)
    return fail(prepared.error());
  struct stat info {};
  if (::stat(options.directory.c_str(), &info) != 0)
    return fail(errno_error(errno, "looking at the store's directory " + options.directory));
  auto& known = environments();
  std::lock_guard lock(known.mutex);
  known.forget_those_of_the_parent();
  std::pair key(info.st_dev, info.st_ino);
  auto& entry = known.entries[key];
  if (entry.env == nullptr) {
    auto opened = open_new(options);
    if (!opened) {
      known.entries.erase(key);
      return fail(opened.error());
    }
    entry.env = std::move(*opened);
  }
  ++entry.users;
  return std::shared_ptr<lmdb_env>(entry.env.get(), [key](lmdb_env* env) {
    auto& all = environments();
    std::lock_guard closing(all.mutex);
    auto at = all.entries.find(key);
    if (at != all.entries.end() && at->second.env.get() == env && --at->second.users == 0)
      all.entries.erase(at);
  });
}

result<std::unique_ptr<lmdb_env>> lmdb_env::open_new(const lmdb_options& options) {
  if (auto probed = probe(options.directory, options.create); !probed)
    return fail(probed.error());
  if (auto allocated = allocate_lock_file(options.directory); !allocated)
    return fail(allocated.error());
  auto raw = map_largest(options.directory, env_flags, std::max(options.map_bytes, least_map_bytes));
  if (!raw)
    return fail(raw.error());
  std::unique_ptr<lmdb_env> env(new lmdb_env(*raw, options.directory));
  env->idle_.reserve(most_idle_readers);
  mdb_reader_check(env->env_, nullptr);  // slots that dead processes left would keep old pages alive
  if (auto opened = env->open_databases(true); !opened)
    return fail(opened.error());
  return env;
}

// Whose LMDB environment it is, before anything is written: another program's must stay as it is.
result<void> lmdb_env::probe(const std::string& directory, bool create) {
  struct stat info {};
  auto data = directory + '/' + std::string(store_format::data_file);
  if (::stat(data.c_str(), &info) != 0 || info.st_size == 0)
    return {};  // prepare_store_directory has said that it may be created
  // Without a lock file nobody is using it, and looking must not create one.
  auto lock = directory + '/' + std::string(store_format::lock_file);
  auto flags = env_flags | MDB_RDONLY | (::access(lock.c_str(), F_OK) == 0 ? 0u : unsigned{MDB_NOLOCK});
  auto raw = map_largest(directory, flags, least_map_bytes);
  if (!raw)
    return fail(raw.error());
  lmdb_env env(*raw, directory);
  auto opened = env.open_databases(false);
  if (!opened && opened.error().code == errc::unreachable && create)
    return {};
  return opened;
}

// Address space may be limited (RLIMIT_AS, small machines): half as much until it fits.
// LMDB itself makes it as large as the file.
result<MDB_env*> lmdb_env::map_largest(const std::string& directory, unsigned flags, std::uint64_t map_bytes) {
  auto doing = "opening the store " + directory;
  for (;; map_bytes /= 2) {
    MDB_env* env = nullptr;
    if (auto code = mdb_env_create(&env); code != 0)
      return fail(lmdb_error(code, doing));
    mdb_env_set_maxdbs(env, most_databases);
    mdb_env_set_maxreaders(env, reader_slots);
    mdb_env_set_mapsize(env, map_bytes);
    auto code = mdb_env_open(env, directory.c_str(), flags, 0600);
    if (code == 0)
      return env;
    mdb_env_close(env);
    if (code != ENOMEM || map_bytes / 2 < least_map_bytes)
      return fail(lmdb_error(code, doing));
  }
}

// unreachable: an LMDB environment with nothing in it, and may_write is false. invalid_argument: someone else's.
result<void> lmdb_env::open_databases(bool may_write) {
  auto doing = "opening the databases of the store " + directory_;
  MDB_txn* raw = nullptr;
  if (auto code = mdb_txn_begin(env_, nullptr, may_write ? 0 : MDB_RDONLY, &raw); code != 0)
    return fail(lmdb_error(code, doing));
  std::unique_ptr<MDB_txn, void (*)(MDB_txn*)> txn(raw, mdb_txn_abort);
  if (auto code = mdb_dbi_open(raw, nullptr, 0, &meta_); code != 0)
    return fail(lmdb_error(code, doing));
  auto meta = load_meta(raw);
  if (!meta)
    return fail(meta.error());
  if (!may_write)
    return *meta ? result<void>() : fail(errc::unreachable, "there is no store in the directory " + directory_);
  if (auto code = mdb_dbi_open(raw, store_format::pads_database, MDB_CREATE, &pads_); code != 0)
    return fail(lmdb_error(code, doing));
  if (!*meta)
    if (auto saved = save_meta(raw, {}); !saved)
      return saved;
  if (auto code = mdb_txn_commit(txn.release()); code != 0)  // writes nothing when nothing was missing
    return fail(lmdb_error(code, doing));
  return *meta ? result<void>() : sync_directory(directory_);
}

lmdb_env::~lmdb_env() {
  for (auto* txn : idle_)
    mdb_txn_abort(txn);
  mdb_env_close(env_);
}

// -- the meta record ---------------------------------------------------------------------------------------------------

result<std::optional<store_format::store_meta>> lmdb_env::load_meta(MDB_txn* txn) const {
  auto key = to_val(as_byte_view(store_format::meta_key));
  MDB_val value{};
  auto code = mdb_get(txn, meta_, &key, &value);
  if (code == MDB_NOTFOUND) {
    MDB_stat stat{};
    mdb_stat(txn, meta_, &stat);
    if (stat.ms_entries == 0)
      return std::nullopt;
  } else if (code != 0) {
    return fail(lmdb_error(code, "reading the meta record of the store " + directory_));
  }
  store_format::store_meta meta;
  auto known = code == 0 && value.mv_size == sizeof meta;
  if (known) {
    std::memcpy(&meta, value.mv_data, sizeof meta);
    known = meta.magic == store_format::magic;
  }
  if (!known)
    return fail(errc::invalid_argument, "the LMDB environment in " + directory_
                                            + " belongs to another program; give another directory");
  if (meta.version != store_format::version)
    return fail(errc::unsupported, "the store " + directory_ + " has format version " + std::to_string(meta.version)
                                       + ", and this program knows version " + std::to_string(store_format::version)
                                       + "; use a newer program");
  return meta;
}

result<void> lmdb_env::save_meta(MDB_txn* txn, const store_format::store_meta& meta) const {
  auto key = to_val(as_byte_view(store_format::meta_key));
  auto value = to_val(std::as_bytes(std::span(&meta, 1)));
  if (auto code = mdb_put(txn, meta_, &key, &value, 0); code != 0)
    return fail(lmdb_error(code, "writing the meta record of the store " + directory_));
  return {};
}

}  // namespace mutant
