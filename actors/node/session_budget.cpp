#include "actors/node/session_budget.hpp"

#include <algorithm>
#include <utility>

namespace mutant {

bool session_budget::ask(holder& h, std::size_t size_bytes) {
  if (&h == finisher_ || (turn_.empty() && room_for(h, size_bytes) == room::there)) {
    take(h, size_bytes);
    return true;
  }
  h.wanted_bytes = size_bytes;
  auto& own = accounts_[h.client];
  if (own.waiting.empty())
    turn_.push_back(h.client);
  own.waiting.push_back(&h);
  grant(&h);   // others may wait for what only they have used up
  if (h.wanted_bytes == 0)
    return true;
  if (on_pressure)
    on_pressure();
  return false;
}

void session_budget::change(holder& h, std::size_t from_bytes, std::size_t to_bytes) {
  if (to_bytes > from_bytes) {
    used_bytes_ += to_bytes - from_bytes;
    h.held_bytes += to_bytes - from_bytes;
    accounts_[h.client].held_bytes += to_bytes - from_bytes;
    holders_.insert(&h);
  } else if (to_bytes < from_bytes) {
    give_back(h, from_bytes - to_bytes);
    grant();
  }
}

void session_budget::withdraw(holder& h) {
  if (h.wanted_bytes != 0) {
    auto& own = accounts_[h.client];
    std::erase(own.waiting, &h);
    h.wanted_bytes = 0;
    if (own.waiting.empty())
      std::erase(turn_, h.client);
  }
  if (accounts_.contains(h.client))
    give_back(h, h.held_bytes);
  grant();
}

void session_budget::judge(holder& h, bool turn, clock::time_point now) {
  if (h.judged == turn)
    return;
  h.judged = turn;
  h.judged_since = h.last_moved = now;
  h.moved_bytes = 0;
}

void session_budget::moved(holder& h, std::size_t size_bytes, clock::time_point now) {
  h.moved_bytes += size_bytes;
  h.last_moved = now;
}

std::vector<std::uint64_t> session_budget::slow(clock::time_point now) {
  std::vector<std::uint64_t> out;
  for (auto* h : holders_) {
    const auto measured = std::chrono::duration_cast<std::chrono::milliseconds>(now - h->judged_since);
    if (!h->judged || measured < limits_.stall_patience)
      continue;
    if (now - h->last_moved >= limits_.stall_patience
        || h->moved_bytes < limits_.min_rate * static_cast<std::uint64_t>(measured.count()) / 1000)
      out.push_back(h->session);
    h->judged_since = now;
    h->moved_bytes = 0;
  }
  return out;
}

session_budget::room session_budget::room_for(const holder& h, std::size_t size_bytes) const {
  if (used_bytes_ == 0)
    return room::there;  // whatever its size, one gets through alone
  const auto known = accounts_.find(h.client);
  const auto own = known == accounts_.end() ? 0 : known->second.held_bytes;
  const auto may_finish = finisher_ == &h || (finisher_ == nullptr && limits_.reserve_bytes != 0);
  // Its share bounds what it begins, not what it needs to end it.
  if (own != 0 && own + size_bytes > share_bytes() && !may_finish)
    return room::share;
  const auto most = limits_.limit_bytes - (may_finish ? 0 : limits_.reserve_bytes);
  return used_bytes_ + size_bytes <= most ? room::there : room::full;
}

void session_budget::take(holder& h, std::size_t size_bytes) {
  if (finisher_ == nullptr && limits_.reserve_bytes != 0
      && (used_bytes_ + size_bytes > limits_.limit_bytes - limits_.reserve_bytes
          || accounts_[h.client].held_bytes + size_bytes > share_bytes()))
    finisher_ = &h;
  change(h, 0, size_bytes);
}

void session_budget::give_back(holder& h, std::size_t size_bytes) {
  h.held_bytes -= size_bytes;
  used_bytes_ -= size_bytes;
  accounts_[h.client].held_bytes -= size_bytes;
  if (h.held_bytes == 0) {
    holders_.erase(&h);
    if (finisher_ == &h)
      finisher_ = nullptr;
  }
  forget_if_idle(h.client);
}

// Clients in turn. Who has used up its share is passed over; when there is no room at all, all wait: large wishes must not
// starve behind small ones.
void session_budget::grant(const holder* asking) {
  for (std::size_t passed_over = 0; passed_over < turn_.size();) {
    const auto client = turn_.front();
    auto& own = accounts_.at(client);
    auto& first = *own.waiting.front();
    const auto left = room_for(first, first.wanted_bytes);
    if (left == room::full)
      return;
    turn_.pop_front();
    if (left == room::share) {
      turn_.push_back(client);
      ++passed_over;
      continue;
    }
    own.waiting.pop_front();
    if (!own.waiting.empty())
      turn_.push_back(client);
    passed_over = 0;
    take(first, std::exchange(first.wanted_bytes, 0));
    if (&first != asking)
      first.granted();
  }
}

void session_budget::forget_if_idle(std::uint64_t client) {
  const auto at = accounts_.find(client);
  if (at->second.held_bytes == 0 && at->second.waiting.empty())
    accounts_.erase(at);
}

}  // namespace mutant
