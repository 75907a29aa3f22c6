#include "benchmarks/load/value_size.hpp"

#include <algorithm>
#include <cmath>

#include "apps/mutant/text.hpp"
#include "benchmarks/load/quantities.hpp"

namespace mutant::load {

result<value_size::part> value_size::parse_part(std::string_view text, bool weighted) const {
  part p;
  if (const auto star = text.rfind('*'); star != std::string_view::npos) {
    auto weight = parse_real(text.substr(star + 1));
    if (!weight || *weight <= 0)
      return fail(errc::invalid_argument, "the weight behind * in '" + std::string(text) + "' is no number above 0");
    p.weight = *weight;
    text = text.substr(0, star);
  } else if (weighted) {
    return fail(errc::invalid_argument, "'" + std::string(text) + "' has no weight: write SIZE*WEIGHT,SIZE*WEIGHT");
  }
  const auto dots = text.find("..");
  auto from = parse_size(text.substr(0, dots));
  auto to = dots == std::string_view::npos ? from : parse_size(text.substr(dots + 2));
  if (!from || !to)
    return fail(from ? to.error() : from.error());
  if (*to < *from)
    return fail(errc::invalid_argument, "the range '" + std::string(text) + "' ends before it begins");
  if (*from < min_ || *to > max_)
    return fail(errc::invalid_argument, "'" + std::string(text) + "': values here have from " + std::to_string(min_)
                                            + " bytes (they describe themselves) to " + cli::human_bytes(max_));
  p.from = *from;
  p.to = *to;
  return p;
}

result<void> value_size::parse_lognormal(std::string_view text) {
  const auto words = split(text, ':');
  if (words.size() != 3 && words.size() != 4)
    return fail(errc::invalid_argument,
                "'" + std::string(text) + "': write lognormal:MEDIAN:SIGMA or lognormal:MEDIAN:SIGMA:MOST");
  auto median = parse_size(words[1]);
  auto sigma = parse_real(words[2]);
  auto most = words.size() == 4 ? parse_size(words[3]) : result<std::uint64_t>(max_);
  if (!median || !most)
    return fail(median ? most.error() : median.error());
  if (!sigma || *sigma <= 0 || *sigma > 10)
    return fail(errc::invalid_argument, "sigma in '" + std::string(text) + "' is a number above 0, at most 10");
  if (*median < min_ || *median > *most || *most > max_)
    return fail(errc::invalid_argument, "'" + std::string(text) + "': median and most lie between " + std::to_string(min_)
                                            + " bytes and " + cli::human_bytes(max_));
  median_ = static_cast<double>(*median);
  sigma_ = *sigma;
  parts_ = {{1, min_, *most}};
  return {};
}

result<value_size> value_size::parse(std::string_view text, std::uint64_t least, std::uint64_t most) {
  value_size out;
  out.text_ = text;
  out.min_ = least;
  out.max_ = most;
  if (text.starts_with("lognormal")) {
    if (auto parsed = out.parse_lognormal(text); !parsed)
      return fail(parsed.error());
    return out;
  }
  const auto words = split(text, ',');
  double sum = 0;
  for (auto word : words) {
    auto p = out.parse_part(word, words.size() > 1);
    if (!p)
      return fail(p.error());
    p->weight = sum += p->weight;
    out.parts_.push_back(*p);
  }
  return out;
}

std::uint64_t value_size::draw(draws& random) const {
  if (sigma_ > 0) {
    const auto size = median_ * std::exp(sigma_ * random.normal());
    return static_cast<std::uint64_t>(std::clamp(size, static_cast<double>(min_), static_cast<double>(parts_[0].to)));
  }
  const auto at = parts_.size() == 1 ? 0.0 : random.unit() * parts_.back().weight;
  const auto p = std::ranges::find_if(parts_, [&](const part& x) { return at < x.weight; });
  return p->from == p->to ? p->from : p->from + random.below(p->to - p->from + 1);
}

std::uint64_t value_size::smallest() const noexcept {
  return std::ranges::min_element(parts_, {}, &part::from)->from;
}

std::uint64_t value_size::largest() const noexcept {
  return std::ranges::max_element(parts_, {}, &part::to)->to;
}

}  // namespace mutant::load
