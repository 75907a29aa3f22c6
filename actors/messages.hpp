// Every type that actors send each other, and its registration with CAF.
//
// Types with an inspect() may cross the network (the pad store interface, below); the others are marked unsafe for it and
// never leave the process: they carry secrets, files or shared memory.
#pragma once

#include <caf/all.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/bytes.hpp"
#include "core/crypto.hpp"
#include "core/error.hpp"
#include "core/files.hpp"
#include "core/index/cache_file.hpp"
#include "core/index/damage_file.hpp"
#include "core/index/model.hpp"
#include "core/index/part_table.hpp"
#include "core/index/state.hpp"
#include "core/limits.hpp"
#include "core/record.hpp"

namespace mutant {

// -- over the network --------------------------------------------------------------------------------------------------

// The answer where there is nothing to say but that it is done.
struct done {};

template <class Inspector>
auto inspect(Inspector& f, done&) {
  return f(caf::meta::type_name("done"));
}

// A record or a part of one: a length and then the bytes in one piece. What arrives is bounded before memory is taken.
caf::error inspect(caf::serializer& f, bytes& x);
caf::error inspect(caf::deserializer& f, bytes& x);
inline std::string to_string(const bytes& x) { return "<" + std::to_string(x.size()) + " bytes>"; }

// Which part of which pad's record.
struct pad_query {
  pad_address address{};
  // So many answers were refused before, as damaged: a store with several places asks another one. Does not travel.
  unsigned refused = 0;
};
caf::error inspect(caf::serializer& f, pad_query& x);
caf::error inspect(caf::deserializer& f, pad_query& x);
inline std::string to_string(const pad_query& x) { return short_name(x.address); }

// What this process has asked of a store that counts requests, since it was opened: what people put a price on.
struct store_traffic {
  std::map<std::string, std::uint64_t> requests;   // by kind, in the store's own terms; tries count each. Empty: not counted
  std::uint64_t sent_bytes = 0;                    // of records and what else goes in a body
  std::uint64_t received_bytes = 0;
  std::uint64_t retries = 0;                       // requests that brought no word on what was asked, and are made again
  friend bool operator==(const store_traffic&, const store_traffic&) = default;
};
// What came between two looks at the same store.
store_traffic operator-(const store_traffic& later, const store_traffic& earlier);

struct pad_store_stats {
  std::uint64_t pads = 0;
  std::uint64_t record_bytes = 0;
  std::uint64_t disk_bytes = 0;
  store_traffic traffic = {};        // does not travel: a node's requests are its own
};

template <class Inspector>
auto inspect(Inspector& f, pad_store_stats& x) {
  return f(caf::meta::type_name("pad_store_stats"), x.pads, x.record_bytes, x.disk_bytes);
}

// -- crypto worker: files and jobs ------------------------------------------------------------------------------------------

// An open file descriptor, closed with the last reference. Crypto workers read and write at offsets: no shared position.
class open_file {
 public:
  explicit open_file(int descriptor, unique_fd direct = unique_fd()) noexcept
      : descriptor_(descriptor), direct_(std::move(direct)) {}
  int descriptor() const noexcept { return descriptor_.get(); }
  // The same file for direct I/O; -1: there is none.
  int direct() const noexcept { return direct_.get(); }

