// An actor system without threads: one message at a time, in an order that comes from a seed, under a clock that only this
// moves. For tests of actors and for whole simulations.
//
// One step lets one actor handle one message. Which one is drawn from the seed (fifo: the one that waited longest). When
// nobody has a message, the clock goes to the next timeout. Two systems with the same seed and the same spawns take the same
// steps; trace() is a hash over them. Detached actors are not driven: spawn attached ones.
#pragma once

#include <caf/all.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <functional>
#include <random>
#include <unordered_map>

#include "actors/store.hpp"

namespace mutant::testing {

struct test_config : system_config {
  test_config() {
    set("scheduler.policy", caf::atom("testing"));
    set("logger.verbosity", caf::atom("quiet"));
  }
};

class deterministic_system {
 public:
  enum class order { fifo, seeded };

  explicit deterministic_system(std::uint64_t seed = 1, order how = order::fifo)
      : system_(config_), scheduler_(dynamic_cast<caf::scheduler::test_coordinator&>(system_.scheduler())),
        random_(seed), order_(how) {}

  ~deterministic_system() {
    end_everybody();
    system_.await_actors_before_shutdown(false);
  }

  caf::actor_system& system() noexcept { return system_; }
  caf::scheduler::test_coordinator& scheduler() noexcept { return scheduler_; }

  // Called before each step with the actor whose turn it is, and after it.
  std::function<void(caf::scheduled_actor&)> before_step;
  std::function<void(caf::actor_id)> after_step;

  // One message, or one timeout if nobody has a message. False: there is neither.
  bool step() {
    if (!scheduler_.has_job())
      return scheduler_.trigger_timeout();
    auto& jobs = scheduler_.jobs;
    if (order_ == order::seeded && jobs.size() > 1)
      std::swap(jobs.front(), jobs[random_() % jobs.size()]);
    run_front();
    return true;
  }

  // Lets this actor handle its next message if it has one.
  bool step_of(const caf::abstract_actor* who) {
    auto& jobs = scheduler_.jobs;
    for (auto& job : jobs)
      if (static_cast<caf::abstract_actor*>(dynamic_cast<caf::scheduled_actor*>(job)) == who) {
        std::swap(jobs.front(), job);
        run_front();
        return true;
      }
    return false;
  }

  // Until nobody has a message; the clock stands still.
  void run_messages(std::size_t most = 1'000'000) {
    for (std::size_t i = 0; i < most && scheduler_.has_job(); ++i)
      step();
  }

  // Until `done`, moving the clock; false: it did not come within that many steps or that much time.
  bool run_until(const std::function<bool()>& done, std::chrono::seconds max_time = std::chrono::hours(24),
                 std::size_t max_steps = 2'000'000) {
    const auto end = now() + max_time;
    for (std::size_t i = 0; i < max_steps; ++i) {
      if (done())
        return true;
      if (now() > end || !step())
        return done();
    }
    return done();
  }

  // Everything that happens within this time.
  void run_for(std::chrono::nanoseconds time) {
    run_messages();
    auto& clock = scheduler_.clock();
    const auto end = clock.now() + time;
    while (!clock.schedule().empty() && clock.schedule().begin()->first <= end) {
      scheduler_.trigger_timeout();
      run_messages();
    }
    if (end > clock.now())
      scheduler_.advance_time(end - clock.now());
    run_messages();
  }

  std::chrono::steady_clock::time_point now() {
    return std::chrono::steady_clock::time_point(scheduler_.clock().now().time_since_epoch());
  }
  std::uint64_t steps() const noexcept { return steps_; }
  std::uint64_t trace() const noexcept { return trace_; }
  std::mt19937_64& random() noexcept { return random_; }

 private:
  // An actor that a test leaves behind holds itself by what it has promised or asked. Nothing but its end happens to it any
  // more: that goes before all else that waits for it.
  void end_everybody() {
    before_step = nullptr;
    after_step = nullptr;
    scheduler_.clock().cancel_all();
    for (auto rounds = 0; rounds < 3 && !alive_.empty(); ++rounds) {   // some are replaced when they end
      for (const auto& [id, who] : alive_)
        if (auto there = caf::actor_cast<caf::actor>(who))
          caf::anon_send_exit(there, caf::exit_reason::kill);
      run_messages();
      scheduler_.clock().cancel_all();
    }
  }

  void run_front() {
    auto* actor = dynamic_cast<caf::scheduled_actor*>(scheduler_.jobs.front());
    caf::actor_id id = 0;
    caf::strong_actor_ptr there;
    if (actor != nullptr) {
      id = actor->id();
      there = actor->ctrl();
      if (before_step)
        before_step(*actor);
      trace_ = (trace_ ^ id) * 0x100000001b3;
      if (auto* next = actor->peek_at_next_mailbox_element())
        trace_ = (trace_ ^ next->content().type_token()) * 0x100000001b3;
    }
    ++steps_;
    scheduler_.run_once();
    if (actor != nullptr && actor->getf(caf::abstract_actor::is_cleaned_up_flag))
      alive_.erase(id);
    else if (actor != nullptr)
      alive_.try_emplace(id, caf::actor_cast<caf::actor_addr>(there));
    there = nullptr;
    if (after_step)
      after_step(id);
  }

  test_config config_;
  caf::actor_system system_;
  caf::scheduler::test_coordinator& scheduler_;
  std::mt19937_64 random_;
  order order_;
  std::uint64_t steps_ = 0;
  std::uint64_t trace_ = 0xcbf29ce484222325;
  std::unordered_map<caf::actor_id, caf::actor_addr> alive_;   // who has had a step, and is not over
};

}  // namespace mutant::testing
