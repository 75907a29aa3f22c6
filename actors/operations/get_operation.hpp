// Reads one value, or a range of it: looks it up (and pins its pads), fetches records through the pad workers, opens them in
// the crypto workers, and hands the plaintext to the sink. One actor per call; it ends with its answer.
//
// Memory: at most `window` chunks are under way. To a file, file writers put each chunk at its place, in any order; to a stream
// or into the answer, chunks go in order. When another process replaced the value while it was read, the read starts again
// on the new value, as long as nothing was handed out that cannot be taken back.
#pragma once

#include <map>

#include "actors/operations/operation_options.hpp"
#include "actors/operations/reading_operation.hpp"

namespace mutant {

using get_operation_actor = caf::typed_actor<replies_to<get_atom, get_request>::with<get_result>, reacts_to<cancel_atom>>;

struct get_operation_state : reading_operation<get_operation_state, get_operation_actor, get_request, get_result, get_options> {
  static inline const char* name = "get_operation";
  using reading_operation::reading_operation;

  void start();
  void plan(found&& there);
  void deliver_inline();
  void begin_file();
  void find_chunks();
  void fill_window();
  const chunk& chunk_at(std::size_t number) const { return (*value.chunks)[number]; }
  // The part of chunk `number` that is wanted.
  std::pair<std::uint32_t, std::uint32_t> wanted(std::size_t number) const;
  void opened(std::size_t number, bytes plaintext);
  void push_ready();
  void handed_out(std::uint64_t size_bytes);
  void chunk_failed(std::size_t number, const error& e);
  void value_moved(std::size_t number, const error& e);
  void fail_damaged(std::size_t number, const error& e);
  void start_again();
  void finish();
  std::uint64_t start_of(std::size_t number) const { return starts[number - first_chunk]; }

  std::uint64_t range_begin = 0;          // of the wanted range, bytes
  std::uint64_t range_end = 0;
  std::size_t first_chunk = 0;            // of the wanted
  std::size_t chunk_end = 0;              // one behind the last wanted
  std::vector<std::uint64_t> starts;      // of the wanted chunks in the value, bytes
  std::size_t next_fetch = 0;
  std::size_t next_out = 0;               // in order: the next chunk to hand out
  bool pushing = false;
  bool cannot_restart = false;            // a stream has had some of it
  std::map<std::size_t, bytes> ready;     // opened, waiting for their turn
  std::size_t writing = 0;                // chunks with the file writers, of any attempt
  bool restart_waits = false;             // for them
  std::size_t under_way = 0;              // fetched or opened, not yet handed out
  buffer gathered;                        // without a sink
};

get_operation_actor::behavior_type get_operation(get_operation_state::self_pointer self, get_options options);

}  // namespace mutant
