// The index actor: owns the master index and writes it to the store as a log of commits. docs/design.md, "The
// index is a log".
//
// Metadata access is ordered by this actor's mailbox: there is no lock. One log write is in flight at a time; requests that
// arrive meanwhile share the next one. A look-up reads the last durable state and never waits for a write. CPU-bound work
// goes to the crypto workers, I/O to the pad workers; no handler blocks.
//
// It is the store's front, too: a get of a value that lies in the index, a put of one, a listing are a message here and the
// answer. What takes more is passed on to the operations (operations.hpp).
//
// Files: index.cpp (messages, reservations, pins), index_log.cpp (opening, reading forward, writing commits),
// index_snapshot.cpp (parts and root), index_history.cpp (whether what the store shows is of one history).
#pragma once

#include <array>
#include <deque>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "actors/caf/owed_answer.hpp"
#include "actors/index/spawn_index.hpp"
#include "actors/interfaces.hpp"
#include "core/index/commit_chain.hpp"
#include "core/index/state.hpp"

namespace mutant {

// The index's interface, the rest of the store's, and its own messages to itself.
using index_self_actor = index_front_actor::extend<reacts_to<deferred>>;

// A full snapshot under way.
struct index_compaction {
  std::shared_ptr<part_cutter> cutter;
  std::uint64_t sequence = 0;
  content_hash last_commit{};   // of that sequence
  std::uint64_t next_pad = 0;
  std::vector<part_ref> written;
  bool complete = false;  // all parts are written; the root is next
};

struct index_actor_state {
  using self_pointer = index_self_actor::stateful_pointer<index_actor_state>;
  static inline const char* name = "index";

  explicit index_actor_state(index_self_actor::pointer me) : self(me) {}

  // Whom a commit answers, each in its own terms.
  struct waiting_put {
    caf::typed_response_promise<put_result> promise;
    std::uint64_t size = 0;
    void deliver(caf::error e) { promise.deliver(std::move(e)); }
  };
  // One of a list, which is answered with the last of them.
  struct listed_outcomes {
    caf::typed_response_promise<commit_outcomes> promise;
    commit_outcomes outcomes;
    std::size_t missing = 0;
  };
  struct waiting_in_list {
    std::shared_ptr<listed_outcomes> list;
    std::size_t number = 0;
    void deliver(commit_outcome outcome) {
      list->outcomes[number] = std::move(outcome);
      if (--list->missing == 0)
        list->promise.deliver(std::move(list->outcomes));
    }
    void deliver(const caf::error& e) { deliver(commit_outcome{0, from_caf(e)}); }
  };
  using commit_answer = std::variant<caf::typed_response_promise<commit_result>, waiting_put, waiting_in_list,
                                     caf::typed_response_promise<done>>;

  struct waiting_commit {
    commit_request request;
    commit_answer answer;
    std::vector<pad_ref> pads;    // new pads that it names; held until the outcome is known
    caf::actor_clock::time_point until;   // it waits in the queue no longer
  };

  // -- index.cpp: what the handlers call -------------------------------------------------------------------------------
  // Runs now, or when the index is open; a failed index answers its error instead.
  template <class Out, class F>
  caf::result<Out> when_open(F f);
  found find(const find_request& request, const caf::strong_actor_ptr& asking);
  found_list find(const key_list& keys, const caf::strong_actor_ptr& asking);
  void release(std::uint64_t pin);
  result<pad_list> reserve(std::uint32_t count, const caf::strong_actor_ptr& owner);
  void take_back(const returned_pads& pads, const caf::actor_addr& owner);
  // Null: the value is not to be had from the index alone, or the request is one for the operation to refuse.
  std::optional<get_result> get_inline(const get_request& request) const;
  bool lies_in_index(const put_request& request) const;
  bool fits_small_pad(const put_request& request) const;
  caf::result<commit_result> assemble(assemble_request& request);
  void put_inline(put_request& request, caf::typed_response_promise<put_result> promise);
  // To the operations.
  template <class Out, class... Args>
  caf::result<Out> pass_on(Args&&... args);
  list_page list(const list_request& request) const;
  index_stats stats() const;
  void sent_to(std::uint64_t number, std::uint64_t counter);
  void owner_down(const caf::actor_addr& owner);
  void fail_all(error e);
  void answer_all(const error& e);

