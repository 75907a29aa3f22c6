// Whether a place can keep a store, and how fast it is, for code without actors: opens it, tries it (pad_check.hpp), and takes
// away what the trial wrote. For every scheme; of a bucket the probe is made anew, and its outcome remembered.
#pragma once

#include <optional>

#include "actors/check/pad_check.hpp"
#include "actors/pads/open_store.hpp"
#include "core/s3/protocol.hpp"
#include "core/store_url.hpp"

namespace mutant {

struct check_store_options {
  store_url url;
  tls_files tls;                        // for cafs://
  remote_store_options remote;
  bool any_file_system = false;         // store_config::any_file_system
  std::string memory_directory;         // open_store_options::memory_directory
  std::size_t threads = 0;              // of the scheduler; 0: one per core, two at least
  const std::atomic<bool>* stop = nullptr;
};

struct checked_store {
  pad_check_result pads;
  std::optional<s3::traits> bucket;     // of a bucket: what its server's conditions are like
  std::vector<std::string> left_behind; // its objects of the trial that could not be removed
};

// unsupported: it cannot keep a store, in words that say why. Otherwise the errors of opening it and of any request. A local
// store that is not there is not made.
result<checked_store> check_store(const check_store_options& options);

}  // namespace mutant
