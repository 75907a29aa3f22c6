// Reads payloads from the segments of a store. Keeps a bounded number of files open. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "core/engine/segment_file.hpp"
#include "core/engine/store_format.hpp"

namespace mutant {

class segment_reader {
 public:
  explicit segment_reader(std::string directory) : directory_(std::move(directory)) {}

  // The record with this header whose payload lies there. What comes back may be another payload, or a failure, when the
  // extent has been freed since it was looked up: the caller must look again.
  result<bytes> read(const store_format::extent& where, byte_view header, std::size_t payload_bytes);

 private:
  struct open_file {
    std::shared_ptr<const segment_file> file;
    std::uint64_t last_use = 0;
  };
  result<std::shared_ptr<const segment_file>> file_of(std::uint32_t segment);

  const std::string directory_;
  std::mutex mutex_;
  std::map<std::uint32_t, open_file> files_;
  std::uint64_t uses_ = 0;
};

}  // namespace mutant
