// Reads a store's LMDB file without LMDB: with pread, and with every page checked on the way (lmdb_pages.hpp).
//
// Why not through LMDB: it follows a damaged page wherever that leads (SIGSEGV, assertions), a file that is shorter than it
// was is a SIGBUS in its map, and it cannot look without writing to a lock file. Here both are an error, and looking writes
// nothing. What a look-up does not find is proven: the pages on the way are in order and belong where they are.
//
// Without a place in LMDB's table of readers nobody waits for us. A transaction writes only to pages that the newest two states
// do not use, and the page at the head that names a state is overwritten two transactions later. So what was read is what that
// state held if that page is still the same afterwards: `read` sees to it, and begins again otherwise.
//
// Errors: store_damaged names the file, the page and what is wrong with it; io_error, access_denied. Thread-safe.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/bytes.hpp"
#include "core/engine/lmdb_pages.hpp"
#include "core/error.hpp"
#include "core/files.hpp"

namespace mutant {

class lmdb_file {
 public:
  // One committed state.
  struct state {
    lmdb_pages::meta meta;
    std::array<std::byte, lmdb_pages::meta_bytes> head{};  // as it was read
  };
  // A value, or where it lies.
  struct stored_value {
    std::vector<std::byte> inside;
    std::uint64_t overflow = 0;
    std::size_t size = 0;
    bool is_database = false;
  };

  // unreachable: there is no such file.
  static result<lmdb_file> open(const std::string& path);

  result<state> newest() const;
  result<bool> is_unchanged(const state& seen) const;
  // Calls look(state) for the newest state until what it says is of one state; overloaded: others write too fast.
  template <class Look>
  auto read(Look&& look) const -> decltype(look(std::declval<const state&>()));

  // Whether the file holds all pages in use. A file may lack the last of its pages if they are free.
  result<void> check_size(const state& now) const;

  // `neighbour` is called where the key is not found, for the entries beside its place: an entry whose key is damaged is
  // one of them, and its value may tell.
  using entry_check = std::function<result<void>(byte_view key, const stored_value&)>;
  result<std::optional<stored_value>> find(const state& now, const lmdb_pages::database& in, byte_view key,
                                           const entry_check& neighbour = {}) const;
  // nullopt: the main database names no such one.
  result<std::optional<lmdb_pages::database>> find_database(const state& now, std::string_view name) const;
  // Part of a value, from `offset` on.
  result<void> read_value(const state& now, const stored_value& value, std::size_t offset, byte_span out) const;

  // As `find`, and checks the neighbours of the pages on the way too: those that LMDB may merge with them.
  result<void> check_around(const state& now, const lmdb_pages::database& in, byte_view key) const;
  // Every page of all databases and of the free list, unless `name` has more than max_pages pages: then its own are left out.
  // No page may be used twice, or be free and in use.
  result<void> check_all(const state& now, std::string_view name, std::uint64_t max_pages) const;

  const std::string& path() const noexcept { return path_; }
  error damaged(std::uint64_t page, const char* problem) const;

 private:
  friend class lmdb_walk;
  using page_memory = std::vector<std::byte>;

  lmdb_file(std::string path, unique_fd file) : path_(std::move(path)), file_(std::move(file)) {}
  result<std::size_t> read_some(std::uint64_t offset, byte_span out) const;
  result<void> read_page(const state& now, std::uint64_t number, byte_span out) const;
  result<page_memory> read_tree_page(const state& now, std::uint64_t number, bool leaf, lmdb_pages::key_order order) const;
  result<std::optional<state>> look_at_heads(std::array<std::byte, 2 * lmdb_pages::meta_bytes>& raw, error& why) const;

  std::string path_;
  unique_fd file_;
};

template <class Look>
auto lmdb_file::read(Look&& look) const -> decltype(look(std::declval<const state&>())) {
  constexpr int max_rounds = 100;
  for (int round = 0; round < max_rounds; ++round) {
    auto now = newest();
    if (!now)
      return fail(now.error());
    auto outcome = look(std::as_const(*now));
    auto same = is_unchanged(*now);
    if (!same)
      return fail(same.error());
    if (*same)
      return outcome;
  }
  return fail(errc::overloaded, path_ + " is written to faster than it can be read; try again");
}

}  // namespace mutant
