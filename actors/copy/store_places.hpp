// The pad workers in front of stores that are named by URL, for calls that work on more than one of them at a time.
#pragma once

#include "actors/pads/open_store.hpp"
#include "actors/pads/pad_pool.hpp"

namespace mutant {

struct store_places_options {
  tls_files tls;                       // for cafs://
  remote_store_options remote;
  bool any_file_system = false;        // store_config::any_file_system
  std::size_t window = 16;             // pads under way
};

// Threads that opening these takes.
std::size_t threads_of(const std::vector<std::string>& urls, const store_places_options& options);

class store_places {
 public:
  store_places(caf::actor_system& system, store_places_options options) : system_(system), options_(std::move(options)) {}
  store_places(const store_places&) = delete;
  store_places& operator=(const store_places&) = delete;
  ~store_places();

  // Errors of opening it, which then say which one. `create`: a local store that is not there is made.
  result<pad_store_actor> open(const std::string& url, bool create);
  // Ends with this, too.
  template <class Handle>
  Handle keep(Handle child) {
    children_.push_back(caf::actor_cast<caf::actor>(child));
    return child;
  }

 private:
  caf::actor_system& system_;
  store_places_options options_;
  std::vector<caf::actor> children_;
};

}  // namespace mutant
