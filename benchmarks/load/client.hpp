// One client: draws an operation and a key, does it, checks what comes back, measures, and goes on. Event-based.
//
// Closed loop: the next operation starts when the last one has ended. Open loop: operations have intended starts
// (schedule.hpp). One that comes due while another is under way waits, and its response time counts from the intended start:
// that is how a stall shows in all operations that it held up (no coordinated omission). What waits is a number, not
// memory; beyond max_waiting the oldest are dropped and counted.
//
// Failures are counted by their code. In a closed loop the client pauses after one, longer with each in a row (to 0.5 s).
// A wrong value, or an error that will not go away, is told to the conductor.
#pragma once

#include <functional>

#include "benchmarks/load/interfaces.hpp"
#include "benchmarks/load/ledger.hpp"
#include "benchmarks/load/schedule.hpp"
#include "benchmarks/load/value.hpp"
#include "benchmarks/load/value_size.hpp"

namespace mutant::load {

// Values of one size class: small ones go through memory, large ones are streamed.
struct key_space {
  std::string prefix;
  std::shared_ptr<ledger> keys;
  value_size size;

  // "PREFIX000000001234": the order of keys is that of their numbers.
  std::string name(std::uint64_t key) const;
  // The number in a key's name; nothing if it is not one of these.
  std::optional<std::uint64_t> number(std::string_view name) const;
};

// The same for all clients.
struct client_setup {
  store_actor store;
  key_space small;
  key_space large;
  operation_mix mix;
  key_order order = key_order::zipfian;
  double theta = default_theta;
  std::uint64_t max_scan = 100;                   // keys; a scan asks for 1 to so many
  std::uint64_t clients = 1;
  std::uint64_t seed = 1;
  std::uint64_t run = 1;                          // in the stamps of values
  bool foreign_runs = false;                      // values of earlier runs are right as well
  std::optional<arrival> open_loop;
  double rate = 0;                                // open loop: operations a second, of all clients
  std::uint64_t max_waiting = 100'000;            // open loop: of one client
  std::chrono::milliseconds timeout{60'000};      // for one operation
  std::chrono::milliseconds interval_width{250};
};

struct client_state {
  static inline const char* name = "load_client";
  using self_pointer = client_actor::stateful_pointer<client_state>;
  using setup_ptr = std::shared_ptr<const client_setup>;

  explicit client_state(client_actor::pointer me) : self(me) {}
  void set_up(setup_ptr s, std::uint64_t number, conductor_actor reports_to);

  // -- client.cpp: pace ---------------------------------------------------------------------------------------------------
  void begin(const phase_order& o);
  void stop(const stop_order& how);
  void step();
  void succeeded(std::uint64_t bytes_moved);
  void failed(const error& e);
  void end_phase();
  void find(bool wrong_value, error what);

  // -- client_operations.cpp: what an operation does --------------------------------------------------------------------
  void perform(operation_kind kind);
  void load_key(bool large, std::uint64_t key);
  void put_small(std::uint64_t key, std::optional<std::uint64_t> if_version);
  void put_large(std::uint64_t key);
  void get_small(std::uint64_t key, std::function<void(const get_result&)> then);
  void get_large(std::uint64_t key);
  void scan(std::uint64_t from);
  void modify(std::uint64_t key, unsigned tries);

  client_actor::pointer self;
  setup_ptr setup;
  conductor_actor conductor;

 private:
  using time_point = load_clock::time_point;
  bool open_loop() const { return plan.has_value(); }
  bool skip_what_waits_too_long(time_point now);
  void count_what_was_not_started(time_point now);
  bool load_next();
  void later(std::chrono::nanoseconds delay);
  void note(time_point now, const std::function<void(interval::part&)>& change);
  void send_interval();
  bool absent(const key_space& space, std::uint64_t key, std::uint64_t known, const error& e);
  void check_page(const list_page& page, std::uint64_t from, std::uint64_t visible, const std::vector<std::uint64_t>& known,
                  std::uint64_t limit);
  std::uint64_t check_run() const { return setup->foreign_runs ? 0 : setup->run; }
  stamp next_stamp(const key_space& space, std::uint64_t key);

  std::uint64_t number = 0;
  draws random{0};
  key_choice keys{key_order::uniform, default_theta, 0, 1};
  key_choice large_keys{key_order::own, default_theta, 0, 1};
  std::optional<schedule> plan;        // open loop: the next to start
  std::optional<schedule> due;         // open loop: the next to come due
  phase_order order;
  bool running = false;
  bool stopping = false;
  std::uint64_t left = 0;              // operations of this phase
  std::uint64_t turn = 0;              // answers and timers of an earlier turn are ignored
  bool under_way = false;
  operation_kind kind = operation_kind::read;
  time_point intended;
  time_point started;
  unsigned failures = 0;               // in a row
  std::uint64_t writes = 0;            // the nonce's lower part
  std::uint64_t next_load = 0;         // of the keys of both sizes, this client's next
  std::vector<std::uint64_t> failed_inserts;   // their keys are taken first
  std::uint64_t key_in_work = 0;
  std::shared_ptr<recorder> record;
  std::shared_ptr<interval> current;
  std::uint64_t current_number = 0;
};

client_actor::behavior_type load_client(client_state::self_pointer self, client_state::setup_ptr setup, std::uint64_t number,
                                        conductor_actor conductor);

}  // namespace mutant::load
