// Decoders behind one handle, spawned in the one source that instantiates their pool: that costs a compiler half a minute.
#pragma once

#include "actors/workers/decoder.hpp"

namespace mutant {

struct decoder_pool_options {
  std::string name = "the decoder pool";
  std::size_t workers = 1;         // all of them
  std::size_t kept_for_short = 0;  // of those: long work leaves so many free
  std::size_t max_in_hand = 1;     // short jobs that a decoder has at a time
  bool detached = true;            // threads of their own
};

decoder_actor spawn_decoder_pool(caf::actor_system& system, const decoder_options& decoders,
                                 const decoder_pool_options& options);

}  // namespace mutant
