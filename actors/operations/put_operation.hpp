// Writes one value: cuts the source into chunks, seals them in the crypto workers, writes them through the pad workers, and
// commits. One actor per call; it ends with its answer.
//
// Memory: at most `window` chunks are under way, each with one sealed record (and, from a stream, its plaintext).
// A large value is recorded as an upload while it goes on (every checkpoint_chunks chunks), so that it can be resumed; an
// unchanged chunk of the value that it replaces is kept, not written, if it can be read: a chunk that the damage memory knows
// is written anew, of others the store must show the header, and where one of a value's chunks is known to be bad, or the
// request says so, all that would be kept are read. A write that meets another writer's record takes another pad. Cancelled by
// cancel_atom, or when the asking actor goes down.
//
// A put that fails leaves nothing behind that only a purge would find: what it wrote and no record names is made free by a
// commit before the failure is told. (Where the store does not answer any more, that is left to a purge.)
#pragma once

#include <deque>
#include <map>

#include "actors/operations/operation_base.hpp"
#include "actors/operations/operation_options.hpp"
#include "actors/operations/put_source.hpp"
#include "core/index/upload_record.hpp"

namespace mutant {

// Answers the one put message when the value is durable; then it is over.
using put_operation_actor = caf::typed_actor<replies_to<put_atom, put_request>::with<put_result>, reacts_to<cancel_atom>,
                                             reacts_to<deferred>>;

// Files: put_operation.cpp (from the request to the answer), put_chunks.cpp (what becomes of one chunk).
struct put_operation_state : operation_base<put_operation_state, put_operation_actor, put_request, put_result> {
  static inline const char* name = "put_operation";
  using operation_base::operation_base;

  // What the put is about. Beside it, `over`: it has failed or is answered, and goes no further.
  enum class phase : std::uint8_t {
    writing,      // chunks are taken from the source, compared, written
    recording,    // the same, while a commit of the progress is on its way
    restarting,   // a commit was refused: no new chunks; when those under way are done, all is compared again
    cancelled,    // no new chunks; what is finished is recorded, and that is the end
    cancelling,   // the same, while a commit of the progress is on its way
    deciding,     // the commit that stores the value is on its way: too late to cancel
  };

  enum class origin : std::uint8_t {
    written,   // by this operation
    base,      // the replaced value's, unchanged
    recorded,  // written by an earlier attempt at this upload
  };

  struct slot {
    std::uint32_t length = 0;
    bytes plaintext;                  // of a stream or of memory, until the chunk is part of the finished prefix
    pad_ref pad;                      // counter 0: none yet
    bool sent = false;                // the store may hold our record in `pad`
    bool without_room = false;        // it was refused once: the store was full
    unsigned pad_changes = 0;
    std::optional<chunk> done;
    origin from = origin::written;
  };

  // What may be there already, and how far it is to be believed.
  struct kept_value {
    std::optional<entry> base;        // the value that is replaced, if its chunks can be kept
    damaged_pads known_damage;        // null: none is known
    bool verify = false;              // what is kept is read, not only looked at
    bool shared = false;              // of the index: see found
  };

  struct pad_supply {
    std::deque<std::uint64_t> wanted; // chunks without a pad
    std::deque<pad_ref> spare;
    bool reserving = false;
  };

  struct room_making {
    bool done = false;                // after store_full, once
    std::uint64_t left_overs = 0;     // pads seen then that no value uses, and that are not free
    std::vector<std::function<void()>> waiting;
  };

  // -- put_operation.cpp -------------------------------------------------------------------------------------------------
  // start and source
  void start();
  void look_up();
  void recall_damage(std::shared_ptr<found> old);
  void plan(found&& old);
  bool resume(const upload& pending);
  void store_inline(bytes value);
  bool takes_chunks() const { return !over && (doing == phase::writing || doing == phase::recording); }
  void fill_window();
  void pull();
  void pulled(bytes piece);
  void add_chunk(std::uint32_t length, bytes plaintext);
  // progress and end
  void next_step();
  void checkpoint(std::function<void()> then);
  void finish();
  void commit(std::vector<operation> operations, std::function<void()> then);
  void commit_refused(error e);
  void commit_final(std::vector<operation> operations);
  void final_refused(const error& e);
  void start_over();
  void give_back_tail();
  void report();
  void cancel();
  void wind_up();
  void fail_cancelled();
  void let_go();
  // The first one counts; what comes after it only tells what is in the pads.
  void fail_with(error e);
  bool commits() const { return doing == phase::recording || doing == phase::cancelling || doing == phase::deciding; }
  void wait_for_writes();
  std::vector<pad_ref> unrecorded_pads() const;
  void free_unrecorded();
  chunk_list as_recorded(chunk_list chunks) const;
  // Values up to this size lie in the index.
  std::size_t inline_bytes() const { return request.in_pads ? 0 : options.inline_bytes; }

  // -- put_chunks.cpp ----------------------------------------------------------------------------------------------------
  void compare(std::uint64_t number, chunk before, origin from);
  void confirm(std::uint64_t number, const chunk& before, origin from);
  void look_at(const chunk& what, const pad_address& address, std::function<void(result<void>)> then);
  bool is_known_bad(const chunk& what) const { return kept.known_damage && kept.known_damage->contains(what.pad); }
  void want_pad(std::uint64_t number);
  void give_pads();
  void seal(std::uint64_t number);
  void write(std::uint64_t number, sealed_chunk sealed);
  // Gives the room of free pads back to the store.
  void make_room(std::function<void()> then);
  void contested(std::uint64_t number, std::uint64_t stored_counter);
  void finished(std::uint64_t number, chunk what, origin from);
  void take_prefix();
  void diverged(std::uint64_t at);
  const chunk* base_chunk(std::uint64_t number) const;
  chunk_input input_of(std::uint64_t number, const slot& s) const;

  put_options options;
  phase doing = phase::writing;
  put_source source;
  std::uint64_t taken = 0;                // bytes taken from the source so far
  bool source_ended = false;
  bool pulling = false;
  unsigned restarts = 0;

  kept_value kept;
  std::uint32_t chunk_bytes = 0;
  upload_record recorded;
  std::map<std::uint64_t, slot> window;   // by chunk number; from done_chunks on
  std::uint64_t next_chunk = 0;           // the next to be taken from the source
  std::uint64_t done_chunks = 0;          // chunks before this one are finished
  chunk_list tail;                        // finished chunks behind the recorded ones
  pad_supply supply;
  std::size_t writing = 0;                // records that the store has not answered
  room_making room;
  std::optional<error> failure;           // why it is over; answered as soon as what was written is free
  bool freeing = false;
};

put_operation_actor::behavior_type put_operation(put_operation_state::self_pointer self, put_options options);

}  // namespace mutant
