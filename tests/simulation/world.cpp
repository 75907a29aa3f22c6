#include "tests/simulation/world.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "actors/pads/local_store.hpp"
#include "actors/pads/memory_store.hpp"
#include "core/index/codec.hpp"
#include "tests/simulation/client.hpp"

namespace mutant::simulation {

namespace {

constexpr std::uint64_t max_steps = 3'000'000;
constexpr auto max_patience = std::chrono::hours(3);   // of a client, by the simulated clock

// Nothing has changed after these; anything else may have happened all the same.
bool is_certain(errc code) {
  switch (code) {
    case errc::key_not_found:
    case errc::key_exists:
    case errc::version_mismatch:
    case errc::pad_conflict:
    case errc::stale_counter:
    case errc::too_large:
    case errc::store_full:
    case errc::overloaded:
    case errc::invalid_argument:
    case errc::cancelled: return true;
    default: return false;
  }
}

bool is_about_integrity(errc code) {
  return code == errc::index_corrupt || code == errc::corrupt_record || code == errc::decrypt_failed
         || code == errc::bad_signature || code == errc::rollback_detected || code == errc::store_damaged;
}

bool is_about_the_store(errc code) {
  return code == errc::timeout || code == errc::unreachable || code == errc::overloaded || code == errc::store_full
         || code == errc::io_error;
}

bool logging() {
  static const bool wanted = std::getenv("MUTANT_SIMULATION_LOG") != nullptr;
  return wanted;
}

caf::behavior client_actor(caf::stateful_actor<std::unique_ptr<client>>* self, world* w, const instance_ptr& home,
                           const std::function<void(client&)>& start) {
  self->state = std::make_unique<client>(self, *w, home);
  self->send(self, deferred{[self, start] { start(*self->state); }});
  return {[](deferred& later) { later.run(); }};
}

}  // namespace

world::world(const settings& s)
    : settings_(s), dice_(s.seed), system_(s.seed, testing::deterministic_system::order::seeded),
      owner_([&] {
        seed owner;
        for (std::size_t i = 0; i < owner.value.size(); ++i)
          owner.value[i] = static_cast<std::byte>(s.seed >> (i % 8 * 8));
        return owner;
      }()),
      engine_(std::make_shared<observed_engine>(owner_)), reference_(engine_->reference()),
      instances_(s.writers), lives_(s.writers + 1), remaining_(s.writers + 1, s.operations), crashes_left_(s.crashes) {
  engine_->set_capacity(s.capacity_bytes);
  if (s.batching_store) {
    local_store_options options;
    options.engine = engine_;
    options.detached = false;
    behind_ = system_.system().spawn(local_store, options);
  } else {
    behind_ = system_.system().spawn(memory_store, std::static_pointer_cast<pad_engine>(engine_));
  }
  adopt(nullptr);
  if (logging())
    reference_.on_write = [this](const std::string& line) { log(line); };
  system_.after_step = [this](caf::actor_id id) {
    auto at = actors_.find(id);
    adopt(at != actors_.end() ? at->second.first : nullptr);
  };
}

world::~world() {
  for (auto& [id, actor] : actors_)
    if (auto strong = actor.second.lock())
      caf::anon_send_exit(caf::actor_cast<caf::actor>(strong), caf::exit_reason::kill);
  system_.run_messages();
}

void world::log(const std::string& line) {
  if (logging())
    std::cerr << "[" << system_.steps() << " "
              << std::chrono::duration_cast<std::chrono::milliseconds>(system_.now().time_since_epoch()).count() << "ms #"
              << reference_.sequence() << "] " << line << "\n";
}

// -- stores --------------------------------------------------------------------------------------------------------------

// Whoever is new was made by this one.
void world::adopt(const instance_ptr& owner) {
  const auto newest = system_.system().latest_actor_id();
  if (newest == known_actors_)
    return;
  for (auto* job : system_.scheduler().jobs)
    if (auto* actor = dynamic_cast<caf::scheduled_actor*>(job); actor != nullptr && actor->id() > known_actors_)
      actors_[actor->id()] = {owner, caf::weak_actor_ptr(actor->ctrl())};
  known_actors_ = newest;
}

store_config world::config_of(const instance& i, pad_store_actor pads) {
  store_config c;
  c.owner = owner_;
  c.pads = std::move(pads);
  c.crypto_workers = settings_.crypto_workers;
  c.pad_workers = settings_.pad_workers;
  c.window = settings_.window;
  c.chunk_bytes = settings_.chunk_bytes;
  c.inline_bytes = settings_.inline_bytes;
  c.detached = false;
  c.worker.timeout = std::chrono::milliseconds(300);
  c.worker.tries = settings_.tries;
  c.worker.first_pause = std::chrono::milliseconds(5);
  c.worker.max_pause = std::chrono::milliseconds(100);
  c.worker.seed = settings_.seed * 1000 + i.writer * 100 + i.life + 1;
  c.index.writer = i.id;
  c.index.ring_slots = settings_.ring_slots + (i.writer == 1 ? 3 : 0);   // the root decides, not the configuration
  c.index.max_batch_bytes = std::max(settings_.max_batch_bytes, commit_overhead_bytes);
  c.index.max_part_bytes = settings_.max_part_bytes;
  c.index.snapshot_log_bytes = settings_.snapshot_log_bytes;
  c.index.min_compaction_bytes = settings_.min_compaction_bytes;
  c.index.max_delta_parts = settings_.max_delta_parts;
  c.put.checkpoint_chunks = settings_.checkpoint_chunks;
  return c;
}

instance_ptr world::spawn(std::size_t writer) {
  auto i = std::make_shared<instance>();
  i->writer = writer;
  i->life = ++lives_[writer];
  i->id[0] = static_cast<std::byte>(writer + 1);
  i->id[1] = static_cast<std::byte>(i->life);
  i->at_least = settings_.untrue_reads() ? 0 : reference_.sequence();
  faulty_store_options network;
  network.store = behind_;
  network.seed = dice_.number();
  if (!calm_)
    network.faults = settings_.faults;
  i->network = system_.system().spawn(faulty_store, network);
  adopt(calm_ || !settings_.network_outlives ? i : nullptr);
  auto made = spawn_store(system_.system(), config_of(*i, caf::actor_cast<pad_store_actor>(i->network)));
  if (!made) {
    reference_.violate("a store could not be spawned: " + mutant::to_string(made.error()));
    return i;
  }
  i->store = *made;
  adopt(i);
  log("writer " + std::to_string(writer) + " begins life " + std::to_string(i->life));
  return i;
}

void world::spawn_client(const instance_ptr& home) {
  system_.system().spawn(client_actor, this, home, std::function<void(client&)>([](client& c) { c.next(); }));
  adopt(home);
}

// All at once: what was in their mailboxes is gone, and nobody says goodbye.
void world::kill(const instance_ptr& i) {
  i->alive = false;
  log("writer " + std::to_string(i->writer) + " dies");
  for (bool left = true; left;) {
    left = false;
    std::vector<caf::strong_actor_ptr> doomed;
    for (auto& [id, actor] : actors_)
      if (actor.first == i)
        if (auto strong = actor.second.lock())
          doomed.push_back(std::move(strong));
    for (auto& actor : doomed) {
      auto* who = static_cast<caf::scheduled_actor*>(caf::actor_cast<caf::abstract_actor*>(actor));
      if (who->mailbox().closed())
        continue;
      left = true;
      caf::anon_send_exit(caf::actor_cast<caf::actor>(actor), caf::exit_reason::kill);
      while (!who->mailbox().closed() && system_.step_of(who)) {
      }
    }
  }
  std::erase_if(actors_, [&](const auto& entry) { return entry.second.first == i; });
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    if (at->home != i) {
      ++at;
      continue;
    }
    ++report_.outcomes["died"];
    if (at->attempt) {
      reference_.unknown(*at->attempt);
      log("  unknown: " + at->what);
    }
    at = waiting_.erase(at);
  }
}