 private:
  unique_fd descriptor_;
  unique_fd direct_;
};

using file_ptr = std::shared_ptr<const open_file>;

struct file_slice {
  file_ptr file;
  std::uint64_t offset = 0;
};

// Plaintext of a small file.
struct read_job {
  file_slice from;
  std::uint32_t length = 0;
};

// Plaintext into a file.
struct write_job {
  bytes plaintext;
  file_slice to;
  bool fresh = false;                   // nothing was ever written there: blocks of zeros are left out, and stay holes
};

// Where a chunk's plaintext comes from.
using chunk_input = std::variant<bytes, file_slice>;

// Only its fingerprint, to see whether it is what is stored already.
struct compare_chunk_job {
  chunk_input input;
  std::uint32_t length = 0;             // bytes; a file that gives fewer is an error: it changed under us
};

struct seal_chunk_job {
  chunk_input input;
  std::uint32_t length = 0;
  pad_ref pad;                          // where it will lie
  std::optional<fingerprint> unless = std::nullopt;   // a chunk that has it is not sealed: its record is empty then
};

struct sealed_chunk {
  bytes record;
  chunk what;                           // all that an entry says of it
};

// Several small ones in one message, and their results in the same order.
using seal_list = std::vector<seal_chunk_job>;
using sealed_list = std::vector<sealed_chunk>;

// Opens a data pad's record and holds all of its plaintext against the fingerprint, whatever part of it is wanted.
struct open_chunk_job {
  bytes record;
  chunk what;
  std::uint32_t skip = 0;               // bytes of the chunk to leave out at its front
  std::uint32_t take = 0;               // bytes wanted behind them
  // found::shared: others can read, and could have made it, so that only the signature tells who did. No default: whoever reads
  // a chunk has to say.
  bool prove_writer;
};

enum class pad_space : std::uint8_t { root, log, part, data };

// Addresses of pads; numbers of one space.
struct address_job {
  pad_space space = pad_space::data;
  std::vector<std::uint64_t> numbers;
};
using address_list = std::vector<pad_address>;

// Index data into a record, and back. A root's counter is not known beforehand.
struct seal_commit_job {
  std::shared_ptr<const commit> what;
  std::uint64_t ring_slots = 0;
};
struct seal_part_job {
  std::shared_ptr<const snapshot_part> what;
  std::uint64_t number = 0;
};
struct seal_root_job {
  std::shared_ptr<const root> what;
  std::uint64_t counter = 0;
};
// Blank records for erasing or wiping: pads of one space, at these counters.
struct seal_blank_job {
  pad_space space = pad_space::data;
  std::vector<pad_ref> pads;
};
using record_list = std::vector<bytes>;

struct open_commit_job {
  bytes record;
  std::uint64_t sequence = 0;
  std::uint64_t ring_slots = 0;
  pad_address address{};                // of its slot; zeros: to be derived, which takes an owner's keys
};
struct open_part_job {
  bytes record;
  part_ref what;
};
struct open_root_job {
  bytes record;
};
struct opened_root {
  root what;
  std::uint64_t counter = 0;
  content_hash hash{};                          // of its payload
};
struct opened_commit {
  std::shared_ptr<const commit> what;
  content_hash hash{};                          // of its payload
};
using part_ptr = std::shared_ptr<const snapshot_part>;
using opened_part = std::shared_ptr<snapshot_part>;   // for one receiver, who takes it apart

// Cuts the next base part off a frozen index; null when there is none left. A cutter serves one job at a time.
struct cut_part_job {
  std::shared_ptr<part_cutter> cutter;
};
// Delta parts with what the changes came to.
struct cut_delta_job {
  std::shared_ptr<const index_changes> changes;
  std::size_t max_part_bytes = 0;
};
using part_list = std::vector<part_ptr>;

// Lets go of something large: freeing it takes longer than an event-based actor may take. Move the last reference here.
struct drop_job {
  std::shared_ptr<const void> what;
};

// What this machine remembers of the index: `path` + ".seen" and ".cache".
struct open_cache_job {
  std::string path;
};
struct opened_cache {
  std::optional<seen_state> seen;
  std::shared_ptr<const cache_reader> state;   // null: none
};
struct read_cache_job {
  std::shared_ptr<const cache_reader> state;
  std::size_t frame = 0;
};
struct save_cache_job {
  std::string path;
  std::optional<seen_state> seen;
  bool may_go_back = false;                    // otherwise a `seen` file that says more stays
  std::shared_ptr<const frozen_index> state;   // null: only `seen` is written
  cache_summary summary;
};

// Pads that were found damaged or missing, as this machine remembers them: `path` + ".damaged".
struct note_damage_job {
  std::string path;
  std::vector<pad_ref> pads;
};
struct read_damage_job {
  std::string path;
};

// -- index ---------------------------------------------------------------------------------------------------------------

using pad_list = std::vector<pad_ref>;

struct find_request {
  std::string key;
  bool pin = false;   // keep the entry's pads from being reused until released, or until the asking actor goes down
  std::uint32_t reserve = 0;   // pads that a new value will want: saves asking for them, if the key has nothing yet
};

struct found {
  std::optional<entry> complete;
  std::shared_ptr<const upload> pending;
  std::uint64_t pin = 0;  // 0: nothing was pinned
  bool shared = false;    // see root
  pad_list pads;          // reserved; none if the key has something, or if there was trouble, which reserve_atom tells
};
using key_list = std::vector<std::string>;
using found_list = std::vector<found>;

struct key_condition {
  std::string key;
  // 0: the key must be absent; otherwise it must have this version.
  std::uint64_t version = 0;
};

struct commit_request {
  std::vector<operation> operations;
  std::vector<key_condition> conditions;   // all must hold, before the first operation
};

struct commit_result {
  std::uint64_t version = 0;   // the commit's sequence number
};

// Several at once, each for itself: what became of each, in their order.
using commit_list = std::vector<commit_request>;
struct commit_outcome {
  std::uint64_t version = 0;
  std::optional<error> failure;
};
using commit_outcomes = std::vector<commit_outcome>;

// Pads from a reservation that go back to the index instead of into a commit.
struct returned_pads {
  using state = pad_fate;
  std::vector<pad_ref> pads;
  state what = state::unused;
};

struct list_request {
  std::string prefix;
  std::string after;          // keys above this one
  std::uint32_t limit = 1000;
  bool reserved = false;      // reserved keys too, where the prefix does not say so
};

struct list_item {
  std::string key;
  std::uint64_t size = 0;
  std::int64_t modified_ms = 0;
  std::uint64_t version = 0;      // 0: only pending
  std::uint64_t chunks = 0;
  attribute_set attributes;
  bool pending = false;           // an upload is under way or was cut off
  std::uint64_t pending_id = 0;
  std::uint64_t pending_done = 0; // bytes
  std::optional<std::uint64_t> pending_size;
};
using list_page = std::vector<list_item>;

struct index_stats {
  index_totals totals;
  std::uint64_t sequence = 0;
  content_hash last_commit{};            // with the sequence: the position in the one history; zeros at 0
  std::uint64_t snapshot_sequence = 0;
  std::uint64_t ring_slots = 0;
  std::uint64_t parts = 0;
  std::uint64_t part_bytes = 0;
  // since this process opened it
  std::uint64_t commits = 0;             // log pads written
  std::uint64_t commit_requests = 0;     // requests answered with success
  std::uint64_t log_bytes = 0;
  std::uint64_t snapshots = 0;
  std::uint64_t lost_races = 0;
};

// A place in a history, as a person gives it: the commit, and the first bytes of its payload hash.
struct position {
  std::uint64_t sequence = 0;
  std::vector<std::byte> hash;      // 8 to 32 bytes
};

struct sync_report {
  std::uint64_t sequence = 0;
  content_hash last_commit{};       // payload hash of that commit; zeros at 0
  std::uint64_t commits = 0;        // that came in
  bool reloaded = false;            // started again from a newer root
  std::uint64_t forgotten = 0;      // a rollback was accepted: the sequence that had been seen before; otherwise 0
};

// -- values --------------------------------------------------------------------------------------------------------------

// Answer of a chunk source: up to the wanted number of bytes; fewer only at the end of the value.
// A sink gets the value's bytes in order.
using chunk_source_actor = caf::typed_actor<caf::replies_to<caf::atom_constant<caf::atom("pull")>, std::uint32_t>::with<bytes>>;
using chunk_sink_actor = caf::typed_actor<caf::replies_to<caf::atom_constant<caf::atom("push")>, bytes>::with<done>>;

// A whole file, read at offsets; its size is taken when the put starts and must not change until it ends.
struct file_source {
  file_ptr file;
  std::string name;        // for messages
  bool may_grow = false;   // what is appended meanwhile does not count; whoever says so knows that nothing else changes
};
// Written at offsets from 0, in any order.
struct file_sink {
  file_ptr file;
  std::string name;
  bool fresh = false;      // empty when the get starts: blocks of zeros come as holes
};

using value_source = std::variant<bytes, file_source, chunk_source_actor>;
// std::monostate: the value comes back in the answer (bounded by get_request::max_bytes).
using value_sink = std::variant<std::monostate, file_sink, chunk_sink_actor>;

struct progress {
  std::uint64_t bytes_done = 0;
  std::optional<std::uint64_t> bytes_total;
  std::uint64_t bytes_kept = 0;    // of bytes_done: unchanged, not written
};

using progress_listener = caf::typed_actor<caf::reacts_to<caf::atom_constant<caf::atom("progress")>, progress>>;

// What every long operation takes. `cancellation_id`: any number of the caller's for cancelling; 0: none.
struct operation_options {
  std::uint64_t cancellation_id = 0;
  progress_listener listener;   // may be null
};

struct put_request {
  std::string key;
  value_source source;
  std::optional<std::uint64_t> if_version;   // 0: only if absent
  operation_options options;
  bool verify = false;                       // read what would be kept, instead of looking at its header
  attribute_set attributes = {};             // all that the value will have, whatever the key had before
  bool in_pads = false;                      // even if it is small: assemble_request takes nothing else
  bool reserved = false;                     // the key may be a reserved one: for what stands between users and the store
};

struct put_result {
  std::uint64_t size = 0;
  std::uint64_t version = 0;
  std::uint64_t chunks_written = 0;
  std::uint64_t chunks_kept = 0;
  std::uint64_t bytes_written = 0;
  std::uint64_t bytes_kept = 0;
  bool resumed = false;
};

struct get_request {
  std::string key;
  value_sink sink;
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> length;       // to the end if absent
  std::uint64_t max_bytes = 256u << 20;      // most that comes back without a sink
  operation_options options;
};

struct get_result {
  std::uint64_t size = 0;        // of the whole value
  std::uint64_t version = 0;
  std::int64_t modified_ms = 0;
  std::uint64_t bytes_read = 0;
  bytes value;                   // without a sink
  attribute_set attributes = {};
};

// Reads a value's chunks and holds them against the index; or, with a file, holds that against the index instead.
struct check_request {
  std::string key;
  std::uint32_t share = check_all;           // of the chunks, by chance, in millionths
  file_ptr against;                          // null: the chunks are read
  operation_options options;
  static constexpr std::uint32_t check_all = 1'000'000;
};

struct bad_chunk {
  std::uint64_t number = 0;                  // in the value
  std::uint64_t offset = 0;                  // of its first byte
  std::uint32_t length = 0;                  // bytes
  error what;
};

struct check_result {
  std::uint64_t size = 0;
  std::uint64_t version = 0;
  attribute_set attributes;
  std::uint64_t chunks = 0;                  // that the value has; 0: it lies in the index
  std::uint64_t chunks_checked = 0;
  std::uint64_t bytes_checked = 0;
  std::vector<bad_chunk> bad;                // ascending
};

// Removes the value and an unfinished upload of the key.
struct remove_request {
  std::string key;
  std::optional<std::uint64_t> if_version;
  bool wipe = false;                         // blank the pads that became free, as far as nobody took them again
  bool reserved = false;                     // as of a put
};

struct rename_request {
  std::string from;
  std::string to;
};

// Makes a value of other keys' values, which lie in pads or are empty, in this order, and removes those keys.
struct assemble_request {
  std::string key;
  std::vector<key_condition> parts;          // with the versions that they must have
  std::optional<std::uint64_t> if_version;   // of `key`; 0: only if absent
  attribute_set attributes;
};

// Pads that purge looks at: those with numbers from `from` on that no value uses.
struct survey_request {
  std::uint64_t from = 0;
  std::uint32_t limit = 256;
};
struct survey_page {
  struct pad {
    std::uint64_t number = 0;
    std::optional<std::uint64_t> free_counter;   // absent: a gap; the index knows nothing of it
  };
  std::vector<pad> pads;        // now held for the asking actor: it returns them
  std::uint64_t next_pad = 0;   // numbers from here on were never used in a commit
  std::uint64_t next = 0;       // where to go on
  bool last = false;
};
// Pads of a value that was removed: those that are free, and that nobody holds, are held for the asking actor.
struct claim_request {
  std::vector<std::uint64_t> numbers;
};

struct purge_request {
  bool dry_run = false;         // only tell
  bool wipe = false;            // it is an error if ciphertext of free pads could not be emptied
  bool drop_uploads = false;    // give up every unfinished upload
  std::optional<std::vector<std::uint64_t>> only;   // blank just these pads, as far as they are free
  bool make_room = false;       // blank what free pads hold, and nothing else: somebody waits for the room
  bool trim = false;            // give back what is free already, and nothing else
  operation_options options;
};

struct purge_result {
  std::uint64_t looked_at = 0;
  std::uint64_t gaps = 0;            // numbers that no value used and that were not free
  std::uint64_t leaked_pads = 0;     // of those, pads that the store holds: a crashed upload's
  std::uint64_t leaked_bytes = 0;    // of their records
  std::uint64_t free_bytes = 0;      // of records that free pads still hold
  std::uint64_t stale_free = 0;      // free pads that the store holds at another counter than the index knew
  std::uint64_t uploads_dropped = 0;
  std::uint64_t parts_erased = 0;    // snapshot parts that no root names
  std::uint64_t wiped = 0;
  std::uint64_t in_use_elsewhere = 0;  // left alone: another writer was faster
  std::uint64_t bytes_returned = 0;    // by a store on this machine to its file system
};

struct store_stats {
  index_stats index;
  pad_store_stats pads;
};

// Something an actor does later, in its own context: the content of a delayed message to itself.
struct deferred {
  std::function<void()> run;
};

// -- errors --------------------------------------------------------------------------------------------------------------

// Our errors inside caf::error, category "mutant", with message and detail; and back. Errors that CAF itself makes come out
// as timeout (no answer), unreachable (the actor is gone) or io_error.
caf::error to_caf(const error& e);
error from_caf(const caf::error& e);
// A result of core/ as a handler's answer.
template <class T>
caf::result<T> answer(result<T>&& r) {
  if (!r)
    return to_caf(r.error());
  return std::move(*r);
}
// Lets `system` print our errors; call once on the configuration.
void register_errors(caf::actor_system_config& config);

}  // namespace mutant

