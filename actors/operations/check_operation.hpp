// Looks whether a value can be read, all of it: fetches its records through the pad workers and opens them in the crypto
// workers, which hold them against the index. One actor per call; it ends with its answer.
//
// Unlike a get it goes on behind a chunk that is damaged, and hands out nothing. A damaged chunk is noted in the damage memory,
// so that the next put of the value writes it anew. A value that is replaced meanwhile is looked at again.
// Memory: at most `window` chunks are under way.
#pragma once

#include "actors/operations/operation_options.hpp"
#include "actors/operations/reading_operation.hpp"

namespace mutant {

using check_operation_actor =
    caf::typed_actor<replies_to<check_atom, check_request>::with<check_result>, reacts_to<cancel_atom>>;

struct check_operation_state
    : reading_operation<check_operation_state, check_operation_actor, check_request, check_result, check_options> {
  static inline const char* name = "check_operation";
  using reading_operation::reading_operation;

  struct place {
    std::uint64_t number = 0;             // of the chunk
    std::uint64_t offset = 0;             // of its first byte
  };

  void start() { look_up(); }
  void plan(found&& there);
  void fill_window();
  void compare(std::size_t at);
  const chunk& chunk_at(std::size_t at) const { return (*value.chunks)[places[at].number]; }
  // None of its bytes are wanted; all of them are held against the fingerprint.
  std::pair<std::uint32_t, std::uint32_t> wanted(std::size_t) const { return {0, 0}; }
  void opened(std::size_t at, const bytes&) { was_seen(at); }
  void chunk_failed(std::size_t at, const error& e);
  void was_seen(std::size_t at);
  void all_seen();
  void report();

  std::vector<place> places;              // that are looked at
  std::size_t next = 0;
  std::size_t under_way = 0;
  bool may_have_moved = false;            // a pad was not there: the value may be another one by now
};

check_operation_actor::behavior_type check_operation(check_operation_state::self_pointer self, check_options options);

}  // namespace mutant
