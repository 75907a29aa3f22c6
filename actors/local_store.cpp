#include "actors/local_store.hpp"

#include "actors/spawn.hpp"
#include "actors/worker_pool.hpp"

namespace mutant {

namespace {

using writer_pointer = engine_writer_actor::stateful_pointer<engine_writer_state>;

void commit_batch(writer_pointer self) {
  auto& s = self->state;
  if (s.waiting.empty())
    return;
  auto waiting = std::move(s.waiting);
  s.waiting.clear();
  s.batch_bytes = 0;
  auto stored = s.engine->commit();
  for (auto& promise : waiting)
    if (stored)
      promise.deliver(done{});
    else
      promise.deliver(to_caf(stored.error()));
}

// A write that the engine took joins the batch; one that it refused by the write rule is answered at once.
caf::result<done> join(writer_pointer self, result<void> taken, std::size_t size_bytes) {
  auto& s = self->state;
  if (!taken) {
    // A batch that its first write broke has nobody waiting for it: end it, or every later write would be refused.
    if (s.waiting.empty())
      static_cast<void>(s.engine->commit());
    return to_caf(taken.error());
  }
  auto promise = self->make_response_promise<done>();
  if (s.waiting.empty())
    self->send(self, commit_atom_v);
  s.waiting.push_back(promise);
  s.batch_bytes += size_bytes;
  if (s.batch_bytes >= s.max_batch_bytes)
    commit_batch(self);
  return promise;
}

struct engine_reader_state {
  static inline const char* name = "engine_reader";
};

engine_reader_actor::behavior_type engine_reader(engine_reader_actor::stateful_pointer<engine_reader_state>,
                                                 std::shared_ptr<pad_engine> engine) {
  return {
      [engine](get_atom, const pad_query& query) { return answer(engine->get(query.address)); },
      [engine](head_atom, const pad_query& query) { return answer(engine->head(query.address)); },
      [engine](stats_atom) -> caf::result<pad_store_stats> {
        auto stats = engine->stats();
        if (!stats)
          return to_caf(stats.error());
        return pad_store_stats{stats->pads, stats->record_bytes, stats->disk_bytes};
      },
  };
}

}  // namespace

result<void> local_store_options::validate() const {
  if (!engine || readers == 0 || max_batch_bytes == 0)
    return fail(errc::invalid_argument, "a local store needs an engine, a reader and room for a batch");
  return {};
}

engine_writer_actor::behavior_type engine_writer(writer_pointer self, std::shared_ptr<pad_engine> engine,
                                                 std::uint64_t max_batch_bytes) {
  self->state.engine = std::move(engine);
  self->state.max_batch_bytes = max_batch_bytes;
  // What was accepted is made durable before the writer goes.
  self->set_exit_handler([self](caf::exit_msg& exit) {
    commit_batch(self);
    self->quit(exit.reason);
  });
  return {
      [self](put_atom, const bytes& record) { return join(self, self->state.engine->put(record), record.size()); },
      [self](erase_atom, const bytes& blank) { return join(self, self->state.engine->erase(blank), blank.size()); },
      [self](commit_atom) { commit_batch(self); },
  };
}

pad_store_actor::behavior_type local_store(pad_store_actor::stateful_pointer<local_store_state> self,
                                           local_store_options options) {
  const auto detached = options.detached;
  auto engine = options.engine;
  self->state.writer = detached ? start<caf::detached + caf::linked>(*self, engine_writer, engine, options.max_batch_bytes)
                                : start<caf::linked>(*self, engine_writer, engine, options.max_batch_bytes);
  worker_pool_options<engine_reader_actor> pool;
  pool.name = "the local store";
  pool.workers = options.readers;
  pool.spawn = [self, engine, detached]() -> engine_reader_actor {
    auto& system = self->system();
    return detached ? start<caf::detached>(system, engine_reader, engine) : start(system, engine_reader, engine);
  };
  self->state.readers = start<caf::linked>(*self, worker_pool<engine_reader_actor>, std::move(pool));
  return {
      [self](put_atom atom, bytes& record) { return self->delegate(self->state.writer, atom, std::move(record)); },
      [self](get_atom atom, const pad_query& query) { return self->delegate(self->state.readers, atom, query); },
      [self](head_atom atom, const pad_query& query) { return self->delegate(self->state.readers, atom, query); },
      [self](erase_atom atom, bytes& blank) { return self->delegate(self->state.writer, atom, std::move(blank)); },
      [self](stats_atom atom) { return self->delegate(self->state.readers, atom); },
  };
}

}  // namespace mutant
