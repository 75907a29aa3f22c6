// What the tests of segment files share.
#pragma once

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>

#include "tests/core/io_faults.hpp"
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

// What systems do about writes past the page cache: take them; refuse them when a file is opened, or not before the first one;
// have no queue for them. The errno with which a call fails there.
struct system_kind {
  const char* name;
  std::function<int(const io_event&)> refuses;
};
inline bool is_direct(const io_event& event) {
  return event.call == io_call::write && (::fcntl(event.descriptor, F_GETFL) & O_DIRECT) != 0;
}
inline const std::vector<system_kind> systems = {
    {"direct writes", [](const io_event&) { return 0; }},
    {"none when a file is opened", [](const io_event& event) { return event.call == io_call::open_direct ? EINVAL : 0; }},
    {"none at the first write", [](const io_event& event) { return is_direct(event) ? EINVAL : 0; }},
    {"no queue", [](const io_event& event) { return event.call == io_call::queue ? ENOSYS : 0; }}};

template <class Test>
void for_every_system(Test&& test) {
  for (auto& kind : systems) {
    BOOST_TEST_CONTEXT(kind.name) {
      temporary_directory temporary;
      const auto path = temporary.file("store");
      {
        io_faults fault(kind.refuses);
        test(lmdb_options{.directory = path});
      }
      BOOST_CHECK_EQUAL(check_store(path), "");
    }
  }
}

}  // namespace mutant::engine_test
