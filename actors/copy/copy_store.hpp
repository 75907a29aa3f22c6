// Copying a store to another URL, for code without actors: opens both places, runs one copy_operation, and blocks until it is
// over. The destructor ends all of it.
//
//   auto copy = mutant::store_copy::open({.owner = seed, .from = "local:/srv/pads", .to = "rados:pads"});
//   auto done = copy->run();                                    // result<copy_result>
#pragma once

#include "actors/client.hpp"
#include "actors/copy/copy_operation.hpp"

namespace mutant {

struct store_copy_options {
  seed owner;
  std::string from;
  std::string to;
  tls_files tls;                       // for cafs:// on either side
  remote_store_options remote;
  std::string memory_path;             // copy_options::memory_path
  bool read_back = false;
  bool skip_damaged = false;
  bool any_file_system = false;        // store_config::any_file_system
  std::size_t window = 16;             // pads under way
  std::size_t threads = 0;             // for verifying; 0: one per core
};

class store_copy {
 public:
  // Errors of opening either store, which then say which one. A missing local source is not made; a missing target is.
  static result<store_copy> open(store_copy_options options);
  store_copy(store_copy&&) noexcept;
  ~store_copy();

  result<copy_result> run(const progress_callback& on_progress = {});
  // From any thread: run() answers `cancelled`. What is copied stays, for the next time.
  void cancel() noexcept;

 private:
  struct parts;
  explicit store_copy(std::unique_ptr<parts> p);
  std::unique_ptr<parts> parts_;
};

}  // namespace mutant
