#include "core/engine/lmdb_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace mutant {

using lmdb_pages::database;
using lmdb_pages::key_order;
using lmdb_pages::tree_page;

namespace {

constexpr std::string_view advice = "; nothing was written. Restore the store from a copy";

struct span_of_keys {
  std::optional<byte_view> low, high;
};

}  // namespace

error lmdb_file::damaged(std::uint64_t page, const char* problem) const {
  return {errc::store_damaged, "page " + std::to_string(page) + " of " + path_ + " is damaged: " + problem
                                   + std::string(advice)};
}

result<lmdb_file> lmdb_file::open(const std::string& path) {
  unique_fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file)
    return lmdb_file(path, std::move(file));
  if (errno == ENOENT)
    return fail(errc::unreachable, "there is no " + path);
  return fail(errno_error(errno, "opening " + path));
}

// As much as there is.
result<std::size_t> lmdb_file::read_some(std::uint64_t offset, byte_span out) const {
  std::size_t have = 0;
  while (have < out.size()) {
    const auto count = ::pread(file_.get(), out.data() + have, out.size() - have, static_cast<off_t>(offset + have));
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return fail(errno_error(errno, "reading " + path_));
    if (count == 0)
      break;
    have += static_cast<std::size_t>(count);
  }
  return have;
}

// -- states ------------------------------------------------------------------------------------------------------------

// The newer of the two; nullopt and `why`: they make no sense, unless they were being written.
result<std::optional<lmdb_file::state>> lmdb_file::look_at_heads(std::array<std::byte, 2 * lmdb_pages::meta_bytes>& raw,
                                                                 error& why) const {
  raw = {};
  const auto both = byte_span(raw);
  std::array<lmdb_pages::meta, 2> metas;
  for (std::size_t i = 0; i < 2; ++i) {
    const auto part = both.subspan(i * lmdb_pages::meta_bytes, lmdb_pages::meta_bytes);
    auto count = read_some(i * metas[0].page_bytes, part);
    if (!count)
      return fail(count.error());
    if (const auto* wrong = lmdb_pages::parse_meta(part.first(*count), i, metas[i]); wrong != nullptr) {
      why = damaged(i, wrong);
      return std::nullopt;
    }
  }
  if (const auto* wrong = lmdb_pages::check_pair(metas[0], metas[1]); wrong != nullptr) {
    why = damaged(0, wrong);
    return std::nullopt;
  }
  const std::size_t newer = metas[1].transaction > metas[0].transaction ? 1 : 0;
  const auto head = both.subspan(newer * lmdb_pages::meta_bytes, lmdb_pages::meta_bytes);
  if (const auto* wrong = lmdb_pages::parse_roots(head, metas[newer]); wrong != nullptr) {
    why = damaged(newer, wrong);
    return std::nullopt;
  }
  state found;
  found.meta = metas[newer];
  std::ranges::copy(head, found.head.begin());
  return found;
}

result<lmdb_file::state> lmdb_file::newest() const {
  // Somebody may be writing one of them just now. Damage stays as it is.
  constexpr int max_rounds = 100;
  std::array<std::byte, 2 * lmdb_pages::meta_bytes> raw{}, before{};
  error why{errc::store_damaged, {}};
  for (int round = 0; round < max_rounds; ++round) {
    auto found = look_at_heads(raw, why);
    if (!found)
      return fail(found.error());
    if (*found)
      return **found;
    if (round != 0 && raw == before)
      break;
    before = raw;
  }
  return fail(std::move(why));
}

result<bool> lmdb_file::is_unchanged(const state& seen) const {
  std::array<std::byte, lmdb_pages::meta_bytes> now{};
  auto count = read_some(seen.meta.transaction % 2 * seen.meta.page_bytes, now);
  if (!count)
    return fail(count.error());
  return now == seen.head;
}

// -- pages -------------------------------------------------------------------------------------------------------------

