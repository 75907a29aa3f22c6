// What the master index is made of: entries, uploads, free pads, and the commits that change them.
// docs/design.md, "The index is a log"; docs/format.md, "Index". Plain values; no I/O.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/bytes.hpp"
#include "core/crypto.hpp"
#include "core/index/attributes.hpp"

namespace mutant {

// This machine's clock, for what carries a time: milliseconds since 1970.
std::int64_t now_ms();

// One version of one pad.
struct pad_ref {
  std::uint64_t number = 0;
  std::uint64_t counter = 0;

  friend bool operator==(const pad_ref&, const pad_ref&) = default;
  friend auto operator<=>(const pad_ref&, const pad_ref&) = default;
};

// What became of a pad that was reserved, when it comes back instead of going into a commit.
enum class pad_fate : std::uint8_t {
  unused,     // nothing was sent to the store
  sent,       // the store may hold our record at this counter, or come to hold it, or hold another writer's
  written,    // the store said that it holds our record at this counter
  contested,  // the store holds another writer's record, at this counter: hands off until the log says who won
};

// How a pad's plaintext holds a chunk.
enum class chunk_encoding : std::uint8_t {
  plain = 0,
  zstd = 1,  // one frame, whose content is the chunk
};

// A piece of a value, in a pad of its own.
struct chunk {
  pad_ref pad;               // counter 0 only in an upload: this chunk is the base entry's, unchanged
  std::uint32_t length = 0;  // bytes of the value; from 1
  fingerprint print{};       // of these bytes
  pad_address address{};     // the pad's; zero, as the encoding, where the chunk is kept
  chunk_encoding encoding = chunk_encoding::plain;

  bool inherited() const noexcept { return pad.counter == 0; }
  friend bool operator==(const chunk&, const chunk&) = default;
};

using chunk_list = std::vector<chunk>;

// A complete value. Either inline_value holds it (size bytes), or chunks do, whose lengths add up to size. A value of 0 bytes
// has neither.
struct entry {
  std::uint64_t size = 0;        // bytes
  std::int64_t modified_ms = 0;  // milliseconds since 1970 by the writer's clock
  std::uint64_t version = 0;     // sequence number of the commit that made it
  bytes inline_value;
  std::shared_ptr<const chunk_list> chunks;  // null for an inline or empty value
  attribute_set attributes;

  std::size_t chunk_count() const noexcept { return chunks ? chunks->size() : 0; }
  // Compares the chunks, not the pointers.
  friend bool operator==(const entry& a, const entry& b) noexcept;
};

// A value that lies in the index, or in these chunks: modified now.
entry inline_entry(bytes value, attribute_set attributes = {});
entry chunked_entry(chunk_list chunks, attribute_set attributes = {});

// Bytes of the value that the chunks hold. The caller knows that the sum does not wrap.
std::uint64_t bytes_of(const chunk_list& chunks) noexcept;

// A put that has not finished: the prefix of its chunks that is known to be written. Lives beside the complete entry of
// the same key. Its list grows in pieces, so that extending a long one costs only the new part.
struct upload {
  std::uint64_t id = 0;               // random; tells this upload from another of the same key
  std::optional<std::uint64_t> size;  // bytes, where the source's length is known
  std::uint32_t chunk_size = 0;       // what its writer cuts the value into; binds nobody
  std::int64_t started_ms = 0;
  std::uint64_t base_version = 0;     // the entry that kept chunks belong to; 0: none
  std::uint64_t bytes_done = 0;       // sum of the chunks' lengths
  std::uint64_t chunks_done = 0;
  std::vector<std::shared_ptr<const chunk_list>> pieces;

