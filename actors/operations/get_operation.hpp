// Reads one value, or a range of it: looks it up (and pins its pads), fetches records through the pad workers, opens them in
// the crypto workers, and hands the plaintext to the sink. One actor per call; it ends with its answer.
//
// Memory: at most `window` chunks are under way. To a file, file writers put each chunk at its place, in any order; to a stream
// or into the answer, chunks go in order. When another process replaced the value while it was read, the read starts again
// on the new value, as long as nothing was handed out that cannot be taken back.
#pragma once

#include <map>

#include "actors/caf/caller.hpp"
#include "actors/interfaces.hpp"
#include "actors/operations/operation_options.hpp"

namespace mutant {

using get_operation_actor = caf::typed_actor<replies_to<get_atom, get_request>::with<get_result>, reacts_to<cancel_atom>>;

struct get_operation_state {
  using self_pointer = get_operation_actor::stateful_pointer<get_operation_state>;
  static inline const char* name = "get_operation";

  explicit get_operation_state(get_operation_actor::pointer me) : self(me) {}

  void start(get_request r, caf::typed_response_promise<get_result> p);
  void look_up();
  void plan(found&& there);
  void deliver_inline();
  void begin_file();
  void find_chunks();
  void fill_window();
  // refused: so many answers were no good.
  void fetch(std::uint64_t number, unsigned refused);
  void open(std::uint64_t number, bytes record, unsigned refused);
  void opened(std::uint64_t number, bytes plaintext);
  void push_ready();
  void handed_out(std::uint64_t size_bytes);
  void chunk_failed(std::uint64_t number, const error& e);
  void value_moved(std::uint64_t number, const error& e);
  void fail_damaged(std::uint64_t number, error e);
  void start_again();
  void finish();
  void fail_with(error e);
  void end();
  auto failing() {
    return [this](caf::error& e) { fail_with(from_caf(e)); };
  }
  std::uint64_t start_of(std::uint64_t number) const { return starts[number - first_chunk]; }
  // The part of chunk `number` that is wanted.
  std::pair<std::uint32_t, std::uint32_t> wanted(std::uint64_t number) const;

  get_operation_actor::pointer self;
  get_options options;
  get_request request;
  caf::typed_response_promise<get_result> promise;
  caller asking;
  get_result totals;
  bool over = false;
  unsigned restarts = 0;
  std::uint64_t attempt = 0;              // answers to an earlier attempt are passed over

  entry value;
  bool shared = false;   // of the index that has it
  std::uint64_t pin = 0;
  std::uint64_t begin = 0;                // of the wanted range, bytes
  std::uint64_t range_end = 0;            // its end
  std::uint64_t first_chunk = 0;          // of the wanted
  std::uint64_t chunk_end = 0;           // one behind the last wanted
  std::vector<std::uint64_t> starts;      // of the wanted chunks in the value, bytes
  std::uint64_t next_fetch = 0;
  std::uint64_t next_out = 0;             // in order: the next chunk to hand out
  bool pushing = false;
  bool cannot_restart = false;            // a stream has had some of it
  std::map<std::uint64_t, bytes> ready;   // opened, waiting for their turn
  std::size_t writing = 0;                // chunks with the file writers, of any attempt
  bool restart_waits = false;             // for them
  std::size_t under_way = 0;              // fetched or opened, not yet handed out
  buffer gathered;                        // without a sink
};

get_operation_actor::behavior_type get_operation(get_operation_state::self_pointer self, get_options options);

}  // namespace mutant
