#include "core/engine/store_directory.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "core/engine/engine.hpp"
#include "core/engine/lmdb_pages.hpp"
#include "core/engine/store_format.hpp"
#include "core/files.hpp"

namespace mutant {
namespace {

namespace fs = std::filesystem;

constexpr off_t lock_file_bytes = 64 * 1024;  // about a thousand readers

std::string file_in(const std::string& directory, std::string_view name) {
  return (fs::path(directory) / name).string();
}

result<void> make_directories(const fs::path& directory) {
  std::error_code ignored;
  if (auto parent = directory.parent_path(); !parent.empty() && !fs::exists(parent, ignored))
    if (auto made = make_directories(parent); !made)
      return made;
  if (::mkdir(directory.c_str(), 0700) != 0) {
    if (errno == EEXIST)
      return {};
    return fail(errno_error(errno, "creating the store's directory " + directory.string()));
  }
  auto parent = directory.has_parent_path() ? directory.parent_path() : fs::path(".");
  return sync_directory(parent.string());
}

constexpr std::string_view record_magic = "MPAD";  // docs/format.md, "Records"

enum class data_file_state {
  missing,
  begun,    // a creation that was cut off: LMDB has committed nothing
  present,  // sound or not
};

// LMDB makes the first two pages, and more only when it commits; until then any of it may be missing or zeros.
bool was_never_committed(byte_view content) {
  constexpr std::size_t two_pages = 2 * 4096;  // of a size that this machine has; others are present
  for (std::size_t number = 0; number < 2; ++number) {
    std::array<std::byte, lmdb_pages::meta_bytes> head{};
    const auto from = std::min(content.size(), number * two_pages / 2);
    const auto part = content.subspan(from, std::min(head.size(), content.size() - from));
    std::ranges::copy(part, head.begin());
    lmdb_pages::meta meta;
    const auto zeros = std::ranges::all_of(head, [](std::byte b) { return b == std::byte{0}; });
    const auto cut = part.size() < head.size();
    if (!zeros && !cut && (lmdb_pages::parse_meta(head, number, meta) != nullptr || meta.transaction != 0))
      return false;
  }
  const auto* text = reinterpret_cast<const char*>(content.data());
  return std::string_view(text, content.size()).find(record_magic) == std::string_view::npos;
}

result<data_file_state> look_at_data_file(const std::string& path) {
  constexpr std::uint64_t max_begun_bytes = 128 * 1024;  // more than the first transaction writes
  unique_fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file)
    return errno == ENOENT ? result<data_file_state>(data_file_state::missing) : fail(errno_error(errno, "opening " + path));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0)
    return fail(errno_error(errno, "looking at " + path));
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (!S_ISREG(info.st_mode) || size > max_begun_bytes)
    return data_file_state::present;
  std::vector<std::byte> content(size);
  if (auto read = read_all_at(file.get(), 0, content, path); !read)
    return fail(read.error());
  return was_never_committed(content) ? data_file_state::begun : data_file_state::present;
}

