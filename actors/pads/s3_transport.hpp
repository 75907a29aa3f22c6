// Carries requests to a bucket: one detached thread around core/s3's client, and one more while credentials are fetched.
//
// The actor is told what to do by messages and works in between; a request that comes while it waits for the network wakes it
// up. Credentials that expire are fetched anew five minutes before; once they have, requests wait for the new ones. If there
// are none the requests are answered with that error.
#pragma once

#include "actors/pads/s3_store.hpp"
#include "core/s3/caller.hpp"

namespace mutant {

struct s3_transport_options {
  std::shared_ptr<s3::caller> bucket;    // no longer used by anybody else
  std::string profile;                   // where new credentials come from
  s3::environment env = s3::process_environment;
};

struct s3_transport_state;

// Something that the transport does in its own context.
struct s3_errand {
  std::function<void(s3_transport_state&)> run;
};

// The link to give to an s3_store; it ends with close().
std::shared_ptr<s3_link> spawn_s3_transport(caf::actor_system& system, s3_transport_options options);

// A bucket that was found and tried.
struct s3_bucket {
  std::shared_ptr<s3::caller> way;
  s3::traits how;
  std::optional<error> no_writing;       // the credentials may only read, in the server's words
  std::vector<std::string> left_behind;  // objects of the probe
  std::string profile;
};

// Finds bucket and credentials, and probes the server unless `memory_file` (empty: none) knows it; `anew`: in any case.
// Who may only read finds it as well, each time anew. invalid_argument, access_denied, unreachable, timeout, unsupported (a
// server that ignores conditions). Waits for the network.
result<s3_bucket> find_bucket(const store_url& url, const std::string& memory_file, bool anew = false);

// The store over it; the bucket's way is no longer used by anybody else.
pad_store_actor spawn_s3_store(caf::actor_system& system, s3_bucket bucket);

}  // namespace mutant

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(mutant::s3_errand)
