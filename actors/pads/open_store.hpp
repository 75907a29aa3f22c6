// From a store URL to a pad store actor.
#pragma once

#include "actors/caf/log.hpp"
#include "actors/interfaces.hpp"
#include "actors/pads/remote_store.hpp"
#include "core/store_url.hpp"

namespace mutant {

struct open_store_options {
  std::size_t readers = 2;   // of a local engine
  bool create = true;        // make a local store that is not there
  bool detached = true;
  tls_files tls;                  // for cafs://
  remote_store_options remote;    // for caf:// and cafs://; hosts and tls are filled in
  bool any_file_system = false;   // a local store also on NFS, CIFS, 9p, FUSE …: lmdb_options
  std::string memory_directory;   // where what was found out about a server (s3:) is remembered; empty: found out each time
  log_sink log;                   // of a local engine: what it cannot do, beside the answers
};

// Whether a store of this URL needs CAF's middleman in its actor system.
inline bool is_remote(const store_url& url) { return url.scheme == "caf" || url.scheme == "cafs"; }

// The file that remembers what was found out about a bucket; the directory is made if it can be. Empty: nowhere.
std::string bucket_memory(const store_url& url, const std::string& directory);

// How many threads such a store takes.
std::size_t threads_of(const store_url& url, const open_store_options& options);

// unsupported: a scheme that this build does not have, or a remote one without the middleman; invalid_argument: cafs:// without
// usable certificates. Otherwise the errors of the engine. A remote store is not waited for.
result<pad_store_actor> open_pad_store(caf::actor_system& system, const store_url& url, const open_store_options& options);

}  // namespace mutant