  friend bool operator==(const upload& a, const upload& b) noexcept;  // compares the chunks in order, however cut
};

// -- operations: a commit is a list of them, applied in order --------------------------------------------------------

// Sets a complete value. `value.version` is not part of the operation: it becomes the commit's sequence number.
struct put_op {
  std::string key;
  entry value;
  friend bool operator==(const put_op&, const put_op&) = default;
};

struct remove_op {
  std::string key;
  friend bool operator==(const remove_op&, const remove_op&) = default;
};

// Moves the complete entry; the target must be absent. An upload under either key stays under its key.
struct rename_op {
  std::string from;
  std::string to;
  friend bool operator==(const rename_op&, const rename_op&) = default;
};

// Starts an upload, replacing (and freeing the pads of) one that the key has.
struct begin_upload_op {
  std::string key;
  std::uint64_t id = 0;
  std::optional<std::uint64_t> size;
  std::uint32_t chunk_size = 0;
  std::int64_t started_ms = 0;
  std::uint64_t base_version = 0;
  friend bool operator==(const begin_upload_op&, const begin_upload_op&) = default;
};

// Appends chunks, the first of which is number `first` of the value.
struct extend_upload_op {
  std::string key;
  std::uint64_t id = 0;
  std::uint64_t first = 0;
  chunk_list chunks;
  friend bool operator==(const extend_upload_op&, const extend_upload_op&) = default;
};

// Takes an upload over: it keeps its first `keep` chunks, the pads of the others become free, and it goes by new_id from
// here on, so that whoever wrote to it before cannot add to it any more.
struct adopt_upload_op {
  std::string key;
  std::uint64_t id = 0;
  std::uint64_t new_id = 0;
  std::uint64_t keep = 0;
  friend bool operator==(const adopt_upload_op&, const adopt_upload_op&) = default;
};

// Turns an upload into the key's entry, with `tail` as its last chunks. Kept chunks become the base entry's.
struct complete_upload_op {
  std::string key;
  std::uint64_t id = 0;
  std::uint64_t size = 0;
  std::int64_t modified_ms = 0;
  attribute_set attributes;
  chunk_list tail;
  friend bool operator==(const complete_upload_op&, const complete_upload_op&) = default;
};

struct drop_upload_op {
  std::string key;
  std::uint64_t id = 0;
  friend bool operator==(const drop_upload_op&, const drop_upload_op&) = default;
};

// Makes pads that no value and no upload uses free, at the given counters (what the store holds; 0: never written).
// A pad that is free already keeps the higher counter.
struct free_pads_op {
  std::vector<pad_ref> pads;
  friend bool operator==(const free_pads_op&, const free_pads_op&) = default;
};

// Makes a value of the chunks of other entries, in their order, and removes those entries. All of them lie in pads or are
// empty, and none is the key itself; what the key had is replaced.
struct assemble_op {
  std::string key;
  std::int64_t modified_ms = 0;
  attribute_set attributes;
  std::vector<std::string> parts;
  friend bool operator==(const assemble_op&, const assemble_op&) = default;
};

using operation = std::variant<put_op, remove_op, rename_op, begin_upload_op, extend_upload_op, complete_upload_op,
                               drop_upload_op, free_pads_op, adopt_upload_op, assemble_op>;

using writer_id = std::array<std::byte, 16>;

struct commit {
  std::uint64_t sequence = 0;  // from 1
  writer_id writer{};          // random per store instance
  std::vector<operation> operations;
  content_hash previous{};     // payload hash of the record of commit sequence - 1; zeros in the first
  friend bool operator==(const commit&, const commit&) = default;
};

// -- snapshot ---------------------------------------------------------------------------------------------------------

// A part of a snapshot, one pad. Parts are applied in the root's order; later ones win. A base part only adds; a delta
// part holds the final state of every key, upload and pad that was touched since the root before it.
struct snapshot_part {
  // An entry or upload whose chunks do not fit one part goes on in the next: there, `first` > 0 and only key, first
  // and chunks count.
  struct entry_item {
    std::string key;
    std::uint64_t first = 0;
    entry value;               // chunks: those from `first` on that are in this part
    std::uint64_t chunk_total = 0;
  };
  struct upload_item {
    std::string key;
    std::uint64_t first = 0;
    upload value;              // pieces: one list, those from `first` on that are in this part
  };

  std::vector<entry_item> entries;            // ascending keys
  std::vector<std::string> removed_entries;   // ascending; deltas only
  std::vector<upload_item> uploads;           // ascending keys
  std::vector<std::string> removed_uploads;   // ascending; deltas only
  std::vector<pad_ref> free_pads;             // ascending numbers
  std::vector<std::uint64_t> taken_pads;      // ascending; no longer free; deltas only
};

// Where a part lies and what it covers.
struct part_ref {
  pad_ref pad;                 // in the part pads' own number space
  std::uint64_t sequence = 0;  // with this part applied the state is that of commit `sequence`, given all parts before it
  std::uint64_t size = 0;      // bytes of its blocks' plaintext
  bool base = false;           // part of the full snapshot at the front of the list
  content_hash hash{};         // SHA-256 of its fence as it lies in the record, which has the hashes of the blocks
  pad_address address{};
  std::uint32_t fence = 0;     // how long that is
  friend bool operator==(const part_ref&, const part_ref&) = default;
};

// One list for all that hold it: it never changes. Null: none.
struct ring_addresses {
  std::shared_ptr<const std::vector<pad_address>> slots;
  std::size_t size() const noexcept { return slots ? slots->size() : 0; }
  friend bool operator==(const ring_addresses& a, const ring_addresses& b) {
    return a.size() == b.size() && (a.slots == b.slots || *a.slots == *b.slots);
  }
};

// The root pad's content. The state at `sequence` is the parts applied in order.
struct root {
  std::uint64_t sequence = 0;     // commits up to here are in the parts
  std::uint64_t next_pad = 0;     // every data pad in use or free is below
  std::uint64_t ring_slots = 0;
  std::uint64_t next_part = 0;    // part pads from here on were never named by a root
  std::uint64_t parts_floor = 0;  // part pads below that are not listed never will be: they are erased
  std::vector<part_ref> parts;
  content_hash last_commit{};     // payload hash of the record of commit `sequence`; zeros for sequence 0
  ring_addresses ring;            // of the ring's pads, slot by slot: whoever only reads cannot derive them
  // Of the slot of a commit; zeros where the ring is not known.
  pad_address slot_address(std::uint64_t commit) const {
    return ring.slots ? (*ring.slots)[commit % ring_slots] : pad_address{};
  }

  bool shared = false;            // a reading secret was given away: from then on private records prove who wrote them
  friend bool operator==(const root&, const root&) = default;
};

}  // namespace mutant
