// A pad store for strangers, in front of one of ours: nothing is written that a verifier has not seen.
//
// Writes queue per client and go to the verifiers in turn, one client after the other, and from there to the store, which has a
// bounded amount before it so that a queue never forms where turns no longer count. A client is all actors that joined it by
// number (for those from outside their connections' node_sessions: one address or certificate, however many connections it
// makes), or else the actor that asks. Pending writes hold at most max_pending_bytes; what comes beyond is `overloaded`. A
// client below its even share gets its place all the same: the one that holds most loses the writes that it queued last. Reads
// pass straight through.
// What an actor queued is dropped when it goes down. Ends when the store behind it ends. There is no time limit here: what the
// store does not answer stays pending, and counts; clients have limits of their own.
#pragma once

#include <deque>
#include <map>
#include <unordered_map>

#include "actors/interfaces.hpp"
#include "actors/workers/verifier.hpp"

namespace mutant {

// From now on the sender's writes count as this client's.
using join_atom = caf::atom_constant<caf::atom("join")>;
using node_actor = pad_store_actor::extend<reacts_to<join_atom, std::uint64_t>>;

struct node_options {
  pad_store_actor store;
  std::size_t verifiers = 0;                          // 0: one per core
  std::uint64_t max_pending_bytes = 256u << 20;       // at least 8 MiB
  std::uint64_t max_bytes = 0;                        // of all records that the store may come to keep; 0: no limit.
                                                      // Small ones may go beyond: see node_state::limit_for
  bool detached = true;                               // false: verifiers on the scheduler's threads, for deterministic tests

  result<void> validate() const;
};

struct node_state {
  using self_pointer = node_actor::stateful_pointer<node_state>;
  using client_number = std::uint64_t;
  static inline const char* name = "node";
  node_state() = default;

  struct write {
    bool erases = false;
    bytes record;
    caf::typed_response_promise<done> promise;
    caf::actor_addr sender;
    client_number client = 0;
  };
  struct client {
    std::deque<write> queue;
    std::uint64_t queued_bytes = 0;
    std::uint64_t pending_bytes = 0;      // queued, being verified, or with the store
    std::size_t actors = 0;
  };

  client_number join(client_number number);
  client_number client_of_sender();
  caf::result<done> take(bool erases, bytes record);
  bool make_room(client_number asking, std::uint64_t size_bytes);
  void shed_last(client& from);
  void dispatch();
  std::vector<write> next_batch();
  void verify(std::vector<write> batch, verifier_actor by);
  void verified(write w, const result<record_header>& verdict);
  // Below max_bytes a write is stored at once; near it the store is asked first.
  void admit(write w, const record_header& header);
  void admit_exactly(write w, const record_header& header);
  // What a write that adds so many bytes may bring the store to. A removal is a record of some hundred bytes, and must have its
  // place when values have taken all of max_bytes: so a reserve is left to small records, the more of it the smaller they are.
  std::uint64_t limit_for(std::uint64_t added_bytes) const;
  void store(write w);
  void finish(write& w, const std::optional<error>& e);
  void sender_down(const caf::actor_addr& who);
  void forget_if_idle(client_number who);

  static constexpr client_number own_numbers = client_number{1} << 63;

  self_pointer self = nullptr;
  node_options options;
  std::map<client_number, client> clients;
  std::unordered_map<caf::actor_addr, client_number> members;
  client_number last_own_number = own_numbers;        // of actors that joined nobody
  std::deque<client_number> turn;                     // clients with something queued
  std::vector<verifier_actor> idle;
  std::uint64_t pending_bytes = 0;
  std::uint64_t queued_bytes = 0;                     // of the pending ones: not yet with a verifier or the store

  // What the store keeps, as far as we know.
  std::uint64_t reported_bytes = 0;                   // by its last report
  std::uint64_t written_then = 0;                     // written_bytes when that was asked for
  std::uint64_t written_bytes = 0;                    // by us, since the start
  std::uint64_t storing_bytes = 0;                    // with the store now
  std::uint64_t kept_bytes() const { return reported_bytes + (written_bytes - written_then) + storing_bytes; }
};

node_actor::behavior_type node(node_state::self_pointer self, node_options options);

}  // namespace mutant
