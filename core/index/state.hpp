// The master index as a deterministic state machine over a log of commits. docs/design.md, "The index is a log".
//
// index_batch collects operations on top of a state, checking each one as if those before it had happened; index_state
// changes only by applying a batch. A local commit and a replayed one take the same path, so a state that one writer can
// reach is a state that every reader accepts. One thread owns a state (the index actor); frozen views may be read anywhere.
//
// Files: batch.cpp (operations), state.cpp (look-ups, apply), load.cpp and parts.cpp (snapshots in and out), rules.cpp (what
// a well-formed value is).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"
#include "core/index/cow_map.hpp"
#include "core/index/model.hpp"
#include "core/index/pad_set.hpp"
#include "core/limits.hpp"

namespace mutant {

class index_batch;

using entry_map = cow_map<std::string, entry>;
using upload_map = cow_map<std::string, std::shared_ptr<const upload>>;
using free_pad_map = cow_map<std::uint64_t, std::uint64_t>;  // number -> counter that the store holds; 0: never written

// An immutable view of a whole state, for writing a snapshot or a cache file elsewhere while the state goes on.
// Copyable; may be read and dropped in any thread.
struct frozen_index {
  std::uint64_t sequence = 0;
  std::uint64_t next_pad = 0;
  entry_map::frozen entries;
  upload_map::frozen uploads;
  free_pad_map::frozen free_pads;
};

// Cuts a frozen index into base parts that fit one pad each. Values in, parts out; each next() costs one part's work.
class part_cutter {
 public:
  explicit part_cutter(frozen_index whole) : part_cutter(std::move(whole), max_plaintext_bytes) {}
  // Parts of at most this many plaintext bytes (tests use small ones; a part holds at least one item, whatever its size).
  part_cutter(frozen_index whole, std::size_t max_part_bytes);
  // The next part; nothing when all is written: the frozen index is let go of then, in the thread that asked. An empty index
  // gives no part at all.
  std::optional<snapshot_part> next();

 private:
  frozen_index whole_;  // keeps what the cursors walk over
  std::size_t max_part_bytes_;
  entry_map::cursor entries_;
  upload_map::cursor uploads_;
  free_pad_map::cursor free_pads_;
  std::uint64_t first_ = 0;  // chunks of the cursor's entry or upload that earlier parts hold
};

// What has changed since the changes were last taken, in the order of the commits, for the next delta parts. The last change
// of a key or pad is its present state: a delta needs no frozen view, after which every leaf would be cloned anew.
struct index_changes {
  struct changed_entry {
    std::string key;
    std::optional<entry> now;                   // nothing: removed
  };
  struct changed_upload {
    std::string key;
    std::shared_ptr<const upload> now;          // null: gone
  };
  struct changed_pad {
    std::uint64_t number = 0;
    std::optional<std::uint64_t> free_counter;  // nothing: no longer free
  };
  std::vector<changed_entry> entries;
  std::vector<changed_upload> uploads;
  std::vector<changed_pad> pads;

  bool empty() const noexcept { return entries.empty() && uploads.empty() && pads.empty(); }
  // Keeps the last change of each key and pad only, in ascending order.
  void settle();
};

// Delta parts with what the changes came to.
std::vector<snapshot_part> delta_parts(index_changes changes, std::size_t max_part_bytes);

struct listed_item {
  std::string key;
  const entry* complete = nullptr;  // either or both; valid until the state changes
  const upload* pending = nullptr;
};

struct index_totals {
  std::uint64_t keys = 0;
  std::uint64_t uploads = 0;
  std::uint64_t value_bytes = 0;   // sum of the complete entries' sizes
  std::uint64_t pads_in_use = 0;
  std::uint64_t pads_free = 0;
  friend bool operator==(const index_totals&, const index_totals&) = default;
};

// An entry or upload of which the parts so far held only the first chunks.
template <class Value>
struct unfinished {
  std::string key;
  Value value;
  std::uint64_t total = 0;
  chunk_list chunks;
};

// Movable, not copyable: freeze() instead.
class index_state {
 public:
  index_state() = default;

  std::uint64_t sequence() const noexcept { return sequence_; }
  std::uint64_t next_pad() const noexcept { return next_pad_; }  // every pad number in use or free is below
  index_totals totals() const noexcept;

  const entry* find(std::string_view key) const;    // null: absent; valid until the state changes
  const upload* find_upload(std::string_view key) const;
  // Up to `limit` items with this prefix and key > after, ascending. An empty `after` is before every key.
  std::vector<listed_item> list(std::string_view prefix, std::string_view after, std::size_t limit) const;

  bool in_use(std::uint64_t pad_number) const { return used_.contains(pad_number); }
  std::optional<std::uint64_t> free_counter(std::uint64_t pad_number) const;
  // The first free pad with number >= from.
  std::optional<pad_ref> next_free(std::uint64_t from) const;

  // Merges a batch that was built on this very state; the sequence goes up by one. Versions of new entries become it.
  // Costs what the batch touches, whatever the index holds.
  void apply(index_batch&& batch);

  // Loading. Parts in the root's order into an empty state (or a state at an older sequence, deltas that reach over it);
  // then finish_load checks what parts cannot check alone (a long entry without its end, a pad used twice, a free pad in
  // use, a pad above next_pad), sets sequence and next_pad and forgets the changes: the root holds them. index_corrupt names
  // what and where. Neither goes back: a lower sequence or next_pad than the state's is index_corrupt. After an error the
  // state is good for nothing but destruction; between the first load and finish_load, for nothing but load.
  // A part's inline values are kept as they are: one that shares the memory of a larger block would keep all of it.
  result<void> load(snapshot_part part);
  result<void> finish_load(std::uint64_t sequence, std::uint64_t next_pad);