void world::maybe_crash() {
  if (crashes_left_ == 0 || system_.steps() < next_crash_)
    return;
  next_crash_ = system_.steps() + dice_.between(1, 2 * settings_.steps_between_crashes);
  auto victim = instances_[dice_.below(instances_.size())];
  if (!victim)
    return;
  --crashes_left_;
  ++report_.crashes;
  kill(victim);
  instances_[victim->writer] = nullptr;
  next_restart_ = system_.steps() + dice_.below(500);
}

void world::maybe_restart() {
  for (auto& i : instances_)
    if (i && i->broken) {
      kill(i);
      i = nullptr;
    }
  if (system_.steps() < next_restart_ && system_.scheduler().has_job())
    return;
  for (std::size_t w = 0; w < instances_.size(); ++w) {
    if (instances_[w])
      continue;
    instances_[w] = spawn(w);
    for (std::size_t c = 0; c < settings_.clients && !calm_; ++c)
      spawn_client(instances_[w]);
  }
}

// -- what clients report -------------------------------------------------------------------------------------------------

world::ticket world::ask(const instance_ptr& home, std::string what, std::optional<std::size_t> attempt) {
  log("writer " + std::to_string(home->writer) + " asks: " + what);
  waiting_.push_back({home, std::move(what), system_.now(), attempt});
  return std::prev(waiting_.end());
}

