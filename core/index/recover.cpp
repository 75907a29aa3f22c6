// Which commits are proven, which state reaches furthest, and whether that is all. What lies behind a gap: gleaner.cpp.
#include "core/index/recover.hpp"

#include <algorithm>

#include "core/index/gleaner.hpp"
#include "core/index/ring.hpp"

namespace mutant {

namespace {

struct position_hash {
  std::uint64_t sequence = 0;
  content_hash hash{};
};

// The hashes of commits that are proven, whether they can be read or not.
class proven_chain {
 public:
  // rollback_detected: two that are known are of different histories.
  static result<proven_chain> of(const index_evidence& e);

  bool has(std::uint64_t sequence) const { return commits_.contains(sequence); }
  const std::map<std::uint64_t, const commit*>& commits() const noexcept { return commits_; }
  content_hash hash_of(std::uint64_t sequence) const {
    const auto at = hashes_.find(sequence);
    return at == hashes_.end() ? content_hash{} : at->second;
  }
  // The last commit up to which none is missing from this state on.
  std::uint64_t end_from(std::uint64_t sequence) const {
    while (has(sequence + 1))
      ++sequence;
    return sequence;
  }

 private:
  result<void> know(const position_hash& where);

  std::map<std::uint64_t, content_hash> hashes_;
  std::map<std::uint64_t, const commit*> commits_;
};

result<void> proven_chain::know(const position_hash& where) {
  const auto [at, is_new] = hashes_.emplace(where.sequence, where.hash);
  if (!is_new && at->second != where.hash)
    return fail(errc::rollback_detected, "commit " + std::to_string(where.sequence)
                                             + " is known with two contents: the store shows another history than the one that "
                                               "this machine has seen. Bring the right store back; or, if it is this one, take "
                                               "what this machine remembers in HOME/cache away");
  return {};
}

result<proven_chain> proven_chain::of(const index_evidence& e) {
  proven_chain out;
  std::vector<position_hash> anchors{{0, {}}};
  if (e.last_root)
    anchors.push_back({e.last_root->what.sequence, e.last_root->what.last_commit});
  if (e.seen)
    anchors.push_back({e.seen->sequence, e.seen->last_commit});
  if (e.cached)
    anchors.push_back({e.cached->sequence, e.cached->last_commit});
  for (const auto& anchor : anchors)
    if (auto known = out.know(anchor); !known)
      return fail(known.error());
  // Backward: a commit whose hash is known tells that of the one before.
  for (auto at = e.log.rbegin(); at != e.log.rend(); ++at) {
    const auto known = out.hashes_.find(at->first);
    if (known == out.hashes_.end() || known->second != at->second.hash)
      continue;
    out.commits_.emplace(at->first, &at->second.what);
    if (auto before = out.know({at->first - 1, at->second.what.previous}); !before)
      return fail(before.error());
  }
  // Forward: what follows the last one that is known.
  for (const auto& [sequence, logged] : e.log) {
    const auto before = out.hashes_.find(sequence - 1);
    if (out.hashes_.contains(sequence) || before == out.hashes_.end() || before->second != logged.what.previous)
      continue;
    out.hashes_.emplace(sequence, logged.hash);
    out.commits_.emplace(sequence, &logged.what);
  }
  return out;
}

// The last commit that there was, as far as anything tells.
std::uint64_t last_known(const index_evidence& e) {
  std::uint64_t last = e.log.empty() ? 0 : e.log.rbegin()->first;
  if (!e.headers.empty())
    last = std::max(last, *e.headers.rbegin());
  if (e.last_root)
    last = std::max(last, e.last_root->what.sequence);
  if (e.seen)
    last = std::max(last, e.seen->sequence);
  // The next one's slot must show what was there a lap before; where it cannot be read, it may have held the next one.
  const auto shows_older = [&e](std::uint64_t next) {
    if (next <= e.ring_slots)
      return !e.unreadable_slots[slot_of(next, e.ring_slots)];
    return e.log.contains(next - e.ring_slots) || e.headers.contains(next - e.ring_slots);
  };
  for (std::uint64_t looked = 0; looked < e.ring_slots && !shows_older(last + 1); ++looked)
    ++last;
  return last;
}

// A state that all records of are there.
struct candidate {
  std::uint64_t sequence = 0;
  std::uint64_t end = 0;              // with the log
  std::uint64_t next_pad = 0;
  const snapshot_part* const* first = nullptr;
  std::size_t count = 0;
};

std::vector<const snapshot_part*> pointers(const index_evidence& e) {
  std::vector<const snapshot_part*> out;
  for (const auto& part : e.parts)
    out.push_back(part ? &*part : nullptr);
  return out;
}

// The one that reaches furthest is the last.
std::vector<candidate> candidates_of(const index_evidence& e, const proven_chain& chain,
                                     const std::vector<const snapshot_part*>& parts,
                                     const std::vector<const snapshot_part*>& cached) {
  std::vector<candidate> out{{0, chain.end_from(0), 0, nullptr, 0}};
  if (e.cached)
    out.push_back({e.cached->sequence, chain.end_from(e.cached->sequence), e.cached->next_pad, cached.data(), cached.size()});
  if (e.last_root) {
    const auto& named = e.last_root->what.parts;
    for (std::size_t i = 0; i < named.size() && parts[i] != nullptr; ++i)
      if (i + 1 == named.size() || named[i + 1].sequence != named[i].sequence)
        out.push_back({named[i].sequence, chain.end_from(named[i].sequence), e.last_root->what.next_pad, parts.data(), i + 1});
    if (std::ranges::find(parts, nullptr) == parts.end())   // perhaps nothing has changed since the last of them
      out.push_back({e.last_root->what.sequence, chain.end_from(e.last_root->what.sequence), e.last_root->what.next_pad,
                     parts.data(), named.size()});
  }
  std::ranges::stable_sort(out, [](const candidate& a, const candidate& b) {
    return std::pair(a.end, a.sequence) < std::pair(b.end, b.sequence);
  });
  return out;
}

result<index_state> load(const candidate& from, const proven_chain& chain) {
  index_state state;
  for (std::size_t i = 0; i < from.count; ++i)
    if (auto loaded = state.load(*from.first[i]); !loaded)
      return fail(loaded.error());
  if (auto finished = state.finish_load(from.sequence, from.next_pad); !finished)
    return fail(finished.error());
  for (auto n = from.sequence + 1; n <= from.end; ++n) {
    index_batch replayed(state);
    for (const auto& op : chain.commits().at(n)->operations)
      if (auto added = replayed.add(op); !added)
        return fail(errc::index_corrupt, "commit " + std::to_string(n) + " does not fit the index before it: "
                                             + added.error().message);
    state.apply(std::move(replayed));
  }
  return state;
}

void add_to(std::vector<recovered_index::commit_range>& ranges, std::uint64_t sequence) {
  if (!ranges.empty() && ranges.back().second + 1 == sequence)
    ranges.back().second = sequence;
  else
    ranges.emplace_back(sequence, sequence);
}

}  // namespace

result<recovered_index> recover_index(index_evidence e) {
  auto chain = proven_chain::of(e);
  if (!chain)
    return fail(chain.error());
  const auto parts = pointers(e);
  std::vector<const snapshot_part*> cached;
  if (e.cached)
    for (const auto& part : e.cached->parts)
      cached.push_back(&part);

  recovered_index out;
  out.sequence = last_known(e);
  if (!e.last_root && !e.seen && out.sequence != 0 && chain->commits().empty())
    return fail(errc::index_corrupt, "the root is damaged, this machine remembers nothing of the index, and the log does not "
                                     "go back to its beginning: nothing of it can be proven");
  auto candidates = candidates_of(e, *chain, parts, cached);
  while (true) {
    const auto best = candidates.back();
    candidates.pop_back();
    auto state = load(best, *chain);
    if (!state && candidates.empty())
      return fail(state.error());
    if (!state)
      continue;
    out.state = std::move(*state);
    out.whole_until = best.end;
    break;
  }
  out.whole_commit = chain->hash_of(out.whole_until);
  for (const auto& [sequence, what] : chain->commits())
    out.proven.push_back(sequence);
  for (const auto& [sequence, logged] : e.log)
    if (sequence > out.whole_until && !chain->has(sequence))
      add_to(out.unproven_commits, sequence);
  if (out.whole_until >= out.sequence) {
    out.sequence = out.whole_until;
    return out;
  }
  gleaner more(out);
  if (e.last_root)
    more.use_parts(e.last_root->what, parts);
  for (const auto& [sequence, what] : chain->commits())
    more.use_commit(sequence, *what);
  auto next_pad = out.state.next_pad();
  if (e.last_root)
    next_pad = std::max(next_pad, e.last_root->what.next_pad);
  if (e.cached)
    next_pad = std::max(next_pad, e.cached->next_pad);
  if (auto gathered = more.finish(next_pad); !gathered)
    return fail(gathered.error());
  return out;
}

}  // namespace mutant