  // -- index_log.cpp -----------------------------------------------------------------------------------------------------
  using next_step = std::function<void()>;
  void open();
  // The root as it is now, authentic; nothing: there is none.
  void load_root(std::function<void(std::optional<opened_root>)> then);
  void load_root(std::function<void(std::optional<opened_root>)> then, std::function<void(error)> failed);
  void open_from(const opened_root& found_root);
  void forget_state();
  // Parts on their way into the state: some are fetched and opened while those before them are applied, in order.
  struct part_intake {
    std::size_t count = 0;
    // Ends in part_arrived, or in the failure of the index.
    std::function<void(const std::shared_ptr<part_intake>&, std::size_t)> fetch;
    std::function<void(const error&)> failed;          // a part cannot be applied, and nothing that follows either
    next_step then;                                    // all are applied
    std::uint64_t generation = 0;
    std::size_t asked = 0;
    std::size_t applied = 0;
    bool abandoned = false;                            // what still arrives counts for nothing
    std::array<opened_part, 4> waiting;                // of the parts [applied, asked), by number modulo size
  };
  using intake_ptr = std::shared_ptr<part_intake>;
  intake_ptr begin_intake(std::size_t count, std::function<void(const error&)> failed, next_step then);
  bool is_current(const intake_ptr& parts) const { return !parts->abandoned && parts->generation == generation; }
  void take_parts(const intake_ptr& parts);
  void part_arrived(const intake_ptr& parts, std::size_t number, opened_part part);
  void load_parts(std::shared_ptr<const opened_root> from, std::size_t at);
  void fetch_part(const intake_ptr& parts, std::size_t number, const part_ref& what,
                  std::uint64_t root_counter_then);
  void parts_loaded(const opened_root& from);
  void became_open();
  // Reads commits from sequence + 1 until a slot is not written yet; `then` runs at the end.
  void read_forward(std::size_t window, next_step then);
  void fetch_log(std::uint64_t first, std::vector<pad_address> addresses, next_step then);
  void apply_fetched(std::uint64_t first, std::vector<std::optional<bytes>> records, next_step then);
  void check_end(std::uint64_t end, const std::optional<bytes>& there, next_step then);
  void check_slot(const bytes& record, std::uint64_t sequence, next_step then);
  void serve_syncs();
  void pins_after_reload();
  void settle_doubts();
  result<void> apply_commit(const opened_commit& c);
  // owner: who reserved the pads that it names; null: it names none.
  void enqueue_commit(commit_request request, commit_answer answer, const caf::strong_actor_ptr& owner);
  void add_to_queue(commit_request request, commit_answer answer, const caf::strong_actor_ptr& owner);
  caf::result<commit_outcomes> enqueue_commits(commit_list requests);
  static void succeed(commit_answer& answer, std::uint64_t version);
  static void refuse(commit_answer& answer, const error& e);
  void sync(caf::typed_response_promise<sync_report> promise);
  void pump();
  bool gathering();
  void write_commit();
  void look_ahead(std::uint64_t writing_now);
  result<void> add_to_batch(const commit_request& request);
  void committed(const commit& what, std::size_t record_bytes, const content_hash& hash);
  void commit_not_sealed(const error& e);
  void commit_refused(const error& e);
  void give_up(waiting_commit& w, const error& e, bool doubt);
  void watch_queue();
  void make_root(std::vector<pad_address> ring);
  bool needs_root() const;   // before the next commit can be written
  void refuse_waiting(const error& why);
  void after_apply(const std::vector<operation>& operations);
  void with_slot_addresses(std::uint64_t first, std::size_t count, std::function<void(std::vector<pad_address>)> then);
  void look_for_commits(std::vector<std::uint64_t> commits, std::function<void(bool)> then);
  void root_is_missing();

