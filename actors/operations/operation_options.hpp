// What each operation is given: the actors that it works with, and its bounds. Apart from the operations, so that whoever
// configures a store does not compile them.
#pragma once

#include "actors/interfaces.hpp"

namespace mutant {

struct put_options {
  pad_store_actor pads;
  crypto_worker_actor crypto;
  index_actor index;
  damage_memory_actor damage;                        // which chunks must not be kept; may be null
  std::uint32_t chunk_bytes = default_chunk_bytes;
  std::size_t inline_bytes = default_inline_bytes;   // values up to this size lie in the index
  std::size_t window = 8;                            // chunks under way
  std::size_t checkpoint_chunks = 16;                // between two records of an upload's progress
  unsigned max_pad_changes = 64;                     // a chunk that meets taken pads gives up after so many
  // How long a put that fails, or was cancelled, waits for writes that are under way, to know what they left.
  std::chrono::milliseconds failure_patience{30'000};
  std::chrono::milliseconds cancel_patience{2'000};

  result<void> validate() const;
};

struct get_options {
  pad_store_actor pads;
  crypto_worker_actor crypto;
  file_writer_actor writers;
  index_actor index;
  damage_memory_actor damage;                    // told of chunks that cannot be read; may be null
  std::size_t window = 8;                        // chunks under way
  unsigned max_restarts = 8;                     // on a newer value

  result<void> validate() const;
};

struct check_options {
  pad_store_actor pads;
  crypto_worker_actor crypto;
  index_actor index;
  damage_memory_actor damage;                    // told of chunks that cannot be read; may be null
  std::size_t window = 8;                        // chunks under way
  unsigned max_restarts = 8;                     // on a newer value
};

struct purge_options {
  pad_store_actor pads;
  crypto_worker_actor crypto;
  index_actor index;
  std::uint32_t page = 256;
};

}  // namespace mutant
