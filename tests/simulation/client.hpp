// A client of one store: asks for one thing after the other and tells the reference what it was promised and shown.
#pragma once

#include "tests/simulation/world.hpp"

namespace mutant::simulation {

class client {
 public:
  client(caf::event_based_actor* self, world& w, instance_ptr home) : self_(self), world_(w), home_(std::move(home)) {}

  // Asks for the next thing, or is done.
  void next();
  // What a store must still be able to do when the faults have ended: put, sync, list, get.
  void last_words(unsigned tries, std::function<void()> then);

 private:
  using then_step = std::function<void()>;

  void pause_and_go_on();
  void put(const std::string& key, std::string content, std::optional<std::uint64_t> if_version, bool may_cancel);
  void get(const std::string& key);
  void remove(const std::string& key);
  void rename(const std::string& from, const std::string& to);
  void assemble(const std::string& key);
  void list();
  void sync(then_step then);
  void stats();
  void increment();
  void purge();
  value_source source_of(const std::string& content, bool* fails);

  caf::event_based_actor* self_;
  world& world_;
  instance_ptr home_;
  std::uint64_t last_ticket_ = 0;
};

}  // namespace mutant::simulation