  // -- index_salvage.cpp: options.salvage --------------------------------------------------------------------------------
  // True: what was read up to this damage is what will be shown, or the cache's state is.
  bool salvage(const error& e);
  void open_for_salvage();
  std::optional<error> only_read() const;  // why nothing is written

  // -- index_snapshot.cpp ------------------------------------------------------------------------------------------------
  using root_written = std::function<void(result<void>)>;
  // A root on its way to the store.
  struct root_write {
    std::shared_ptr<opened_root> next;
    bytes record;
    bool sent_before = false;
    root_written then;                        // when it is settled
    std::function<void(const error&)> late;   // whom to tell that it takes longer than root_patience; none: nobody waits
    caf::actor_clock::time_point until;
    std::chrono::milliseconds pause{};
  };
  using root_write_ptr = std::shared_ptr<root_write>;
  void snapshot_if_due();
  void start_delta();
  // What the state was when a delta of it was begun.
  struct delta_end {
    std::uint64_t sequence = 0;
    content_hash last_commit{};
    std::uint64_t next_pad = 0;
    std::uint64_t lineage = 0;   // counter of the root then
  };
  void finish_delta(const delta_end& end, std::vector<part_ref> written);
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
  // Best effort: what stays behind is found by purge.
  void blank_parts(const std::vector<part_ref>& parts);
  void erase_parts(const std::vector<part_ref>& parts);
  void pause_snapshots(const error& why);
  void drop(std::shared_ptr<const void> what);

  // -- index_cache.cpp -----------------------------------------------------------------------------------------------------
  void open_cache(next_step then);
  // Loads the cached state if the root can go on from it; false: there is none, or it is too old. What turns out to be damaged
  // is as good as none.
  bool load_from_cache(std::shared_ptr<const opened_root> from);
  bool cache_is_due() const;
  void flush(const owed<done>& promise);
  void save_cache(bool with_state, std::function<void(result<void>)> then);
  void send_cache(save_cache_job job, std::function<void(result<void>)> then);

  // -- index_history.cpp -------------------------------------------------------------------------------------------------
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
  void remember_seen();
  // `then` if the history that was read goes through the last commit seen; otherwise the index has failed.
  void check_last_seen(next_step then);
  error broken_chain(std::uint64_t sequence);
  void check_position(const position& expected, const sync_report& report, const owed<sync_report>& promise);

  // -- index_purge.cpp -----------------------------------------------------------------------------------------------------
  survey_page survey(const survey_request& request, const caf::strong_actor_ptr& owner);
  pad_list claim(const claim_request& request, const caf::strong_actor_ptr& owner);
  void hold(const pad_list& pads, const caf::strong_actor_ptr& owner);
  void purge_parts(bool dry_run, const owed<std::uint64_t>& promise, std::optional<caf::actor_clock::time_point> until = {});
  void share(const owed<done>& promise, caf::actor_clock::time_point until);
  void look_at_parts(std::vector<std::uint64_t> numbers, bool dry_run, const owed<std::uint64_t>& promise);

  // -- state -----------------------------------------------------------------------------------------------------------
  struct pinned {
    std::string key;
    std::shared_ptr<const chunk_list> chunks;
    caf::actor_addr owner;
    bool blocks = false;          // its pads are free by now, and listed in blocked
  };
  struct owner_record {
    std::map<std::uint64_t, std::uint64_t> reserved;   // number -> the counter to write with
    std::set<std::uint64_t> pins;
  };

  index_self_actor::pointer self;
  index_options options;
  index_state data;

