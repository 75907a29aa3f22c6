// Pages of LMDB's file: of a page that passes its check every entry can be read, lies inside, and is found by its key.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "core/engine/lmdb_pages.hpp"

using namespace mutant;
using namespace mutant::lmdb_pages;

namespace {

constexpr std::size_t page_bytes = 4096;

void check(bool holds) {
  if (!holds)
    std::abort();
}

bool lies_in(byte_view part, byte_view whole) {
  return part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void look_through(byte_view page, bool leaf, key_order order, std::uint64_t last_page) {
  const tree_page nodes(page);
  for (std::size_t i = 0; i < nodes.count(); ++i) {
    check(lies_in(nodes.key(i), page));
    if (!leaf) {
      check(nodes.child(i) >= 2 && nodes.child(i) <= last_page);
      if (i > 0)
        check(nodes.child_of(order, nodes.key(i)) == i);
      continue;
    }
    const auto found = nodes.value(i);
    check(found.flags == in_overflow ? found.overflow >= 2 && found.overflow <= last_page : lies_in(found.inside, page));
    check(nodes.lower_bound(order, nodes.key(i)) == i);
    database described;
    if (found.flags == is_database)
      static_cast<void>(parse_database(found.inside, last_page, described));
  }
}

}  // namespace

// One byte chooses, the rest is the beginning of a page; what is missing is zeros.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  const auto choice = data[0];
  std::vector<std::byte> page(page_bytes);
  std::memcpy(page.data(), data + 1, std::min(size - 1, page.size()));
  meta even, odd;
  if (parse_meta(page, 0, even) == nullptr && parse_roots(page, even) == nullptr && parse_meta(page, 0, odd) == nullptr)
    static_cast<void>(check_pair(even, odd));
  const auto leaf = (choice & 1) != 0;
  const auto order = (choice & 2) != 0 ? key_order::numbers : key_order::bytes;
  const std::uint64_t last_page = 2 + (choice >> 2) * 100u;
  std::uint64_t number = 0;
  std::memcpy(&number, page.data(), sizeof number);
  if (tree_page::check(page, number, leaf, order, last_page) == nullptr)
    look_through(page, leaf, order, last_page);
  static_cast<void>(check_overflow(page, number, size, page_bytes, last_page));
  return 0;
}
