// A store of a few lines whose answers and times the test decides, and a load generator on it under the test's clock.
#pragma once

#include <boost/test/unit_test.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>

#include "benchmarks/load/conductor.hpp"
#include "tests/actors/deterministic.hpp"

namespace mutant::load {

// What the stub holds and how it behaves. Versions count all writes, as a store's do.
struct stub {
  struct held {
    bytes value;
    std::uint64_t version = 0;
  };
  std::map<std::string, held> values;
  std::uint64_t version = 0;
  std::uint64_t puts = 0, gets = 0, lists = 0;
  // How long an operation takes that arrives at this time since the stub was made.
  std::function<std::chrono::nanoseconds(std::chrono::nanoseconds)> delay;
  std::function<std::optional<error>()> refuse;
  std::function<void(const std::string& key, held&)> spoil_read;
  std::function<void(list_page&)> spoil_page;
};
using stub_ptr = std::shared_ptr<stub>;
using stub_actor = store_actor::extend<reacts_to<deferred>>;

namespace detail {

template <class Out, class F>
caf::result<Out> after_delay(stub_actor::pointer self, const stub_ptr& s, load_clock::time_point zero, F run) {
  auto promise = self->make_response_promise<Out>();
  const auto wait = s->delay ? s->delay(self->clock().now() - zero) : std::chrono::nanoseconds(0);
  auto go = [s, promise, run]() mutable {
    if (auto no = s->refuse ? s->refuse() : std::nullopt)
      return void(promise.deliver(to_caf(*no)));
    result<Out> out = run();
    if (out)
      promise.deliver(std::move(*out));
    else
      promise.deliver(to_caf(out.error()));
  };
  if (wait.count() == 0)
    go();
  else
    self->delayed_send(self, wait, deferred{go});
  return promise;
}

inline result<put_result> put_into(const stub_ptr& s, const put_request& r) {
  ++s->puts;
  auto& there = s->values[r.key];
  if (r.if_version && there.version != *r.if_version)
    return fail(errc::version_mismatch, "another version");
  there = {std::get<bytes>(r.source), ++s->version};
  put_result out;
  out.size = there.value.size();
  out.version = there.version;
  return out;
}

inline result<get_result> get_from(const stub_ptr& s, const std::string& key) {
  ++s->gets;
  auto at = s->values.find(key);
  if (at == s->values.end())
    return fail(errc::key_not_found, "no such key");
  auto there = at->second;
  if (s->spoil_read)
    s->spoil_read(key, there);
  get_result out;
  out.size = out.bytes_read = there.value.size();
  out.version = there.version;
  out.value = there.value;
  return out;
}

inline list_page list_of(const stub_ptr& s, const list_request& r) {
  ++s->lists;
  list_page page;
  for (auto at = s->values.upper_bound(std::max(r.after, r.prefix)); at != s->values.end() && page.size() < r.limit; ++at) {
    if (!at->first.starts_with(r.prefix))
      break;
    list_item item;
    item.key = at->first;
    item.size = at->second.value.size();
    item.version = at->second.version;
    page.push_back(item);
  }
  if (s->spoil_page)
    s->spoil_page(page);
  return page;
}

}  // namespace detail

inline stub_actor::behavior_type stub_store(stub_actor::pointer self, stub_ptr s) {
  using namespace detail;
  const auto zero = self->clock().now();
  const auto no = [] { return to_caf({errc::unsupported, "the stub cannot do that"}); };
  return {
      [=](put_atom, const put_request& r) { return after_delay<put_result>(self, s, zero, [s, r] { return put_into(s, r); }); },
      [=](get_atom, const get_request& r) {
        return after_delay<get_result>(self, s, zero, [s, key = r.key] { return get_from(s, key); });
      },
      [=](assemble_atom, const assemble_request&) -> caf::result<commit_result> { return no(); },
      [=](remove_atom, const remove_request&) -> caf::result<done> { return no(); },
      [=](rename_atom, const rename_request&) -> caf::result<done> { return no(); },
      [=](list_atom, const list_request& r) {
        return after_delay<list_page>(self, s, zero, [s, r]() -> result<list_page> { return list_of(s, r); });
      },
      [=](find_atom, const std::string&) -> caf::result<list_item> { return no(); },
      [=](sync_atom) -> caf::result<sync_report> { return no(); },
      [=](sync_atom, const position&) -> caf::result<sync_report> { return no(); },
      [=](stats_atom) -> caf::result<store_stats> { return no(); },
      [=](check_atom, const check_request&) -> caf::result<check_result> { return no(); },
      [=](purge_atom, const purge_request&) -> caf::result<purge_result> { return no(); },
      [=](flush_atom) -> caf::result<done> { return no(); },
      [](cancel_atom, std::uint64_t) {},
      [](deferred& then) { then.run(); },
  };
}

struct load_fixture {
  load_fixture() {
    auto size = value_size::parse("100", stamp_bytes);
    BOOST_REQUIRE(size.has_value());
    auto& c = setup.client;
    c.small = {"small/", std::make_shared<ledger>(10, 1'000), *size};
    c.large = {"large/", std::make_shared<ledger>(0, 0), *size};
    c.order = key_order::uniform;
    c.timeout = std::chrono::seconds(60);
    mix("read=50,update=50");
    setup.duration = std::chrono::seconds(1);
    there->delay = [](std::chrono::nanoseconds) { return std::chrono::milliseconds(10); };
  }

  void mix(std::string_view text) {
    auto parsed = operation_mix::parse(text);
    BOOST_REQUIRE(parsed.has_value());
    setup.client.mix = *parsed;
  }
  // The keys are there, at no cost of time.
  void without_load() {
    setup.load = false;
    for (std::uint64_t key = 0; key < setup.client.small.keys->loaded(); ++key) {
      there->values[setup.client.small.name(key)] = {make_value({setup.client.run, key, 1, 100}), ++there->version};
      setup.client.small.keys->acknowledge(key, there->version);
    }
  }
  caf::actor_system& system() { return det.system(); }

  void start() {
    setup.client.store = system().spawn(stub_store, there);
    leader = system().spawn(conductor, setup);
    system().spawn([this](caf::event_based_actor* self) {
      self->request(leader, caf::infinite, sync_atom_v)
          .then([this](outcome_ptr& o) { outcome = std::move(o); },
                [](caf::error& e) { BOOST_ERROR(to_string(from_caf(e))); });
    });
  }
  const run_outcome& run() {
    start();
    det.run_until([this] { return outcome != nullptr; });
    BOOST_REQUIRE(outcome);
    return *outcome;
  }
  const measured& of(operation_kind kind) const { return outcome->total.kinds[static_cast<std::size_t>(kind)]; }

  testing::deterministic_system det;
  stub_ptr there = std::make_shared<stub>();
  conductor_setup setup;
  conductor_actor leader;
  outcome_ptr outcome;
};

}  // namespace mutant::load