  frozen_index freeze();
  index_changes take_changes();
  // Puts changes back that were taken for a root that did not come to be.
  void restore_changes(index_changes&& changes);
  // What has been touched since the changes were last taken.
  const index_changes& changes() const noexcept { return changes_; }

 private:
  friend class index_batch;

  // A pad that loading touched: +1 a reference came, -1 one went, 0 it became free. Parts arrive in an order in which a pad
  // may be seen at its new place before it leaves the old one, so the sums are taken at the end.
  struct pad_note {
    std::uint64_t number = 0;
    int change = 0;
  };
  struct loading {
    std::optional<unfinished<entry>> long_entry;
    std::optional<unfinished<upload>> long_upload;
    std::vector<pad_note> pads;
    std::uint64_t newest_version = 0;
  };

  void set_entry(std::string_view key, entry value);
  void erase_entry(std::string_view key);
  void set_pad(std::uint64_t number, bool used, std::optional<std::uint64_t> free_counter);

  result<void> load_entry(snapshot_part::entry_item&& item);
  result<void> load_upload(const snapshot_part::upload_item& item);
  result<void> load_free_pads(const snapshot_part& part);
  result<void> settle_entry(std::string&& key, entry&& value);
  result<void> settle_upload(std::string_view key, upload value);
  void unload_entry(std::string_view key);
  void unload_upload(std::string_view key);
  void note_pads(const chunk_list& chunks, int change);
  result<void> settle_pads(std::uint64_t next_pad);
  std::string users_of(std::uint64_t pad_number) const;

  std::uint64_t sequence_ = 0;
  std::uint64_t next_pad_ = 0;
  std::uint64_t value_bytes_ = 0;
  entry_map entries_;
  upload_map uploads_;
  free_pad_map free_pads_;
  pad_set used_;  // derived: the pads of all entries and uploads
  index_changes changes_;
  loading loading_;
};

// Operations on top of a state that has not changed since. add() either takes the whole operation or changes nothing:
//   key_not_found       remove, rename, extend, adopt, complete or drop of what is not there; assemble of a part that is gone
//   key_exists          rename onto a key that is there
//   version_mismatch    complete: the base entry of kept chunks is gone or replaced
//   pad_conflict        a chunk's pad is in use, or was freed at this counter or a higher one: it cannot be trusted any more
//                       (detail: the free counter); or a pad to be freed is in use
//   invalid_argument    anything that breaks the rules of the model (key length, chunk lengths, sizes, duplicate pads)
// A pad may be taken when it is not in use and, if free, its free counter is below the reference's counter.
// Pads of what is replaced or removed become free at their counters, in the same batch. A put keeps those that it names by
// the very reference that the entry under its key holds.
class index_batch {
 public:
  explicit index_batch(const index_state& base);

  result<void> add(operation op);
  bool empty() const noexcept { return operations_.empty(); }
  // In canonical form: no version in a put's value, kept chunks with pad {0, 0}.
  const std::vector<operation>& operations() const noexcept { return operations_; }
  std::vector<operation> take_operations() && { return std::move(operations_); }

  // As if the batch were applied. An entry that this batch made has version base.sequence() + 1.
  const entry* find(std::string_view key) const;
  const upload* find_upload(std::string_view key) const;
  bool in_use(std::uint64_t pad_number) const { return pad(pad_number).used; }
  std::optional<std::uint64_t> free_counter(std::uint64_t pad_number) const { return pad(pad_number).free_counter; }
  std::uint64_t next_pad() const noexcept { return next_pad_; }

 private:
  friend class index_state;
  struct pad_state {
    bool used = false;
    std::optional<std::uint64_t> free_counter;  // neither used nor free: never heard of, or a gap
  };

  result<void> take(put_op& op);
  result<void> take(remove_op& op);
  result<void> take(rename_op& op);
  result<void> take(begin_upload_op& op);
  result<void> take(extend_upload_op& op);
  result<void> take(complete_upload_op& op);
  result<void> take(drop_upload_op& op);
  result<void> take(free_pads_op& op);
  result<void> take(adopt_upload_op& op);
  result<void> take(assemble_op& op);

  pad_state pad(std::uint64_t number) const;
  result<chunk_list> gather_parts(const assemble_op& op) const;
  result<const upload*> upload_of(std::string_view key, std::uint64_t id, std::string_view doing) const;
  result<void> check_takeable(const chunk_list& chunks, const std::vector<pad_ref>& kept) const;
  result<void> check_upload_run(const upload& u, const chunk_list& chunks, std::string_view key) const;
  result<chunk_list> resolve(const upload& u, const complete_upload_op& op, std::vector<pad_ref>& kept) const;
  void take_pads(const chunk_list& chunks, const std::vector<pad_ref>& kept);
  void free_pads(const chunk_list& chunks, const std::vector<pad_ref>& kept);
  void free_upload_pads(std::string_view key);
  void replace_entry(const std::string& key, entry value, const std::vector<pad_ref>& kept);

  const index_state& base_;
  std::vector<operation> operations_;
  // What differs from the base: nothing and null mean removed.
  std::map<std::string, std::optional<entry>, std::less<>> entries_;
  std::map<std::string, std::shared_ptr<const upload>, std::less<>> uploads_;
  cow_map<std::uint64_t, pad_state> pads_;
  std::uint64_t next_pad_;
};

}  // namespace mutant
