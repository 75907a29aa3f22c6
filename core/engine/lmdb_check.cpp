// Checks of more than a look-up needs, for those who write: LMDB will follow these pages with its eyes shut.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/engine/lmdb_file.hpp"

namespace mutant {

using lmdb_pages::database;
using lmdb_pages::key_order;
using lmdb_pages::tree_page;

// Walks through databases and notes which pages are taken. One walk belongs to one state.
class lmdb_walk {
 public:
  using visitor = std::function<result<void>(byte_view key, const lmdb_pages::value&, std::uint64_t page)>;

  lmdb_walk(const lmdb_file& file, const lmdb_file::state& now, std::uint64_t file_pages)
      : file_(file), now_(now), taken_(std::min(file_pages, now.meta.last_page + 1)) {}

  result<void> walk(const database& in, key_order order, const visitor& visit) {
    return in.depth == 0 ? result<void>() : descend(in.root, in.depth, order, {}, {}, visit);
  }
  // Every page once only, and inside the file.
  result<void> take(std::uint64_t first, std::uint64_t count, std::uint64_t named_by);
  result<void> take_value(const lmdb_pages::value& value, std::uint64_t page);
  // The numbers of free pages; a page in use is none.
  result<std::vector<std::uint64_t>> free_pages();

 private:
  result<void> descend(std::uint64_t number, unsigned depth, key_order order, std::optional<byte_view> low,
                       std::optional<byte_view> high, const visitor& visit);

