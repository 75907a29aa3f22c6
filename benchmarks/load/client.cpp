#include "benchmarks/load/client.hpp"

#include <algorithm>

namespace mutant::load {

namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds max_pause{500};
constexpr unsigned load_tries = 30;          // of one value: with the pauses about ten seconds of refusals

std::uint64_t ns_between(load_clock::time_point from, load_clock::time_point to) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, std::chrono::duration_cast<nanoseconds>(to - from).count()));
}

// Trying again does not help.
bool is_final(errc code) {
  switch (code) {
    case errc::invalid_argument:
    case errc::access_denied:
    case errc::unsupported:
    case errc::index_corrupt:
    case errc::rollback_detected: return true;
    default: return false;
  }
}

}  // namespace

void client_state::set_up(setup_ptr s, std::uint64_t its_number, conductor_actor reports_to) {
  setup = std::move(s);
  number = its_number;
  conductor = std::move(reports_to);
  random = draws(seed_of(setup->seed, number));
  keys = key_choice(setup->order, setup->theta, number, setup->clients);
  large_keys = key_choice(key_order::own, setup->theta, number, setup->clients);
}

void client_state::begin(const phase_order& o) {
  order = o;
  running = true;
  left = o.operations;
  failures = 0;
  record = std::make_shared<recorder>();
  current = std::make_shared<interval>();
  current_number = 0;
  plan.reset();
  if (setup->open_loop && o.what != phase::load) {
    const auto seed = seed_of(setup->seed ^ 0x5ced, number * 4 + static_cast<std::uint64_t>(o.what));
    plan.emplace(*setup->open_loop, setup->rate, number, setup->clients, seed);
  }
  due = plan;
  const auto now = self->clock().now();
  if (now < order.start)
    return later(order.start - now);
  step();
}

void client_state::stop(const stop_order& how) {
  stopping = true;
  if (!running || (under_way && !how.at_once))
    return;
  if (under_way)
    ++record->abandoned;
  end_phase();
}

void client_state::later(nanoseconds delay) {
  self->delayed_send(self, delay, deferred{[this, expected = turn] {
    if (turn == expected && running)
      step();
  }});
}

void client_state::step() {
  const auto now = self->clock().now();
  if (stopping || now >= order.end || left == 0)
    return end_phase();
  if (order.what == phase::load) {
    under_way = true;
    intended = started = now;
    kind = operation_kind::load;
    if (!load_next())
      end_phase();
    return;
  }
  intended = now;
  if (open_loop()) {
    if (skip_what_waits_too_long(now))
      return end_phase();
    intended = order.start + plan->next();
    if (intended >= order.end)
      return end_phase();
    if (intended > now)
      return later(intended - now);
    plan->advance();
  }
  --left;
  under_way = true;
  started = now;
  kind = setup->mix.draw(random);
  perform(kind);
}

// Drops the oldest of what is due, if more waits than may. True: nothing is left to do in this phase.
bool client_state::skip_what_waits_too_long(time_point now) {
  while (order.start + due->next() <= now && order.start + due->next() < order.end)
    due->advance();
  auto waiting = due->number() - std::min(due->number(), plan->number() + 1);
  for (; waiting > setup->max_waiting && left > 0; --waiting, --left) {
    plan->advance();
    ++record->dropped;
  }
  record->max_waiting = std::max(record->max_waiting, waiting);
  return left == 0;
}

void client_state::count_what_was_not_started(time_point now) {
  const auto end = std::min(now, order.end);
  while (order.start + plan->next() < end && left > 0) {
    plan->advance();
    --left;
    ++record->not_started;
  }
}

// The next of this client's share of the keys, or the same again after a failure; false: all are there.
bool client_state::load_next() {
  const auto small = setup->small.keys->loaded();
  const auto at = number + next_load * setup->clients;
  if (at < small)
    load_key(false, at);
  else if (at - small < setup->large.keys->loaded())
    load_key(true, at - small);
  else
    return false;
  return true;
}

void client_state::note(time_point now, const std::function<void(interval::part&)>& change) {
  const auto at = ns_between(order.start, now) / static_cast<std::uint64_t>(nanoseconds(setup->interval_width).count());
  if (at != current_number) {
    send_interval();
    current_number = at;
  }
  change(current->kinds[static_cast<std::size_t>(kind)]);
}

void client_state::send_interval() {
  self->send(conductor, interval_report{order.what, current_number, std::exchange(current, std::make_shared<interval>())});
}

void client_state::succeeded(std::uint64_t bytes_moved) {
  const auto now = self->clock().now();
  const auto service = ns_between(started, now), response = ns_between(intended, now);
  auto& m = record->kinds[static_cast<std::size_t>(kind)];
  m.service.record(service);
  if (open_loop())
    m.response.record(response);
  m.bytes += bytes_moved;
  note(now, [&](interval::part& p) {
    p.latency.record(response);
    p.bytes += bytes_moved;
  });
  failures = 0;
  if (kind == operation_kind::load)
    ++next_load;
  under_way = false;
  ++turn;
  step();
}

void client_state::failed(const error& e) {
  under_way = false;
  ++turn;
  record->kinds[static_cast<std::size_t>(kind)].fail(e);
  note(self->clock().now(), [](interval::part& p) { ++p.errors; });
  if (kind == operation_kind::insert)
    failed_inserts.push_back(key_in_work);
  ++failures;
  // The remote store has waited before it says unreachable.
  const auto loading = kind == operation_kind::load;
  if (is_final(e.code) || (loading && (failures >= load_tries || e.code == errc::unreachable)))
    return find(false, e);
  if (open_loop() || stopping)
    return step();
  later(std::min<milliseconds>(milliseconds(1) * (1u << std::min(failures, 10u)), max_pause));
}

void client_state::find(bool wrong_value, error what) {
  self->send(conductor, finding{wrong_value, std::move(what)});
  stopping = true;
  if (running)
    end_phase();
}

void client_state::end_phase() {
  if (open_loop())
    count_what_was_not_started(self->clock().now());
  running = false;
  under_way = false;
  ++turn;
  send_interval();
  self->send(conductor, phase_report{order.what, std::move(record)});
}

client_actor::behavior_type load_client(client_state::self_pointer self, client_state::setup_ptr setup, std::uint64_t number,
                                        conductor_actor conductor) {
  self->state.set_up(std::move(setup), number, std::move(conductor));
  return {
      [self](const phase_order& order) { self->state.begin(order); },
      [self](const stop_order& how) { self->state.stop(how); },
      [](deferred& then) { then.run(); },
  };
}

}  // namespace mutant::load
