// Copies one owner's store to another place, while it is in use: every record that the index needs, as it is. One actor per
// call.
//
// Records, not values: keys, versions, times, unfinished uploads and the log stay what they are, and nothing is decrypted but
// the index. A pass takes the index at some commit and copies what it names, in this order: data pads, snapshot parts, the
// log's ring, and the root last. When the source has gone on meanwhile, another pass copies what is new; the root is written
// only when everything up to the source's last commit is there, so that the copy is a state that the source really had.
//
// What is there already is left alone (both headers are compared), so that a copy that was cut off, or one that is to catch
// up, goes on where it is. Every record is verified on its way (hash and signature).
//
// A value's pad that cannot be read ends the copy and names the keys that it is of; or it is left out (skip_damaged): then
// those values lack it in the copy, too, and the result names them. Damage to the index always ends the copy.
//
// The target must be empty, or an older copy of this very store: then its last commit is still in the source's log, or is the
// one that we left there, as the memory says. Whoever wrote to the target since is noticed before anything is changed:
// version_mismatch. The target is nobody's to use until the copy is done.
#pragma once

#include <deque>
#include <set>
#include <unordered_map>

#include "actors/interfaces.hpp"
#include "actors/workers/verifier.hpp"

namespace mutant {

struct copy_options {
  pad_store_actor from;              // pools of pad workers
  pad_store_actor to;
  index_actor from_index;
  std::function<index_actor()> open_target_index;   // called when the target has a root
  crypto_worker_actor crypto;
  verifier_actor verifiers;
  std::string memory_path;           // files that remember the copy begin with this; empty: none
  bool skip_damaged = false;         // go on without pads of values that cannot be read
  bool read_back = false;            // in the end everything is read from the target, and verified
  std::size_t window = 16;           // pads under way
  unsigned max_passes = 100;
  std::chrono::milliseconds timeout{300'000};
};

struct copy_result {
  std::uint64_t sequence = 0;        // the commit that the copy stands at
  std::uint64_t keys = 0;
  std::uint64_t data_pads = 0;       // that the index names
  std::uint64_t copied_records = 0;  // of all kinds
  std::uint64_t copied_bytes = 0;
  std::uint64_t kept_records = 0;    // were there already
  std::uint64_t read_back = 0;
  unsigned passes = 0;
  std::uint64_t damaged_pads = 0;    // left out
  std::vector<std::string> damaged_keys;   // whose values lack them; the first ten thousand
};

// Answers the one message when all is copied; then it is over. index_corrupt, corrupt_record: the source is damaged, and
// where; version_mismatch: see above; overloaded: the source changes faster than it is copied.
// The listener is told how many bytes were copied; it may be null.
using copy_operation_actor =
    caf::typed_actor<replies_to<put_atom, progress_listener>::with<copy_result>, reacts_to<cancel_atom>>;

struct copy_operation_state {
  using self_pointer = copy_operation_actor::stateful_pointer<copy_operation_state>;
  static inline const char* name = "copy_operation";
  explicit copy_operation_state(copy_operation_actor::pointer me) : self(me) {}

  // One pad on its way: that record, and nothing else, must come to be in the target.
  struct item {
    pad_space space = pad_space::data;
    pad_ref pad;
    pad_address address{};
  };
  using step = std::function<void()>;

  // -- copy_target.cpp: may the target be written to? --------------------------------------------------------------------
  void recall();
  void look_at_target();
  // Is the target's last commit one of the source's?
  void identify(std::uint64_t there, const content_hash& last);
  error foreign_target(const std::string& why) const;
  void remember(const seen_state& what, step then);

  // -- copy_operation.cpp ------------------------------------------------------------------------------------------------
  void start(caf::typed_response_promise<copy_result> p);
  void pass();
  void read_root();
  using key_visit = std::function<void(const std::string&, const found&)>;
  // What the index has under every key that has pads.
  void each_value(std::string after, key_visit visit, step then);
  void visit_page(std::shared_ptr<const list_page> page, key_visit visit, step then);
  void pads_listed();
  static void collect(const found& what, const std::function<void(const pad_ref&)>& each);
  // Copies the items of one space, `window` at a time; `then` when all are there or seen to have moved on.
  void copy_all(pad_space space, std::vector<pad_ref> pads, step then);
  void next_items();
  void copy(const item& what);
  void compare(const item& what, const bytes& there);
  void transfer(const item& what);
  void deliver(const item& what, bytes record);
  void arrived(const item& what, std::size_t size_bytes, bool was_there);
  void moved_on(const std::string& what = "something");
  void not_as_named(const item& what, error e);
  void unreadable(const item& what, error e);
  void name_damaged(step then);
  void item_done();
  void copy_parts();
  void copy_ring();
  void check_end();
  void copy_root();
  void read_back();
  void check_copy(const item& what);
  void finish();
  void fail_with(error e);
  error explain(const item& what, bool of_target, error e) const;
  auto failing() {
    return [this](caf::error& e) { fail_with(from_caf(e)); };
  }

  copy_operation_actor::pointer self;
  copy_options options;
  progress_listener listener;
  caf::typed_response_promise<copy_result> promise;
  copy_result totals;
  bool over = false;

  pad_address root_address{};
  std::optional<seen_state> memory;               // what we left in the target last; root_counter 0: not finished
  // of the pass that is under way
  std::uint64_t sequence = 0;                     // the source's last commit
  content_hash last_commit{};                     // its payload hash
  std::uint64_t ring_slots = 0;
  opened_root root_there;
  index_actor target_index;
  bool moved = false;                             // the source went on: what was found missing will come with the next pass
  std::uint64_t last_moved_sequence = 0;
  bool stands_still = false;                      // something was missing, and the source has not gone on since
  std::string lost;                               // the first that was found missing
  bool lost_is_data = false;
  std::vector<pad_ref> data_pads;                 // that the index names
  // of all passes
  std::set<pad_ref> bad;                          // data pads that cannot be read
  std::array<std::unordered_map<std::uint64_t, std::uint64_t>, 4> have;   // by space: number -> counter in the target
  // copy_all
  pad_space space = pad_space::data;
  std::vector<pad_ref> todo;
  std::size_t next_todo = 0;
  std::deque<item> ready;                         // with addresses
  bool deriving = false;
  std::size_t under_way = 0;
  bool reading_back = false;
  step all_done;
};

copy_operation_actor::behavior_type copy_operation(copy_operation_state::self_pointer self, copy_options options);

}  // namespace mutant

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(mutant::copy_result)
