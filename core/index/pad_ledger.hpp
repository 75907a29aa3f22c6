// Which pads this process may write to next, and which it keeps its hands off: what is reserved and by whom, what a commit on
// its way names, what was written and never committed, what another writer holds, and what is free but still being read.
//
// The index state says what is in use and what is free; the ledger, what this process has to know besides. It is told what
// happens and asked for pads, and knows nobody else: no actor, no clock, no store. One thread owns it.
//
// A pad is in one hand at most: reserved by one owner, named by one commit on its way, or in doubt after a commit of unknown
// outcome. Nobody gets a pad that is in a hand, in use, or read. docs/design.md, "The index is a log": data pads.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/index/state.hpp"

namespace mutant {

class pad_ledger {
 public:
  // Who reserves and reads. 0: nobody, whose reservations nobody can give back.
  using owner_id = std::uint64_t;

  // -- reservations: pads with the counter to write with ---------------------------------------------------------------
  // First what was written here and never committed, then what is free, then pads that nobody ever had.
  std::vector<pad_ref> reserve(const index_state& state, std::uint32_t count, owner_id owner);
  // Pads that are looked at, not written: the owner has them until it gives them back as `unused`.
  void hold(const std::vector<pad_ref>& pads, owner_id owner);
  // Neither in a hand nor read. The state says whether it is in use.
  bool is_idle(std::uint64_t number) const { return !held_.contains(number) && !blocked_.contains(number); }
  // Pads from here on were never handed out.
  std::uint64_t next_new() const noexcept { return next_new_; }
  // Only what the owner has reserved can come back: what a commit took over is not the owner's any more.
  void give_back(const index_state& state, const std::vector<pad_ref>& pads, pad_fate what, owner_id owner);
  // Gives back all that it has reserved, as `sent`, and releases its pins.
  void owner_gone(owner_id owner);

  // -- commits -----------------------------------------------------------------------------------------------------------
  // A commit names these; leaves those that its owner had reserved, which are the commit's from now on.
  void take_over(std::vector<pad_ref>& pads, owner_id owner);
  // It is stored: the state says the rest.
  void committed(const std::vector<pad_ref>& pads);
  // It is not: they were written, and nothing names them.
  void refused(const std::vector<pad_ref>& pads);
  // Nobody knows: until the state has come to `sequence`, they stay as they are.
  void in_doubt(const std::vector<pad_ref>& pads, std::uint64_t sequence);
  // The state has these operations behind it, by whichever writer.
  void applied(const index_state& state, const std::vector<operation>& operations);
  // The state was loaded anew.
  void reloaded(const index_state& state);

  // -- pins: chunks that somebody reads, whatever becomes of their key ---------------------------------------------------
  std::uint64_t pin(const std::string& key, std::shared_ptr<const chunk_list> chunks, owner_id owner);
  void release(std::uint64_t pin);

  // Whether what it keeps fits together: for assertions and tests; looks at all of it.
  bool is_consistent() const;

 private:
  enum class hand : std::uint8_t { reserved, committing, in_doubt };
  struct pinned {
    std::string key;
    std::shared_ptr<const chunk_list> chunks;
    owner_id owner = 0;
    bool blocks = false;          // its pads are free by now, and counted in blocked_
  };
  struct owner_record {
    std::map<std::uint64_t, std::uint64_t> reserved;   // number -> the counter to write with
    std::set<std::uint64_t> pins;
  };

  bool is_handed_out(const index_state& state, std::uint64_t number) const { return state.in_use(number) || !is_idle(number); }
  void sent_to(std::uint64_t number, std::uint64_t counter);
  void settle_doubts(const index_state& state);
  void block(pinned& p);
  void key_changed(const index_state& state, const std::string& key);

  std::unordered_map<std::uint64_t, hand> held_;
  std::unordered_map<owner_id, owner_record> owners_;
  std::unordered_map<std::uint64_t, std::uint64_t> dirty_;      // ours, written, not committed: number -> counter
  std::unordered_map<std::uint64_t, std::uint64_t> contested_;  // another writer's: number -> counter seen
  std::multimap<std::uint64_t, pad_ref> in_doubt_;              // by the sequence number that decides about them
  std::uint64_t next_new_ = 0;
  std::uint64_t free_cursor_ = 0;                               // free pads are looked for from here on, going round

  std::map<std::uint64_t, pinned> pins_;
  std::multimap<std::string, std::uint64_t, std::less<>> pins_by_key_;
  std::unordered_map<std::uint64_t, std::uint32_t> blocked_;    // free, but still being read: number -> readers
  std::uint64_t last_pin_ = 0;
};

}  // namespace mutant
