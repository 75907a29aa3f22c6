// What the codecs of commits, snapshot parts and the root share: keys, pads, chunks. docs/format.md, "Index". Only for
// codec*.cpp.
//
// The line between codec and model: a codec refuses a field that is out of its own range or out of order; that fields
// fit each other (chunk lengths and sizes, pads used twice) is checked by index_batch and index_state.
#pragma once

#include <algorithm>
#include <string>

#include "core/cbor.hpp"
#include "core/index/model.hpp"
#include "core/limits.hpp"

namespace mutant::index_format {

constexpr std::uint64_t version = 2;

// Shortest encodings: what a count is checked against.
constexpr std::size_t min_key_bytes = 2;                                   // h'xx'
constexpr std::size_t min_pad_bytes = 3;                                   // [n, n]
constexpr std::size_t min_kept_bytes = 2 + 1 + sizeof(fingerprint);                           // [n, h'16 bytes']
constexpr std::size_t min_chunk_item_bytes = 5 + 2 + sizeof(pad_address) + 1 + sizeof(fingerprint);  // in a pad

// The first field of every map: its format. unsupported: another than this one.
void write_version(cbor_writer& w);
void read_version(cbor_reader& r);

void write_key(cbor_writer& w, std::string_view key);
std::string read_key(cbor_reader& r, const char* field);

void write_pad(cbor_writer& w, const pad_ref& pad);
pad_ref read_pad(cbor_reader& r, const char* field);

void write_pads(cbor_writer& w, const std::vector<pad_ref>& pads);

void write_chunk(cbor_writer& w, const chunk& c);
void write_chunks(cbor_writer& w, const chunk_list& chunks);
// kept chunks (counter 0) are only for uploads.
chunk_list read_chunks(cbor_reader& r, bool may_be_kept);

// The chunks of an entry, behind a pointer; null for none.
std::shared_ptr<const chunk_list> read_shared_chunks(cbor_reader& r, bool may_be_kept);

std::uint32_t read_chunk_size(cbor_reader& r);
bytes read_inline_value(cbor_reader& r);

void write_attributes(cbor_writer& w, const attribute_set& attributes);
attribute_set read_attributes(cbor_reader& r);
// An upper bound of what they take, in bytes.
std::size_t bytes_bound(const attribute_set& attributes);

// How many items to reserve memory for: no more than the input justifies, whatever the count says.
inline std::size_t reserve_for(const cbor_reader& r, std::size_t count) {
  constexpr std::size_t usual_item_bytes = 16;
  return std::min(count, r.remaining() / usual_item_bytes + 1);
}

}  // namespace mutant::index_format
