// Remembers which pads were found damaged or missing: in this process, and across processes where the machine has a place for
// what it remembers of a store (docs/format.md, "Cache files").
//
// Why: a pad whose content is bad looks whole from outside, so that a put of the same value would keep it. Whoever finds a bad
// one notes it before it answers, and a put writes anew what is noted.
#pragma once

#include "actors/interfaces.hpp"

namespace mutant {

struct damage_memory_options {
  crypto_worker_actor crypto;
  std::string path;   // of the file, without its suffix; empty: only this process remembers
};

struct damage_memory_state {
  static inline const char* name = "damage_memory";
  damage_memory_options options;
  damaged_pads known = std::make_shared<const std::set<pad_ref>>();

  void add(const std::set<pad_ref>& pads);
};

damage_memory_actor::behavior_type damage_memory(damage_memory_actor::stateful_pointer<damage_memory_state> self,
                                                 damage_memory_options options);

// Whether this failure of opening a record says that its bytes are no good; another answer may have better ones.
bool says_damaged(errc code) noexcept;
constexpr unsigned max_refused_answers = 3;   // for one chunk, before it counts as lost

// Whether this failure of reading a pad says that it cannot be read, rather than that the store cannot be asked.
bool says_unreadable(errc code) noexcept;

// Whether this header, as the store shows it, is that of the record which holds the chunk. An owner's tag covers what is
// compared here, so that nothing else in the header can keep the record from being opened.
bool shows_chunk(byte_view head, const pad_address& address, const chunk& what);

}  // namespace mutant
