#include "core/engine/lmdb_pages.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace mutant::lmdb_pages {
namespace {

constexpr std::uint32_t lmdb_magic = 0xBEEFC0DE;
constexpr std::uint32_t lmdb_version = 1;
constexpr std::uint16_t branch_flag = 1, leaf_flag = 2, overflow_flag = 4, meta_flag = 8;
constexpr std::uint16_t integer_key = 8;
constexpr std::size_t node_header_bytes = 8;
constexpr std::size_t page_number_bytes = 8;
constexpr std::uint32_t min_page_bytes = 512, max_page_bytes = 32768;
constexpr std::uint64_t first_tree_page = 2;

template <class T>
T at(byte_view page, std::size_t offset) noexcept {
  T number;
  std::memcpy(&number, page.data() + offset, sizeof number);
  return number;
}

std::size_t node_offset(byte_view page, std::size_t i) noexcept {
  return at<std::uint16_t>(page, header_bytes + 2 * i);
}

std::size_t node_count(byte_view page) noexcept {
  return (at<std::uint16_t>(page, 12) - header_bytes) / 2;
}

// The key and whatever follows it; the page was checked.
byte_view key_at(byte_view page, std::size_t i) noexcept {
  const auto offset = node_offset(page, i);
  return page.subspan(offset + node_header_bytes, at<std::uint16_t>(page, offset + 6));
}

std::size_t value_size(byte_view page, std::size_t offset) noexcept {
  return at<std::uint16_t>(page, offset) | std::size_t{at<std::uint16_t>(page, offset + 2)} << 16;
}

std::uint64_t child_at(byte_view page, std::size_t offset) noexcept {
  return at<std::uint16_t>(page, offset) | std::uint64_t{at<std::uint16_t>(page, offset + 2)} << 16
         | std::uint64_t{at<std::uint16_t>(page, offset + 4)} << 32;
}

bool can_exist(std::uint64_t page, std::uint64_t last_page) noexcept {
  return page >= first_tree_page && page <= last_page;
}

// The node's whole size; 0: it is not inside the page, or names a page that cannot be.
std::size_t checked_node(byte_view page, std::size_t offset, bool leaf, std::uint64_t last_page) noexcept {
  auto size = node_header_bytes + at<std::uint16_t>(page, offset + 6);
  if (!leaf) {
    if (!can_exist(child_at(page, offset), last_page))
      return 0;
  } else {
    const auto flags = at<std::uint16_t>(page, offset + 4);
    if (flags > is_database)
      return 0;
    const auto inside = flags == in_overflow ? page_number_bytes : value_size(page, offset);
    const auto value_offset = offset + size;
    size += inside;
    if (offset + size > page.size()
        || (flags == in_overflow && !can_exist(at<std::uint64_t>(page, value_offset), last_page))
        || (flags == is_database && inside != database_bytes))
      return 0;
  }
  size += size % 2;
  return offset + size > page.size() ? 0 : size;
}

}  // namespace

problem parse_database(byte_view value, std::uint64_t last_page, database& out) noexcept {
  if (value.size() != database_bytes)
    return "a database has another size";
  out.depth = at<std::uint16_t>(value, 6);
  out.tree_pages = at<std::uint64_t>(value, 8) + at<std::uint64_t>(value, 16);
  out.root = at<std::uint64_t>(value, 40);
  const auto empty = out.root == no_page;
  if (empty != (out.depth == 0) || out.depth > max_depth || (!empty && !can_exist(out.root, last_page)))
    return "a database has no possible root";
  return nullptr;
}

problem parse_meta(byte_view page, std::uint64_t number, meta& out) noexcept {
  if (page.size() < meta_bytes)
    return "it is cut off";
  if (at<std::uint64_t>(page, 0) != number || at<std::uint16_t>(page, 10) != meta_flag
      || at<std::uint32_t>(page, 16) != lmdb_magic)
    return "it is not the head of an LMDB file";
  if (at<std::uint32_t>(page, 20) != lmdb_version)
    return "it has another version of LMDB's format";
  out.page_bytes = at<std::uint32_t>(page, 40);
  out.last_page = at<std::uint64_t>(page, 136);
  out.transaction = at<std::uint64_t>(page, 144);
  if (!std::has_single_bit(out.page_bytes) || out.page_bytes < min_page_bytes || out.page_bytes > max_page_bytes)
    return "it has an impossible size of pages";
  if ((at<std::uint16_t>(page, 44) & integer_key) == 0 || out.last_page < first_tree_page - 1
      || out.last_page > (std::uint64_t{1} << 48))
    return "it contradicts itself";
  return nullptr;
}

problem parse_roots(byte_view page, meta& out) noexcept {
  if (const auto* wrong = parse_database(page.subspan(40, database_bytes), out.last_page, out.free_list))
    return wrong;
  return parse_database(page.subspan(88, database_bytes), out.last_page, out.main);
}

problem check_pair(const meta& even, const meta& odd) noexcept {
  if (even.page_bytes != odd.page_bytes)
    return "the two pages at its head contradict each other";
  if (even.transaction == 0 && odd.transaction == 0)
    return nullptr;  // new
  const auto [older, newer] = std::minmax(even.transaction, odd.transaction);
  if (even.transaction % 2 != 0 || newer - older != 1)
    return "the two pages at its head are not of two transactions that follow each other";
  return nullptr;
}