  bool is_open = false;
  // data.changes() knows what was touched behind this commit, not before; nor did this process read or write those in the log.
  std::uint64_t changes_since = 0;
  std::optional<error> failure;
  std::vector<next_step> held_back;             // messages that wait for opening
  bool reload_wanted = false;                   // a newer root is known; open() as soon as nothing is being written
  unsigned restarts = 0;
  unsigned holes_seen = 0;
  sync_report incoming;                         // what reading forward brought since it was reset

  std::optional<error> lost;                    // salvaging: what is damaged
  bool state_is_whole = false;                  // the state is that of a commit; what is read now is the log behind it

  bool cache_opened = false;
  opened_cache cache;                           // its state is dropped after loading
  bool seen_by_us = false;                      // cache.seen is what this process saw before it loads anew
  std::uint64_t cached_sequence = 0;            // of the state in the cache file
  content_hash cached_commit{};                 // and that commit's hash
  commit_chain chain;                           // ends at data.sequence(), and goes back to the root where that is known
  bool saving_cache = false;
  std::vector<owed<done>> flushes;              // they came while the cache was being saved

  root known_root;
  std::uint64_t root_counter = 0;               // 0: the store has no root
  content_hash root_hash{};                     // of its payload
  unsigned fruitless_races = 0;                 // in a row: a commit was said to be there, and was not
  pad_address root_address{};

  std::deque<waiting_commit> queue;
  std::vector<waiting_commit> in_flight;
  bool watching_queue = false;                  // a look at the clock is due
  // Group commit: what the next commit waits for.
  struct gathering_state {
    std::size_t wanted = 0;                     // requests, if all that the last commit answered come back; 0: not waited for
    caf::actor_clock::time_point until;
    caf::actor_clock::time_point began;         // of the commit on its way
    unsigned in_vain = 0;                       // times that few came back, in a row
    unsigned skip = 0;                          // commits that do not wait, because of that
    bool timer_runs = false;
  };
  gathering_state gather;
  std::optional<index_batch> batch;
  bool writing = false;                         // a commit is being written, or the log is being read: one at a time
  std::uint64_t generation = 0;                 // grows when what is under way counts for nothing any more
  std::vector<caf::typed_response_promise<sync_report>> syncs;          // they wait for a read that begins after them
  std::vector<caf::typed_response_promise<sync_report>> syncs_served;   // by the read that is under way
  std::uint64_t log_bytes_since_root = 0;
  std::uint64_t looked_ahead = 0;               // slots up to that of this commit were looked at, or need not be

  std::map<caf::actor_addr, owner_record> owners;
  std::unordered_set<std::uint64_t> held;                   // reserved, or named by a commit on its way
  std::unordered_map<std::uint64_t, std::uint64_t> dirty;   // ours, written, not committed: number -> counter
  std::unordered_map<std::uint64_t, std::uint64_t> contested;  // another writer's: number -> counter seen
  std::multimap<std::uint64_t, pad_ref> in_doubt;           // by the sequence number that decides about them
  std::uint64_t next_new = 0;                               // pads from here on were never handed out by us
  std::uint64_t free_cursor = 0;

  std::map<std::uint64_t, pinned> pins;
  std::multimap<std::string, std::uint64_t, std::less<>> pins_by_key;
  std::unordered_map<std::uint64_t, std::uint32_t> blocked; // free, but still being read: number -> readers
  std::uint64_t last_pin = 0;

  bool delta_running = false;
  std::shared_ptr<const index_changes> delta_changes;   // what the delta under way holds
  std::uint64_t loads = 0;                      // how often the state was loaded anew
  std::uint64_t delta_load = 0;                 // loads, when the delta under way was begun
  bool root_busy = false;                       // a root is being written
  std::optional<error> root_trouble;            // why that takes longer than root_patience
  bool snapshots_paused = false;                // after a failure, for retry_pause
  std::uint64_t next_part = 0;                  // part pads from here on: not written by us, not named by known_root
  std::optional<index_compaction> compacting;

  index_stats counts;                           // the counters since opening
};

index_self_actor::behavior_type index_manager(index_actor_state::self_pointer self, index_options options);

}  // namespace mutant
