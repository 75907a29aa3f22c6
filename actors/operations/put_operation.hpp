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

#include "actors/caf/caller.hpp"
#include "actors/interfaces.hpp"
#include "actors/operations/operation_options.hpp"

namespace mutant {

// Answers the one put message when the value is durable; then it is over.
using put_operation_actor = caf::typed_actor<replies_to<put_atom, put_request>::with<put_result>, reacts_to<cancel_atom>,
                                             reacts_to<deferred>>;

struct put_operation_state {
  using self_pointer = put_operation_actor::stateful_pointer<put_operation_state>;
  static inline const char* name = "put_operation";

  explicit put_operation_state(put_operation_actor::pointer me) : self(me) {}

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

  // start and source
  void start(put_request r, caf::typed_response_promise<put_result> p);
  void look_up();
  void recall_damage(std::shared_ptr<found> old);
  void plan(found&& old);
  bool resume(const upload& pending);
  void store_inline(bytes value);
  void fill_window();
  void pull();
  void pulled(bytes piece);
  void add_chunk(std::uint32_t length, bytes plaintext);
  // one chunk
  void compare(std::uint64_t number, chunk before, origin from);
  void confirm(std::uint64_t number, const chunk& before, origin from);
  void look_at(const chunk& what, const pad_address& address, std::function<void(result<void>)> then);
  bool is_known_bad(const chunk& what) const { return known_damage && known_damage->contains(what.pad); }
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
  // progress and end
  void next_step();
  void checkpoint(std::function<void()> then);
  operation cut_record();
  void finish();
  void commit(std::vector<operation> operations, std::vector<key_condition> conditions,
              std::function<void(std::uint64_t)> then);
  void commit_final(std::vector<operation> operations);
  void final_refused(const error& e);
  void start_over();
  void give_back_tail();
  void report();
  void cancel();
  void wind_up();
  // The first one counts; what comes after it only tells what is in the pads.
  void fail_with(error e);
  void wait_for_writes();
  std::vector<pad_ref> unrecorded_pads() const;
  void free_unrecorded();
  void answer_failure();
  void give_back_pads();
  void end();
  const chunk* base_chunk(std::uint64_t number) const;
  chunk_input input_of(std::uint64_t number, const slot& s) const;
  chunk_list as_recorded(chunk_list chunks) const;
  result<void> open_source();
  result<void> check_source() const;
  // Values up to this size lie in the index.
  std::size_t inline_bytes() const { return request.in_pads ? 0 : options.inline_bytes; }
  bool from_stream() const { return std::holds_alternative<chunk_source_actor>(request.source); }
  // What a failed request of ours does.
  auto failing() {
    return [this](caf::error& e) { fail_with(from_caf(e)); };
  }

  put_operation_actor::pointer self;
  put_options options;
  put_request request;
  caf::typed_response_promise<put_result> promise;
  caller asking;
  put_result totals;
  unsigned restarts = 0;
  bool made_room = false;   // after store_full, once
  std::uint64_t left_overs = 0;   // pads seen then that no value uses, and that are not free
  std::vector<std::function<void()>> waiting_for_room;
  bool over = false;
  std::optional<error> failure;   // why it is over; answered as soon as what was written is free
  bool freeing = false;
  bool cancelled = false;

  std::optional<std::uint64_t> size;      // of the source, where it is known
  std::int64_t source_modified_ns = 0;    // of a file, to notice a change while it is read
  std::uint64_t taken = 0;                // bytes taken from the source so far
  bool source_ended = false;
  bool pulling = false;

  damaged_pads known_damage;              // null: none is known
  bool verify = false;                    // what is kept is read, not only looked at
  bool shared = false;                    // of the index: see found
  std::optional<entry> base;              // the value that is replaced, if its chunks can be kept
  std::uint32_t chunk_bytes = 0;
  chunk_list recorded;                    // what the index's upload holds, as far as the source agrees with it
  std::uint64_t recorded_in_index = 0;    // chunks that it holds there
  std::uint64_t upload_id = 0;            // 0: no upload is recorded
  std::uint64_t upload_base = 0;          // the version that its kept chunks belong to

  std::map<std::uint64_t, slot> window;   // by chunk number; from done_chunks on
  std::uint64_t next_chunk = 0;           // the next to be taken from the source
  std::deque<std::uint64_t> without_pad;
  std::deque<pad_ref> spare_pads;
  bool reserving = false;
  std::size_t writing = 0;                // records that the store has not answered

  std::uint64_t done_chunks = 0;          // chunks before this one are finished
  chunk_list tail;                        // finished chunks behind the recorded ones
  bool committing = false;
  bool deciding = false;                  // the commit on its way is the one that stores the value
  bool starting_over = false;             // as soon as what is under way is done
};

put_operation_actor::behavior_type put_operation(put_operation_state::self_pointer self, put_options options);

}  // namespace mutant
