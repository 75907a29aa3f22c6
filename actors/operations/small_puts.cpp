#include "actors/operations/small_puts.hpp"

#include <algorithm>

#include "actors/caf/worker_pool.hpp"
#include "actors/workers/damage_memory.hpp"
#include "core/index/rules.hpp"
#include "core/outcome.hpp"

namespace mutant {

namespace {

// Of one sealing job: some 60 us each, so that all crypto workers have a share of what comes together.
constexpr std::size_t max_sealed_together = 8;

}  // namespace

caf::result<put_result> small_puts_state::start(put_request& request, const index_actor& index,
                                                const operations_actor& operations) {
  if (running.size() >= options.max_puts)
    return to_caf({errc::overloaded, std::to_string(running.size()) + " puts are running; try again later"});
  auto p = std::make_shared<small_put>();
  p->request = std::move(request);
  p->promise = self->make_response_promise<put_result>();
  p->index = index;
  p->operations = operations;
  running.insert(p);
  unplanned.push_back(p);
  go_on();
  return p->promise;
}

void small_puts_state::go_on() {
  if (std::exchange(going_on, true))
    return;
  self->send(self, deferred{[this] {
               going_on = false;
               look_up();
               seal();
               confirm();
               commit();
             }});
}

void small_puts_state::look_up() {
  if (unplanned.empty())
    return;
  auto puts = std::exchange(unplanned, {});
  key_list keys;
  keys.reserve(puts.size());
  for (const auto& p : puts)
    keys.push_back(p->request.key);
  const auto index = puts.front()->index;
  self->request(index, caf::infinite, find_atom_v, std::move(keys))
      .then(
          [this, puts](found_list& now) {
            for (std::size_t i = 0; i < puts.size(); ++i)
              plan(puts[i], now[i]);
            go_on();
          },
          [this, puts](caf::error& cause) { fail_with(puts, from_caf(cause), returned_pads::state::unused); });
}

void small_puts_state::plan(const put_ptr& p, found& now) {
  if (!now.pads.empty())
    p->pad = now.pads.front();
  if (p->cancelled)
    return give_back(p, returned_pads::state::unused, p->pad.counter);
  const auto& base = now.complete;
  if (p->request.if_version) {
    if (auto right = rules::check_version(base ? base->version : 0, *p->request.if_version); !right) {
      give_back(p, returned_pads::state::unused, p->pad.counter);
      return fail_with(p, right.error());
    }
  }
  if (now.pending || p->pad.counter == 0 || p->value().size() > options.chunk_bytes) {
    give_back(p, returned_pads::state::unused, p->pad.counter);
    return hand_over(p);
  }
  if (base && base->chunk_count() != 0 && base->chunks->front().length == p->value().size())
    p->before = base->chunks->front();
  unsealed.push_back(p);
}

void small_puts_state::seal() {
  const auto all = std::exchange(unsealed, {});
  for (std::size_t at = 0; at < all.size();) {
    put_list puts;
    seal_list jobs;
    for (std::size_t size = 0; at < all.size() && puts.size() < max_sealed_together; ++at) {
      const auto& p = all[at];
      const auto length = static_cast<std::uint32_t>(p->value().size());
      size += length;
      if (!puts.empty() && size > short_work_bytes)
        break;
      puts.push_back(p);
      jobs.push_back({p->value(), length, p->pad, p->before ? std::optional(p->before->print) : std::nullopt});
    }
    self->request(options.crypto, caf::infinite, seal_atom_v, std::move(jobs))
        .then(
            [this, puts](sealed_list& results) {
              for (std::size_t i = 0; i < puts.size(); ++i)
                sealed(puts[i], results[i]);
            },
            [this, puts](caf::error& cause) { fail_with(puts, from_caf(cause), returned_pads::state::unused); });
  }
}

void small_puts_state::sealed(const put_ptr& p, sealed_chunk& result) {
  if (p->cancelled)
    return give_back(p, returned_pads::state::unused, p->pad.counter);
  if (!result.record.empty()) {
    p->before.reset();
    p->what = result.what;
    return write(p, std::move(result.record));
  }
  give_back(p, returned_pads::state::unused, p->pad.counter);
  p->what = *p->before;
  unconfirmed.push_back(p);
  go_on();
}

void small_puts_state::confirm() {
  if (unconfirmed.empty())
    return;
  auto puts = std::exchange(unconfirmed, {});
  if (!options.damage)
    return look_at(puts, nullptr);
  self->request(options.damage, caf::infinite, find_atom_v)
      .then([this, puts](const damaged_pads& known) { look_at(puts, known); },
            [this, puts](caf::error&) { look_at(puts, nullptr); });
}

void small_puts_state::look_at(const put_list& puts, const damaged_pads& known) {
  put_list kept;
  address_job job{pad_space::data, {}};
  for (const auto& p : puts) {
    if (known && known->contains(p->what.pad)) {
      hand_over(p);
      continue;
    }
    kept.push_back(p);
    job.numbers.push_back(p->what.pad.number);
  }
  if (kept.empty())
    return;
  auto look = [this](const put_ptr& p, const pad_address& address) {
    self->request(options.pads, caf::infinite, head_atom_v, pad_query{address})
        .then(
            [this, p, address](const bytes& head) {
              if (!shows_chunk(head, address, p->what))
                return hand_over(p);
              uncommitted.push_back(p);
              go_on();
            },
            [this, p](caf::error&) { hand_over(p); });
  };
  self->request(options.crypto, caf::infinite, address_atom_v, std::move(job))
      .then(
          [kept, look](const address_list& addresses) {
            for (std::size_t i = 0; i < kept.size(); ++i)
              look(kept[i], addresses[i]);
          },
          [this, kept](caf::error& cause) { fail_with(kept, from_caf(cause), returned_pads::state::unused); });
}

void small_puts_state::write(const put_ptr& p, bytes record) {
  self->request(options.pads, caf::infinite, put_atom_v, std::move(record))
      .then(
          [this, p](done) {
            uncommitted.push_back(p);
            go_on();
          },
          [this, p](caf::error& cause) {
            const auto e = from_caf(cause);
            if (lost_to_another(e) || e.code == errc::corrupt_record) {  // the latter: what lay there before is damaged
              give_back(p, returned_pads::state::contested, e.code == errc::corrupt_record ? p->pad.counter : e.detail);
              return hand_over(p);
            }
            give_back(p, returned_pads::state::sent, p->pad.counter);
            if (e.code == errc::store_full)
              return hand_over(p);  // an operation can make room
            fail_with(p, e);
          });
}

void small_puts_state::commit() {
  if (uncommitted.empty())
    return;
  auto puts = std::exchange(uncommitted, {});
  commit_list changes;
  changes.reserve(puts.size());
  for (const auto& p : puts)
    if (p->cancelled)
      give_back(p, returned_pads::state::written, p->pad.counter);
  std::erase_if(puts, [](const put_ptr& p) { return p->cancelled; });
  if (puts.empty())
    return;
  for (const auto& p : puts) {
    p->may_be_stored = true;
    commit_request change;
    change.operations.push_back(put_op{p->request.key, chunked_entry({p->what}, p->request.attributes)});
    if (p->request.if_version)
      change.conditions.push_back({p->request.key, *p->request.if_version});
    changes.push_back(std::move(change));
  }
  const auto index = puts.front()->index;
  self->request(index, caf::infinite, commit_atom_v, std::move(changes))
      .then(
          [this, puts](commit_outcomes& outcomes) {
            for (std::size_t i = 0; i < puts.size(); ++i)
              committed(puts[i], outcomes[i]);
          },
          [this, puts](caf::error& cause) { fail_with(puts, from_caf(cause), returned_pads::state::written); });
}

// A pad of a commit that was refused is the index's again, and so is one that it does not know the fate of.
void small_puts_state::committed(const put_ptr& p, const commit_outcome& outcome) {
  if (!outcome.failure) {
    put_result out;
    out.size = p->value().size();
    out.version = outcome.version;
    (p->before ? out.chunks_kept : out.chunks_written) = 1;
    (p->before ? out.bytes_kept : out.bytes_written) = out.size;
    running.erase(p);
    p->promise.deliver(out);
    return;
  }
  const auto& e = *outcome.failure;
  // What was kept was replaced meanwhile, or a purge took the pad.
  if (e.code == errc::pad_conflict)
    return hand_over(p);
  if (p->before || is_transient(e.code))
    return fail_with(p, e);
  // What was written is in no record: another process would leave the pad alone if it were not free.
  commit_request change{{free_pads_op{{p->what.pad}}}, {}};
  self->request(p->index, caf::infinite, commit_atom_v, std::move(change))
      .then([this, p, e](const commit_result&) { fail_with(p, e); }, [this, p, e](caf::error&) { fail_with(p, e); });
}

// Before its commit is sent; an operation that it was handed to has the cancellation id, too. What it has under way goes on
// to its end.
void small_puts_state::cancel(std::uint64_t cancellation_id) {
  put_list cancelled;
  for (const auto& p : running)
    if (p->request.options.cancellation_id == cancellation_id && !p->may_be_stored)
      cancelled.push_back(p);
  for (const auto& p : cancelled) {
    fail_with(p, {errc::cancelled, "the put was cancelled; the key is as it was before"});
    p->cancelled = true;
  }
}

void small_puts_state::hand_over(const put_ptr& p) {
  if (p->cancelled)
    return;
  p->may_be_stored = true;
  self->request(p->operations, caf::infinite, put_atom_v, p->request, p->index)
      .then(
          [this, p](put_result& out) {
            running.erase(p);
            p->promise.deliver(out);
          },
          [this, p](caf::error& cause) {
            running.erase(p);
            p->promise.deliver(std::move(cause));
          });
}

void small_puts_state::give_back(const put_ptr& p, returned_pads::state as, std::uint64_t counter) {
  if (p->pad.counter == 0)
    return;
  const auto number = std::exchange(p->pad, {}).number;
  self->send(p->index, release_atom_v, returned_pads{{{number, counter}}, as});
}

void small_puts_state::fail_with(const put_ptr& p, const error& e) {
  if (p->cancelled)
    return;
  running.erase(p);
  p->promise.deliver(to_caf(e));
}

void small_puts_state::fail_with(const put_list& puts, const error& e, returned_pads::state pads) {
  for (const auto& p : puts) {
    give_back(p, pads, p->pad.counter);
    fail_with(p, e);
  }
}

void small_puts_state::end(const caf::error& reason) {
  for (const auto& p : std::exchange(running, {}))
    p->promise.deliver(to_caf(
        p->may_be_stored
            ? error{errc::timeout, "the store was ended while the value was being stored; whether it was is not known"}
            : error{errc::unreachable, "the store was ended; the key is as it was before"}));
  self->quit(reason);
}

small_puts_state::actor_type::behavior_type small_puts(small_puts_state::self_pointer self, small_puts_options options) {
  auto* s = &self->state;
  s->options = std::move(options);
  self->set_exit_handler([s](caf::exit_msg& exit) { s->end(exit.reason); });
  return {
      [s](put_atom, put_request& request, const index_actor& index, const operations_actor& operations) {
        return s->start(request, index, operations);
      },
      [s](cancel_atom, std::uint64_t cancellation_id) { s->cancel(cancellation_id); },
      [](deferred& next) { next.run(); },
  };
}

}  // namespace mutant
