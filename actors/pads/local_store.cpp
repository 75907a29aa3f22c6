#include "actors/pads/local_store.hpp"

#include <algorithm>

#include "actors/caf/spawn.hpp"
#include "actors/caf/worker_pool.hpp"
#include "core/outcome.hpp"

namespace mutant {

namespace {

using writer_pointer = engine_writer_actor::stateful_pointer<engine_writer_state>;

using waiting_write = engine_writer_state::waiting_write;

result<void> offer(pad_engine& engine, const waiting_write& w) {
  return w.erases ? engine.erase(w.record) : w.makes_room ? engine.put_making_room(w.record) : engine.put(w.record);
}

void answer_write(waiting_write& w, const result<void>& outcome) {
  if (outcome)
    w.promise.deliver(done{});
  else
    w.promise.deliver(to_caf(outcome.error()));
}

// To the log, once for each kind of trouble, and once when it is over.
void tell_of(writer_pointer self, const result<void>& outcome) {
  auto& s = self->state;
  if (outcome && !s.last_told.empty())
    tell(s.log, log_level::info, "the store takes writes again");
  if (!outcome && s.last_told != outcome.error().message)
    tell(s.log, log_level::error, "the store failed", {{"error", to_string(outcome.error())}});
  s.last_told = outcome ? std::string() : outcome.error().message;
}

// A batch of its own. What makes room is tried again where there was none: the engine has given its reserve for it.
result<void> write_alone(pad_engine& engine, const waiting_write& w) {
  result<void> outcome;
  for (auto tries = w.erases || w.makes_room || w.blank ? 2 : 1; tries > 0; --tries) {
    auto taken = offer(engine, w);
    auto stored = engine.commit();  // also ends a batch that the write broke
    outcome = taken ? stored : taken;
    if (outcome || outcome.error().code != errc::store_full)
      break;
  }
  if (outcome && w.blank)
    outcome = engine.tidy();
  return outcome;
}

// None of the batch is stored. What it refused may have been refused because of a record that is not there: that is judged
// anew. And where there was no room for all of it there may be for some: a value that does not fit keeps no removal out.
void batch_failed(pad_engine& engine, std::vector<waiting_write>& batch, const error& why) {
  for (auto& w : batch) {
    const auto more_room = batch.size() > 1 || w.erases || w.makes_room || w.blank;
    const auto once_more = (w.refusal && is_refusal_by_rule(w.refusal->code)) || (why.code == errc::store_full && more_room);
    answer_write(w, once_more ? write_alone(engine, w) : fail(why));
  }
}

void tidy(writer_pointer self) {
  auto outcome = self->state.engine->tidy();
  if (!outcome)
    tell_of(self, outcome);
}

// When nothing was written for tidy_after.
void tidy_later(writer_pointer self) {
  auto& s = self->state;
  s.written_since = true;
  if (std::exchange(s.tidying, true))
    return;
  auto look = [self] {
    auto& state = self->state;
    state.tidying = false;
    if (state.written_since)
      tidy_later(self);
    else if (state.waiting.empty())
      tidy(self);
  };
  s.written_since = false;
  self->delayed_send(self, s.tidy_after, deferred{look});
}

void commit_batch(writer_pointer self) {
  auto& s = self->state;
  if (s.waiting.empty())
    return;
  auto batch = std::exchange(s.waiting, {});
  s.batch_bytes = 0;
  auto stored = s.engine->commit();
  tidy_later(self);
  if (!stored || !s.last_told.empty())
    tell_of(self, stored);
  if (!stored)
    return batch_failed(*s.engine, batch, stored.error());
  // What blank records have replaced is on record as to be wiped; they are answered when it is.
  const auto any_blank = std::ranges::any_of(batch, [](const auto& w) { return w.blank && !w.refusal; });
  const auto wiped = any_blank ? s.engine->tidy() : result<void>();
  if (!wiped)
    tell_of(self, wiped);
  for (auto& w : batch)
    answer_write(w, w.refusal ? fail(*w.refusal) : w.blank ? wiped : result<void>());
}

// A write that the engine took joins the batch. One that it refused by the write rule may have met a record of this batch, and
// then what it is told must be as durable as that: it waits for the batch, too. One that broke the batch ends it.
caf::result<done> join(writer_pointer self, waiting_write w) {
  auto& s = self->state;
  const auto header = parse_header(w.record);
  w.blank = header && header->blank && !w.erases;
  auto taken = offer(*s.engine, w);
  const auto code = taken ? std::optional<errc>() : taken.error().code;
  const auto by_the_rule = code && is_refusal_by_rule(*code);
  const auto broken = code && !by_the_rule && code != errc::corrupt_record && code != errc::invalid_argument;
  if (!taken && !broken && (!by_the_rule || s.waiting.empty())) {
    if (s.waiting.empty())
      static_cast<void>(s.engine->commit());  // nobody else would end a batch that is broken nevertheless
    return to_caf(taken.error());
  }
  auto promise = w.promise = self->make_response_promise<done>();
  if (!taken)
    w.refusal = taken.error();
  if (s.waiting.empty())
    self->send(self, commit_atom_v);
  s.batch_bytes += w.record.size();
  s.waiting.push_back(std::move(w));
  if (broken || s.batch_bytes >= s.max_batch_bytes)
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

engine_writer_actor::behavior_type engine_writer(writer_pointer self, local_store_options options) {
  auto& s = self->state;
  s.engine = std::move(options.engine);
  s.max_batch_bytes = options.max_batch_bytes;
  s.tidy_after = options.tidy_after;
  s.log = std::move(options.log);
  // What was accepted is made durable before the writer goes.
  self->set_exit_handler([self](caf::exit_msg& exit) {
    commit_batch(self);
    tidy(self);
    self->quit(exit.reason);
  });
  self->send(self, deferred{[self] {
               if (self->state.waiting.empty())
                 tidy(self);  // what others have left
             }});
  return {
      [self](put_atom, bytes& record) {
        return join(self, {.promise = {}, .record = std::move(record), .refusal = {}});
      },
      [self](put_atom, room_atom, bytes& record) {
        return join(self, {.promise = {}, .record = std::move(record), .makes_room = true, .refusal = {}});
      },
      [self](erase_atom, bytes& blank) {
        return join(self, {.promise = {}, .record = std::move(blank), .erases = true, .refusal = {}});
      },
      [self](trim_atom) -> caf::result<std::uint64_t> {
        commit_batch(self);
        return answer(self->state.engine->trim());
      },
      [self](commit_atom) { commit_batch(self); },
      [](deferred& later) { later.run(); },
  };
}

pad_store_actor::behavior_type local_store(pad_store_actor::stateful_pointer<local_store_state> self,
                                           local_store_options options) {
  const auto detached = options.detached;
  auto engine = options.engine;
  self->state.writer = detached ? start<caf::detached + caf::linked>(*self, engine_writer, options)
                                : start<caf::linked>(*self, engine_writer, options);
  // Before this state goes, and with it what may be the last reference to the writer: it has to finish first.
  self->set_exit_handler([self](caf::exit_msg& exit) {
    self->send_exit(self->state.writer, exit.reason);
    self->quit(exit.reason);
  });
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
      [self](put_atom atom, room_atom room, bytes& record) {
        return self->delegate(self->state.writer, atom, room, std::move(record));
      },
      [self](get_atom atom, const pad_query& query) { return self->delegate(self->state.readers, atom, query); },
      [self](head_atom atom, const pad_query& query) { return self->delegate(self->state.readers, atom, query); },
      [self](erase_atom atom, bytes& blank) { return self->delegate(self->state.writer, atom, std::move(blank)); },
      [self](stats_atom atom) { return self->delegate(self->state.readers, atom); },
      [self](trim_atom atom) { return self->delegate(self->state.writer, atom); },
  };
}

}  // namespace mutant
