// One simulation: stores over faulty pad stores over one engine, clients that put load on them, crashes; and in the end a
// fresh store that must show what was promised. Nothing here but the seed decides what happens.
#pragma once

#include <list>
#include <map>
#include <memory>

#include "tests/actors/deterministic.hpp"
#include "tests/simulation/reference.hpp"
#include "tests/simulation/settings.hpp"

namespace mutant::simulation {

// A store and what it is made of; one life of one writer.
struct instance {
  std::size_t writer = 0;
  unsigned life = 0;
  writer_id id{};
  store_actor store;
  faulty_store_actor network;
  bool alive = true;
  bool broken = false;                 // its index refuses to go on
  std::uint64_t at_least = 0;          // its state is of this commit or a later one
};
using instance_ptr = std::shared_ptr<instance>;

struct report {
  std::optional<std::string> violation;
  std::uint64_t trace = 0;
  std::uint64_t steps = 0;
  std::uint64_t commits = 0;
  std::uint64_t roots = 0;
  std::uint64_t crashes = 0;
  std::map<std::string, std::uint64_t> outcomes;   // of the clients' requests
};

class client;

class world {
 public:
  explicit world(const settings& s);
  ~world();
  report run();

 private:
  friend class client;

  struct asked {
    instance_ptr home;
    std::string what;
    std::chrono::steady_clock::time_point since;
    std::optional<std::size_t> attempt;
  };
  using ticket = std::list<asked>::iterator;

  instance_ptr spawn(std::size_t writer);
  store_config config_of(const instance& i, pad_store_actor pads);
  void spawn_client(const instance_ptr& home);
  void adopt(const instance_ptr& owner);
  void kill(const instance_ptr& i);
  void maybe_crash();
  void maybe_restart();
  void workload();
  void aftermath();
  void last_words(const instance_ptr& i);
  bool finished() const;
  void check_patience();
  bool run_until(const std::function<bool()>& done, const char* waiting_for);

  ticket ask(const instance_ptr& home, std::string what, std::optional<std::size_t> attempt = std::nullopt);
  void answered(ticket t, std::string_view how);
  // Records how a request failed.
  void failed(ticket t, const error& e);
  std::string new_content(const std::string& key);
  std::string any_key();
  void log(const std::string& line);

  settings settings_;
  dice dice_;
  testing::deterministic_system system_;
  seed owner_;
  std::shared_ptr<observed_engine> engine_;
  reference& reference_;
  pad_store_actor behind_;

  std::vector<instance_ptr> instances_;                  // by writer: the present life; null: down
  std::vector<unsigned> lives_;
  std::vector<std::size_t> remaining_;                   // operations, by writer
  std::map<caf::actor_id, std::pair<instance_ptr, caf::weak_actor_ptr>> actors_;
  caf::actor_id known_actors_ = 0;
  std::list<asked> waiting_;
  std::map<std::string, std::string> last_content_;      // by key, what was tried last
  std::vector<std::pair<std::string, std::string>> unfinished_;   // key and content of puts that may be resumed
  std::uint64_t contents_ = 0;
  std::uint64_t next_crash_ = 0;
  std::uint64_t next_restart_ = 0;
  std::size_t crashes_left_ = 0;
  bool calm_ = false;                                    // the end has come: nothing fails any more
  report report_;
};

}  // namespace mutant::simulation
