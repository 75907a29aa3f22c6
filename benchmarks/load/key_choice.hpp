// Which key comes next: uniform, zipfian, latest, or each client's own in turn.
//
// Zipfian and latest are those of YCSB (Cooper et al., "Benchmarking Cloud Serving Systems with YCSB", SoCC 2010; classes
// ScrambledZipfianGenerator and SkewedLatestGenerator): zipfian draws a rank among 10^10 items with theta 0.99 and spreads
// the ranks over the keys with a 64-bit FNV hash, so that the popular keys are not neighbours and the most popular one has
// the same share (3.8 %) whatever the number of keys; latest counts the rank back from the newest key. Ranks are drawn by
// rejection-inversion (Hörmann and Derflinger, ACM TOMACS 6(3), 1996), which is exact; YCSB's own formula is an approximation.
#pragma once

#include <cstdint>
#include <string_view>

#include "benchmarks/load/draws.hpp"
#include "core/error.hpp"

namespace mutant::load {

constexpr double default_theta = 0.99;
constexpr std::uint64_t zipfian_items = 10'000'000'000;   // YCSB's ITEM_COUNT

enum class key_order { uniform, zipfian, latest, own };

std::string_view name_of(key_order order) noexcept;
result<key_order> parse_key_order(std::string_view text);

// Ranks from 0, rank k with a probability proportional to 1 / (k + 1)^theta.
class zipf {
 public:
  // theta above 0.
  explicit zipf(double theta);
  // Among `count` ranks, 1 or more.
  std::uint64_t rank(draws& random, std::uint64_t count) const;

 private:
  double integral(double x) const;          // of x^-theta, up to a constant
  double integral_inverse(double y) const;

  double theta_;
  double from_;     // integral(1.5) - 1
  double accept_;   // ranks this close to their draw need no further test
};

// FNV-1a over the eight bytes of the number, lowest first.
std::uint64_t fnv(std::uint64_t number) noexcept;

class key_choice {
 public:
  key_choice(key_order order, double theta, std::uint64_t client, std::uint64_t clients)
      : order_(order), ranks_(theta), clients_(clients), turn_(client) {}

  // `loaded`: keys that the load phase stored, 1 or more; `visible`: those and the inserted ones that all may read.
  std::uint64_t next(draws& random, std::uint64_t loaded, std::uint64_t visible);

 private:
  key_order order_;
  zipf ranks_;
  std::uint64_t clients_;
  std::uint64_t turn_;
};

}  // namespace mutant::load
