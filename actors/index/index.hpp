// The index actor: owns the master index and writes it to the store as a log of commits. docs/design.md, "The index is a log".
//
// Metadata access is ordered by this actor's mailbox: there is no lock. One log write is in flight at a time; requests that
// arrive meanwhile share the next one. A look-up reads the last durable state and never waits for a write. CPU-bound work
// goes to the crypto workers, I/O to the pad workers; no handler blocks.
//
// It is the store's front, too: a get of a value that lies in the index, a put of one, a listing are a message here and the
// answer. What takes more is passed on to the operations (operations.hpp).
//
// Files: commit.cpp (what a change does, from the message to the answer), index.cpp (look-ups, the other messages, failure),
// open.cpp (from nothing to an open index), read_log.cpp (other writers' commits), snapshot.cpp (parts), root.cpp (the root),
// history.cpp (whether what the store shows is of one history), cache.cpp, purge.cpp, salvage.cpp.
//
// What it decides without messages is in core/index/: pad_ledger (who may write to which pad), commit_delay (group commit),
// part_intake (the order of parts), snapshot_plan (what is due, and the root that follows).
#pragma once

#include <deque>
#include <map>

#include "actors/caf/owed_answer.hpp"
#include "actors/index/commit_answer.hpp"
#include "actors/index/pad_owners.hpp"
#include "actors/index/spawn_index.hpp"
#include "actors/interfaces.hpp"
#include "core/index/commit_chain.hpp"
#include "core/index/commit_delay.hpp"
#include "core/index/part_intake.hpp"
#include "core/index/snapshot_plan.hpp"
#include "core/index/state.hpp"

namespace mutant {

// The index's interface, the rest of the store's, and its own messages to itself.
using index_self_actor = index_front_actor::extend<reacts_to<deferred>>;

// -- what the state is made of -------------------------------------------------------------------------------------------

namespace index_parts {

using next_step = std::function<void()>;

// From the start, or from a fault that passes, to an open index.
struct opening {
  std::vector<next_step> held_back;             // messages that wait for it
  bool reload_wanted = false;                   // a newer root is known; open() as soon as nothing is being written
  unsigned restarts = 0;
  unsigned hole_checks = 0;                     // of a commit that is missing before a later one
};

struct syncing {
  using promise = caf::typed_response_promise<sync_report>;
  std::vector<promise> waiting;                 // for a read that begins after them
  std::vector<promise> served;                  // by the read that is under way
  sync_report incoming;                         // what reading forward brought since it was reset
};

struct salvage {
  std::optional<error> lost;                    // what is damaged
  bool state_is_whole = false;                  // the state is that of a commit; what is read now is the log behind it
};

// What this machine remembers.
struct cache {
  bool opened = false;
  std::optional<seen_state> high_water;         // how far the store had come; what it shows must contain that
  bool high_water_is_ours = false;              // it is what this process saw before it loads anew
  std::shared_ptr<const cache_reader> state;    // dropped after loading; null: none
  std::uint64_t sequence = 0;                   // of the state in the cache file
  content_hash commit{};                        // and that commit's hash
  bool saving = false;
  std::vector<owed<done>> flushes;              // they came while it was being saved
};

// The root that the store is known to hold.
struct known_root {
  root what;
  std::uint64_t counter = 0;                    // 0: the store has none
  content_hash hash{};                          // of its payload
  pad_address address{};
  std::uint64_t unused_part = 0;                // part pads from here on: not written by us, not named by it
  bool busy = false;                            // a newer one is being written
  std::optional<error> trouble;                 // why that takes longer than root_patience
};

struct waiting_commit {
  commit_request request;
  commit_answer answer;
  std::vector<pad_ref> pads;                    // new pads that it names; the ledger keeps them until the outcome is known
  caf::actor_clock::time_point until;           // it waits in the queue no longer
};

struct commits {
  std::deque<waiting_commit> queue;
  std::vector<waiting_commit> in_flight;
  std::optional<index_batch> batch;             // of those in flight, on top of the state
  bool watching = false;                        // a look at the clock is due
  commit_delay delay;
  bool delay_timer_runs = false;
  unsigned fruitless_races = 0;                 // in a row: a commit was said to be there, and was not
  std::uint64_t looked_ahead = 0;               // slots up to that of this commit were looked at, or need not be
};

// A full snapshot under way.
struct compaction {
  std::shared_ptr<part_cutter> cutter;
  snapshot_point point;
  std::vector<part_ref> written;
  bool complete = false;                        // all parts are written; the root is next
};

struct delta {
  std::shared_ptr<const index_changes> changes;
  snapshot_point point;
  std::uint64_t load = 0;                       // snapshots::loads, when it was begun
  std::uint64_t lineage = 0;                    // counter of the root then
};

struct snapshots {
  std::optional<delta> delta_under_way;
  std::optional<compaction> compacting;
  bool paused = false;                          // after a failure, for retry_pause
  std::uint64_t loads = 0;                      // how often the state was loaded anew
  std::uint64_t log_bytes = 0;                  // of the commits behind the root
  // The state knows what was touched behind this commit, not before; nor did this process read or write those in the log.
  std::uint64_t changes_since = 0;
};

// A root on its way to the store.
struct root_write {
  std::shared_ptr<opened_root> next;
  bytes record;
  bool sent_before = false;
  std::function<void(result<void>)> then;       // when it is settled
  std::function<void(const error&)> late;       // whom to tell that it takes longer than root_patience; none: nobody waits
  caf::actor_clock::time_point until;
  std::chrono::milliseconds pause{};
};

// Parts on their way into the state.
struct loading {
  explicit loading(std::size_t count) : parts(count) {}
  part_intake<opened_part> parts;
  std::uint64_t generation = 0;
  std::function<void(std::size_t)> fetch;       // ends in part_arrived, or in the failure of the index
  std::function<void(const error&)> failed;     // a part cannot be applied, and nothing that follows either
  next_step then;                               // all are applied
};

}  // namespace index_parts

struct index_actor_state {
  using self_pointer = index_self_actor::stateful_pointer<index_actor_state>;
  using next_step = index_parts::next_step;
  using waiting_commit = index_parts::waiting_commit;
  using loading_ptr = std::shared_ptr<index_parts::loading>;
  using root_write_ptr = std::shared_ptr<index_parts::root_write>;
  using root_written = std::function<void(result<void>)>;
  static inline const char* name = "index";

