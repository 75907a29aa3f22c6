// Many calls of a store at a time, from a thread that is no actor: so that small values share commits, and disks and
// cores have something to do.
//
// What came of a call is told in the order in which the calls were made, within a later call or finish(), in the same thread.
// Calls wait while too many are under way, or while they hold too much memory.
#pragma once

#include <deque>
#include <functional>
#include <memory>

#include "actors/client.hpp"

namespace mutant {

struct pipeline_limits {
  std::size_t calls = 512;
  std::uint64_t bytes = 32u << 20;   // of values under way; a single call may have more
};

class pipeline {
 public:
  template <class T>
  using told = std::function<void(result<T>&)>;

  // `of` outlives it, and cancels what is under way.
  explicit pipeline(client& of, pipeline_limits limits = {});
  ~pipeline();
  pipeline(const pipeline&) = delete;
  pipeline& operator=(const pipeline&) = delete;

  // `bytes`: how much memory the call takes, at most.
  void put(put_request request, std::uint64_t bytes, told<put_result> then);
  void get(get_request request, std::uint64_t bytes, told<get_result> then);
  void check(check_request request, std::uint64_t bytes, told<check_result> then);
  void remove(remove_request request, told<done> then);
  void finish();

 private:
  struct call {
    std::uint64_t bytes = 0;
    std::function<void()> end;   // waits for the answer, and tells it
  };
  template <class Result, class Atom, class Request>
  void start(Atom atom, Request request, std::uint64_t bytes, told<Result> then);
  void end_first();

  store_actor store_;
  std::unique_ptr<caf::scoped_actor> self_;
  pipeline_limits limits_;
  std::deque<call> calls_;
  std::uint64_t bytes_ = 0;
};

}  // namespace mutant
