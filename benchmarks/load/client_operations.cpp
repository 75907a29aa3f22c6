// What each operation asks of the store, and what it checks in the answer.
#include <charconv>
#include <cstdio>

#include "actors/caf/ask.hpp"
#include "benchmarks/load/client.hpp"
#include "benchmarks/load/streams.hpp"

namespace mutant::load {

namespace {

constexpr unsigned modify_tries = 10;
constexpr std::size_t key_digits = 12;

error wrong(const std::string& key, const std::string& why) {
  return {errc::corrupt_record, "the value of '" + key + "' " + why};
}

}  // namespace

std::string key_space::name(std::uint64_t key) const {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%0*llu", static_cast<int>(key_digits), static_cast<unsigned long long>(key));
  return prefix + digits;
}

std::optional<std::uint64_t> key_space::number(std::string_view name) const {
  if (!name.starts_with(prefix) || name.size() != prefix.size() + key_digits)
    return std::nullopt;
  const auto digits = name.substr(prefix.size());
  std::uint64_t out = 0;
  auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
  return failed == std::errc{} && end == digits.data() + digits.size() ? std::optional(out) : std::nullopt;
}

stamp client_state::next_stamp(const key_space& space, std::uint64_t key) {
  return {setup->run, key, number << 40 | ++writes, space.size.draw(random)};
}

void client_state::perform(operation_kind what) {
  const auto& small = *setup->small.keys;
  switch (what) {
    case operation_kind::load: return;
    case operation_kind::read:
      return get_small(keys.next(random, small.loaded(), small.visible()), [this](const get_result& r) { succeeded(r.size); });
    case operation_kind::update:
      return put_small(keys.next(random, small.loaded(), small.visible()), std::nullopt);
    case operation_kind::insert:
      if (failed_inserts.empty())
        return put_small(setup->small.keys->take_new(), std::nullopt);
      key_in_work = failed_inserts.back();
      failed_inserts.pop_back();
      return put_small(key_in_work, std::nullopt);
    case operation_kind::scan: return scan(keys.next(random, small.loaded(), small.visible()));
    case operation_kind::modify: return modify(keys.next(random, small.loaded(), small.visible()), modify_tries);
    case operation_kind::upload:
      return put_large(large_keys.next(random, setup->large.keys->loaded(), setup->large.keys->visible()));
    case operation_kind::download:
      return get_large(large_keys.next(random, setup->large.keys->loaded(), setup->large.keys->visible()));
  }
}

void client_state::load_key(bool large, std::uint64_t key) {
  if (large)
    put_large(key);
  else
    put_small(key, std::nullopt);
}

void client_state::put_small(std::uint64_t key, std::optional<std::uint64_t> if_version) {
  key_in_work = key;
  const auto s = next_stamp(setup->small, key);
  put_request request{setup->small.name(key), make_value(s), if_version, {}};
  ask(self, setup->store, setup->timeout, put_atom_v, std::move(request))
      .then(
          [this, expected = turn, key, size = s.size_bytes](put_result& r) {
            setup->small.keys->acknowledge(key, r.version);
            if (turn == expected)
              succeeded(size);
          },
          [this, expected = turn](caf::error& e) {
            if (turn == expected)
              failed(from_caf(e));
          });
}

void client_state::put_large(std::uint64_t key) {
  const auto s = next_stamp(setup->large, key);
  auto source = self->spawn(stamped_source, s);
  put_request request{setup->large.name(key), source, std::nullopt, {}};
  ask(self, setup->store, setup->timeout, put_atom_v, std::move(request))
      .then(
          [this, expected = turn, key, source, size = s.size_bytes](put_result& r) {
            self->send_exit(source, caf::exit_reason::user_shutdown);
            setup->large.keys->acknowledge(key, r.version);
            if (turn == expected)
              succeeded(size);
          },
          [this, expected = turn, source](caf::error& e) {
            self->send_exit(source, caf::exit_reason::user_shutdown);
            if (turn == expected)
              failed(from_caf(e));
          });
}

// A key that was acknowledged and is not there any more is a lost value.
bool client_state::absent(const key_space& space, std::uint64_t key, std::uint64_t known, const error& e) {
  if (e.code != errc::key_not_found)
    return false;
  if (known != 0)
    find(true, wrong(space.name(key), "is gone: version " + std::to_string(known) + " of it was acknowledged"));
  else
    find(false, {errc::key_not_found, "'" + space.name(key) + "' is not there; leave out --no-load"});
  return true;
}

void client_state::get_small(std::uint64_t key, std::function<void(const get_result&)> then) {
  const auto known = setup->small.keys->version(key);
  get_request request;
  request.key = setup->small.name(key);
  ask(self, setup->store, setup->timeout, get_atom_v, std::move(request))
      .then(
          [this, expected = turn, key, known, then = std::move(then)](get_result& r) {
            if (turn != expected)
              return;
            value_check check(check_run(), key);
            check.take(r.value);
            const auto key_name = setup->small.name(key);
            if (auto problem = check.finish())
              return find(true, wrong(key_name, *problem + " (version " + std::to_string(r.version) + ")"));
            if (r.version < known)
              return find(true, wrong(key_name, "is an old one: version " + std::to_string(r.version) + " came back, and "
                                                + std::to_string(known) + " was acknowledged before the read began"));
            then(r);
          },
          [this, expected = turn, key, known](caf::error& e) {
            if (turn != expected)
              return;
            if (auto what = from_caf(e); !absent(setup->small, key, known, what))
              failed(what);
          });
}

void client_state::get_large(std::uint64_t key) {
  const auto known = setup->large.keys->version(key);
  auto sink = self->spawn(checking_sink, check_run(), key);
  get_request request;
  request.key = setup->large.name(key);
  request.sink = chunk_sink_actor(sink);
  auto over = [this, sink] { self->send_exit(sink, caf::exit_reason::user_shutdown); };
  // The sink may have refused a piece because it is wrong: it is asked in either case.
  auto judge = [this, expected = turn, sink, over, key](bool whole, std::function<void()> otherwise) {
    ask(self, sink, setup->timeout, verify_atom_v, whole)
        .then(
            [this, expected, over, key, otherwise](const std::string& problem) {
              over();
              if (turn != expected)
                return;
              if (problem.empty())
                return otherwise();
              find(true, wrong(setup->large.name(key), problem));
            },
            [this, expected, over](caf::error& e) {
              over();
              if (turn == expected)
                failed(from_caf(e));
            });
  };
  ask(self, setup->store, setup->timeout, get_atom_v, std::move(request))
      .then(
          [this, judge, key, known](get_result& r) {
            judge(true, [this, key, known, version = r.version, size = r.size] {
              if (version < known)
                return find(true, wrong(setup->large.name(key), "is an old one: version " + std::to_string(version)
                                                                    + " came back after version " + std::to_string(known)));
              succeeded(size);
            });
          },
          [this, judge, expected = turn, sink, over, key, known](caf::error& e) {
            auto what = from_caf(e);
            if (what.code == errc::io_error)   // perhaps the sink's refusal
              return judge(false, [this, what] { failed(what); });
            over();
            if (turn == expected && !absent(setup->large, key, known, what))
              failed(what);
          });
}

void client_state::scan(std::uint64_t from) {
  const auto& space = setup->small;
  const auto limit = 1 + random.below(setup->max_scan);
  const auto visible = space.keys->visible();
  std::vector<std::uint64_t> known;
  known.reserve(limit);
  for (std::uint64_t i = 0; i < limit; ++i)
    known.push_back(space.keys->version(from + i));
  list_request request{space.prefix, from == 0 ? std::string() : space.name(from - 1), static_cast<std::uint32_t>(limit)};
  ask(self, setup->store, setup->timeout, list_atom_v, std::move(request))
      .then(
          [this, expected = turn, from, visible, known = std::move(known), limit](list_page& page) {
            if (turn == expected)
              check_page(page, from, visible, known, limit);
          },
          [this, expected = turn](caf::error& e) {
            if (turn == expected)
              failed(from_caf(e));
          });
}

// Keys ascend from `from`, none that was visible before is missing, and none is older than it was known to be.
void client_state::check_page(const list_page& page, std::uint64_t from, std::uint64_t visible,
                              const std::vector<std::uint64_t>& known, std::uint64_t limit) {
  const auto& space = setup->small;
  auto next = from;
  for (const auto& item : page) {
    const auto key = space.number(item.key);
    if (!key || *key < next)
      return find(true, {errc::corrupt_record, "a scan from '" + space.name(from) + "' gave '" + item.key + "' behind '"
                                                   + space.name(next) + "'"});
    if (next < visible && *key != next)
      return find(true, wrong(space.name(next), "is missing in a scan from '" + space.name(from) + "'"));
    if (*key - from < known.size() && item.version < known[*key - from])
      return find(true, wrong(item.key, "is an old one in a scan: version " + std::to_string(item.version) + " after version "
                                            + std::to_string(known[*key - from])));
    next = *key + 1;
  }
  if (page.size() < limit && next < visible)
    return find(true, wrong(space.name(next), "is missing in a scan from '" + space.name(from) + "'"));
  succeeded(0);
}

void client_state::modify(std::uint64_t key, unsigned tries) {
  get_small(key, [this, key, tries](const get_result& r) {
    const auto s = next_stamp(setup->small, key);
    put_request request{setup->small.name(key), make_value(s), r.version, {}};
    ask(self, setup->store, setup->timeout, put_atom_v, std::move(request))
        .then(
            [this, expected = turn, key, moved = r.size + s.size_bytes](put_result& stored) {
              setup->small.keys->acknowledge(key, stored.version);
              if (turn == expected)
                succeeded(moved);
            },
            [this, expected = turn, key, tries](caf::error& e) {
              if (turn != expected)
                return;
              auto what = from_caf(e);
              if (what.code != errc::version_mismatch || tries <= 1)
                return failed(what);
              ++record->kinds[static_cast<std::size_t>(operation_kind::modify)].retries;
              modify(key, tries - 1);
            });
  });
}

}  // namespace mutant::load
