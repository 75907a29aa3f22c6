// The index behind a mutex, asked by threads.
#pragma once

#include <sys/prctl.h>

#include <thread>

#include "actors/store.hpp"
#include "benchmarks/clients.hpp"
#include "benchmarks/index_actor_vs_mutex/contender.hpp"
#include "benchmarks/index_actor_vs_mutex/mutex_index.hpp"

namespace mutant::bench {

template <class Mutex>
class behind_mutex : public contender {
 public:
  behind_mutex(lock_use use, const settings& s)
      : settings_(s), system_(config_), store_(system_), index_(use, owner(), ring_slots, group_requests) {
    caf::scoped_actor self{system_};
    const auto write = writer(self);
    for (std::uint64_t n = 0; n < settings_.keys;) {
      std::vector<operation> operations;
      for (; n < settings_.keys && operations.size() < 1000; ++n)
        operations.push_back(put_of(n));
      must(index_.fill(operations, write), "filling the index");
    }
  }

  void set_latency(std::chrono::microseconds latency) override { store_.set_latency(latency); }

  looked_up closed(std::size_t readers, double seconds) override {
    std::vector<std::vector<std::uint32_t>> all(readers);
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> total{0};
    const auto start = steady::now();
    in_threads(readers, [&](std::size_t i) {
      std::uint64_t n = std::uint64_t{i} << 32, count = 0;
      // Reading the clock takes as long as half a look-up: one in 16 is timed.
      for (; !stop.load(std::memory_order_relaxed); ++count) {
        const auto timed = count % 16 == 0;
        const auto began = timed ? steady::now() : steady::time_point{};
        index_.find(key_of(scattered(n++, settings_.keys)));
        if (timed)
          all[i].push_back(static_cast<std::uint32_t>(std::min<std::int64_t>((steady::now() - began).count(), UINT32_MAX)));
      }
      total += count;
    }, [&] {
      std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
      stop = true;
    });
    return gathered(std::move(all), total, seconds_since(start));
  }

  looked_up paced(std::size_t readers, std::uint64_t per_second, double seconds) override {
    std::vector<std::vector<std::uint32_t>> all(readers);
    const auto stop = steady::now() + std::chrono::duration_cast<steady::duration>(std::chrono::duration<double>(seconds));
    in_threads(readers, [&](std::size_t i) {
      ::prctl(PR_SET_TIMERSLACK, 1000);
      pace rhythm(per_second);
      for (auto n = std::uint64_t{i} << 32; !rhythm.over(stop, all[i]); ++n) {
        const auto wait = rhythm.wait();
        if (wait.count() != 0)
          std::this_thread::sleep_for(wait);
        rhythm.start(wait.count() != 0);
        index_.find(key_of(scattered(n, settings_.keys)));
        all[i].push_back(rhythm.end());
      }
    }, [] {});
    return gathered(std::move(all), 0, seconds);
  }

  std::uint64_t commits(std::size_t writers, const std::atomic<bool>& stop) override {
    std::atomic<std::uint64_t> answers{0};
    in_threads(writers, [&](std::size_t i) {
      caf::scoped_actor self{system_};
      const auto write = writer(self);
      for (auto n = std::uint64_t{i} << 32; !stop; ++n) {
        must(index_.commit(put_of(scattered(n, settings_.keys)), write), "a commit");
        ++answers;
      }
    }, [] {});
    return answers;
  }

 private:
  template <class Work, class Meanwhile>
  static void in_threads(std::size_t count, Work work, Meanwhile meanwhile) {
    std::vector<std::thread> all;
    for (std::size_t i = 0; i < count; ++i)
      all.emplace_back(work, i);
    meanwhile();
    for (auto& t : all)
      t.join();
  }

  // The same store, asked by a thread that waits for it.
  write_record writer(caf::scoped_actor& self) {
    return [&self, store = store_.store](const bytes& record) {
      self->request(store, caf::infinite, put_atom_v, record).receive([](done) {}, or_end("writing the log"));
    };
  }

  settings settings_;
  system_config config_;
  caf::actor_system system_;
  slow_store store_;
  mutex_index<Mutex> index_;
};

}  // namespace mutant::bench
