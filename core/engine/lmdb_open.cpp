// Opening and creating: the part of lmdb_env that runs once.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>

#include "core/engine/lmdb_env.hpp"
#include "core/engine/store_directory.hpp"
#include "core/engine/store_faults.hpp"
#include "core/engine/store_reader.hpp"

namespace mutant {
namespace {

constexpr unsigned env_flags = MDB_NOTLS | MDB_NORDAHEAD;
constexpr std::uint64_t min_map_bytes = std::uint64_t{64} << 20;
constexpr std::size_t max_idle_readers = 64;
constexpr unsigned reader_slots = 1000;
constexpr MDB_dbi max_databases = 8;
// A table of pads of up to this many pages (some thirty thousand pads) is checked as a whole before it is written to; of a
// larger one, what lies on the way to each pad that is written.
constexpr std::uint64_t max_pages_to_check = 2048;

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

result<std::shared_ptr<lmdb_env>> lmdb_env::open(const lmdb_options& options) {
  if (auto prepared = prepare_store_directory(options); !prepared)
    return fail(prepared.error());
  struct stat info {};
  if (::stat(options.directory.c_str(), &info) != 0)
    return fail(errno_error(errno, "looking at the store's directory " + options.directory));
  auto env = share({info.st_dev, info.st_ino}, options);
  if (!env)
    return env;
  if (auto ready = (*env)->set_up(); !ready)
    return fail(ready.error());
  return env;
}

result<std::shared_ptr<lmdb_env>> lmdb_env::share(std::pair<dev_t, ino_t> key, const lmdb_options& options) {
  auto& known = environments();
  std::lock_guard lock(known.mutex);
  known.forget_those_of_the_parent();
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
  auto all_checked = probe(options.directory);
  if (!all_checked)
    return fail(all_checked.error());
  if (auto allocated = allocate_lock_file(options.directory); !allocated)
    return fail(allocated.error());
  if (auto begun = begin_anew(options.directory); !begun)
    return fail(begun.error());
  auto raw = map_largest(options.directory, std::max(options.map_bytes, min_map_bytes));
  if (!raw)
    return fail(raw.error());
  std::unique_ptr<lmdb_env> env(new lmdb_env(*raw, options.directory));
  auto file = lmdb_file::open(options.directory + '/' + std::string(store_format::data_file));
  if (!file)
    return fail(file.error());
  env->file_.emplace(std::move(*file));
  env->all_checked_ = *all_checked;
  env->map_bytes_ = std::max(options.map_bytes, min_map_bytes);
  env->idle_.reserve(max_idle_readers);
  mdb_reader_check(env->env_, nullptr);  // slots that dead processes left would keep old pages alive
  return env;
}

// Whose LMDB environment it is, before anything is written (another program's must stay as it is), and whether LMDB may
// follow its pages. True: every page was checked.
result<bool> lmdb_env::probe(const std::string& directory) {
  auto used = holds_a_commit(directory);
  if (!used || !*used)
    return used ? result<bool>(true) : fail(used.error());  // prepare_store_directory has said that it may be created
  auto file = lmdb_file::open(directory + '/' + std::string(store_format::data_file));
  if (!file)
    return fail(file.error());
  return file->read([&](const lmdb_file::state& now) -> result<bool> {
    if (auto whole = file->check_size(now); !whole)
      return fail(whole.error());
    auto meta = find_store_meta(*file, now, directory);
    if (!meta)
      return fail(meta.error());
    if (auto sound = file->check_all(now, store_format::pads_database, max_pages_to_check); !sound)
      return fail(sound.error());
    auto table = file->find_database(now, store_format::pads_database);
    if (!table)
      return fail(table.error());
    return !*table || (*table)->tree_pages <= max_pages_to_check;
  });
}

// Address space may be limited (RLIMIT_AS, small machines): half as much until it fits. LMDB itself makes it as large as the
// file. Its lock file is set up by whoever has it alone, and called invalid by others who find that it was not: a process that
// had it alone may have ended at that moment, and then the next to open it sets it up.
result<MDB_env*> lmdb_env::map_largest(const std::string& directory, std::uint64_t map_bytes) {
  constexpr int max_invalid = 3;
  auto doing = "opening the store " + directory;
  for (auto invalid = 0;;) {
    MDB_env* env = nullptr;
    if (auto code = mdb_env_create(&env); code != 0)
      return fail(lmdb_error(code, doing));
    mdb_env_set_maxdbs(env, max_databases);
    mdb_env_set_maxreaders(env, reader_slots);
    mdb_env_set_mapsize(env, map_bytes);
    mdb_env_set_assert(env, [](MDB_env*, const char* what) { report_store_fault(what); });
    auto code = mdb_env_open(env, directory.c_str(), env_flags, 0600);
    if (code == 0)
      return env;
    mdb_env_close(env);
    if (code == MDB_INVALID && ++invalid < max_invalid)
      continue;
    if (code != ENOMEM || map_bytes / 2 < min_map_bytes)
      return fail(lmdb_error(code, doing));
    map_bytes /= 2;
  }
}

struct abort_txn {
  void operator()(MDB_txn* txn) const noexcept { mdb_txn_abort(txn); }
};

// invalid_argument: someone else's. Writes nothing.
result<lmdb_env::contents> lmdb_env::look() {
  auto doing = "opening the databases of the store " + directory_;
  MDB_txn* raw = nullptr;
  if (auto code = mdb_txn_begin(env_, nullptr, MDB_RDONLY, &raw); code != 0)
    return fail(reader_error(code, doing));
  std::unique_ptr<MDB_txn, abort_txn> txn(raw);
  auto opened = open_databases(raw, 0);
  // A read transaction must be committed for its database handles to stay.
  if (auto code = opened && *opened == contents::store ? mdb_txn_commit(txn.release()) : 0; code != 0)
    return fail(lmdb_error(code, doing));
  return opened;
}

// With MDB_CREATE in the flags nothing is missing afterwards.
result<lmdb_env::contents> lmdb_env::open_databases(MDB_txn* txn, unsigned flags) {
  auto doing = "opening the databases of the store " + directory_;
  if (auto code = mdb_dbi_open(txn, nullptr, 0, &meta_); code != 0)
    return fail(lmdb_error(code, doing));
  auto meta = load_meta(txn);
  if (!meta)
    return fail(meta.error());
  if (!*meta && flags == 0)
    return contents::nothing;
  for (auto [name, database] : {std::pair(store_format::pads_database, &pads_),
                                std::pair(store_format::segments_database, &segments_),
                                std::pair(store_format::free_database, &free_),
                                std::pair(store_format::released_database, &released_)}) {
    auto code = mdb_dbi_open(txn, name, flags, database);
    if (code == MDB_NOTFOUND)
      return contents::older_store;
    if (code != 0)
      return fail(failure(code, doing));
  }
  return contents::store;
}

// Not under the mutex of all environments: creating may have to wait for a writer of another process.
result<void> lmdb_env::set_up() {
  if (ready_)
    return {};
  std::lock_guard lock(set_up_mutex_);
  auto outcome = ready_ ? result<void>() : open_or_create_databases();
  ready_ = outcome.has_value();
  return outcome;
}

// Waits for writers only when there is something to create.
result<void> lmdb_env::open_or_create_databases() {
  auto found = look();
  if (!found || *found == contents::store)
    return found ? result<void>() : fail(found.error());
  auto txn = write();
  if (!txn)
    return fail(txn.error());
  // Another process may have been faster.
  auto meta = load_meta(txn->handle());
  if (!meta)
    return fail(meta.error());
  if (!*meta)
    if (auto saved = save_meta(txn->handle(), {}); !saved)
      return saved;
  if (auto opened = open_databases(txn->handle(), MDB_CREATE); !opened)
    return fail(opened.error());
  if (auto committed = txn->commit(); !committed)
    return committed;
  return sync_directory(directory_);
}

// Nobody is inside.
result<void> lmdb_env::open_again() {
  for (auto* txn : idle_)
    mdb_txn_abort(txn);
  idle_.clear();
  if (env_ != nullptr)
    mdb_env_close(std::exchange(env_, nullptr));  // first: its locks belong to the process
  auto raw = map_largest(directory_, map_bytes_);
  if (!raw)
    return fail(raw.error());
  env_ = *raw;
  if (auto found = look(); !found || *found != contents::store)
    return found ? fail(errc::io_error, "the store " + directory_ + " is not there any more") : fail(found.error());
  panicked_ = false;
  return {};
}

lmdb_env::~lmdb_env() {
  for (auto* txn : idle_)
    mdb_txn_abort(txn);
  if (env_ != nullptr)
    mdb_env_close(env_);
}

}  // namespace mutant