// The number of the last transaction, which LMDB keeps in its lock file for convenience; 0: not known. It outlives those who
// use the store, so that it tells a store that has lost its data file from one that never had anything in it.
std::uint64_t last_transaction_noted(const std::string& directory) {
  constexpr std::uint32_t lock_magic = 0xBEEFC0DE;
  constexpr std::size_t transaction_offset = 48;  // magic, format, a mutex of 40 bytes
  std::array<std::byte, transaction_offset + sizeof(std::uint64_t)> front{};
  unique_fd file(::open(file_in(directory, store_format::lock_file).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file || !read_all_at(file.get(), 0, front, {}))
    return 0;
  std::uint32_t magic = 0;
  std::uint64_t transaction = 0;
  std::memcpy(&magic, front.data(), sizeof magic);
  std::memcpy(&transaction, front.data() + transaction_offset, sizeof transaction);
  return magic == lock_magic ? transaction : 0;
}

// What shows that there was a store; empty: nothing does.
std::string trace_of_a_store(const std::string& directory) {
  std::error_code code;
  for (fs::directory_iterator at(directory, code), end; !code && at != end; at.increment(code))
    if (auto name = at->path().filename().string(); name.starts_with(store_format::segment_prefix))
      return name + " is there";
  const auto transaction = last_transaction_noted(directory);
  return transaction == 0 ? std::string()
                          : std::string(store_format::lock_file) + " tells of commit " + std::to_string(transaction);
}

bool may_lie_in_an_empty_store(const std::string& name) {
  return name == store_format::data_file || name == store_format::lock_file || name == "lost+found";
}

result<void> refuse_foreign_files(const std::string& directory) {
  std::error_code code;
  for (fs::directory_iterator at(directory, code), end; !code && at != end; at.increment(code))
    if (auto name = at->path().filename().string(); !may_lie_in_an_empty_store(name))
      return fail(errc::invalid_argument, "the directory " + directory + " is not a store and not empty (it holds " + name
                                              + "); give an empty or a new directory");
  if (code)
    return fail(errno_error(code.value(), "listing the directory " + directory));
  return {};
}

}  // namespace

result<void> check_file_system(std::uint64_t type, const std::string& directory) {
  struct kind {
    std::uint64_t type;
    const char* name;
  };
  static constexpr std::array kinds = {
      kind{0x6969, "NFS"},           kind{0x517B, "SMB"},        kind{0xFF534D42, "CIFS"},    kind{0xFE534D42, "SMB"},
      kind{0x01021997, "9p"},        kind{0x65735546, "FUSE"},   kind{0x00C36400, "CephFS"},  kind{0x5346414F, "AFS"},
      kind{0x6B414653, "AFS"},       kind{0x73757245, "Coda"},   kind{0x0BD00BD0, "Lustre"},  kind{0x47504653, "GPFS"},
      kind{0x20030528, "OrangeFS"},  kind{0x786F4256, "vboxsf"}, kind{0x19830326, "BeeGFS"}};
  const auto* found = std::ranges::find(kinds, type & 0xFFFFFFFF, &kind::type);
  if (found == kinds.end())
    return {};
  return fail(errc::unsupported, "the store's directory " + directory + " lies on " + found->name
                                     + ", where the locks and the order of writes that a local: store rests on may not hold: "
                                       "it can be damaged. Keep it on a disk of this machine and reach it through a node "
                                       "(mutant node); or, if you know better, give --force-filesystem");
}

namespace {

// Of the directory, or of what will hold it.
result<void> check_file_system_of(const std::string& directory) {
  std::error_code ignored;
  auto at = fs::absolute(directory, ignored).lexically_normal();
  while (!fs::exists(at, ignored) && at.has_relative_path())
    at = at.parent_path();
  struct statfs info {};
  if (::statfs(at.c_str(), &info) != 0)
    return fail(errno_error(errno, "looking at the file system of " + at.string()));
  return check_file_system(static_cast<std::uint64_t>(info.f_type), directory);
}

}  // namespace

