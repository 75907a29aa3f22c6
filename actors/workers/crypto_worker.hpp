// The CPU-bound half of the system, in detached actors: sealing, opening, deriving addresses, encoding and decoding of index
// data. Reads a chunk from its file itself, so that plaintext makes no further trip.
#pragma once

#include "actors/interfaces.hpp"
#include "core/compression.hpp"

namespace mutant {

struct crypto_worker_options {
  std::shared_ptr<const keyring> keys;
  compression compress = {};   // of the chunks that are sealed
  int niceness = 0;            // of the thread of a detached crypto worker, 0 … 19: how far its work gives way to all other
};

struct crypto_worker_state {
  static inline const char* name = "crypto_worker";
  crypto_worker_options options;

  // A chunk of zeros, as a hole is one: what of it is the same in every pad. Made once for a length, so that a hole is neither
  // read nor compressed chunk by chunk.
  struct zero_chunk {
    std::uint32_t length = 0;
    fingerprint print{};
    bytes frame;               // empty where such chunks are not compressed
  };

  const zero_chunk& zeros_of(std::uint32_t length);
  result<sealed_chunk> seal(const seal_chunk_job& job);
  result<sealed_list> seal(const seal_list& jobs);
  result<fingerprint> compare(const compare_chunk_job& job);
  result<bytes> open(const open_chunk_job& job) const;
  result<address_list> addresses(const address_job& job) const;
  result<opened_commit> open(const open_commit_job& job) const;
  result<opened_part> open(const open_part_job& job) const;
  result<opened_root> open(const open_root_job& job) const;
  result<bytes> seal(const seal_commit_job& job) const;
  result<sealed_part> seal(const seal_part_job& job) const;
  result<bytes> seal(const seal_root_job& job) const;
  result<record_list> seal(const seal_blank_job& job) const;
  result<opened_cache> open(const open_cache_job& job) const;
  result<opened_part> open(const read_cache_job& job) const;
  result<done> seal(const save_cache_job& job) const;
  result<done> note(const note_damage_job& job) const;
  result<damaged_pads> open(const read_damage_job& job) const;
  pad_keys keys_of(pad_space space, std::uint64_t number) const;

  zero_chunk zeros = {};       // of the length that was asked for last: a file has one, and another at its end
};

crypto_worker_actor::behavior_type crypto_worker(crypto_worker_actor::stateful_pointer<crypto_worker_state> self,
                                                 crypto_worker_options options);

}  // namespace mutant
