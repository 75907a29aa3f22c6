#include "actors/pads/memory_store.hpp"

namespace mutant {

namespace {

caf::result<done> write(pad_engine& engine, result<void> taken) {
  if (taken)
    taken = engine.commit();
  if (!taken)
    return to_caf(taken.error());
  return done{};
}

}  // namespace

pad_store_actor::behavior_type memory_store(pad_store_actor::stateful_pointer<memory_store_state>,
                                            std::shared_ptr<pad_engine> engine) {
  return {
      [engine](put_atom, const bytes& record) { return write(*engine, engine->put(record)); },
      [engine](put_atom, room_atom, const bytes& record) { return write(*engine, engine->put_making_room(record)); },
      [engine](get_atom, const pad_query& query) { return answer(engine->get(query.address)); },
      [engine](head_atom, const pad_query& query) { return answer(engine->head(query.address)); },
      [engine](erase_atom, const bytes& blank) { return write(*engine, engine->erase(blank)); },
      [engine](stats_atom) -> caf::result<pad_store_stats> {
        auto stats = engine->stats();
        if (!stats)
          return to_caf(stats.error());
        return pad_store_stats{stats->pads, stats->record_bytes, stats->disk_bytes};
      },
      [engine](trim_atom) { return answer(engine->trim()); },
  };
}

}  // namespace mutant
