// Random draws that are the same on every machine for the same seed: std::mt19937_64 is specified to the bit, the standard
// library's distributions are not, so these are written out. Belongs to one actor.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <random>

namespace mutant::load {

// A well-mixed function of one number (the finaliser of SplitMix64, Steele, Lea and Flood 2014).
constexpr std::uint64_t mixed(std::uint64_t x) noexcept {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// A seed of its own for part `number` of whatever has this seed.
constexpr std::uint64_t seed_of(std::uint64_t seed, std::uint64_t number) noexcept {
  return mixed(mixed(seed + 0x9e3779b97f4a7c15u) + number * 0x9e3779b97f4a7c15u);
}

class draws {
 public:
  explicit draws(std::uint64_t seed) : engine_(seed) {}

  std::uint64_t bits() { return engine_(); }
  // From 0 up to but not 1, in steps of 2^-53.
  double unit() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
  // 0 … count - 1; count is from 1 to 2^53.
  std::uint64_t below(std::uint64_t count) { return static_cast<std::uint64_t>(unit() * static_cast<double>(count)); }
  // Waiting times of a Poisson process.
  double exponential(double mean) { return -std::log1p(-unit()) * mean; }
  // Box and Muller's transform; the second value of the pair is not kept.
  double normal() {
    const auto radius = std::sqrt(-2 * std::log1p(-unit()));
    return radius * std::cos(2 * std::numbers::pi * unit());
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace mutant::load
