#include "actors/node/node.hpp"

#include <algorithm>
#include <thread>

#include "actors/caf/spawn.hpp"

namespace mutant {

namespace {

using self_pointer = node_state::self_pointer;

constexpr std::size_t batch_bytes = 256 * 1024;   // a job for a verifier: one large record, or small ones up to this
constexpr std::size_t batch_items = 32;
// Behind the queues, where nobody's turn counts any more: about what the store commits at once.
constexpr std::uint64_t max_working_bytes = 64u << 20;

error overload(std::uint64_t pending_bytes) {
  return {errc::overloaded, "the node holds " + std::to_string(pending_bytes >> 20)
                                + " MiB of writes that are not done yet; try again later"};
}

}  // namespace

result<void> node_options::validate() const {
  if (!store)
    return fail(errc::invalid_argument, "a node needs a store");
  if (max_pending_bytes < 2 * max_record_bytes)
    return fail(errc::invalid_argument, "a node must be allowed to hold 8 MiB of pending writes at least");
  if (verifiers > 1024)
    return fail(errc::invalid_argument, "a node has at most 1024 verifiers");
  return {};
}

node_state::client_number node_state::join(client_number number) {
  const auto& sender = self->current_sender();
  if (!sender)
    return 0;
  const auto [at, is_new] = members.try_emplace(sender->address(), number);
  if (is_new) {
    self->monitor(sender->address());
    ++clients[number].actors;
  }
  return at->second;
}

node_state::client_number node_state::client_of_sender() {
  const auto& sender = self->current_sender();
  if (!sender)
    return 0;
  const auto known = members.find(sender->address());
  return known != members.end() ? known->second : join(++last_own_number);
}

caf::result<done> node_state::take(bool erases, bytes record) {
  if (record.size() > max_record_bytes)
    return to_caf({errc::corrupt_record, "a record of " + std::to_string(record.size()) + " bytes is too large"});
  const auto who = client_of_sender();
  const auto size = record.size();
  if (pending_bytes + size > options.max_pending_bytes && !make_room(who, size))
    return to_caf(overload(pending_bytes));
  auto& c = clients[who];
  auto promise = self->make_response_promise<done>();
  if (c.queue.empty())
    turn.push_back(who);
  const auto& sender = self->current_sender();
  c.queue.push_back({erases, std::move(record), promise, sender ? sender->address() : caf::actor_addr(), who});
  c.queued_bytes += size;
  c.pending_bytes += size;
  queued_bytes += size;
  pending_bytes += size;
  dispatch();
  return promise;
}

bool node_state::make_room(client_number asking, std::uint64_t size_bytes) {
  const auto known = clients.find(asking);
  const auto own = known == clients.end() ? 0 : known->second.pending_bytes;
  const auto busy = std::ranges::count_if(clients, [](const auto& c) { return c.second.pending_bytes > 0; });
  if (own + size_bytes > options.max_pending_bytes / (static_cast<std::uint64_t>(busy) + (own == 0 ? 1 : 0)))
    return false;
  while (pending_bytes + size_bytes > options.max_pending_bytes) {
    auto most = std::ranges::max_element(clients, {}, [](const auto& c) { return c.second.queued_bytes; });
    if (most == clients.end() || most->first == asking || most->second.queue.empty())
      return false;
    shed_last(most->second);
  }
  return true;
}

void node_state::shed_last(client& from) {
  auto last = std::move(from.queue.back());
  from.queue.pop_back();
  from.queued_bytes -= last.record.size();
  queued_bytes -= last.record.size();
  const auto who = last.client;
  if (from.queue.empty())
    std::erase(turn, who);
  finish(last, overload(pending_bytes));
}

std::vector<node_state::write> node_state::next_batch() {
  std::vector<write> batch;
  std::size_t size = 0;
  while (!turn.empty() && batch.size() < batch_items) {
    auto& c = clients.at(turn.front());
    const auto next = c.queue.front().record.size();
    if (!batch.empty() && size + next > batch_bytes)
      break;
    size += next;
    c.queued_bytes -= next;
    queued_bytes -= next;
    batch.push_back(std::move(c.queue.front()));
    c.queue.pop_front();
    if (!c.queue.empty())
      turn.push_back(turn.front());
    turn.pop_front();
  }
  return batch;
}

void node_state::dispatch() {
  while (!idle.empty() && !turn.empty() && pending_bytes - queued_bytes < max_working_bytes) {
    auto by = std::move(idle.back());
    idle.pop_back();
    verify(next_batch(), std::move(by));
  }
}

void node_state::verify(std::vector<write> batch, verifier_actor by) {
  verify_job job;
  job.items.reserve(batch.size());
  for (const auto& w : batch)
    job.items.push_back({w.record, w.erases});
  auto writes = std::make_shared<std::vector<write>>(std::move(batch));
  self->request(by, caf::infinite, verify_atom_v, std::move(job))
      .then(
          [this, writes, by](verify_result& verdicts) {
            idle.push_back(by);
            for (std::size_t i = 0; i < writes->size(); ++i)
              verified(std::move((*writes)[i]), verdicts[i]);
            dispatch();
          },
          [this, writes](caf::error& e) {
            for (auto& w : *writes)
              finish(w, from_caf(e));
            self->quit(std::move(e));  // a verifier is gone
          });
}

void node_state::verified(write w, const result<record_header>& verdict) {
  if (!verdict)
    return finish(w, verdict.error());
  if (options.max_bytes == 0 || w.erases || verdict->blank)
    return store(std::move(w));
  admit(std::move(w), *verdict);
}

void node_state::admit(write w, const record_header& header) {
  if (kept_bytes() + w.record.size() <= limit_for(w.record.size()))
    return store(std::move(w));
  // That may be old news, or the write may replace a record that is as large.
  auto held = std::make_shared<write>(std::move(w));
  self->request(options.store, caf::infinite, stats_atom_v)
      .then(
          [this, held, header, asked = written_bytes](const pad_store_stats& stats) {
            if (asked >= written_then) {
              reported_bytes = stats.record_bytes;
              written_then = asked;
            }
            admit_exactly(std::move(*held), header);
          },
          [this, held](caf::error& e) { finish(*held, from_caf(e)); });
}

std::uint64_t node_state::limit_for(std::uint64_t added_bytes) const {
  constexpr std::uint64_t max_reserve_bytes = 16u << 20, small_bytes = 64u << 10;
  const auto reserve = std::min(options.max_bytes / 16, max_reserve_bytes);
  return options.max_bytes + (added_bytes < small_bytes ? reserve * (small_bytes - added_bytes) / small_bytes : 0);
}

void node_state::admit_exactly(write w, const record_header& header) {
  const auto size = w.record.size();
  if (kept_bytes() + size <= limit_for(size))
    return store(std::move(w));
  auto held = std::make_shared<write>(std::move(w));
  const auto decide = [this, held, size](std::uint64_t replaced_bytes) {
    if (size <= replaced_bytes || kept_bytes() + (size - replaced_bytes) <= limit_for(size - replaced_bytes))
      return store(std::move(*held));
    finish(*held, error{errc::store_full, "the node keeps " + std::to_string(kept_bytes()) + " bytes of records and may keep "
                                              + std::to_string(options.max_bytes)
                                              + "; remove values, or use another store"});
  };
  self->request(options.store, caf::infinite, head_atom_v, pad_query{header.address})
      .then(
          [decide](const bytes& head) {
            auto stored = parse_header(head);
            decide(stored ? record_header_bytes + stored->payload_bytes : 0);
          },
          [this, held, decide](caf::error& cause) {
            const auto e = from_caf(cause);
            if (e.code == errc::pad_not_found)
              decide(0);
            else
              finish(*held, e);
          });
}

void node_state::store(write w) {
  const auto size = w.record.size();
  storing_bytes += size;
  auto held = std::make_shared<write>(std::move(w));
  const auto stored = [this, held, size](done) {
    storing_bytes -= size;
    written_bytes += held->erases ? 0 : size;
    finish(*held, std::nullopt);
  };
  const auto refused = [this, held, size](caf::error& e) {
    storing_bytes -= size;
    finish(*held, from_caf(e));
  };
  if (held->erases)
    self->request(options.store, caf::infinite, erase_atom_v, held->record).then(stored, refused);
  else
    self->request(options.store, caf::infinite, put_atom_v, held->record).then(stored, refused);
}

void node_state::finish(write& w, const std::optional<error>& e) {
  if (e)
    w.promise.deliver(to_caf(*e));
  else
    w.promise.deliver(done{});
  pending_bytes -= w.record.size();
  auto at = clients.find(w.client);
  at->second.pending_bytes -= w.record.size();
  w.record = bytes();
  forget_if_idle(w.client);
  dispatch();
}

void node_state::sender_down(const caf::actor_addr& who) {
  const auto member = members.find(who);
  if (member == members.end())
    return;
  const auto number = member->second;
  members.erase(member);
  auto& c = clients.at(number);
  --c.actors;
  const auto had_turn = !c.queue.empty();
  std::erase_if(c.queue, [&](const write& w) {
    if (w.sender != who)
      return false;
    const auto size = w.record.size();
    c.queued_bytes -= size;
    c.pending_bytes -= size;
    queued_bytes -= size;
    pending_bytes -= size;
    return true;
  });
  if (had_turn && c.queue.empty())
    std::erase(turn, number);
  forget_if_idle(number);
}

void node_state::forget_if_idle(client_number who) {
  auto at = clients.find(who);
  if (at != clients.end() && at->second.actors == 0 && at->second.pending_bytes == 0)
    clients.erase(at);
}

node_actor::behavior_type node(self_pointer self, node_options options) {
  auto& s = self->state;
  s.self = self;
  s.options = std::move(options);
  const auto count = s.options.verifiers != 0 ? s.options.verifiers : std::max(1u, std::thread::hardware_concurrency());
  for (std::size_t i = 0; i < count; ++i)
    s.idle.push_back(s.options.detached ? start<caf::detached + caf::linked>(*self, verifier)
                                        : start<caf::linked>(*self, verifier));
  self->monitor(s.options.store);
  self->set_down_handler([self](caf::down_msg& down) {
    if (down.source == self->state.options.store.address())
      self->quit(down.reason);
    else
      self->state.sender_down(down.source);
  });
  return {
      [self](put_atom, bytes& record) { return self->state.take(false, std::move(record)); },
      [self](put_atom, room_atom, bytes& record) { return self->state.take(false, std::move(record)); },
      [self](get_atom atom, const pad_query& query) { return self->delegate(self->state.options.store, atom, query); },
      [self](head_atom atom, const pad_query& query) { return self->delegate(self->state.options.store, atom, query); },
      [self](erase_atom, bytes& blank) { return self->state.take(true, std::move(blank)); },
      [self](stats_atom atom) { return self->delegate(self->state.options.store, atom); },
      [self](join_atom, std::uint64_t client) { self->state.join(client); },
      [self](trim_atom atom) { return self->delegate(self->state.options.store, atom); },
  };
}

}  // namespace mutant
