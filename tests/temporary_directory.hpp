// A directory that is gone in the end, with all that is in it.
#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>

#include <stdlib.h>
#include <unistd.h>

namespace mutant::testing {

// In the system's temporary directory, or $TMPDIR; in memory, where that matters to nobody, if there is a place for it.
class temporary_directory {
 public:
  enum class place { usual, in_memory };
  explicit temporary_directory(place where = place::usual) {
    const auto memory = where == place::in_memory && ::access("/dev/shm", W_OK) == 0;
    const auto parent = memory ? std::filesystem::path("/dev/shm") : std::filesystem::temp_directory_path();
    auto pattern = (parent / ("mutant-test-" + std::string(6, 'X'))).string();  // mkdtemp's six places
    if (::mkdtemp(pattern.data()) == nullptr)
      throw std::runtime_error("cannot make a temporary directory at " + pattern);
    path_ = pattern;
  }
  temporary_directory(const temporary_directory&) = delete;
  temporary_directory& operator=(const temporary_directory&) = delete;
  ~temporary_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace mutant::testing