  explicit index_actor_state(index_self_actor::pointer me) : self(me) {}

  // -- index.cpp: what the handlers call -------------------------------------------------------------------------------
  // Runs now, or when the index is open; a failed index answers its error instead.
  template <class Out, class F>
  caf::result<Out> when_open(F f);
  found find(const find_request& request, const caf::strong_actor_ptr& asking);
  found_list find(const key_list& keys, const caf::strong_actor_ptr& asking);
  result<pad_list> reserve(std::uint32_t count, const caf::strong_actor_ptr& owner);
  // Nothing: the value is not to be had from the index alone, or the request is one for the operation to refuse.
  std::optional<get_result> get_inline(const get_request& request) const;
  // To the operations.
  template <class Out, class... Args>
  caf::result<Out> pass_on(Args&&... args);
  caf::result<done> rename(rename_request& names);
  list_page list(const list_request& request) const;
  index_stats stats() const;
  std::optional<error> only_read() const;  // why nothing is written
  void run_held_back();
  void fail_all(error e);
  void answer_all(const error& e);

  // -- commit.cpp --------------------------------------------------------------------------------------------------------
  bool lies_in_index(const put_request& request) const;
  bool fits_small_pad(const put_request& request) const;
  void put_inline(put_request& request, caf::typed_response_promise<put_result> promise);
  caf::result<commit_result> assemble(assemble_request& request);
  // owner: who reserved the pads that it names; null: it names none.
  void enqueue_commit(commit_request request, commit_answer answer, const caf::strong_actor_ptr& owner);
  void add_to_queue(commit_request request, commit_answer answer, const caf::strong_actor_ptr& owner);
  caf::result<commit_outcomes> enqueue_commits(commit_list requests);
  void watch_queue();
  void pump();
  bool waits_for_more();
  void write_commit();
  void look_ahead(std::uint64_t writing_now);
  result<void> add_to_batch(const commit_request& request);
  void committed(const commit& what, std::size_t record_bytes, const content_hash& hash);
  void commit_not_sealed(const error& e);
  void commit_refused(const error& e);
  void give_up(waiting_commit& w, const error& e, bool doubt);
  bool needs_root() const;   // before the next commit can be written
  void make_root(std::vector<pad_address> ring);
  void refuse_waiting(const error& why);

