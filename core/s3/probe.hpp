// Whether a bucket keeps the conditions that all safety of a store rests on. A server that takes an unconditional write for a
// conditional one loses commits without a word, so conditions are tried before a store is used, and the outcome is remembered.
//
// Writes and removes two small objects under the store's prefix, some fifteen requests. Waits for them.
//
// Who may only read has nothing to try: that needs no conditions.
#pragma once

#include "core/s3/caller.hpp"

namespace mutant::s3 {

struct findings {
  traits how;
  std::optional<error> no_writing;       // the credentials may read but not write: in these words; how is not known then
  std::vector<std::string> left_behind;  // objects of the probe that could not be removed
};

// unsupported: the server ignores or does not know the conditions, in words that name its fault. access_denied: reading is not
// allowed, or without the right to list, so that nothing can be told to be absent. Otherwise what any request may meet
// (unreachable, timeout …).
result<findings> probe(caller& bucket);

// Removes what nobody else has ever known of, without a condition; some at a time. Answers with what could not be removed.
std::vector<std::string> remove_objects(caller& bucket, const std::vector<std::string>& names);

// Where the outcome is remembered: one small file of JSON. Nothing: never probed, or not readable.
std::optional<traits> recall_probe(const std::string& path);
// Errors are not worth more than probing again.
void remember_probe(const std::string& path, const traits& found);

}  // namespace mutant::s3