std::uint64_t overflow_pages(std::size_t value_bytes, std::uint32_t page_bytes) noexcept {
  return (header_bytes - 1 + value_bytes) / page_bytes + 1;
}

problem check_overflow(byte_view header, std::uint64_t number, std::size_t value_bytes, std::uint32_t page_bytes,
                       std::uint64_t last_page) noexcept {
  const std::uint64_t pages = at<std::uint32_t>(header, 12);
  if (at<std::uint64_t>(header, 0) != number || at<std::uint16_t>(header, 10) != overflow_flag)
    return "it is not the value that it should be";
  if (pages < overflow_pages(value_bytes, page_bytes) || number + pages - 1 > last_page)
    return "a value has another size there";
  return nullptr;
}

int compare(key_order order, byte_view a, byte_view b) noexcept {
  if (order == key_order::numbers) {
    const auto x = at<std::uint64_t>(a, 0), y = at<std::uint64_t>(b, 0);
    return x < y ? -1 : x > y ? 1 : 0;
  }
  const auto shared = std::min(a.size(), b.size());
  if (const auto order_of_bytes = shared == 0 ? 0 : std::memcmp(a.data(), b.data(), shared); order_of_bytes != 0)
    return order_of_bytes;
  return a.size() < b.size() ? -1 : a.size() > b.size() ? 1 : 0;
}

// -- branches and leaves -----------------------------------------------------------------------------------------------

problem tree_page::check(byte_view page, std::uint64_t number, bool leaf, key_order order, std::uint64_t last_page) noexcept {
  if (at<std::uint64_t>(page, 0) != number)
    return "another page is in its place";
  if (at<std::uint16_t>(page, 10) != (leaf ? leaf_flag : branch_flag))
    return leaf ? "it is not a leaf" : "it is not a branch";
  const std::size_t lower = at<std::uint16_t>(page, 12), upper = at<std::uint16_t>(page, 14);
  if (lower < header_bytes + 2 || lower % 2 != 0 || upper < lower || upper > page.size())
    return "its bounds are impossible";
  const auto count = node_count(page);
  if (!leaf && count < 2 && order == key_order::bytes)
    return "a branch has one child only";
  std::size_t used = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto offset = node_offset(page, i);
    const auto size = offset < upper || offset + node_header_bytes > page.size() ? 0
                                                                                 : checked_node(page, offset, leaf, last_page);
    if (size == 0)
      return "an entry does not fit";
    used += size;
    const auto without_bound = !leaf && i == 0;  // a branch's first key is never looked at
    if (!without_bound && order == key_order::numbers && key_at(page, i).size() != sizeof(std::uint64_t))
      return "a key has another size";
    if (i > (leaf ? 0u : 1u) && compare(order, key_at(page, i - 1), key_at(page, i)) >= 0)
      return "its keys are not in order";
  }
  return used == page.size() - upper ? nullptr : "its entries do not fill their room";
}

problem tree_page::check_range(byte_view page, bool leaf, key_order order, const std::optional<byte_view>& low,
                               const std::optional<byte_view>& high) noexcept {
  const auto count = node_count(page);
  const std::size_t first = leaf ? 0 : 1;
  if (first < count
      && ((low && compare(order, key_at(page, first), *low) < 0)
          || (high && compare(order, key_at(page, count - 1), *high) >= 0)))
    return "its keys belong to another page";
  return nullptr;
}

std::size_t tree_page::count() const noexcept {
  return node_count(page_);
}

byte_view tree_page::key(std::size_t i) const noexcept {
  return key_at(page_, i);
}

std::uint64_t tree_page::child(std::size_t i) const noexcept {
  return child_at(page_, node_offset(page_, i));
}

lmdb_pages::value tree_page::value(std::size_t i) const noexcept {
  const auto offset = node_offset(page_, i);
  lmdb_pages::value found;
  found.flags = at<std::uint16_t>(page_, offset + 4);
  found.size = value_size(page_, offset);
  const auto begin = offset + node_header_bytes + at<std::uint16_t>(page_, offset + 6);
  if (found.flags == in_overflow)
    found.overflow = at<std::uint64_t>(page_, begin);
  else
    found.inside = page_.subspan(begin, found.size);
  return found;
}

std::size_t tree_page::child_of(key_order order, byte_view key) const noexcept {
  std::size_t below = 0, above = count();  // child `below` may have it, child `above` cannot
  while (above - below > 1) {
    const auto middle = below + (above - below) / 2;
    (compare(order, key_at(page_, middle), key) <= 0 ? below : above) = middle;
  }
  return below;
}

std::size_t tree_page::lower_bound(key_order order, byte_view key) const noexcept {
  std::size_t first = 0, last = count();
  while (first < last) {
    const auto middle = first + (last - first) / 2;
    if (compare(order, key_at(page_, middle), key) < 0)
      first = middle + 1;
    else
      last = middle;
  }
  return first;
}

}  // namespace mutant::lmdb_pages
