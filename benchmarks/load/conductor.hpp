// Leads the clients through the phases and adds up what they report.
//
// load: every client stores its share of the keys. warm-up: traffic that is checked but not counted. run: what is measured.
// A finding (a wrong value, or an error that stays), stop_order (somebody pressed Ctrl-C) or no success anywhere for
// `give_up_after` ends it early: clients finish what is under way, for at most `max_farewell`, and what was measured so
// far is the outcome.
#pragma once

#include <functional>
#include <vector>

#include "benchmarks/load/client.hpp"

namespace mutant::load {

struct conductor_setup {
  client_setup client;                                 // the prefixes, ledgers and the store are filled in
  bool load = true;
  std::chrono::nanoseconds warm_up{0};
  std::chrono::nanoseconds duration{0};                // of the run; 0: until `operations` are done
  std::uint64_t operations = 0;                        // of all clients; 0: until `duration` is over
  std::chrono::milliseconds give_up_after{120'000};
  std::chrono::milliseconds max_farewell{5'000};
  std::function<void()> before_traffic;                // called once, behind the load phase
  // A line for people, a few times a second: phase, its time in seconds, its operations so far, and their rate now.
  std::function<void(phase, double seconds, std::uint64_t operations, double rate)> on_progress;
};

struct conductor_state {
  static inline const char* name = "conductor";
  using self_pointer = conductor_actor::stateful_pointer<conductor_state>;

  explicit conductor_state(conductor_actor::pointer me) : self(me) {}

  void start(caf::typed_response_promise<outcome_ptr> asked);
  void begin(phase what);
  void take(const interval_report& report);
  void take(const phase_report& report);
  void take(const finding& found);
  void stop();
  void lost(const caf::down_msg& down);

  conductor_actor::pointer self;
  conductor_setup setup;

 private:
  using time_point = load_clock::time_point;
  void end_of_phase();
  void tick();
  void farewell();
  void ask_stats(std::function<void(std::optional<store_stats>)> then);
  void finish();
  std::uint64_t share_of(std::uint64_t client) const;
  double seconds_since(time_point start) const;

  std::vector<client_actor> clients;
  caf::typed_response_promise<outcome_ptr> promise;
  std::shared_ptr<run_outcome> outcome;
  phase now_in = phase::load;
  time_point phase_start;
  time_point last_success;
  time_point last_tick;
  std::size_t reported = 0;
  bool ending = false;             // no further phase
  bool over = false;
  std::uint64_t phase_operations = 0;
  std::uint64_t operations_at_tick = 0;
  double rate = 0;
  double cpu_at_start = 0;
};

conductor_actor::behavior_type conductor(conductor_state::self_pointer self, conductor_setup setup);

}  // namespace mutant::load