  // -- open.cpp ----------------------------------------------------------------------------------------------------------
  void open();
  void no_root_there();
  void look_for_commits(std::vector<std::uint64_t> numbers, std::function<void(bool)> then);
  void root_is_missing();
  // The root as it is now, authentic; nothing: there is none.
  void load_root(std::function<void(std::optional<opened_root>)> then);
  void load_root(std::function<void(std::optional<opened_root>)> then, std::function<void(error)> failed);
  void open_from(const opened_root& found_root);
  void forget_state();
  loading_ptr begin_loading(std::size_t count, std::function<void(const error&)> failed, next_step then);
  bool is_current(const loading_ptr& l) const { return !l->parts.is_abandoned() && l->generation == generation; }
  void take_parts(const loading_ptr& l);
  void part_arrived(const loading_ptr& l, std::size_t number, opened_part part);
  void load_parts(std::shared_ptr<const opened_root> from, std::size_t at);
  void fetch_part(const loading_ptr& l, std::size_t number, const part_ref& what, std::uint64_t root_counter_then);
  void parts_loaded(const opened_root& from);
  void became_open();

  // -- read_log.cpp ------------------------------------------------------------------------------------------------------
  void with_slot_addresses(std::uint64_t first, std::size_t count, std::function<void(std::vector<pad_address>)> then);
  // Reads commits from sequence + 1 until a slot is not written yet; `then` runs at the end.
  void read_forward(std::size_t window, next_step then);
  void fetch_log(std::uint64_t first, std::vector<pad_address> addresses, next_step then);
  void apply_fetched(std::uint64_t first, std::vector<std::optional<bytes>> records, next_step then);
  void check_end(std::uint64_t end, const std::optional<bytes>& there, next_step then);
  void check_slot(const bytes& record, std::uint64_t sequence, next_step then);
  result<void> apply_commit(const opened_commit& c);
  void sync(caf::typed_response_promise<sync_report> promise);
  void serve_syncs();

  // -- snapshot.cpp ------------------------------------------------------------------------------------------------------
  void snapshot_if_due();
  void pause_snapshots(const error& why);
  void drop(std::shared_ptr<const void> what);
  void start_delta();
  void finish_delta(const std::vector<part_ref>& written);
  void delta_lost(const std::vector<part_ref>& written);
  void start_compaction();
  void compact_next();
  void finish_compaction();
  void abandon_compaction(const error& why);
  // Writes parts one after the other to fresh part pads; `then` gets their places, or the error and those written so far.
  void write_parts(part_list parts, bool base, std::uint64_t sequence, std::vector<part_ref> written,
                   std::function<void(result<void>, std::vector<part_ref>)> then);
  // taken: part numbers in a row that were another writer's.
  void write_part(part_ptr part, bool base, std::uint64_t sequence, unsigned taken, std::function<void(result<part_ref>)> then);
  // Best effort: what stays behind is found by purge.
  void blank_parts(const std::vector<part_ref>& parts);
  void erase_parts(const std::vector<part_ref>& parts);

  // -- root.cpp ----------------------------------------------------------------------------------------------------------
  // Replaces the root pad. `then` gets ok, or pad_conflict when another writer replaced it first (known_root is then
  // theirs), or an error that leaves no doubt that nothing was written; otherwise it goes on trying, as long as this index
  // lives, and tells `late` once. What was in doubt then is settled by whoever opens the index next.
  void replace_root(root next, root_written then, std::function<void(const error&)> late = nullptr);
  void put_root(const root_write_ptr& w);
  void learn_root(const root_write_ptr& w);
  void put_root_again(const root_write_ptr& w, const error& why);
  // The store holds this root. The one place where known_root changes, but for an index that is not there yet.
  void know_root(const opened_root& what);
  void root_settled(const root_written& then, result<void> outcome);

