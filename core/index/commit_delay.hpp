// Group commit: how long the next commit waits for requests before it is written.
//
// Clients that put one value after another send the next when the last is answered. A commit that began at once would hold
// those only that came while the last was written, half of them, and every put would take two commits. So the next one waits a
// moment, less than a commit takes, for as many as there were; who waits in vain soon stops waiting.
//
// Pure: the time is told. One thread owns it.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>

namespace mutant {

class commit_delay {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  static constexpr unsigned max_skip_doublings = 6;  // 2^6 commits at most do not wait for others, before one tries again

  // `queued` requests could be written now. Nothing: they are to be. Otherwise it is asked again at that time, or when there
  // are more.
  std::optional<time_point> wait_until(time_point now, std::size_t queued) {
    if (wanted_ == 0)
      return std::nullopt;
    if (queued >= wanted_)
      in_vain_ = 0;
    else if (now < until_)
      return until_;
    else if (2 * queued < wanted_)
      skip_ = 1u << std::min(in_vain_++, max_skip_doublings);
    wanted_ = 0;
    return std::nullopt;
  }

  void began(time_point now) { began_ = now; }

  // The commit is stored. `returning`: of the requests that it answers, those whose clients may come back at once; `queued`:
  // what waits already. At most max_requests share a commit, and none waits longer than max_wait.
  void committed(time_point now, std::size_t returning, std::size_t queued, std::size_t max_requests,
                 std::chrono::steady_clock::duration max_wait) {
    if (skip_ > 0) {
      --skip_;
      return;
    }
    wanted_ = returning == 0 ? 0 : std::min(returning + queued, max_requests);
    until_ = now + std::min((now - began_) / 2, max_wait);
  }

 private:
  std::size_t wanted_ = 0;     // requests, if all that the last commit answered come back; 0: not waited for
  time_point until_;
  time_point began_;           // of the commit on its way
  unsigned in_vain_ = 0;       // times that few came back, in a row
  unsigned skip_ = 0;          // commits that do not wait, because of that
};

}  // namespace mutant
