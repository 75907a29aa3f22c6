#include "core/index/damage_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "core/files.hpp"
#include "core/index/sealed_box.hpp"

namespace mutant {

namespace {

constexpr std::array<char, 8> magic = {'M', 'U', 'T', 'D', 'A', 'M', 'G', '1'};
constexpr std::size_t plain_bytes = 16;
constexpr std::size_t entry_bytes = plain_bytes + box_overhead_bytes;

bytes seal_entry(const aead_key& key, const pad_ref& pad) {
  std::array<std::byte, plain_bytes> plain;
  std::memcpy(plain.data(), &pad.number, 8);
  std::memcpy(plain.data() + 8, &pad.counter, 8);
  return seal_box(key, std::as_bytes(std::span(magic)), plain);
}

std::optional<pad_ref> open_entry(const aead_key& key, byte_view box) {
  auto plain = open_box(key, std::as_bytes(std::span(magic)), box);
  if (!plain)
    return std::nullopt;
  pad_ref pad;
  std::memcpy(&pad.number, plain->data(), 8);
  std::memcpy(&pad.counter, plain->data() + 8, 8);
  return pad;
}

// The whole entries of an open file, as far as they can be read; a file of another kind has none.
result<std::vector<pad_ref>> read_entries(const unique_fd& file, const std::string& path, const aead_key& key) {
  struct stat info {};
  if (::fstat(file.get(), &info) != 0)
    return fail(errno_error(errno, "looking at " + path));
  const auto size = std::min<std::uint64_t>(static_cast<std::uint64_t>(info.st_size),
                                            magic.size() + max_damaged_pads * entry_bytes);
  std::vector<pad_ref> pads;
  if (size < magic.size())
    return pads;
  buffer content(size);
  if (auto filled = read_all_at(file.get(), 0, content.span(), path); !filled)
    return fail(filled.error());
  if (std::memcmp(content.data(), magic.data(), magic.size()) != 0)
    return pads;
  const byte_view all = content.span();
  for (auto at = magic.size(); at + entry_bytes <= size; at += entry_bytes)
    if (auto pad = open_entry(key, all.subspan(at, entry_bytes)))
      pads.push_back(*pad);
  return pads;
}

}  // namespace

result<void> note_damaged(const std::string& path, const aead_key& key, const std::vector<pad_ref>& pads) {
  auto file = open_fd(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  if (!file)
    return fail(file.error());
  while (::flock(file->get(), LOCK_EX) != 0)
    if (errno != EINTR)
      return fail(errno_error(errno, "locking " + path));
  auto known = read_entries(*file, path, key);
  if (!known)
    return fail(known.error());
  const std::set<pad_ref> before(known->begin(), known->end());
  auto entries = *known;
  for (const auto& pad : pads)
    if (!before.contains(pad))
      entries.push_back(pad);
  if (entries.size() == before.size())
    return {};
  if (entries.size() > max_damaged_pads)
    entries.erase(entries.begin(), entries.end() - static_cast<std::ptrdiff_t>(max_damaged_pads / 2));
  // Damage is rare and the list short: all of it is written. Who is cut off in the middle leaves entries that do not open.
  buffer content(magic.size() + entries.size() * entry_bytes);
  std::memcpy(content.data(), magic.data(), magic.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const auto box = seal_entry(key, entries[i]);
    std::memcpy(content.data() + magic.size() + i * entry_bytes, box.data(), entry_bytes);
  }
  if (auto written = write_all_at(file->get(), 0, content.span(), path); !written)
    return written;
  if (::ftruncate(file->get(), static_cast<off_t>(content.size())) != 0)
    return fail(errno_error(errno, "writing " + path));
  return {};
}

result<std::set<pad_ref>> read_damaged(const std::string& path, const aead_key& key) {
  const unique_fd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file && errno == ENOENT)
    return std::set<pad_ref>();
  if (!file)
    return fail(errno_error(errno, "opening " + path));
  while (::flock(file.get(), LOCK_SH) != 0)
    if (errno != EINTR)
      return fail(errno_error(errno, "locking " + path));
  auto pads = read_entries(file, path, key);
  if (!pads)
    return fail(pads.error());
  return std::set<pad_ref>(pads->begin(), pads->end());
}

}  // namespace mutant