  const lmdb_file& file_;
  const lmdb_file::state& now_;
  std::vector<bool> taken_;
};

result<void> lmdb_walk::take(std::uint64_t first, std::uint64_t count, std::uint64_t named_by) {
  if (first >= taken_.size() || count > taken_.size() - first)
    return fail(file_.damaged(named_by, "it names a page behind the end of the file"));
  for (auto page = first; page < first + count; ++page) {
    if (taken_[page])
      return fail(file_.damaged(named_by, "it names a page that is in use elsewhere"));
    taken_[page] = true;
  }
  return {};
}

result<void> lmdb_walk::take_value(const lmdb_pages::value& value, std::uint64_t page) {
  if (value.flags != lmdb_pages::in_overflow)
    return {};
  std::array<std::byte, lmdb_pages::header_bytes> header{};
  if (auto there = file_.read_page(now_, value.overflow, header); !there)
    return there;
  if (const auto* wrong = lmdb_pages::check_overflow(header, value.overflow, value.size, now_.meta.page_bytes,
                                                     now_.meta.last_page);
      wrong != nullptr)
    return fail(file_.damaged(value.overflow, wrong));
  std::uint32_t pages = 0;
  std::memcpy(&pages, header.data() + 12, sizeof pages);
  return take(value.overflow, pages, page);
}

result<void> lmdb_walk::descend(std::uint64_t number, unsigned depth, key_order order, std::optional<byte_view> low,
                                std::optional<byte_view> high, const visitor& visit) {
  if (auto mine = take(number, 1, number); !mine)
    return mine;
  const auto leaf = depth == 1;
  auto page = file_.read_tree_page(now_, number, leaf, order);
  if (!page)
    return fail(page.error());
  if (const auto* wrong = tree_page::check_range(*page, leaf, order, low, high); wrong != nullptr)
    return fail(file_.damaged(number, wrong));
  const tree_page nodes(*page);
  for (std::size_t i = 0; i < nodes.count(); ++i) {
    auto done = leaf ? visit(nodes.key(i), nodes.value(i), number)
                     : descend(nodes.child(i), depth - 1, order, i == 0 ? low : nodes.key(i),
                               i + 1 == nodes.count() ? high : nodes.key(i + 1), visit);
    if (!done)
      return done;
  }
  return {};
}

result<std::vector<std::uint64_t>> lmdb_walk::free_pages() {
  std::vector<std::uint64_t> all;
  auto walked = walk(now_.meta.free_list, key_order::numbers,
                     [&](byte_view, const lmdb_pages::value& value, std::uint64_t page) -> result<void> {
                       if (auto mine = take_value(value, page); !mine)
                         return mine;
                       // A count, and as many numbers, the largest first.
                       const lmdb_file::stored_value stored{{value.inside.begin(), value.inside.end()}, value.overflow,
                                                            value.size, false};
                       std::vector<std::uint64_t> list(value.size / sizeof(std::uint64_t));
                       if (auto there = file_.read_value(now_, stored, 0, std::as_writable_bytes(std::span(list))); !there)
                         return there;
                       if (list.empty() || list[0] >= list.size())
                         return fail(file_.damaged(page, "a list of free pages has another length"));
                       const auto numbers = std::span(list).subspan(1, list[0]);
                       for (std::size_t i = 0; i < numbers.size(); ++i)
                         if (numbers[i] < 2 || numbers[i] > now_.meta.last_page || (i > 0 && numbers[i] >= numbers[i - 1]))
                           return fail(file_.damaged(page, "a list of free pages is out of order"));
                       all.insert(all.end(), numbers.begin(), numbers.end());
                       return {};
                     });
  if (!walked)
    return fail(walked.error());
  return all;
}

result<void> lmdb_file::check_size(const state& now) const {
  struct stat info {};
  if (::fstat(file_.get(), &info) != 0)
    return fail(errno_error(errno, "looking at " + path_));
  const auto pages = static_cast<std::uint64_t>(info.st_size) / now.meta.page_bytes;
  if (pages > now.meta.last_page)
    return {};
  auto too_short = [&] {
    return fail(errc::store_damaged, path_ + " is too short: it has " + std::to_string(info.st_size) + " bytes of "
                                         + std::to_string((now.meta.last_page + 1) * now.meta.page_bytes)
                                         + "; nothing was written. Restore the store from a copy");
  };
  lmdb_walk walk(*this, now, pages);
  auto unused = walk.free_pages();
  if (!unused)
    return too_short();
  const auto missing = static_cast<std::uint64_t>(std::ranges::count_if(*unused, [&](auto page) { return page >= pages; }));
  return missing == now.meta.last_page + 1 - pages ? result<void>() : too_short();
}

result<void> lmdb_file::check_around(const state& now, const database& in, byte_view key) const {
  auto number = in.root;
  for (auto level = in.depth; level > 1; --level) {
    auto page = read_tree_page(now, number, false, key_order::bytes);
    if (!page)
      return fail(page.error());
    const tree_page nodes(*page);
    const auto at = nodes.child_of(key_order::bytes, key);
    for (auto i = at == 0 ? 0 : at - 1; i <= at + 1 && i < nodes.count(); ++i)
      if (auto neighbour = read_tree_page(now, nodes.child(i), level == 2, key_order::bytes); !neighbour)
        return fail(neighbour.error());
    number = nodes.child(at);
  }
  auto found = find(now, in, key);
  return found ? result<void>() : fail(found.error());
}

result<void> lmdb_file::check_all(const state& now, std::string_view name, std::uint64_t max_pages) const {
  struct stat info {};
  if (::fstat(file_.get(), &info) != 0)
    return fail(errno_error(errno, "looking at " + path_));
  const auto file_pages = static_cast<std::uint64_t>(info.st_size) / now.meta.page_bytes;
  lmdb_walk walk(*this, now, file_pages);
  auto heads = walk.take(0, 2, 0);
  auto unused = heads ? walk.free_pages() : fail(heads.error());
  if (!unused)
    return fail(unused.error());
  std::vector<database> named;
  auto done = walk.walk(now.meta.main, key_order::bytes,
                        [&](byte_view key, const lmdb_pages::value& value, std::uint64_t page) -> result<void> {
                          if (value.flags != lmdb_pages::is_database)
                            return walk.take_value(value, page);
                          database described;
                          if (const auto* wrong = parse_database(value.inside, now.meta.last_page, described))
                            return fail(damaged(page, wrong));
                          if (!std::ranges::equal(key, as_byte_view(name)) || described.tree_pages <= max_pages)
                            named.push_back(described);
                          return {};
                        });
  for (auto at = named.begin(); done && at != named.end(); ++at)
    done = walk.walk(*at, key_order::bytes, [&](byte_view, const lmdb_pages::value& value, std::uint64_t page) {
      return walk.take_value(value, page);
    });
  if (!done)
    return done;
  // A free page that is in use would be given away and written over. Those behind the end of the file are in nobody's way.
  for (auto page : *unused)
    if (page < file_pages)
      if (auto mine = walk.take(page, 1, now.meta.free_list.root); !mine)
        return fail(damaged(now.meta.free_list.root, "it lists a page as free that is in use"));
  return {};
}

}  // namespace mutant
