// What is known of each key: the version that was last acknowledged, and how many keys there are.
//
// The one thing that clients share. Lock-free: a word for each key, written once per acknowledged put, and two counters.
// A read takes the key's version before it asks; what comes back must not be older. Memory: 8 bytes a key, taken from the
// system when they are first written.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>

namespace mutant::load {

class ledger {
 public:
  // Keys 0 … loaded - 1 come from the load phase; inserts may add keys up to `capacity`. Null memory: `good` is false.
  ledger(std::uint64_t loaded, std::uint64_t capacity)
      : versions_(static_cast<std::uint64_t*>(std::calloc(capacity == 0 ? 1 : capacity, sizeof(std::uint64_t)))),
        loaded_(loaded), capacity_(capacity), next_(loaded), visible_(loaded) {}

  bool good() const noexcept { return versions_ != nullptr; }
  std::uint64_t loaded() const noexcept { return loaded_; }
  // Keys below this one are all acknowledged (or were loaded).
  std::uint64_t visible() const noexcept { return visible_.load(std::memory_order_acquire); }

  // The version that was last acknowledged; 0: none yet.
  std::uint64_t version(std::uint64_t key) const noexcept {
    return key < capacity_ ? word(key).load(std::memory_order_acquire) : 0;
  }

  void acknowledge(std::uint64_t key, std::uint64_t version) noexcept {
    auto known = word(key).load(std::memory_order_relaxed);
    while (known < version && !word(key).compare_exchange_weak(known, version, std::memory_order_acq_rel)) {
    }
    auto end = visible();
    while (end < capacity_ && word(end).load(std::memory_order_acquire) != 0)
      if (visible_.compare_exchange_weak(end, end + 1, std::memory_order_acq_rel))
        ++end;
  }

  // A key that nobody has; the last one again when all are taken.
  std::uint64_t take_new() noexcept {
    const auto key = next_.fetch_add(1, std::memory_order_relaxed);
    return key < capacity_ ? key : capacity_ - 1;
  }

 private:
  struct freed {
    void operator()(std::uint64_t* p) const noexcept { std::free(p); }
  };
  std::atomic_ref<std::uint64_t> word(std::uint64_t key) const noexcept {
    return std::atomic_ref<std::uint64_t>(versions_.get()[key]);
  }

  std::unique_ptr<std::uint64_t, freed> versions_;
  std::uint64_t loaded_;
  std::uint64_t capacity_;
  std::atomic<std::uint64_t> next_;
  std::atomic<std::uint64_t> visible_;
};

}  // namespace mutant::load
