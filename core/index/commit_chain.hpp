// The payload hashes of the commits that led to a state, as far as they are remembered. Every commit names the hash of the one
// before it: who knows one hash knows the whole history before it. docs/format.md, "Commit".
//
// 32 bytes a commit; the index actor remembers those since the root. One thread owns it.
#pragma once

#include <deque>
#include <optional>

#include "core/crypto.hpp"

namespace mutant {

class commit_chain {
 public:
  // Nothing has been committed: sequence 0, whose hash is all zeros.
  commit_chain() : hashes_(1) {}
  // A state that was loaded stands at this commit; what was before is not known.
  commit_chain(std::uint64_t sequence, const content_hash& hash) : first_(sequence), hashes_(1, hash) {}

  std::uint64_t first() const noexcept { return first_; }   // the earliest that is remembered
  std::uint64_t sequence() const noexcept { return first_ + hashes_.size() - 1; }
  const content_hash& last() const noexcept { return hashes_.back(); }
  // Of commit sequence() + 1.
  void add(const content_hash& hash) { hashes_.push_back(hash); }
  // Nothing: not remembered any more, or not there yet.
  std::optional<content_hash> at(std::uint64_t sequence) const {
    if (sequence < first_ || sequence - first_ >= hashes_.size())
      return std::nullopt;
    return hashes_[sequence - first_];
  }
  // Forgets what is before this commit; the last one is never forgotten.
  void forget_before(std::uint64_t sequence) {
    for (; first_ < sequence && hashes_.size() > 1; ++first_)
      hashes_.pop_front();
  }

 private:
  std::uint64_t first_ = 0;            // commit of the first hash
  std::deque<content_hash> hashes_;    // never empty
};

}  // namespace mutant