// Who dies hears nothing any more: what bounces off a part that went first is for kill() to settle.
void world::answered(ticket t, std::string_view how) {
  if (!t->home->alive)
    return;
  ++report_.outcomes[std::string(how)];
  log("writer " + std::to_string(t->home->writer) + " hears: " + std::string(how) + " for " + t->what);
  waiting_.erase(t);
}

void world::failed(ticket t, const error& e) {
  if (!t->home->alive)
    return;
  const auto name = std::string(name_of(e.code));
  ++report_.outcomes[name];
  log("writer " + std::to_string(t->home->writer) + " hears: " + mutant::to_string(e) + " for " + t->what);
  if (t->attempt) {
    if (is_certain(e.code))
      reference_.refused(*t->attempt, name);
    else
      reference_.unknown(*t->attempt);
  }
  if (is_about_integrity(e.code) && !settings_.untrue_reads())
    reference_.violate(t->what + ": " + mutant::to_string(e));
  const auto& f = settings_.faults;
  const auto faultless = f.lose_request + f.lose_answer + f.refuse_full + f.refuse_overloaded + f.fail_io + f.straggle == 0
                         && settings_.capacity_bytes == ~std::uint64_t{0} && settings_.tick == 0
                         && !settings_.untrue_reads();
  if ((faultless || calm_) && is_about_the_store(e.code) && e.message.find("source failed") == std::string::npos
      && !(calm_ && t->what.find("last") == 0))
    reference_.violate("without faults, " + t->what + ": " + mutant::to_string(e));
  if (settings_.untrue_reads() && (e.code == errc::index_corrupt || e.code == errc::timeout))
    t->home->broken = e.code == errc::index_corrupt || t->home->broken;
  waiting_.erase(t);
}

std::string world::any_key() {
  return "key/" + std::to_string(dice_.below(settings_.keys));
}

// Recognisable, and often partly what the key held before.
std::string world::new_content(const std::string& key) {
  auto& d = dice_;
  const auto chunk = settings_.chunk_bytes;
  const auto mark = "<" + std::to_string(++contents_) + ">";
  auto& last = last_content_[key];
  std::string out;
  if (last.size() > mark.size() && d.chance(0.4)) {
    out = last;
    if (d.chance(0.3))
      out.resize(d.between(mark.size(), out.size()));
    if (d.chance(0.3))
      out.append(d.below(3 * chunk), 'a');
    out.replace(d.below(out.size() - mark.size() + 1), mark.size(), mark);
  } else {
    std::uint64_t size = 0;
    if (d.chance(0.95))
      size = d.chance(0.3) ? d.between(1, 40) : d.chance(0.3) ? chunk * d.between(1, 6) : d.between(1, 8 * chunk);
    while (out.size() < size)
      out += mark + static_cast<char>('a' + d.below(26));
    out.resize(size);
  }
  last = out;
  return out;
}

// -- the course of things ------------------------------------------------------------------------------------------------

void world::check_patience() {
  for (const auto& w : waiting_)
    if (system_.now() - w.since > max_patience)
      return reference_.violate("writer " + std::to_string(w.home->writer) + " was never answered: " + w.what);
}

bool world::finished() const {
  if (!waiting_.empty())
    return false;
  for (std::size_t w = 0; w < instances_.size(); ++w)
    if (remaining_[w] > 0)
      return false;
  return true;
}

