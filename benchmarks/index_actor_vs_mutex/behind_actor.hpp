// The index actor as a store uses it, with crypto workers of its own, asked by client actors.
#pragma once

#include <optional>

#include "actors/index/spawn_index.hpp"
#include "actors/store.hpp"
#include "actors/workers/crypto_pool.hpp"
#include "benchmarks/clients.hpp"
#include "benchmarks/index_actor_vs_mutex/contender.hpp"

namespace mutant::bench {

struct paced_state {
  static inline const char* name = "paced_reader";
  std::optional<pace> rhythm;
  std::uint64_t next = 0;
};

inline caf::behavior paced_reader(caf::stateful_actor<paced_state>* self, index_actor target, std::uint64_t keys,
                           std::uint64_t per_second, steady::time_point stop, std::uint64_t first,
                           std::vector<std::uint32_t>* into) {
  self->state.rhythm.emplace(per_second);
  self->state.next = first;
  self->send(self, get_atom_v, false);
  return {[=](get_atom, bool waited) {
    auto& s = self->state;
    if (s.rhythm->over(stop, *into))
      return self->quit();
    s.rhythm->start(waited);
    self->request(target, caf::infinite, find_atom_v, find_request{key_of(scattered(s.next++, keys)), false})
        .then(
            [=](found&) {
              auto& now = self->state;
              into->push_back(now.rhythm->end());
              const auto wait = now.rhythm->wait();
              if (wait.count() == 0)
                self->send(self, get_atom_v, false);
              else
                self->delayed_send(self, wait, get_atom_v, true);
            },
            or_end("a look-up"));
  }};
}

class behind_actor : public contender {
 public:
  explicit behind_actor(const settings& s) : settings_(s), system_(config_), store_(system_) {
    crypto_pool_options pool;
    pool.workers = cores();
    crypto_ = spawn_crypto_pool(system_, {std::make_shared<const keyring>(owner())}, pool);
    index_options o;
    o.pads = caf::actor_cast<pad_store_actor>(store_.store);
    o.crypto = crypto_;
    o.ring_slots = ring_slots;
    o.snapshot_log_bytes = std::uint64_t{1} << 40;
    random_fill(o.writer);
    must(o.validate(), "index");
    index_ = spawn_index(system_, o);
    fill();
  }
  ~behind_actor() override {
    caf::anon_send_exit(index_, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(crypto_, caf::exit_reason::user_shutdown);
    index_ = nullptr;
    crypto_ = nullptr;
  }

  void set_latency(std::chrono::microseconds latency) override { store_.set_latency(latency); }

  looked_up closed(std::size_t readers, double seconds) override {
    auto run = run_clients(system_, readers, seconds, std::uint64_t{1} << 40,
                           [index = index_, keys = settings_.keys](auto* self, std::uint64_t n, auto answered) {
                             self->request(index, caf::infinite, find_atom_v, find_request{key_of(scattered(n, keys)), false})
                                 .then([answered](found&) { answered(); }, or_end("a look-up"));
                           });
    return {run.rate(), std::move(run.latencies_ns)};
  }

  looked_up paced(std::size_t readers, std::uint64_t per_second, double seconds) override {
    std::vector<std::vector<std::uint32_t>> all(readers);
    caf::scoped_actor self{system_};
    const auto stop = steady::now() + std::chrono::duration_cast<steady::duration>(std::chrono::duration<double>(seconds));
    std::vector<caf::actor> actors;
    for (std::size_t i = 0; i < readers; ++i)
      actors.push_back(system_.spawn(paced_reader, index_, settings_.keys, per_second, stop, i << 32, &all[i]));
    for (auto& a : actors)
      self->wait_for(a);
    return gathered(std::move(all), 0, seconds);
  }

  std::uint64_t commits(std::size_t writers, const std::atomic<bool>& stop) override {
    std::atomic<std::uint64_t> answers{0};
    run_clients(system_, writers, 1e6, std::uint64_t{1} << 40,
                [&, index = index_, keys = settings_.keys](auto* self, std::uint64_t n, auto answered) {
                  if (stop)
                    return self->quit();
                  commit_request request{{put_of(scattered(n, keys))}, {}};
                  self->request(index, caf::infinite, commit_atom_v, std::move(request))
                      .then(
                          [&answers, answered](commit_result) {
                            ++answers;
                            answered();
                          },
                          or_end("a commit"));
                });
    return answers;
  }

 private:
  void fill() {
    caf::scoped_actor self{system_};
    for (std::uint64_t n = 0; n < settings_.keys;) {
      commit_request request;
      for (; n < settings_.keys && request.operations.size() < 1000; ++n)
        request.operations.push_back(put_of(n));
      self->request(index_, std::chrono::minutes(1), commit_atom_v, std::move(request))
          .receive([](commit_result) {}, or_end("filling the index"));
    }
  }

  settings settings_;
  system_config config_;
  caf::actor_system system_;
  slow_store store_;
  crypto_worker_actor crypto_;
  index_actor index_;
};

}  // namespace mutant::bench