  // -- cache.cpp ---------------------------------------------------------------------------------------------------------
  void open_cache(next_step then);
  // Loads the cached state if the root can go on from it; false: there is none, or it is too old. What turns out to be damaged
  // is as good as none.
  bool load_from_cache(std::shared_ptr<const opened_root> from);
  void forget_cached_state();
  bool cache_is_due() const;
  void flush(const owed<done>& promise);
  void save_cache(bool with_state, std::function<void(result<void>)> then);
  void send_cache(save_cache_job job, std::function<void(result<void>)> then);

  // -- history.cpp -------------------------------------------------------------------------------------------------------
  // A commit's hash and that of the one before it, as its record in the log says.
  struct chain_link {
    content_hash hash{};
    content_hash previous{};
  };
  using chain_links = std::vector<chain_link>;
  struct link_walk;
  // Of commits first … last; nothing: the log does not go back that far any more. Every record is verified.
  void read_links(std::uint64_t first, std::uint64_t last, const root& of,
                  std::function<void(result<std::optional<chain_links>>)> then);
  void fetch_link(const std::shared_ptr<link_walk>& walk, const pad_address& address);
  // Whether the root shows less than was seen, or another history; then the index has failed.
  bool root_went_back(const std::optional<opened_root>& there);
  // Follows the log from the last commit seen to a newer root. `then` gets whether the root is surely of the history that was
  // seen; nobody can tell when the log does not go back that far. Fails the index when it is of another.
  void prove_root(std::shared_ptr<const opened_root> from, std::function<void(bool)> then);
  void remember_high_water();
  // `then` if the history that was read goes through the last commit seen; otherwise the index has failed.
  void check_high_water(next_step then);
  error broken_chain(std::uint64_t sequence);
  void check_position(const position& expected, const sync_report& report, const owed<sync_report>& promise);

  // -- purge.cpp ---------------------------------------------------------------------------------------------------------
  survey_page survey(const survey_request& request, const caf::strong_actor_ptr& owner);
  pad_list claim(const claim_request& request, const caf::strong_actor_ptr& owner);
  void purge_parts(bool dry_run, const owed<std::uint64_t>& promise, caf::actor_clock::time_point until);
  void share(const owed<done>& promise, caf::actor_clock::time_point until);
  // Runs `go` as soon as nothing is being read or written, nor, where that matters, a snapshot made. The promise gets the
  // error if nothing is to be written at all, or if it takes too long.
  template <class Out>
  void when_root_is_free(const owed<Out>& promise, caf::actor_clock::time_point until, bool no_snapshots, next_step go);
  // Writes this root for a request: `go_on` when it is there, `again` when another writer's came first; otherwise the promise
  // gets the error, also if it merely takes long.
  template <class Out>
  void replace_root_for(const owed<Out>& promise, root next, next_step go_on, next_step again);
  void look_at_parts(std::vector<std::uint64_t> numbers, bool dry_run, const owed<std::uint64_t>& promise);

  // -- salvage.cpp: options.salvage --------------------------------------------------------------------------------------
  // True: what was read up to this damage is what will be shown, or the cache's state is.
  bool salvage(const error& e);
  void open_for_salvage();

  // -- state -------------------------------------------------------------------------------------------------------------
  index_self_actor::pointer self;
  index_options options;
  index_state data;
  commit_chain chain;             // ends at data.sequence(), and goes back to the root where that is known
  pad_ledger pads;
  pad_owners owners;

  bool is_open = false;
  std::optional<error> failure;
  bool log_busy = false;          // a commit is being written, or the log is being read: one at a time
  std::uint64_t generation = 0;   // grows when what is under way counts for nothing any more

  index_parts::opening opening;
  index_parts::syncing syncs;
  index_parts::salvage salvaged;
  index_parts::cache cache;
  index_parts::known_root known_root;
  index_parts::commits commits;
  index_parts::snapshots snapshots;
  index_stats counts;             // the counters since opening
};

index_self_actor::behavior_type index_manager(index_actor_state::self_pointer self, index_options options);

}  // namespace mutant
