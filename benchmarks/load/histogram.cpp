#include "benchmarks/load/histogram.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace mutant::load {

// Values below 2^bits have a bucket each. Above, a value with its highest bit at position p (p >= bits) keeps its highest
// bits + 1 bits: bucket (p - bits + 1) * 2^bits + those bits without the leading one.
std::size_t histogram::bucket_of(std::uint64_t ns) const noexcept {
  const auto width = static_cast<unsigned>(std::bit_width(ns));
  if (width <= bits_)
    return ns;
  const auto shift = width - bits_ - 1;
  return ((std::uint64_t{shift} + 1) << bits_) + (ns >> shift) - (std::uint64_t{1} << bits_);
}

std::uint64_t histogram::highest_of(std::size_t bucket) const noexcept {
  const auto octave = bucket >> bits_;
  if (octave == 0)
    return bucket;
  const auto shift = octave - 1;
  const auto kept = (bucket & ((std::uint64_t{1} << bits_) - 1)) + (std::uint64_t{1} << bits_);
  return ((kept + 1) << shift) - 1;
}

void histogram::record(std::uint64_t ns, std::uint64_t times) {
  ns = std::min(ns, max_ns);
  const auto at = bucket_of(ns);
  if (at >= buckets_.size())
    buckets_.resize(at + 1);
  buckets_[at] += times;
  count_ += times;
  sum_ += static_cast<double>(ns) * static_cast<double>(times);
  smallest_ = std::min(smallest_, ns);
  largest_ = std::max(largest_, ns);
}

void histogram::add(const histogram& other) {
  if (other.buckets_.size() > buckets_.size())
    buckets_.resize(other.buckets_.size());
  for (std::size_t i = 0; i < other.buckets_.size(); ++i)
    buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  smallest_ = std::min(smallest_, other.smallest_);
  largest_ = std::max(largest_, other.largest_);
}

std::uint64_t histogram::quantile(double q) const noexcept {
  if (count_ == 0)
    return 0;
  const auto wanted = std::clamp(std::ceil(q * static_cast<double>(count_)), 1.0, static_cast<double>(count_));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (static_cast<double>(seen) >= wanted)
      return std::min(highest_of(i), largest_);
  }
  return largest_;
}

void histogram::each(const std::function<void(std::uint64_t, std::uint64_t)>& visit) const {
  for (std::size_t i = 0; i < buckets_.size(); ++i)
    if (buckets_[i] != 0)
      visit(std::min(highest_of(i), largest_), buckets_[i]);
}

}  // namespace mutant::load