result<void> lmdb_file::read_page(const state& now, std::uint64_t number, byte_span out) const {
  auto count = read_some(number * now.meta.page_bytes, out);
  if (!count)
    return fail(count.error());
  if (*count < out.size())
    return fail(damaged(number, "the file ends before it"));
  return {};
}

result<lmdb_file::page_memory> lmdb_file::read_tree_page(const state& now, std::uint64_t number, bool leaf,
                                                         key_order order) const {
  page_memory memory(now.meta.page_bytes);
  if (auto there = read_page(now, number, memory); !there)
    return fail(there.error());
  if (const auto* wrong = tree_page::check(memory, number, leaf, order, now.meta.last_page); wrong != nullptr)
    return fail(damaged(number, wrong));
  return memory;
}

result<std::optional<lmdb_file::stored_value>> lmdb_file::find(const state& now, const database& in, byte_view key,
                                                               const entry_check& neighbour) const {
  std::vector<page_memory> way;  // the bounds of the keys lie in the pages above
  way.reserve(in.depth);
  span_of_keys keys;
  auto number = in.root;
  for (auto level = in.depth; level > 0; --level) {
    const auto leaf = level == 1;
    auto page = read_tree_page(now, number, leaf, key_order::bytes);
    if (!page)
      return fail(page.error());
    if (const auto* wrong = tree_page::check_range(*page, leaf, key_order::bytes, keys.low, keys.high); wrong != nullptr)
      return fail(damaged(number, wrong));
    const tree_page nodes(way.emplace_back(std::move(*page)));
    if (!leaf) {
      const auto i = nodes.child_of(key_order::bytes, key);
      if (i > 0)
        keys.low = nodes.key(i);
      if (i + 1 < nodes.count())
        keys.high = nodes.key(i + 1);
      number = nodes.child(i);
      continue;
    }
    const auto entry = [&](std::size_t i) {
      const auto value = nodes.value(i);
      return stored_value{{value.inside.begin(), value.inside.end()}, value.overflow, value.size,
                          value.flags == lmdb_pages::is_database};
    };
    const auto at = nodes.lower_bound(key_order::bytes, key);
    if (at < nodes.count() && lmdb_pages::compare(key_order::bytes, nodes.key(at), key) == 0)
      return entry(at);
    for (auto i = at == 0 ? 0 : at - 1; neighbour && i <= at && i < nodes.count(); ++i)
      if (auto sound = neighbour(nodes.key(i), entry(i)); !sound)
        return fail(sound.error());
  }
  return std::nullopt;
}

result<std::optional<database>> lmdb_file::find_database(const state& now, std::string_view name) const {
  auto found = find(now, now.meta.main, as_byte_view(name));
  if (!found || !*found || !(*found)->is_database)
    return found ? result<std::optional<database>>(std::nullopt) : fail(found.error());
  database described;
  if (const auto* wrong = lmdb_pages::parse_database((*found)->inside, now.meta.last_page, described); wrong != nullptr)
    return fail(damaged(now.meta.main.root, wrong));
  return described;
}

result<void> lmdb_file::read_value(const state& now, const stored_value& value, std::size_t offset, byte_span out) const {
  if (value.overflow == 0) {
    std::memcpy(out.data(), value.inside.data() + offset, out.size());
    return {};
  }
  std::array<std::byte, lmdb_pages::header_bytes> header{};
  if (auto there = read_page(now, value.overflow, header); !there)
    return there;
  if (const auto* wrong = lmdb_pages::check_overflow(header, value.overflow, value.size, now.meta.page_bytes,
                                                     now.meta.last_page);
      wrong != nullptr)
    return fail(damaged(value.overflow, wrong));
  auto count = read_some(value.overflow * now.meta.page_bytes + header.size() + offset, out);
  if (!count)
    return fail(count.error());
  if (*count < out.size())
    return fail(damaged(value.overflow, "the file ends within it"));
  return {};
}

}  // namespace mutant
