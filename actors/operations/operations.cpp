#include "actors/operations/operations.hpp"

#include "actors/caf/owed_answer.hpp"
#include "actors/caf/spawn.hpp"
#include "actors/operations/check_operation.hpp"
#include "actors/operations/get_operation.hpp"
#include "actors/operations/purge_operation.hpp"
#include "actors/operations/put_operation.hpp"
#include "core/index/rules.hpp"

namespace mutant {

namespace {

using self_pointer = operations_actor::stateful_pointer<operations_state>;

template <class Options>
Options for_index(Options options, const index_actor& index) {
  options.index = index;
  return options;
}

// Spawns the operation's actor and passes the request on to it; it answers the asker itself.
template <class Result, class Behavior, class Request, class Options, class Atom>
caf::result<Result> run(self_pointer self, Behavior behavior, Atom atom, Request& request, const index_actor& index,
                        const Options& options) {
  auto& s = self->state;
  if (s.running->size() >= s.options.max_operations)
    return to_caf({errc::overloaded, std::to_string(s.running->size()) + " operations are running; try again later"});
  const auto cancellation_id = request.options.cancellation_id;
  auto operation = start(*self, behavior, for_index(options, index));
  self->monitor(operation);
  s.running->emplace(operation->address(),
                     operations_state::running_operation{cancellation_id, caf::actor_cast<caf::actor>(operation)});
  return self->delegate(operation, atom, std::move(request));
}

// Removes what the key has: its value, its unfinished upload, or both. What it has may change while we ask.
void remove(self_pointer self, remove_request request, const index_actor& index, const owed<done>& promise, unsigned tries) {
  auto failed = [promise](caf::error& e) { promise->deliver(std::move(e)); };
  auto decide = [=](found& now) mutable {
    if (!now.complete && !now.pending)
      return void(promise->deliver(to_caf({errc::key_not_found, "no such key"})));
    const auto version = now.complete ? now.complete->version : 0;
    if (request.if_version)
      if (auto right = rules::check_version(version, *request.if_version); !right)
        return void(promise->deliver(to_caf(right.error())));
    commit_request change;
    // What is wiped is what was looked up: so that must still be the value when it goes. And where there was only an upload to
    // drop, there must still be no value: another process may have stored one that we have not read of.
    if (request.if_version || request.wipe || !now.complete)
      change.conditions.push_back({request.key, version});
    if (now.complete)
      change.operations.push_back(remove_op{request.key});
    if (now.pending)
      change.operations.push_back(drop_upload_op{request.key, now.pending->id});
    std::vector<std::uint64_t> pads;
    auto collect = [&](const chunk_list& chunks) {
      for (const auto& c : chunks)
        if (!c.inherited())
          pads.push_back(c.pad.number);
    };
    if (now.complete && now.complete->chunks)
      collect(*now.complete->chunks);
    if (now.pending)
      for (const auto& piece : now.pending->pieces)
        collect(*piece);
    // The room that the value took goes back to the disk, too. Where that fails, purge does it; only for a wipe it is an error.
    auto removed = [self, index, promise, pads, must = request.wipe](commit_result) mutable {
      if (pads.empty())
        return void(promise->deliver(done{}));
      purge_request wipe;
      wipe.wipe = must;
      wipe.only = std::move(pads);
      auto operation = start(*self, purge_operation, for_index(self->state.options.purge, index));
      self->request(operation, caf::infinite, purge_atom_v, std::move(wipe))
          .then([promise](purge_result&) mutable { promise->deliver(done{}); },
                [promise, must](caf::error& cause) mutable {
                  if (!must)
                    return promise->deliver(done{});
                  promise->deliver(to_caf({errc::io_error, "the key is removed, but what it held could not be wiped: "
                                                              + to_string(from_caf(cause))
                                                              + ". purge --wipe does it when the store is well again"}));
                });
    };
    self->request(index, caf::infinite, commit_atom_v, std::move(change))
        .then(std::move(removed), [=](caf::error& cause) mutable {
          const auto code = from_caf(cause).code;
          const auto changed = code == errc::key_not_found
                               || (!request.if_version && (code == errc::version_mismatch || code == errc::key_exists));
          if (changed && tries > 1)
            return remove(self, std::move(request), index, promise, tries - 1);
          promise->deliver(std::move(cause));
        });
  };
  self->request(index, caf::infinite, find_atom_v, find_request{request.key, false})
      .then(std::move(decide), failed);
}

void tell_stats(self_pointer self, const index_actor& index, const owed<store_stats>& promise) {
  auto failed = [promise](caf::error& e) { promise->deliver(std::move(e)); };
  self->request(index, caf::infinite, count_atom_v)
      .then(
          [self, index, promise, failed](index_stats& counted) {
            self->request(self->state.options.put.pads, caf::infinite, stats_atom_v)
                .then([index, promise, counted](pad_store_stats& pads) { promise->deliver(store_stats{counted, pads}); },
                      failed);
          },
          failed);
}

}  // namespace

operations_actor::behavior_type operations(self_pointer self, operations_options options) {
  auto& s = self->state;
  s.options = std::move(options);
  for (auto& child : s.options.supervised)
    self->monitor(child);
  self->set_down_handler([self](caf::down_msg& down) {
    if (self->state.running->erase(down.source) == 0)
      self->quit(down.reason);  // a part that we cannot do without
  });
  // Whatever ends this actor, also that nobody keeps it any more.
  self->attach_functor([running = s.running, supervised = s.options.supervised] {
    for (auto& [address, it] : *running)
      caf::anon_send_exit(it.actor, caf::exit_reason::user_shutdown);
    for (auto& child : supervised)
      caf::anon_send_exit(child, caf::exit_reason::user_shutdown);
  });
  return {
      [self](put_atom atom, put_request& request, const index_actor& index) {
        return run<put_result>(self, put_operation, atom, request, index, self->state.options.put);
      },
      [self](get_atom atom, get_request& request, const index_actor& index) {
        return run<get_result>(self, get_operation, atom, request, index, self->state.options.get);
      },
      [self](check_atom atom, check_request& request, const index_actor& index) {
        return run<check_result>(self, check_operation, atom, request, index, self->state.options.check);
      },
      [self](remove_atom, remove_request& request, const index_actor& index) -> caf::result<done> {
        auto promise = owe<done>(self);
        remove(self, std::move(request), index, promise, 4);
        return promise->promise();
      },
      [self](stats_atom, const index_actor& index) -> caf::result<store_stats> {
        auto promise = owe<store_stats>(self);
        tell_stats(self, index, promise);
        return promise->promise();
      },
      [self](purge_atom atom, purge_request& request, const index_actor& index) {
        return run<purge_result>(self, purge_operation, atom, request, index, self->state.options.purge);
      },
      [self](cancel_atom, std::uint64_t cancellation_id) {
        for (auto& [address, it] : *self->state.running)
          if (it.cancellation_id == cancellation_id)
            self->send(caf::actor_cast<put_operation_actor>(it.actor), cancel_atom_v);
      },
  };
}

}  // namespace mutant
