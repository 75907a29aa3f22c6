// What a directory may hold after a power cut: the calls that change its files are recorded, and replayed up to any of them
// with any part of what was not synced by then.
//
// The model is no kinder than a disk behind a file system with a journal. Durable at a point is what a sync of the same file
// (or an O_DSYNC descriptor) covered before it; a queued write only if the sync began after it was reported as done. Everything
// else may be there or not, each block of 4096 bytes for itself, so that a write may be torn, and a later one there without an
// earlier. A new file may be without a name, and so gone, until its directory was synced.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/core/io_faults.hpp"

namespace mutant::engine_test {

class power_cut_recorder {
 public:
  // Copies what the directory holds, which counts as durable, and records from there on.
  explicit power_cut_recorder(std::string directory);

  // How many calls there were: a point in time.
  std::size_t now() const { return calls_.size(); }
  // Points right behind syncs, where more became durable than before.
  std::vector<std::size_t> syncs() const;
  // Makes `target` (which must not exist) what may be left when the power fails at that point. likely: of 256, how many of the
  // blocks that no sync had covered are there.
  void replay(std::size_t point, unsigned likely, std::mt19937_64& random, const std::string& target) const;

 private:
  struct call {
    io_call kind;
    std::string file;             // its name in the directory; empty: the directory itself (sync)
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    std::string data;             // of a write
    std::size_t covered_from = 0; // a sync that is asked for from this point on covers it
    bool durable = false;         // as soon as it was made
  };
  int record(const io_event& event);
  bool is_durable(std::size_t index, std::size_t point) const;

  const std::string directory_;
  std::map<std::string, std::string> before_;   // the files' contents
  std::vector<call> calls_;
  std::map<std::uint64_t, std::size_t> queued_;  // number -> call
  io_faults watching_;
};

}  // namespace mutant::engine_test
