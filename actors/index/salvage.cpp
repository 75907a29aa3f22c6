// Reading what can be proven of a damaged index: the state that snapshot or cache hold, and the log up to the first record that
// is damaged. Nothing is written, remembered or taken for newer than it is; `sync` answers what is lost.
#include "actors/caf/ask.hpp"
#include "actors/index/index.hpp"

namespace mutant {

namespace {

bool is_damage(errc code) noexcept {
  return code == errc::index_corrupt || code == errc::corrupt_record || code == errc::decrypt_failed
         || code == errc::store_damaged || code == errc::rollback_detected || code == errc::bad_signature
         || code == errc::pad_conflict;
}

}  // namespace

bool index_actor_state::salvage(const error& e) {
  if (!options.salvage || is_open || !is_damage(e.code))
    return false;
  if (salvaged.state_is_whole) {
    if (!salvaged.lost)
      salvaged.lost = e;
    open_for_salvage();
    return true;
  }
  if (salvaged.lost || !cache.state)
    return false;
  // Root or parts are damaged: the cache has a state of its own, and the log may go on from there.
  salvaged.lost = e;
  opened_root stand_in;
  stand_in.counter = cache.state->summary().root_counter;
  stand_in.what.sequence = cache.state->summary().sequence;
  stand_in.what.last_commit = cache.state->summary().last_commit;
  stand_in.what.next_pad = cache.state->summary().next_pad;
  stand_in.what.ring_slots = cache.state->summary().ring_slots;
  forget_state();
  return load_from_cache(std::make_shared<const opened_root>(std::move(stand_in)));
}

void index_actor_state::open_for_salvage() {
  ++generation;  // what is still being read is of no interest any more
  is_open = true;
  log_busy = true;
  if (salvaged.lost)
    salvaged.lost->message += ". What is shown is the index as it was at commit " + std::to_string(data.sequence());
  run_held_back();
}

}  // namespace mutant