CAF_BEGIN_TYPE_ID_BLOCK(mutant, caf::first_custom_type_id)
CAF_ADD_TYPE_ID(mutant, (mutant::done))
CAF_ADD_TYPE_ID(mutant, (mutant::bytes))
CAF_ADD_TYPE_ID(mutant, (mutant::pad_query))
CAF_ADD_TYPE_ID(mutant, (mutant::pad_store_stats))

CAF_ADD_ATOM(mutant, mutant, put_atom, "put")
CAF_ADD_ATOM(mutant, mutant, get_atom, "get")
CAF_ADD_ATOM(mutant, mutant, head_atom, "head")
CAF_ADD_ATOM(mutant, mutant, erase_atom, "erase")
CAF_ADD_ATOM(mutant, mutant, stats_atom, "stats")
CAF_ADD_ATOM(mutant, mutant, seal_atom, "seal")
CAF_ADD_ATOM(mutant, mutant, open_atom, "open")
CAF_ADD_ATOM(mutant, mutant, compare_atom, "compare")
CAF_ADD_ATOM(mutant, mutant, cut_atom, "cut")
CAF_ADD_ATOM(mutant, mutant, drop_atom, "drop")
CAF_ADD_ATOM(mutant, mutant, address_atom, "address")
CAF_ADD_ATOM(mutant, mutant, verify_atom, "verify")
CAF_ADD_ATOM(mutant, mutant, find_atom, "find")
CAF_ADD_ATOM(mutant, mutant, reserve_atom, "reserve")
CAF_ADD_ATOM(mutant, mutant, release_atom, "release")
CAF_ADD_ATOM(mutant, mutant, commit_atom, "commit")
CAF_ADD_ATOM(mutant, mutant, list_atom, "list")
CAF_ADD_ATOM(mutant, mutant, sync_atom, "sync")
CAF_ADD_ATOM(mutant, mutant, flush_atom, "flush")
CAF_ADD_ATOM(mutant, mutant, purge_atom, "purge")
CAF_ADD_ATOM(mutant, mutant, share_atom, "share")
CAF_ADD_ATOM(mutant, mutant, count_atom, "count")
CAF_ADD_ATOM(mutant, mutant, claim_atom, "claim")
CAF_ADD_ATOM(mutant, mutant, survey_atom, "survey")
CAF_ADD_ATOM(mutant, mutant, pull_atom, "pull")
CAF_ADD_ATOM(mutant, mutant, push_atom, "push")
CAF_ADD_ATOM(mutant, mutant, progress_atom, "progress")
CAF_ADD_ATOM(mutant, mutant, cancel_atom, "cancel")
CAF_ADD_ATOM(mutant, mutant, remove_atom, "remove")
CAF_ADD_ATOM(mutant, mutant, rename_atom, "rename")
CAF_ADD_ATOM(mutant, mutant, note_atom, "note")
CAF_ADD_ATOM(mutant, mutant, assemble_atom, "assemble")
CAF_ADD_ATOM(mutant, mutant, room_atom, "room")
CAF_ADD_ATOM(mutant, mutant, trim_atom, "trim")
CAF_ADD_ATOM(mutant, mutant, check_atom, "check")
CAF_END_TYPE_ID_BLOCK(mutant)

