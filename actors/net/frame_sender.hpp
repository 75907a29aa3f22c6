// The sending half of a connection that speaks the node protocol (core/wire.hpp): what waits to be sent, as references to the
// records themselves. CAF's own buffer gets a little at a time, so that it stays small and what is unsent can be counted.
#pragma once

#include <caf/io/all.hpp>
#include <cstring>
#include <deque>
#include <vector>

#include "core/bytes.hpp"

namespace mutant {

class frame_sender {
 public:
  // `ticket`: to take the frame back with, 0 for none.
  void push(std::vector<std::byte> front, bytes body = {}, std::uint64_t ticket = 0) {
    waiting_bytes_ += front.size() + body.size();
    waiting_.push_back({std::move(front), std::move(body), ticket});
  }

  // Drops a frame of which nothing was sent. False: it is gone, or on its way.
  bool take_back(std::uint64_t ticket) {
    for (auto i = waiting_.begin(); i != waiting_.end(); ++i) {
      if (i->ticket != ticket || (i == waiting_.begin() && sent_of_first_ > 0))
        continue;
      waiting_bytes_ -= i->front.size() + i->body.size();
      waiting_.erase(i);
      return true;
    }
    return false;
  }

  // Hands CAF what it may have now. After every push, and when some of it went out.
  template <class Broker>
  void pump(Broker* self, caf::io::connection_handle to) {
    const auto before = handed_bytes_;
    while (handed_bytes_ < max_handed_bytes && !waiting_.empty()) {
      auto& first = waiting_.front();
      hand(self, to, first.front, 0);
      hand(self, to, first.body.view(), first.front.size());
      if (sent_of_first_ < first.front.size() + first.body.size())
        break;
      waiting_.pop_front();
      sent_of_first_ = 0;
    }
    if (handed_bytes_ != before)
      self->flush(to);
  }

  // CAF has sent all but `left` of what it was handed.
  void transferred(std::uint64_t left) noexcept { handed_bytes_ = static_cast<std::size_t>(left); }

  std::size_t unsent_bytes() const noexcept { return waiting_bytes_ + handed_bytes_; }

 private:
  static constexpr std::size_t max_handed_bytes = 512 * 1024;

  struct waiting_frame {
    std::vector<std::byte> front;
    bytes body;
    std::uint64_t ticket;
  };

  // The unsent part of one half of the first frame, which begins at `begin` of the whole.
  template <class Broker>
  void hand(Broker* self, caf::io::connection_handle to, byte_view part, std::size_t begin) {
    if (sent_of_first_ < begin || sent_of_first_ >= begin + part.size())
      return;
    part = part.subspan(sent_of_first_ - begin);
    part = part.first(std::min(part.size(), max_handed_bytes - std::min(max_handed_bytes, handed_bytes_)));
    if (part.empty())
      return;
    self->write(to, part.size(), part.data());
    sent_of_first_ += part.size();
    handed_bytes_ += part.size();
    waiting_bytes_ -= part.size();
  }

  std::deque<waiting_frame> waiting_;
  std::size_t sent_of_first_ = 0;    // bytes of the first frame that CAF has
  std::size_t waiting_bytes_ = 0;
  std::size_t handed_bytes_ = 0;
};

}  // namespace mutant
