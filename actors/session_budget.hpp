// Memory that the sessions of one node share: for records that are still coming in, for reads under way, and for answers that
// are not sent yet. (A write that is whole is the node's to count.)
//
// Room is given first come, first served; who has to wait is told by a message. Answers are counted when they are there: what
// they take beyond the room of their reads is an error's few bytes. Lives in the multiplexer's thread, like the sessions.
#pragma once

#include <algorithm>
#include <deque>
#include <memory>

#include "actors/messages.hpp"

namespace mutant {

class session_budget {
 public:
  struct share {
    std::size_t size_bytes = 0;
    bool granted = false;
    caf::actor session;               // gets on_grant when it had to wait
    std::function<void()> on_grant;
  };
  using share_ptr = std::shared_ptr<share>;

  explicit session_budget(std::uint64_t limit_bytes) noexcept : limit_bytes_(limit_bytes) {}

  share_ptr ask(caf::actor session, std::size_t size_bytes, std::function<void()> on_grant) {
    auto s = std::make_shared<share>(share{size_bytes, false, std::move(session), std::move(on_grant)});
    if (waiting_.empty() && fits(size_bytes))
      take(*s);
    else
      waiting_.push_back(s);
    return s;
  }
  // Of one that was granted, or still waits.
  void give_up(const share_ptr& s) {
    if (s->granted)
      used_bytes_ -= s->size_bytes;
    else
      std::erase(waiting_, s);
    grant();
  }
  // What a session holds has changed.
  void change(std::size_t from_bytes, std::size_t to_bytes) {
    used_bytes_ += to_bytes;
    used_bytes_ -= from_bytes;
    if (to_bytes < from_bytes)
      grant();
  }

  std::uint64_t used_bytes() const noexcept { return used_bytes_; }

 private:
  // Whatever its size, one gets through alone.
  bool fits(std::size_t size_bytes) const noexcept {
    return used_bytes_ == 0 || used_bytes_ + size_bytes <= limit_bytes_;
  }
  void take(share& s) noexcept {
    s.granted = true;
    used_bytes_ += s.size_bytes;
  }
  void grant() {
    while (!waiting_.empty() && fits(waiting_.front()->size_bytes)) {
      auto s = std::move(waiting_.front());
      waiting_.pop_front();
      take(*s);
      caf::anon_send(s->session, deferred{s->on_grant});
    }
  }

  std::uint64_t limit_bytes_;
  std::uint64_t used_bytes_ = 0;
  std::deque<share_ptr> waiting_;
};

using session_budget_ptr = std::shared_ptr<session_budget>;

}  // namespace mutant