bool world::run_until(const std::function<bool()>& done, const char* waiting_for) {
  for (std::uint64_t i = 0; !reference_.violation(); ++i) {
    if (done())
      return true;
    if (system_.steps() > max_steps) {
      reference_.violate(std::string("no end after so many steps, waiting for ") + waiting_for);
      break;
    }
    if (!system_.step()) {
      if (!done())
        reference_.violate(std::string("everybody waits for ever, for ") + waiting_for
                           + (waiting_.empty() ? "" : ": " + waiting_.front().what));
      break;
    }
    if (i % 256 == 0)
      check_patience();
  }
  return !reference_.violation();
}

void world::workload() {
  next_crash_ = dice_.between(1, 2 * settings_.steps_between_crashes);
  maybe_restart();
  run_until(
      [this] {
        maybe_crash();
        maybe_restart();
        if (settings_.tick > 0 && dice_.chance(settings_.tick))
          system_.scheduler().advance_time(std::chrono::milliseconds(dice_.below(40)));
        return finished();
      },
      "the clients");
}

void world::last_words(const instance_ptr& i) {
  auto over = std::make_shared<bool>(false);
  system_.system().spawn(client_actor, this, i, std::function<void(client&)>([over](client& c) {
                           c.last_words(10, [over] { *over = true; });
                         }));
  adopt(i);
  run_until([over] { return *over; }, "the last words");
}

// The faults end. Every store must work; then everybody dies, and a new one finds everything.
void world::aftermath() {
  calm_ = true;
  crashes_left_ = 0;
  log("calm");
  engine_->set_capacity(~std::uint64_t{0});
  for (auto& i : instances_)
    if (i)
      caf::anon_send(i->network, fault_options{});
  system_.run_messages();
  // Stragglers arrive, and those who gave up try again.
  system_.run_for(std::chrono::minutes(5));
  maybe_restart();
  for (std::size_t w = 0; w < instances_.size() && !reference_.violation(); ++w) {
    last_words(instances_[w]);
    if (instances_[w]->broken) {
      maybe_restart();
      maybe_restart();
      last_words(instances_[w]);
    }
  }
  if (reference_.violation())
    return;
  system_.run_for(std::chrono::minutes(1));
  for (auto& i : instances_)
    kill(i);
  instances_.clear();
  system_.run_for(std::chrono::minutes(1));
  reference_.compare_with_store();
  if (reference_.violation())
    return;

  log("a fresh store");
  auto fresh = spawn(settings_.writers);
  last_words(fresh);
  auto keys = std::make_shared<std::size_t>(0);
  std::size_t expected = 0;
  for (const auto& item : reference_.state().list({}, {}, 1'000'000)) {
    if (item.complete == nullptr)
      continue;
    ++expected;
    const auto key = item.key;
    const auto content = *reference_.content_of(key);
    system_.system().spawn([this, fresh, key, content, keys](caf::event_based_actor* self) {
      get_request request;
      request.key = key;
      self->request(fresh->store, caf::infinite, get_atom_v, std::move(request))
          .then(
              [=, this](get_result& r) {
                if (as_text(r.value) != content)
                  reference_.violate("in the end " + key + " holds something else");
                ++*keys;
              },
              [=, this](caf::error& e) {
                reference_.violate("in the end " + key + " cannot be read: " + mutant::to_string(from_caf(e)));
              });
    });
    adopt(fresh);
  }
  run_until([&] { return *keys == expected; }, "the last gets");
  auto purged = std::make_shared<bool>(false);
  system_.system().spawn([this, fresh, purged](caf::event_based_actor* self) {
    self->request(fresh->store, caf::infinite, purge_atom_v, purge_request{})
        .then([=](purge_result&) { *purged = true; },
              [=, this](caf::error& e) { reference_.violate("the last purge: " + mutant::to_string(from_caf(e))); });
  });
  adopt(fresh);
  run_until([&] { return *purged; }, "the last purge");
  if (reference_.violation())
    return;
  reference_.check_nothing_leaked();
  reference_.compare_with_store();
  kill(fresh);
}

report world::run() {
  workload();
  if (!reference_.violation())
    aftermath();
  report_.violation = reference_.violation();
  report_.trace = system_.trace();
  report_.steps = system_.steps();
  report_.commits = reference_.sequence();
  report_.roots = reference_.roots();
  return report_;
}

}  // namespace mutant::simulation
