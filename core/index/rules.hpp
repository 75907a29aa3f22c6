// What a well-formed key, chunk list, value and upload is: the same for an operation and for a snapshot part.
//
// Errors are invalid_argument unless it says otherwise; a loader turns them into index_corrupt. Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/error.hpp"
#include "core/index/model.hpp"

namespace mutant::rules {

// The key as it may appear in a message: in quotes, unprintable bytes as \xNN, cut after 64 bytes.
std::string quoted(std::string_view key);

result<void> check_key(std::string_view key);

// A key that begins with a zero byte is the library's own.
inline bool is_reserved(std::string_view key) noexcept { return key.starts_with('\0'); }
// A key that may be changed; one that is reserved only by those who say so.
result<void> check_given_key(std::string_view key, bool reserved = false);

// A reference that a chunk may hold: number below max_number, counter from 1, below max_number.
result<void> check_ref(const pad_ref& ref);

// Chunks that follow `chunks_before` others of `bytes_before` bytes (below max_number). Gives the bytes up to the end of these,
// below max_number too. kept: whether kept chunks may be among them.
result<std::uint64_t> check_run(std::uint64_t chunks_before, std::uint64_t bytes_before, const chunk_list& chunks, bool kept);

// Everything but the version.
result<void> check_value(const entry& value);

// Everything but the chunks: sizes, numbers, done within size.
result<void> check_upload_head(const upload& u);

// Whether a key that has this version (0: no value) is as a change wants it to be (0: without a value). key_exists,
// version_mismatch.
result<void> check_version(std::uint64_t version, std::uint64_t wanted);

// A pad that two chunks of the list use.
std::optional<std::uint64_t> find_duplicate(const chunk_list& chunks);
// A number that is there twice.
std::optional<std::uint64_t> find_duplicate(const std::vector<pad_ref>& pads);

}  // namespace mutant::rules
