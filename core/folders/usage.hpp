// How much lies in each folder, from paths in their order (item.hpp). Pure; memory: the folders from the top down.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace mutant {

struct folder_usage {
  std::string path;             // with '/' at its end; empty: the top
  std::size_t depth = 0;        // of the top: 0
  std::uint64_t values = 0;     // with those in folders in it
  std::uint64_t bytes = 0;
};

class usage_counter {
 public:
  // `whole`: called once for each folder when all in it was added; a folder comes behind those in it.
  explicit usage_counter(std::function<void(const folder_usage&)> whole) : whole_(std::move(whole)), open_(1) {}

  // An empty path, or one that ends with '/', without bytes is a folder and counts as no value.
  void add(std::string_view path, std::uint64_t bytes);
  // No more paths.
  void finish();

 private:
  void close_last();

  std::function<void(const folder_usage&)> whole_;
  std::vector<folder_usage> open_;   // each in the one before
};

}  // namespace mutant
