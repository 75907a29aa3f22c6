#include "actors/pads/rados_store.hpp"

#include "actors/caf/ask.hpp"
#include "actors/caf/spawn.hpp"
#include "core/engine/write_rule.hpp"

namespace mutant {

namespace {

using self_pointer = rados_store_state::self_pointer;

// Steps of one write before it is given back as `overloaded`: others keep making and removing the very pad.
constexpr unsigned max_steps = 16;

rados_monitor_actor::behavior_type rados_monitor(rados_monitor_actor::pointer, std::shared_ptr<rados_pool> pool) {
  return {
      [pool](stats_atom) -> caf::result<pad_store_stats> {
        auto usage = pool->usage();
        if (!usage)
          return to_caf(usage.error());
        return pad_store_stats{usage->objects, usage->object_bytes, usage->raw_bytes};
      },
      [pool](find_atom, const pad_query& query) { return answer(pool->ailment(query.address)); },
  };
}

error not_a_record(const pad_address& pad, const std::string& why) {
  return {errc::corrupt_record, "the object of pad " + short_name(pad) + " holds no record of it: " + why};
}

}  // namespace

result<void> rados_store_options::validate() const {
  if (!pool)
    return fail(errc::invalid_argument, "a RADOS store needs a pool");
  if (monitor_timeout.count() <= 0)
    return fail(errc::invalid_argument, "a RADOS store needs a timeout");
  return limits.validate();
}

rados_store_state::~rados_store_state() {
  close();
}

// From here on no callback comes any more: the actor system may go.
void rados_store_state::close() {
  if (auto pool = std::exchange(options.pool, nullptr))
    pool->close();
}

// -- jobs --------------------------------------------------------------------------------------------------------------------

rados_store_state::job_ptr rados_store_state::make_job(const pad_address& pad, std::uint64_t counter, std::size_t charge) {
  auto j = std::make_shared<job>();
  j->pad = pad;
  j->counter = counter;
  j->charge = charge;
  return j;
}

void rados_store_state::failed(const job_ptr& j, error e) {
  auto tell = std::move(j->fail);
  const pad_query query{j->pad};
  jobs.completed(j);
  if (e.code != errc::timeout)
    return tell(std::move(e));
  ask(self, monitor, options.monitor_timeout, find_atom_v, query)
      .then(
          [tell, e](const std::string& ailment) mutable {
            if (!ailment.empty())
              e = {errc::unreachable, e.message + ": " + ailment};
            tell(e);
          },
          [tell, e](caf::error& cause) mutable {
            if (auto why = from_caf(cause); why.code == errc::unreachable)
              e = {errc::unreachable, e.message + ": " + why.message};
            tell(e);
          });
}

template <class T, class F>
rados_pool::callback<T> rados_store_state::to_self(F then) {
  return [me = self->address(), then](result<T> outcome) {
    if (auto there = caf::actor_cast<caf::actor>(me))
      caf::anon_send(there, deferred{[then, outcome = std::move(outcome)] { then(outcome); }});
  };
}

// -- writing -----------------------------------------------------------------------------------------------------------------

caf::result<done> rados_store_state::put(bytes record) {
  auto header = parse_record(record);
  if (!header)
    return to_caf(header.error());
  if (auto room = jobs.check_room("the cluster"); !room)
    return to_caf(room.error());
  auto promise = self->make_response_promise<done>();
  auto j = make_job(header->address, header->counter, record.size());
  j->record = std::move(record);
  j->done = [promise]() mutable { promise.deliver(mutant::done{}); };
  // Nothing is lower than counter 1, so there can be nothing that it replaces. Above it there usually is.
  j->start = [this, as_new = header->counter == 1](const job_ptr& me) { try_put(me, as_new); };
  return jobs.push(j, promise);
}

void rados_store_state::try_put(const job_ptr& j, bool as_new) {
  if (++j->steps > max_steps)
    return failed(j, {errc::overloaded, "pad " + short_name(j->pad) + " keeps being made and removed; try again later"});
  auto then = to_self<rados_outcome>([this, j](const result<rados_outcome>& r) {
    if (!r)
      return failed(j, r.error());
    switch (*r) {
      case rados_outcome::done: {
        auto tell = std::move(j->done);
        jobs.completed(j);
        return tell();
      }
      case rados_outcome::absent: return try_put(j, true);
      default: return compare(j, false);
    }
  });
  if (as_new)
    options.pool->create(j->pad, j->counter, j->record, std::move(then));
  else
    options.pool->replace(j->pad, j->counter, j->record, std::move(then));
}

void rados_store_state::compare(const job_ptr& j, bool whole) {
  options.pool->read(j->pad, whole ? max_record_bytes : record_header_bytes,
                     to_self<bytes>([this, j, whole](const result<bytes>& stored) { compared(j, whole, stored); }));
}

void rados_store_state::compared(const job_ptr& j, bool whole, const result<bytes>& stored) {
  if (!stored && stored.error().code == errc::pad_not_found)
    return j->record.empty() ? try_erase(j) : try_put(j, true);
  if (!stored)
    return failed(j, stored.error());
  auto header = parse_header(*stored);
  if (!header)
    return failed(j, not_a_record(j->pad, header.error().message));
  if (j->record.empty()) {
    if (auto allowed = check_erase(*header, j->counter); !allowed)
      return failed(j, allowed.error());
    return try_erase(j);
  }
  auto verdict = check_write(*header, j->counter, [&] {
    return whole ? *stored == j->record : *stored == j->record.slice(0, record_header_bytes);
  });
  if (!verdict)
    return failed(j, verdict.error());
  if (*verdict == write_verdict::take)
    return try_put(j, false);
  if (!whole && j->record.size() > record_header_bytes)
    return compare(j, true);
  auto tell = std::move(j->done);
  jobs.completed(j);
  tell();
}

caf::result<done> rados_store_state::erase(const bytes& blank) {
  auto header = parse_blank(blank);
  if (!header)
    return to_caf(header.error());
  if (auto room = jobs.check_room("the cluster"); !room)
    return to_caf(room.error());
  auto promise = self->make_response_promise<done>();
  auto j = make_job(header->address, header->counter, record_header_bytes);
  j->done = [promise]() mutable { promise.deliver(mutant::done{}); };
  j->start = [this](const job_ptr& me) { try_erase(me); };
  return jobs.push(j, promise);
}

void rados_store_state::try_erase(const job_ptr& j) {
  if (++j->steps > max_steps)
    return failed(j, {errc::overloaded, "pad " + short_name(j->pad) + " keeps being made and removed; try again later"});
  options.pool->remove(j->pad, j->counter, to_self<rados_outcome>([this, j](const result<rados_outcome>& r) {
    if (!r)
      return failed(j, r.error());
    if (*r == rados_outcome::refused)
      return compare(j, false);
    auto tell = std::move(j->done);
    jobs.completed(j);
    tell();
  }));
}

// -- reading -----------------------------------------------------------------------------------------------------------------

caf::result<bytes> rados_store_state::read(const pad_address& pad, std::size_t max_bytes) {
  if (auto room = jobs.check_room("the cluster"); !room)
    return to_caf(room.error());
  auto promise = self->make_response_promise<bytes>();
  auto j = make_job(pad, 0, max_bytes);
  j->found = [promise](bytes record) mutable { promise.deliver(std::move(record)); };
  j->start = [this, max_bytes](const job_ptr& me) {
    options.pool->read(me->pad, max_bytes, to_self<bytes>([this, me, max_bytes](const result<bytes>& stored) {
      if (!stored)
        return failed(me, stored.error());
      const auto header = max_bytes == record_header_bytes ? parse_header(*stored) : parse_record(*stored);
      if (!header || header->address != me->pad)
        return failed(me, not_a_record(me->pad, header ? "it is another pad's" : header.error().message));
      auto tell = std::move(me->found);
      jobs.completed(me);
      tell(*stored);
    }));
  };
  return jobs.push(j, promise);
}

caf::result<pad_store_stats> rados_store_state::stats() {
  return self->delegate(monitor, stats_atom_v);
}

rados_store_state::actor_type::behavior_type rados_store(self_pointer self, rados_store_options options) {
  auto& s = self->state;
  s.self = self;
  s.options = std::move(options);
  s.jobs.limits = s.options.limits;
  s.monitor = s.options.detached ? start<caf::detached + caf::linked>(*self, rados_monitor, s.options.pool)
                                 : start<caf::linked>(*self, rados_monitor, s.options.pool);
  self->set_exit_handler([self](caf::exit_msg& exit) {
    auto& state = self->state;
    state.close();
    state.jobs.close({errc::unreachable, "the store is closed"},
                     {errc::timeout, "the store was closed before the cluster answered"});
    self->quit(exit.reason);
  });
  return {
      [self](put_atom, bytes& record) { return self->state.put(std::move(record)); },
      [self](put_atom, room_atom, bytes& record) { return self->state.put(std::move(record)); },
      [self](get_atom, const pad_query& query) { return self->state.read(query.address, max_record_bytes); },
      [self](head_atom, const pad_query& query) { return self->state.read(query.address, record_header_bytes); },
      [self](erase_atom, const bytes& blank) { return self->state.erase(blank); },
      [self](stats_atom) { return self->state.stats(); },
      [](trim_atom) { return std::uint64_t{0}; },
      [](deferred& later) { later.run(); },
  };
}

}  // namespace mutant
