// What a pad store says when it refuses is a claim: whoever keeps the pads need not be trusted, and its errors must not pass
// for ours. docs/design.md, "Nodes".
#pragma once

#include "core/error.hpp"

namespace mutant {

constexpr std::size_t max_claim_text_bytes = 1000;

// Whether a pad store has anything to do with this code. Not its to say: what concerns keys and values (key_not_found,
// version_mismatch), what only the owner can see (decrypt_failed, rollback_detected, index_corrupt), and what concerns this
// process (invalid_argument, cancelled).
bool is_store_code(errc code) noexcept;

// The error as it may be believed and shown: another code is io_error, naming what was said; control characters are escaped;
// the text is at most max_claim_text_bytes of the store's, and some words of ours. `detail` stays a claim.
error store_claim(error e);

}  // namespace mutant
