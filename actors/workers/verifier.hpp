// Checks records from strangers: structure, size, hash, signature. Detached; several of them share the cores.
#pragma once

#include "actors/interfaces.hpp"

namespace mutant {

struct verify_item {
  bytes record;
  bool erases = false;   // must be blank
};

// Small records come many at a time: a message costs as much as verifying a tenth of one.
struct verify_job {
  std::vector<verify_item> items;
};

// In the job's order. corrupt_record, bad_signature; invalid_argument: an erase without a blank record.
using verify_result = std::vector<result<record_header>>;

using verifier_actor = caf::typed_actor<replies_to<verify_atom, verify_job>::with<verify_result>>;

result<record_header> verify(const verify_item& item);

verifier_actor::behavior_type verifier(verifier_actor::pointer self);

// A pool of so many, detached.
verifier_actor spawn_verifier_pool(caf::actor_system& system, std::size_t count);

}  // namespace mutant

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(mutant::verify_job)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(mutant::verify_result)
