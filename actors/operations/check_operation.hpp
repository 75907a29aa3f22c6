// Looks whether a value can be read, all of it: fetches its records through the pad workers and opens them in the crypto
// workers, which hold them against the index. One actor per call; it ends with its answer.
//
// Unlike a get it goes on behind a chunk that is damaged, and hands out nothing. A damaged chunk is noted in the damage memory,
// so that the next put of the value writes it anew. A value that is replaced meanwhile is looked at again.
// Memory: at most `window` chunks are under way.
#pragma once

#include "actors/caf/caller.hpp"
#include "actors/interfaces.hpp"
#include "actors/operations/operation_options.hpp"

namespace mutant {

using check_operation_actor =
    caf::typed_actor<replies_to<check_atom, check_request>::with<check_result>, reacts_to<cancel_atom>>;

struct check_operation_state {
  using self_pointer = check_operation_actor::stateful_pointer<check_operation_state>;
  static inline const char* name = "check_operation";

  explicit check_operation_state(check_operation_actor::pointer me) : self(me) {}

  void start(check_request r, caf::typed_response_promise<check_result> p);
  void look_up();
  void plan(found&& there);
  void fill_window();
  void compare(std::size_t at);
  // refused: so many answers were no good.
  void fetch(std::size_t at, unsigned refused);
  void open(std::size_t at, bytes record, unsigned refused);
  void was_seen(std::size_t at);
  void is_bad(std::size_t at, const error& e);
  void all_seen();
  void report();
  void fail_with(const error& e);
  void end();
  auto failing() {
    return [this](caf::error& e) { fail_with(from_caf(e)); };
  }

  struct place {
    std::uint64_t number = 0;             // of the chunk
    std::uint64_t offset = 0;             // of its first byte
  };

  check_operation_actor::pointer self;
  check_options options;
  check_request request;
  caf::typed_response_promise<check_result> promise;
  caller asking;
  check_result totals;
  bool over = false;
  unsigned restarts = 0;
  entry value;
  bool shared = false;                    // of the index that has it
  std::uint64_t pin = 0;
  std::vector<place> places;              // that are looked at
  std::size_t next = 0;
  std::size_t under_way = 0;
  bool may_have_moved = false;            // a pad was not there: the value may be another one by now
};

check_operation_actor::behavior_type check_operation(check_operation_state::self_pointer self, check_options options);

}  // namespace mutant
