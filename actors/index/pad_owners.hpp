// The actors that have pads reserved or pinned, as the numbers by which the pad ledger knows them. Each is watched from its
// first pad on until it ends.
#pragma once

#include <caf/all.hpp>
#include <map>

#include "core/index/pad_ledger.hpp"

namespace mutant {

class pad_owners {
 public:
  template <class Self>
  pad_ledger::owner_id watched(Self* self, const caf::strong_actor_ptr& owner) {
    if (!owner)
      return 0;
    const auto address = caf::actor_cast<caf::actor_addr>(owner);
    const auto at = ids_.try_emplace(address, last_ + 1);
    if (at.second) {
      ++last_;
      self->monitor(address);
    }
    return at.first->second;
  }
  // 0: it has no pads.
  pad_ledger::owner_id id_of(const caf::actor_addr& owner) const {
    const auto at = ids_.find(owner);
    return at != ids_.end() ? at->second : 0;
  }
  // It has ended; its number, or 0.
  pad_ledger::owner_id forget(const caf::actor_addr& owner) {
    const auto at = ids_.extract(owner);
    return at ? at.mapped() : 0;
  }

 private:
  std::map<caf::actor_addr, pad_ledger::owner_id> ids_;
  pad_ledger::owner_id last_ = 0;
};

}  // namespace mutant
