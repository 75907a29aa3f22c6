#include "benchmarks/load/key_choice.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

namespace mutant::load {

namespace {

constexpr std::array<std::string_view, 4> order_names = {"uniform", "zipfian", "latest", "own"};

// (e^x - 1) / x and log(1 + x) / x, also near 0.
double expm1_over(double x) {
  return std::abs(x) > 1e-8 ? std::expm1(x) / x : 1 + x / 2 * (1 + x / 3);
}

double log1p_over(double x) {
  return std::abs(x) > 1e-8 ? std::log1p(x) / x : 1 - x * (0.5 - x / 3);
}

}  // namespace

std::string_view name_of(key_order order) noexcept {
  return order_names[static_cast<std::size_t>(order)];
}

result<key_order> parse_key_order(std::string_view text) {
  const auto at = std::ranges::find(order_names, text);
  if (at == order_names.end())
    return fail(errc::invalid_argument, "'" + std::string(text) + "' is no choice of keys: uniform, zipfian, latest or own");
  return static_cast<key_order>(at - order_names.begin());
}

zipf::zipf(double theta) : theta_(theta), from_(0), accept_(0) {
  from_ = integral(1.5) - 1;
  accept_ = 2 - integral_inverse(integral(2.5) - std::pow(2.0, -theta_));
}

double zipf::integral(double x) const {
  const auto log_x = std::log(x);
  return expm1_over((1 - theta_) * log_x) * log_x;
}

double zipf::integral_inverse(double y) const {
  return std::exp(log1p_over(std::max(y * (1 - theta_), -1.0)) * y);
}

std::uint64_t zipf::rank(draws& random, std::uint64_t count) const {
  const auto most = static_cast<double>(count);
  const auto to = integral(most + 0.5);
  for (;;) {
    const auto u = to + random.unit() * (from_ - to);
    const auto x = integral_inverse(u);
    const auto k = std::clamp(std::round(x), 1.0, most);
    if (k - x <= accept_ || u >= integral(k + 0.5) - std::pow(k, -theta_))
      return static_cast<std::uint64_t>(k) - 1;
  }
}

std::uint64_t fnv(std::uint64_t number) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (unsigned i = 0; i < 8; ++i)
    hash = (hash ^ ((number >> (8 * i)) & 0xff)) * 0x100000001b3u;
  return hash;
}

std::uint64_t key_choice::next(draws& random, std::uint64_t loaded, std::uint64_t visible) {
  switch (order_) {
    case key_order::uniform: return random.below(visible);
    case key_order::zipfian: return fnv(ranks_.rank(random, zipfian_items)) % loaded;
    case key_order::latest: return visible - 1 - ranks_.rank(random, visible);
    case key_order::own: break;
  }
  if (turn_ >= loaded)
    turn_ %= clients_;
  const auto key = std::min(turn_, loaded - 1);
  turn_ += clients_;
  return key;
}

}  // namespace mutant::load