result<void> prepare_store_directory(const lmdb_options& options) {
  const auto& directory = options.directory;
  const auto create = options.create;
  if (directory.empty())
    return fail(errc::invalid_argument, "the store's directory has an empty name");
  if (!options.any_file_system)
    if (auto good = check_file_system_of(directory); !good)
      return good;
  struct stat info {};
  if (::stat(directory.c_str(), &info) != 0) {
    if (errno != ENOENT)
      return fail(errno_error(errno, "looking at the store's directory " + directory));
    if (!create)
      return fail(errc::unreachable, "there is no store at " + directory + ": the directory is missing");
    return make_directories(fs::path(directory));
  }
  if (!S_ISDIR(info.st_mode))
    return fail(errc::invalid_argument, directory + " is not a directory; a store needs one");
  const auto path = file_in(directory, store_format::data_file);
  auto data = look_at_data_file(path);
  if (!data)
    return fail(data.error());
  if (*data == data_file_state::present)
    return {};
  const auto is_missing = *data == data_file_state::missing;
  if (auto trace = trace_of_a_store(directory); !trace.empty()) {
    // Another process may have created both since.
    if (data = look_at_data_file(path); data && *data == data_file_state::present)
      return {};
    return fail(errc::store_damaged, "the store " + directory + " is damaged: " + std::string(store_format::data_file)
                                         + (is_missing ? " is missing" : " is empty") + ", but " + trace
                                         + "; nothing was written. Restore the store from a copy");
  }
  if (create)
    return refuse_foreign_files(directory);
  const auto was_begun = !is_missing || ::access(file_in(directory, store_format::lock_file).c_str(), F_OK) == 0;
  if (was_begun)
    return fail(errc::unreachable, "nothing is stored yet in the directory " + directory
                                       + ": the first put was cut off before it had stored anything; put again");
  return fail(errc::unreachable, "there is no store in the directory " + directory);
}

result<bool> holds_a_commit(const std::string& directory) {
  auto data = look_at_data_file(file_in(directory, store_format::data_file));
  return data ? result<bool>(*data == data_file_state::present) : fail(data.error());
}

result<void> begin_anew(const std::string& directory) {
  const auto path = file_in(directory, store_format::data_file);
  auto data = look_at_data_file(path);
  if (!data || *data != data_file_state::begun)
    return data ? result<void>() : fail(data.error());
  // LMDB's lock for whoever opens or uses the environment: the first byte. Who has it finishes what it began.
  unique_fd lock(::open(file_in(directory, store_format::lock_file).c_str(), O_RDWR | O_CLOEXEC));
  struct flock first_byte {};
  first_byte.l_type = F_WRLCK;
  first_byte.l_whence = SEEK_SET;
  first_byte.l_len = 1;
  if (!lock || ::fcntl(lock.get(), F_SETLK, &first_byte) != 0)
    return {};
  data = look_at_data_file(path);
  if (data && *data == data_file_state::begun && ::truncate(path.c_str(), 0) != 0)
    return fail(errno_error(errno, "beginning " + path + " anew"));
  return {};
}

result<void> allocate_lock_file(const std::string& directory) {
  auto path = file_in(directory, store_format::lock_file);
  unique_fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file)
    return fail(errno_error(errno, "opening the store's lock file " + path));
  // A file system without fallocate gets the sparse file. (posix_fallocate would write into a file that others have mapped.)
  if (::fallocate(file.get(), 0, 0, lock_file_bytes) != 0 && errno != EOPNOTSUPP)
    return fail(errno_error(errno, "allocating the store's lock file " + path));
  return {};
}

result<void> sync_directory(const std::string& directory) {
  unique_fd file(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!file || ::fsync(file.get()) != 0)
    return fail(errno_error(errno, "syncing the directory " + directory));
  return {};
}

bool has_room(const std::string& directory) {
  constexpr off_t probe_bytes = 1 << 20;
  // Trying it, rather than asking statvfs, knows about quotas and reserved blocks. The file has no name and goes at once.
  unique_fd file(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!file)
    return errno != ENOSPC && errno != EDQUOT;
  return ::fallocate(file.get(), 0, 0, probe_bytes) == 0 || (errno != ENOSPC && errno != EDQUOT);
}

std::uint64_t directory_disk_bytes(const std::string& directory) {
  std::uint64_t total = 0;
  std::error_code code;
  for (fs::directory_iterator at(directory, code), end; !code && at != end; at.increment(code)) {
    struct stat info {};
    if (::stat(at->path().c_str(), &info) == 0 && S_ISREG(info.st_mode))
      total += static_cast<std::uint64_t>(info.st_blocks) * 512;
  }
  return total;
}

}  // namespace mutant
