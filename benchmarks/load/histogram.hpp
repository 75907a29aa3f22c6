// How often each latency occurred, in constant memory: a log-linear histogram.
//
// Every power of two is cut into 2^bits equal buckets, from 0 to more than an hour in nanoseconds; longer ones count as that.
// A quantile answers the highest value of the bucket it falls into: never less than the true one, and above it by less than
// one part in 2^bits (0.8 % for 7 bits). Count, sum, smallest and largest are exact. Buckets are allocated up to the largest
// that is used. Histograms of the same bits add up. Belongs to one actor at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace mutant::load {

class histogram {
 public:
  static constexpr unsigned fine = 7;
  static constexpr std::uint64_t max_ns = (std::uint64_t{1} << 42) - 1;   // 73 minutes

  explicit histogram(unsigned bits = fine) : bits_(bits) {}

  void record(std::uint64_t ns) { record(ns, 1); }
  // `other` has the same bits.
  void add(const histogram& other);

  std::uint64_t count() const noexcept { return count_; }
  std::uint64_t smallest() const noexcept { return count_ == 0 ? 0 : smallest_; }
  std::uint64_t largest() const noexcept { return largest_; }
  double mean() const noexcept { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_); }
  // The value that a part q (0 … 1) of all is at or below; 0 when nothing was recorded.
  std::uint64_t quantile(double q) const noexcept;
  // Each used bucket in order: its highest value, how many are in it.
  void each(const std::function<void(std::uint64_t highest_ns, std::uint64_t count)>& visit) const;

 private:
  void record(std::uint64_t ns, std::uint64_t times);
  std::size_t bucket_of(std::uint64_t ns) const noexcept;
  std::uint64_t highest_of(std::size_t bucket) const noexcept;

  unsigned bits_;
  std::vector<std::uint64_t> buckets_;
  std::uint64_t count_ = 0;
  std::uint64_t smallest_ = ~std::uint64_t{0};
  std::uint64_t largest_ = 0;
  double sum_ = 0;
};

}  // namespace mutant::load