#define MUTANT_LOCAL_MESSAGE(type) CAF_ALLOW_UNSAFE_MESSAGE_TYPE(type)
MUTANT_LOCAL_MESSAGE(mutant::seal_chunk_job)
MUTANT_LOCAL_MESSAGE(mutant::read_job)
MUTANT_LOCAL_MESSAGE(mutant::write_job)
MUTANT_LOCAL_MESSAGE(mutant::sealed_chunk)
MUTANT_LOCAL_MESSAGE(mutant::seal_list)
MUTANT_LOCAL_MESSAGE(mutant::sealed_list)
MUTANT_LOCAL_MESSAGE(mutant::compare_chunk_job)
MUTANT_LOCAL_MESSAGE(mutant::fingerprint)
MUTANT_LOCAL_MESSAGE(mutant::open_chunk_job)
MUTANT_LOCAL_MESSAGE(mutant::address_job)
MUTANT_LOCAL_MESSAGE(mutant::address_list)
MUTANT_LOCAL_MESSAGE(mutant::seal_commit_job)
MUTANT_LOCAL_MESSAGE(mutant::seal_part_job)
MUTANT_LOCAL_MESSAGE(mutant::sealed_part)
MUTANT_LOCAL_MESSAGE(mutant::seal_root_job)
MUTANT_LOCAL_MESSAGE(mutant::seal_blank_job)
MUTANT_LOCAL_MESSAGE(mutant::record_list)
MUTANT_LOCAL_MESSAGE(mutant::open_commit_job)
MUTANT_LOCAL_MESSAGE(mutant::open_part_job)
MUTANT_LOCAL_MESSAGE(mutant::open_root_job)
MUTANT_LOCAL_MESSAGE(mutant::opened_root)
MUTANT_LOCAL_MESSAGE(mutant::opened_commit)
MUTANT_LOCAL_MESSAGE(mutant::part_ptr)
MUTANT_LOCAL_MESSAGE(mutant::opened_part)
MUTANT_LOCAL_MESSAGE(mutant::cut_part_job)
MUTANT_LOCAL_MESSAGE(mutant::cut_delta_job)
MUTANT_LOCAL_MESSAGE(mutant::part_list)
MUTANT_LOCAL_MESSAGE(mutant::drop_job)
MUTANT_LOCAL_MESSAGE(mutant::open_cache_job)
MUTANT_LOCAL_MESSAGE(mutant::opened_cache)
MUTANT_LOCAL_MESSAGE(mutant::read_cache_job)
MUTANT_LOCAL_MESSAGE(mutant::save_cache_job)
MUTANT_LOCAL_MESSAGE(mutant::note_damage_job)
MUTANT_LOCAL_MESSAGE(mutant::read_damage_job)
MUTANT_LOCAL_MESSAGE(mutant::damaged_pads)
MUTANT_LOCAL_MESSAGE(mutant::find_request)
MUTANT_LOCAL_MESSAGE(mutant::found)
MUTANT_LOCAL_MESSAGE(mutant::key_list)
MUTANT_LOCAL_MESSAGE(mutant::found_list)
MUTANT_LOCAL_MESSAGE(mutant::commit_request)
MUTANT_LOCAL_MESSAGE(mutant::commit_result)
MUTANT_LOCAL_MESSAGE(mutant::commit_list)
MUTANT_LOCAL_MESSAGE(mutant::commit_outcomes)
MUTANT_LOCAL_MESSAGE(mutant::returned_pads)
MUTANT_LOCAL_MESSAGE(mutant::pad_list)
MUTANT_LOCAL_MESSAGE(mutant::list_request)
MUTANT_LOCAL_MESSAGE(mutant::list_item)
MUTANT_LOCAL_MESSAGE(mutant::list_page)
MUTANT_LOCAL_MESSAGE(mutant::index_stats)
MUTANT_LOCAL_MESSAGE(mutant::position)
MUTANT_LOCAL_MESSAGE(mutant::sync_report)
MUTANT_LOCAL_MESSAGE(mutant::progress)
MUTANT_LOCAL_MESSAGE(mutant::put_request)
MUTANT_LOCAL_MESSAGE(mutant::put_result)
MUTANT_LOCAL_MESSAGE(mutant::get_request)
MUTANT_LOCAL_MESSAGE(mutant::get_result)
MUTANT_LOCAL_MESSAGE(mutant::check_request)
MUTANT_LOCAL_MESSAGE(mutant::check_result)
MUTANT_LOCAL_MESSAGE(mutant::remove_request)
MUTANT_LOCAL_MESSAGE(mutant::survey_request)
MUTANT_LOCAL_MESSAGE(mutant::survey_page)
MUTANT_LOCAL_MESSAGE(mutant::claim_request)
MUTANT_LOCAL_MESSAGE(mutant::purge_request)
MUTANT_LOCAL_MESSAGE(mutant::purge_result)
MUTANT_LOCAL_MESSAGE(mutant::rename_request)
MUTANT_LOCAL_MESSAGE(mutant::assemble_request)
MUTANT_LOCAL_MESSAGE(mutant::store_stats)
MUTANT_LOCAL_MESSAGE(mutant::deferred)
#undef MUTANT_LOCAL_MESSAGE
