// What the tests of segment files share.
#pragma once

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <sys/stat.h>

#include "tests/core/test_engine_processes.hpp"
#include "tests/core/test_engine_store_check.hpp"
#include "tests/core/test_engine_support.hpp"

namespace mutant::engine_test {

using engine_pointer = std::unique_ptr<pad_engine>;

inline engine_pointer open(const lmdb_options& options) {
  auto engine = open_lmdb_engine(options);
  REQUIRE_OK(engine);
  return std::move(*engine);
}
inline engine_pointer open(const std::string& directory) { return open(lmdb_options{.directory = directory}); }

inline void put_and_commit(pad_engine& engine, const bytes& record) {
  REQUIRE_OK(engine.put(record));
  REQUIRE_OK(engine.commit());
}

inline bool holds(pad_engine& engine, const bytes& expected) {
  auto record = engine.get(parse_record(expected)->address);
  return record && *record == expected;
}

inline std::vector<std::string> segments_in(const std::string& directory) {
  std::vector<std::string> names;
  for (auto& entry : std::filesystem::directory_iterator(directory))
    if (auto name = entry.path().filename().string(); name.starts_with(store_format::segment_prefix))
      names.push_back(entry.path().string());
  std::ranges::sort(names);
  return names;
}

inline std::uint64_t disk_bytes(const std::vector<std::string>& files) {
  std::uint64_t total = 0;
  for (auto& file : files) {
    struct stat info {};
    total += ::stat(file.c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_blocks) * 512 : 0;
  }
  return total;
}

// Both ways of writing and reading.
inline const std::vector<std::pair<const char*, lmdb_options>> modes = {
    {"direct", {.directory = "", .direct_writes = true, .direct_reads = true}},
    {"buffered", {.directory = "", .direct_writes = false, .direct_reads = false}},
    {"direct, cached reads", {.directory = "", .direct_writes = true, .direct_reads = false}}};

template <class Test>
void for_every_mode(Test&& test) {
  for (auto& [name, options] : modes) {
    BOOST_TEST_CONTEXT(name) {
      temporary_directory temporary;
      auto here = options;
      here.directory = temporary.file("store");
      test(here);
      BOOST_CHECK_EQUAL(check_store(here.directory), "");
    }
  }
}

}  // namespace mutant::engine_test
