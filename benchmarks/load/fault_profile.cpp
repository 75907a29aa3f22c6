#include "benchmarks/load/fault_profile.hpp"

#include <algorithm>
#include <cstdio>
#include <set>

#include "benchmarks/load/quantities.hpp"

namespace mutant::load {

namespace {

using std::chrono::microseconds;

struct chance {
  std::string_view name;
  double fault_options::*field;
  std::string_view about;
};

constexpr chance chances[] = {
    {"drop-requests", &fault_options::lose_request, "a request never reaches the store"},
    {"drop-answers", &fault_options::lose_answer, "an answer is lost; the store did it"},
    {"repeat", &fault_options::repeat_write, "a write that was done reaches the store once more"},
    {"overloaded", &fault_options::refuse_overloaded, "the store refuses, as overloaded"},
    {"full", &fault_options::refuse_full, "the store refuses a write, as full"},
    {"io-error", &fault_options::fail_io, "the store's medium fails"},
    {"corrupt", &fault_options::corrupt_read, "one bit of what is read is flipped"},
    {"stale", &fault_options::stale_read, "a read gives what the pad held before"},
};

auto wrong(std::string_view word, const std::string& why) {
  return fail(errc::invalid_argument, "the fault '" + std::string(word) + "': " + why);
}

result<microseconds> fault_time(std::string_view text, std::string_view unit = {}) {
  auto time = parse_time(text, unit);
  if (!time)
    return fail(time.error());
  if (*time > std::chrono::hours(1))
    return fail(errc::invalid_argument, "'" + std::string(text) + "' is more than an hour");
  return std::chrono::duration_cast<microseconds>(*time);
}

// "5ms", "5ms±2", "5ms±2ms", "1ms..9ms", "1..9ms"
result<void> parse_delay(std::string_view text, fault_options& f) {
  if (const auto dots = text.find(".."); dots != std::string_view::npos) {
    auto to = fault_time(text.substr(dots + 2));
    auto from = fault_time(text.substr(0, dots), unit_of(text));
    if (!to || !from)
      return fail(to ? from.error() : to.error());
    if (*to < *from)
      return fail(errc::invalid_argument, "the range ends before it begins");
    f.min_delay = *from;
    f.max_delay = *to;
    return {};
  }
  auto sign = text.find("±"), length = std::string_view("±").size();
  if (sign == std::string_view::npos)
    sign = text.find("+-"), length = 2;
  auto middle = fault_time(text.substr(0, sign));
  if (!middle)
    return fail(middle.error());
  microseconds spread{0};
  if (sign != std::string_view::npos) {
    auto given = fault_time(text.substr(sign + length), unit_of(text.substr(0, sign)));
    if (!given)
      return fail(given.error());
    spread = *given;
  }
  if (spread > *middle)
    return fail(errc::invalid_argument, "the spread is larger than the delay");
  f.min_delay = *middle - spread;
  f.max_delay = *middle + spread;
  return {};
}

// "1%:200ms"
result<void> parse_straggle(std::string_view text, fault_options& f) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos)
    return fail(errc::invalid_argument, "write a share and the longest delay: straggle=1%:200ms");
  auto share = parse_share(text.substr(0, colon));
  auto longest = fault_time(text.substr(colon + 1));
  if (!share || !longest)
    return fail(share ? longest.error() : share.error());
  f.straggle = *share;
  f.max_straggle = *longest;
  return {};
}

result<void> parse_one(std::string_view name, std::string_view value, fault_options& f) {
  if (name == "delay")
    return parse_delay(value, f);
  if (name == "straggle")
    return parse_straggle(value, f);
  auto share = parse_share(value);
  const auto* known = std::ranges::find(chances, name, &chance::name);
  if (name != "drop" && known == std::end(chances)) {
    std::string names = "delay, straggle, drop";
    for (const auto& c : chances)
      names += ", " + std::string(c.name);
    return fail(errc::invalid_argument, "there is no such fault; there are " + names);
  }
  if (!share)
    return fail(share.error());
  if (name == "drop")
    f.lose_request = f.lose_answer = *share;
  else
    f.*(known->field) = *share;
  return {};
}

std::string share_text(double share) {
  char text[40];
  std::snprintf(text, sizeof text, "%.15g%%", share * 100);
  return text;
}

std::string time_text(microseconds time) {
  const auto us = time.count();
  return us % 1'000'000 == 0 && us != 0 ? std::to_string(us / 1'000'000) + "s"
         : us % 1'000 == 0              ? std::to_string(us / 1'000) + "ms"
                                        : std::to_string(us) + "us";
}

}  // namespace

result<fault_options> parse_faults(std::string_view text) {
  fault_options out;
  std::set<std::string_view> seen;
  for (auto word : split(text, ',')) {
    const auto equals = word.find('=');
    if (equals == std::string_view::npos || equals == 0 || equals + 1 == word.size())
      return wrong(word, "write NAME=VALUE, as in delay=5ms±2,drop=0.1%");
    const auto name = word.substr(0, equals);
    if (auto parsed = parse_one(name, word.substr(equals + 1), out); !parsed)
      return wrong(word, parsed.error().message);
    const auto both = name == "drop";
    const auto fresh = both ? seen.insert("drop-requests").second && seen.insert("drop-answers").second
                            : seen.insert(name).second;
    if (!fresh)
      return wrong(word, "this is given twice");
  }
  if (auto valid = out.validate(); !valid)
    return fail(valid.error());
  return out;
}

std::string to_string(const fault_options& f) {
  std::string out;
  auto add = [&](std::string_view name, const std::string& value) {
    out += (out.empty() ? "" : ",") + std::string(name) + "=" + value;
  };
  if (f.max_delay.count() != 0)
    add("delay", f.min_delay == f.max_delay ? time_text(f.max_delay)
                                                     : time_text(f.min_delay) + ".." + time_text(f.max_delay));
  if (f.straggle > 0)
    add("straggle", share_text(f.straggle) + ":" + time_text(f.max_straggle));
  for (const auto& c : chances)
    if (f.*(c.field) > 0)
      add(c.name, share_text(f.*(c.field)));
  return out;
}

std::string fault_help() {
  std::string out = "  delay=5ms±2         every request and every answer waits, evenly spread; also 5ms+-2, 3ms..7ms\n"
                    "  straggle=1%:200ms   this share of them waits up to that long instead\n"
                    "  drop=0.1%           every request and every answer is lost with this chance (see --pad-timeout)\n";
  for (const auto& c : chances) {
    auto name = "  " + std::string(c.name) + "=P";
    out += name + std::string(22 - name.size(), ' ') + std::string(c.about) + "\n";
  }
  return out;
}

}  // namespace mutant::load
