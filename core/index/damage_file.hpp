// Which pads this machine has found damaged or missing: one small file for each owner and store, beside the cache of the index.
// A put writes anew what is listed, whatever the index says of it. docs/format.md, "Cache files".
//
// Shape: a magic, then one sealed box of fixed size for each pad, appended under a lock, so that several processes may note at
// once. It only saves work: what cannot be read of it counts as not noted, and beyond a bound the oldest are forgotten. A pad
// is named with its counter: once it is written anew, its old entry means nothing.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/crypto.hpp"
#include "core/error.hpp"
#include "core/index/model.hpp"

namespace mutant {

// Never null.
using damaged_pads = std::shared_ptr<const std::set<pad_ref>>;

constexpr std::size_t max_damaged_pads = 16384;

// io_error, store_full, access_denied; the file is then as it was, or a part of the pads is noted.
result<void> note_damaged(const std::string& path, const aead_key& key, const std::vector<pad_ref>& pads);
// A missing file is an empty list.
result<std::set<pad_ref>> read_damaged(const std::string& path, const aead_key& key);

}  // namespace mutant
