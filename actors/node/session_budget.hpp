// Memory that the sessions of one node share: one budget for records that are still coming in, charged as their bytes arrive,
// and one for reads and answers that are not taken yet. (A write that is whole is the node's to count.)
//
// Room is given to clients in turn, however many connections one has, and to the connections of a client in turn; a client
// gets three quarters of it at most. The last `reserve_bytes` are for one holder at a time: records that grow piece by piece
// could otherwise fill the room together and all wait for more. While somebody waits, whoever holds room and moves less than
// min_rate for `stall_patience` is slow() and has to go. Answers are counted when they are there: what they take beyond the
// room of their reads is an error's few bytes.
// Lives in the multiplexer's thread, like the sessions.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <vector>

namespace mutant {

class session_budget {
 public:
  using clock = std::chrono::steady_clock;

  // One connection's part of it. Withdraw it before it ends.
  struct holder {
    std::uint64_t client = 0;
    std::uint64_t session = 0;             // for slow()
    std::function<void()> granted;         // called when room is there that had to be waited for
    std::size_t held_bytes = 0;
    std::size_t wanted_bytes = 0;          // waits for so much more; 0: does not wait
    // Whether it is the other side's turn to move, and what has moved since.
    bool judged = false;
    clock::time_point judged_since;
    clock::time_point last_moved;
    std::size_t moved_bytes = 0;
  };

  struct limits {
    std::uint64_t limit_bytes = 0;
    std::uint64_t reserve_bytes = 0;
    std::uint64_t min_rate = 128 * 1024;                  // bytes a second
    std::chrono::milliseconds stall_patience{500};
  };

  explicit session_budget(const limits& l) : limits_(l) {}
  // Called when somebody has to wait: look for slow() ones from now on, as long as somebody is waiting().
  std::function<void()> on_pressure;

  // True: there is room, and it is held from now on. False: `granted` is called when there is.
  bool ask(holder& h, std::size_t size_bytes);
  // It holds less, or (answers) more than it asked for.
  void change(holder& h, std::size_t from_bytes, std::size_t to_bytes);
  // Waits no more, and holds nothing.
  void withdraw(holder& h);

  // It is the other side's turn now, or is not.
  static void judge(holder& h, bool turn, clock::time_point now);
  static void moved(holder& h, std::size_t size_bytes, clock::time_point now);

  bool waiting() const noexcept { return !turn_.empty(); }
  std::uint64_t used_bytes() const noexcept { return used_bytes_; }
  // Sessions that hold room and do not move as they should.
  std::vector<std::uint64_t> slow(clock::time_point now);

 private:
  struct account {
    std::uint64_t held_bytes = 0;
    std::deque<holder*> waiting;
  };
  // full: for everybody. share: for this client.
  enum class room { there, full, share };
  std::uint64_t share_bytes() const noexcept { return limits_.limit_bytes / 4 * 3; }
  room room_for(const holder& h, std::size_t size_bytes) const;
  void take(holder& h, std::size_t size_bytes);
  void give_back(holder& h, std::size_t size_bytes);
  void grant(const holder* asking = nullptr);
  void forget_if_idle(std::uint64_t client);

  limits limits_;
  std::uint64_t used_bytes_ = 0;
  std::map<std::uint64_t, account> accounts_;
  std::deque<std::uint64_t> turn_;         // clients of whom somebody waits
  std::set<holder*> holders_;
  const holder* finisher_ = nullptr;       // who may use the reserve
};

}  // namespace mutant
