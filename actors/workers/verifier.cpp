#include "actors/workers/verifier.hpp"

#include "actors/caf/spawn.hpp"
#include "actors/caf/worker_pool.hpp"

namespace mutant {

result<record_header> verify(const verify_item& item) {
  auto header = verify_record(item.record);
  if (header && item.erases && !header->blank)
    return fail(errc::invalid_argument, "pad " + short_name(header->address) + " is erased by a blank record of its owner; "
                                            "this one is not blank");
  return header;
}

verifier_actor::behavior_type verifier(verifier_actor::pointer) {
  return {[](verify_atom, const verify_job& job) {
    verify_result out;
    out.reserve(job.items.size());
    for (const auto& item : job.items)
      out.push_back(verify(item));
    return out;
  }};
}

verifier_actor spawn_verifier_pool(caf::actor_system& system, std::size_t count) {
  worker_pool_options<verifier_actor> pool;
  pool.name = "the verifiers";
  pool.workers = count;
  pool.spawn = [&system]() -> verifier_actor { return start<caf::detached>(system, verifier); };
  return start(system, worker_pool<verifier_actor>, std::move(pool));
}

}  // namespace mutant
