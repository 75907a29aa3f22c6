// Finds what crashed uploads left in the store and makes it free again, and blanks what free pads still hold, so that its room
// goes back to the disk. One actor per call.
//
// Goes through all pads that no value uses, a page at a time: asks the store for each pad's header, and commits what the
// index did not know. Live writers are safe: a commit that names a pad which purge freed meanwhile is refused, and its put
// writes again. Memory: one page.
#pragma once

#include "actors/operations/operation_base.hpp"
#include "actors/operations/operation_options.hpp"

namespace mutant {

using purge_operation_actor =
    caf::typed_actor<replies_to<purge_atom, purge_request>::with<purge_result>, reacts_to<cancel_atom>>;

struct purge_operation_state : operation_base<purge_operation_state, purge_operation_actor, purge_request, purge_result> {
  static inline const char* name = "purge_operation";
  using operation_base::operation_base;

  struct candidate {
    std::uint64_t number = 0;
    bool known_range = true;                     // below all numbers that commits have used
    std::optional<std::uint64_t> free_counter;   // as the index knows it
    std::optional<std::uint64_t> stored;         // as the store has it; absent: the store has no such pad
    bool blank = false;
    std::uint64_t bytes = 0;                     // of the record that is stored
    bool skip = false;
  };

  void start();
  void let_go();
  void drop_uploads(std::string after);
  void purge_parts();
  void claim_page(std::size_t from);
  void next_page(std::uint64_t from);
  void look(std::uint64_t next, bool last);
  void looked(std::uint64_t next, bool last);
  void wipe(std::uint64_t next, bool last);
  void settle(std::function<void()> then);
  // Frees the pads of these candidates; those that are another writer's by now are to be skipped.
  void commit(std::shared_ptr<std::vector<std::size_t>> which, std::size_t from, std::size_t count,
              std::function<void()> then);
  void page_done(std::uint64_t next, bool last);
  void trim();

  purge_options options;
  std::vector<candidate> page;
  std::vector<pad_address> addresses;
  std::size_t waiting = 0;
};

purge_operation_actor::behavior_type purge_operation(purge_operation_state::self_pointer self, purge_options options);

}  // namespace mutant
