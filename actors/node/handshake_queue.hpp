// Connections whose TLS handshake has not begun. A handshake costs a node a signature and a key exchange before it knows
// whom for: so only so many begin in a second, the addresses taking turns. Who has said nothing yet, or has gone again, uses up
// none of that. Pure; one thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>

namespace mutant {

enum class peer_state { ready, silent, gone };

template <class Connection>
class handshake_queue {
 public:
  using clock = std::chrono::steady_clock;

  handshake_queue(unsigned per_second, unsigned burst, clock::time_point now)
      : pause_(std::chrono::nanoseconds(std::chrono::seconds(1)) / std::max(1u, per_second)),
        credit_(pause_ * std::max(1u, burst)), free_since_(now - credit_) {}

  void push(const std::string& address, std::uint64_t id, Connection connection) {
    auto& own = waiting_[address];
    if (own.empty())
      turn_.push_back(address);
    own.emplace_back(id, std::move(connection));
  }
  // Whose handshake may begin now. `look(id, connection)` tells what a connection is up to; those that are gone are dropped.
  template <class Look>
  std::optional<std::pair<std::uint64_t, Connection>> next(clock::time_point now, Look look) {
    free_since_ = std::max(free_since_, now - credit_);
    if (free_since_ + pause_ > now)
      return std::nullopt;
    for (auto left = turn_.size(); left > 0; --left) {
      const auto address = std::move(turn_.front());
      turn_.pop_front();
      auto& own = waiting_.at(address);
      std::optional<std::pair<std::uint64_t, Connection>> found;
      for (auto i = own.begin(); !found && i != own.end();) {
        const auto what = look(i->first, i->second);
        if (what == peer_state::silent) {
          ++i;
          continue;
        }
        if (what == peer_state::ready)
          found.emplace(std::move(*i));
        i = own.erase(i);
      }
      if (own.empty())
        waiting_.erase(address);
      else
        turn_.push_back(address);
      if (found) {
        free_since_ += pause_;
        return found;
      }
    }
    return std::nullopt;
  }
  // False: it does not wait here.
  bool drop(std::uint64_t id) {
    for (auto own = waiting_.begin(); own != waiting_.end(); ++own)
      if (std::erase_if(own->second, [&](const auto& c) { return c.first == id; }) != 0) {
        if (own->second.empty()) {
          std::erase(turn_, own->first);
          waiting_.erase(own);
        }
        return true;
      }
    return false;
  }
  void clear() {
    waiting_.clear();
    turn_.clear();
  }
  bool empty() const noexcept { return turn_.empty(); }
  // When the next one may begin.
  clock::time_point next_time() const noexcept { return free_since_ + pause_; }

 private:
  std::chrono::nanoseconds pause_;         // between two
  std::chrono::nanoseconds credit_;        // of a quiet time
  clock::time_point free_since_;
  std::map<std::string, std::deque<std::pair<std::uint64_t, Connection>>> waiting_;
  std::deque<std::string> turn_;           // addresses of whom somebody waits
};

}  // namespace mutant
