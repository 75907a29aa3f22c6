#include "benchmarks/load/workload.hpp"

#include <algorithm>
#include <cstdio>

#include "benchmarks/load/quantities.hpp"

namespace mutant::load {

namespace {

constexpr per_kind<std::string_view> kind_names = {"load",   "read",   "update", "insert",
                                                   "scan",   "modify", "upload", "download"};

struct preset {
  std::string_view name;
  std::string_view mix;
  key_order order;
  std::uint64_t clients;
  std::string_view about;
};

constexpr preset presets[] = {
    {"a", "read=50,update=50", key_order::zipfian, 64, "YCSB A, update heavy: 50% read, 50% update, zipfian"},
    {"b", "read=95,update=5", key_order::zipfian, 64, "YCSB B, read mostly: 95% read, 5% update, zipfian"},
    {"c", "read=100", key_order::zipfian, 64, "YCSB C, read only, zipfian"},
    {"d", "read=95,insert=5", key_order::latest, 64, "YCSB D, read latest: 95% read of the newest keys, 5% insert"},
    {"e", "scan=95,insert=5", key_order::zipfian, 64, "YCSB E, short ranges: 95% list of 1 to 100 keys, 5% insert"},
    {"f", "read=50,modify=50", key_order::zipfian, 64, "YCSB F: 50% read, 50% read-modify-write with --if-version"},
    {"upload", "upload=100", key_order::own, 4, "puts of large values, streamed, each client on keys of its own"},
    {"download", "download=100", key_order::own, 4, "gets of large values, streamed"},
    {"mixed", "read=70,update=20,upload=5,download=5", key_order::zipfian, 16, "small reads and updates beside large values"},
};

}  // namespace

std::string_view name_of(operation_kind kind) noexcept {
  return kind_names[static_cast<std::size_t>(kind)];
}

result<operation_mix> operation_mix::parse(std::string_view text) {
  operation_mix out;
  for (auto word : split(text, ',')) {
    const auto equals = word.find('=');
    const auto kind = std::ranges::find(kind_names, word.substr(0, equals));
    if (equals == std::string_view::npos || kind == kind_names.end() || kind == kind_names.begin())
      return fail(errc::invalid_argument, "'" + std::string(word) + "' is no part of a mix: write KIND=WEIGHT with read, "
                                              "update, insert, scan, modify, upload or download");
    auto number = word.substr(equals + 1);
    if (number.ends_with('%'))
      number.remove_suffix(1);
    auto weight = parse_real(number);
    if (!weight)
      return fail(errc::invalid_argument, "the weight in '" + std::string(word) + "': " + weight.error().message);
    auto& known = out.weights_[static_cast<std::size_t>(kind - kind_names.begin())];
    if (known != 0)
      return fail(errc::invalid_argument, "the mix names " + std::string(*kind) + " twice");
    known = *weight;
    out.sum_ += *weight;
  }
  if (out.sum_ <= 0)
    return fail(errc::invalid_argument, "the mix '" + std::string(text) + "' has no weight above 0");
  return out;
}

operation_kind operation_mix::draw(draws& random) const {
  auto at = random.unit() * sum_;
  auto last = operation_kind::read;
  for (std::size_t i = 0; i < operation_kinds; ++i) {
    if (weights_[i] <= 0)
      continue;
    last = static_cast<operation_kind>(i);
    if (at < weights_[i])
      break;
    at -= weights_[i];
  }
  return last;
}

double operation_mix::share(operation_kind kind) const noexcept {
  return sum_ > 0 ? weights_[static_cast<std::size_t>(kind)] / sum_ : 0;
}

bool operation_mix::small() const noexcept {
  using enum operation_kind;
  return has(read) || has(update) || has(insert) || has(scan) || has(modify);
}

std::string operation_mix::text() const {
  std::string out;
  for (std::size_t i = 0; i < operation_kinds; ++i)
    if (weights_[i] > 0) {
      char share_text[32];
      std::snprintf(share_text, sizeof share_text, "%.3g%% ", weights_[i] / sum_ * 100);
      out += (out.empty() ? "" : ", ") + std::string(share_text) + std::string(kind_names[i]);
    }
  return out;
}

result<workload> workload::parse(std::string_view text) {
  workload out;
  for (const auto& p : presets)
    if (p.name == text) {
      auto mix = operation_mix::parse(p.mix);
      if (!mix)
        return fail(mix.error());
      return workload{std::string(p.name), *mix, p.order, p.clients};
    }
  if (text.find('=') == std::string_view::npos)
    return fail(errc::invalid_argument, "there is no workload '" + std::string(text)
                                            + "': a, b, c, d, e, f, upload, download, mixed, or a mix like read=90,update=10");
  auto mix = operation_mix::parse(text);
  if (!mix)
    return fail(mix.error());
  out.name = text;
  out.mix = *mix;
  return out;
}

std::string preset_help() {
  std::string out;
  for (const auto& p : presets)
    out += "  " + std::string(p.name) + std::string(10 - p.name.size(), ' ') + std::string(p.about) + "\n";
  return out;
}

}  // namespace mutant::load
