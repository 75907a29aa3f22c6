// Where the identity and the store are: options first, then the environment, then the user's data directory.
#pragma once

#include <chrono>
#include <string>

#include "actors/net/tls.hpp"
#include "core/error.hpp"
#include "core/store_url.hpp"

namespace mutant::cli {

// The global options as given; empty: not given.
struct global_options {
  std::string home;
  std::string store;
  std::string threads;
  std::string passphrase_file;
  tls_files tls;
  std::string connect_timeout;
  bool any_file_system = false;
};

struct places {
  std::string home;
  std::string identity;       // a file
  store_url store;
  bool store_given = false;   // by --store or $MUTANT_STORE
  std::size_t threads = 0;    // 0: as many as there are cores
  tls_files tls;
  std::chrono::milliseconds connect_timeout{10'000};
};

// invalid_argument: --store, --threads or the environment make no sense; a variable of ours is set, but empty. Touches nothing.
result<places> find_places(const global_options& options);

// access_denied: we are root, and what we would read and write there belongs to somebody else, who could not use it any more.
// needs_home: for its identity and cache, besides the store.
result<void> refuse_others_folders(const places& where, bool needs_home);

// Whether what goes to this store goes over a network without TLS: caf:// to another machine, as far as its names tell.
bool is_exposed(const store_url& store);

bool identity_exists(const places& where);
// Does the local store's directory hold something? False for stores elsewhere.
bool local_store_exists(const places& where);
// Makes the home, and refuses a store directory whose parent is missing: a disk may not be mounted.
result<void> prepare_places(const places& where);

}  // namespace mutant::cli
