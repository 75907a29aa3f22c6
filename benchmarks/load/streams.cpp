#include "benchmarks/load/streams.hpp"

#include <algorithm>

namespace mutant::load {

chunk_source_actor::behavior_type stamped_source(chunk_source_actor::stateful_pointer<source_state> self, const stamp& s) {
  return {
      [self, s](pull_atom, std::uint32_t wanted) -> bytes {
        auto& at = self->state.at;
        auto piece = buffer::for_record(std::min<std::uint64_t>(wanted, s.size_bytes - at));
        fill(s, at, piece.span());
        at += piece.size();
        return std::move(piece).freeze();
      },
  };
}

checking_sink_actor::behavior_type checking_sink(checking_sink_actor::stateful_pointer<sink_state> self, std::uint64_t run,
                                                 std::uint64_t key) {
  self->state.check.emplace(run, key);
  return {
      [self](push_atom, const bytes& piece) -> caf::result<done> {
        if (auto problem = self->state.check->take(piece))
          return to_caf({errc::io_error, "the value " + *problem});
        return done{};
      },
      [self](verify_atom, bool whole) -> std::string {
        auto& check = *self->state.check;
        return (whole ? check.finish() : check.problem()).value_or("");
      },
  };
}

}  // namespace mutant::load
