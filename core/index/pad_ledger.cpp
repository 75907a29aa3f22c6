#include "core/index/pad_ledger.hpp"

#include <algorithm>
#include <cassert>

namespace mutant {

namespace {

// A reservation looks at this many free pads that it may not take before it goes on above next_pad instead.
constexpr unsigned max_free_skipped = 512;

// Calls f with every key whose entry an operation replaces, moves or takes away.
template <class F>
void for_replaced_keys(const operation& op, F f) {
  if (const auto* put = std::get_if<put_op>(&op)) {
    f(put->key);
  } else if (const auto* remove = std::get_if<remove_op>(&op)) {
    f(remove->key);
  } else if (const auto* complete = std::get_if<complete_upload_op>(&op)) {
    f(complete->key);
  } else if (const auto* rename = std::get_if<rename_op>(&op)) {
    f(rename->from);
  } else if (const auto* assemble = std::get_if<assemble_op>(&op)) {
    f(assemble->key);
    std::ranges::for_each(assemble->parts, f);
  }
}

}  // namespace

// -- reservations --------------------------------------------------------------------------------------------------------

std::vector<pad_ref> pad_ledger::reserve(const index_state& state, std::uint32_t count, owner_id owner) {
  std::vector<pad_ref> out;
  auto hand_out = [&](std::uint64_t number, std::uint64_t stored_counter) {
    assert(!is_handed_out(state, number));
    held_.emplace(number, hand::reserved);
    out.push_back({number, stored_counter + 1});
  };

  // What we wrote ourselves and nobody committed.
  for (auto i = dirty_.begin(); i != dirty_.end() && out.size() < count;) {
    const auto [number, counter] = *i;
    if (state.in_use(number)) {
      i = dirty_.erase(i);
    } else if (is_idle(number)) {
      hand_out(number, std::max(counter, state.free_counter(number).value_or(0)));
      i = dirty_.erase(i);
    } else {
      ++i;
    }
  }
  // Free pads, going round.
  auto wrapped = free_cursor_ == 0;
  for (unsigned skipped = 0; out.size() < count && skipped < max_free_skipped;) {
    const auto pad = state.next_free(free_cursor_);
    if (!pad) {
      if (wrapped)
        break;
      wrapped = true;
      free_cursor_ = 0;
      continue;
    }
    free_cursor_ = pad->number + 1;
    const auto fought = contested_.find(pad->number);
    if (!is_idle(pad->number) || (fought != contested_.end() && fought->second > pad->counter)) {
      ++skipped;
      continue;
    }
    if (fought != contested_.end())
      contested_.erase(fought);
    hand_out(pad->number, pad->counter);
  }
  // Pads that nobody ever had.
  next_new_ = std::max(next_new_, state.next_pad());
  for (; out.size() < count; ++next_new_)
    if (is_idle(next_new_) && !contested_.contains(next_new_))
      hand_out(next_new_, 0);

  hold(out, owner);
  return out;
}

void pad_ledger::hold(const std::vector<pad_ref>& pads, owner_id owner) {
  for (const auto& pad : pads)
    held_.emplace(pad.number, hand::reserved);
  if (owner == 0)
    return;
  auto& its = owners_[owner].reserved;
  for (const auto& pad : pads)
    its[pad.number] = pad.counter;
}

void pad_ledger::give_back(const index_state& state, const std::vector<pad_ref>& pads, pad_fate what, owner_id owner) {
  const auto at = owners_.find(owner);
  if (at == owners_.end())
    return;
  for (const auto& pad : pads) {
    if (at->second.reserved.erase(pad.number) == 0)
      continue;
    assert(held_.at(pad.number) == hand::reserved);
    held_.erase(pad.number);
    switch (what) {
      case pad_fate::written: dirty_[pad.number] = pad.counter; break;
      case pad_fate::sent: sent_to(pad.number, pad.counter); break;
      case pad_fate::contested: contested_[pad.number] = pad.counter; break;
      case pad_fate::unused:
        if (pad.number + 1 == next_new_ && pad.number >= state.next_pad())
          --next_new_;
        break;
    }
  }
}

// A write is a compare-and-swap only one above what the store surely holds. Whose record it holds at this counter, if any, we
// do not know: it may be another writer's, committed and live. So the next write goes to the same counter, and meets a
// conflict if somebody was there.
void pad_ledger::sent_to(std::uint64_t number, std::uint64_t counter) {
  if (counter != 0)
    dirty_[number] = counter - 1;
}

void pad_ledger::owner_gone(owner_id owner) {
  auto its = owners_.extract(owner);
  if (!its)
    return;
  // It may have written any of them, and writes of it may still be on their way.
  for (const auto& [number, counter] : its.mapped().reserved) {
    held_.erase(number);
    sent_to(number, counter);
  }
  for (const auto pin : its.mapped().pins)
    release(pin);
}

// -- commits -------------------------------------------------------------------------------------------------------------

void pad_ledger::take_over(std::vector<pad_ref>& pads, owner_id owner) {
  const auto at = pads.empty() ? owners_.end() : owners_.find(owner);
  if (at == owners_.end())
    return pads.clear();
  std::erase_if(pads, [&](const pad_ref& pad) { return at->second.reserved.erase(pad.number) == 0; });
  for (const auto& pad : pads)
    held_[pad.number] = hand::committing;
}

void pad_ledger::committed(const std::vector<pad_ref>& pads) {
  for (const auto& pad : pads) {
    assert(held_.at(pad.number) == hand::committing);
    held_.erase(pad.number);
  }
}

void pad_ledger::refused(const std::vector<pad_ref>& pads) {
  committed(pads);
  for (const auto& pad : pads)
    dirty_[pad.number] = pad.counter;
}

void pad_ledger::in_doubt(const std::vector<pad_ref>& pads, std::uint64_t sequence) {
  for (const auto& pad : pads) {
    assert(held_.at(pad.number) == hand::committing);
    held_[pad.number] = hand::in_doubt;
    in_doubt_.emplace(sequence, pad);
  }
}

void pad_ledger::settle_doubts(const index_state& state) {
  while (!in_doubt_.empty() && in_doubt_.begin()->first <= state.sequence()) {
    const auto pad = in_doubt_.extract(in_doubt_.begin()).mapped();
    held_.erase(pad.number);
    if (!state.in_use(pad.number))
      dirty_[pad.number] = pad.counter;
  }
}

void pad_ledger::applied(const index_state& state, const std::vector<operation>& operations) {
  if (!pins_.empty())
    for (const auto& op : operations)
      for_replaced_keys(op, [&](const std::string& key) { key_changed(state, key); });
  settle_doubts(state);
}

// -- pins ----------------------------------------------------------------------------------------------------------------

std::uint64_t pad_ledger::pin(const std::string& key, std::shared_ptr<const chunk_list> chunks, owner_id owner) {
  const auto number = ++last_pin_;
  owners_[owner].pins.insert(number);
  pins_.emplace(number, pinned{key, std::move(chunks), owner});
  pins_by_key_.emplace(key, number);
  return number;
}

void pad_ledger::release(std::uint64_t pin) {
  const auto gone = pins_.extract(pin);
  if (!gone)
    return;
  const auto& was = gone.mapped();
  if (was.blocks)
    for (const auto& c : *was.chunks)
      if (auto b = blocked_.find(c.pad.number); b != blocked_.end() && --b->second == 0)
        blocked_.erase(b);
  const auto [first, last] = pins_by_key_.equal_range(was.key);
  pins_by_key_.erase(std::find_if(first, last, [pin](const auto& i) { return i.second == pin; }));
  if (auto owner = owners_.find(was.owner); owner != owners_.end())
    owner->second.pins.erase(pin);
}

void pad_ledger::block(pinned& p) {
  p.blocks = true;
  for (const auto& c : *p.chunks)
    ++blocked_[c.pad.number];
}

void pad_ledger::key_changed(const index_state& state, const std::string& key) {
  const auto [first, last] = pins_by_key_.equal_range(key);
  for (auto i = first; i != last; ++i) {
    auto& pin = pins_.at(i->second);
    const auto* now = state.find(key);
    if (!pin.blocks && (now == nullptr || now->chunks != pin.chunks))
      block(pin);
  }
}

// A state that was loaded anew shares no chunk lists with the one before.
void pad_ledger::reloaded(const index_state& state) {
  for (auto& [number, pin] : pins_) {
    const auto* now = state.find(pin.key);
    if (pin.blocks || (now != nullptr && now->chunks == pin.chunks))
      continue;
    if (now != nullptr && now->chunks && *now->chunks == *pin.chunks)
      pin.chunks = now->chunks;
    else
      block(pin);
  }
  settle_doubts(state);
}

// -- invariants ----------------------------------------------------------------------------------------------------------

bool pad_ledger::is_consistent() const {
  std::set<std::uint64_t> reserved;
  std::size_t pins_of_owners = 0;
  for (const auto& [owner, its] : owners_) {
    for (const auto& [number, counter] : its.reserved) {
      const auto at = held_.find(number);
      if (at == held_.end() || at->second != hand::reserved || !reserved.insert(number).second)
        return false;   // of one owner, and in its hand
    }
    for (const auto pin : its.pins)
      if (const auto at = pins_.find(pin); at == pins_.end() || at->second.owner != owner)
        return false;
    pins_of_owners += its.pins.size();
  }
  std::set<std::uint64_t> doubted;
  for (const auto& [sequence, pad] : in_doubt_)
    if (const auto at = held_.find(pad.number);
        at == held_.end() || at->second != hand::in_doubt || !doubted.insert(pad.number).second)
      return false;
  if (static_cast<std::size_t>(std::ranges::count_if(held_, [](const auto& x) { return x.second == hand::in_doubt; }))
      != doubted.size())
    return false;
  std::unordered_map<std::uint64_t, std::uint32_t> readers;
  for (const auto& [number, pin] : pins_) {
    if (pin.blocks)
      for (const auto& c : *pin.chunks)
        ++readers[c.pad.number];
    const auto [first, last] = pins_by_key_.equal_range(pin.key);
    if (std::none_of(first, last, [n = number](const auto& i) { return i.second == n; }))
      return false;
  }
  return readers == blocked_ && pins_by_key_.size() == pins_.size() && pins_of_owners == pins_.size();
}

}  // namespace mutant
