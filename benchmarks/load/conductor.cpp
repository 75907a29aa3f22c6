#include "benchmarks/load/conductor.hpp"

#include <algorithm>

#include "actors/caf/ask.hpp"
#include "benchmarks/support.hpp"

namespace mutant::load {

namespace {

constexpr std::chrono::milliseconds tick_every{250};
constexpr std::chrono::milliseconds stats_timeout{5'000};

}  // namespace

std::string_view name_of(phase what) noexcept {
  return what == phase::load ? "load" : what == phase::warm_up ? "warm-up" : "run";
}

void conductor_state::start(caf::typed_response_promise<outcome_ptr> asked) {
  promise = std::move(asked);
  outcome = std::make_shared<run_outcome>();
  outcome->over_time = timeline(setup.client.interval_width);
  last_success = last_tick = self->clock().now();
  const auto shared = std::make_shared<const client_setup>(setup.client);
  for (std::uint64_t i = 0; i < setup.client.clients; ++i) {
    clients.push_back(self->spawn(load_client, shared, i, conductor_actor(self)));
    self->monitor(clients.back());
  }
  tick();
  begin(setup.load ? phase::load : phase::warm_up);
}

std::uint64_t conductor_state::share_of(std::uint64_t client) const {
  const auto all = setup.client.clients;
  return setup.operations / all + (client < setup.operations % all ? 1 : 0);
}

void conductor_state::begin(phase what) {
  if (what == phase::warm_up && setup.before_traffic)
    setup.before_traffic();
  if (what == phase::warm_up && setup.warm_up.count() == 0)
    what = phase::run;
  now_in = what;
  reported = 0;
  phase_operations = operations_at_tick = 0;
  phase_order order;
  order.what = what;
  order.start = phase_start = last_success = self->clock().now();
  if (what == phase::warm_up)
    order.end = order.start + setup.warm_up;
  if (what == phase::run && setup.duration.count() != 0)
    order.end = order.start + setup.duration;
  if (what == phase::run) {
    cpu_at_start = bench::cpu_seconds();
    ask_stats([this](std::optional<store_stats> stats) { outcome->before = std::move(stats); });
  }
  for (std::uint64_t i = 0; i < clients.size(); ++i) {
    if (what == phase::run && setup.operations != 0)
      order.operations = share_of(i);
    self->send(clients[i], order);
  }
}

void conductor_state::ask_stats(std::function<void(std::optional<store_stats>)> then) {
  ask(self, setup.client.store, stats_timeout, stats_atom_v)
      .then([then](store_stats& stats) { then(stats); }, [then](caf::error&) { then(std::nullopt); });
}

void conductor_state::take(const interval_report& report) {
  if (report.what != now_in || over)
    return;
  for (const auto& kind : report.content->kinds) {
    phase_operations += kind.latency.count();
    if (kind.latency.count() != 0)
      last_success = self->clock().now();
  }
  if (report.what == phase::run)
    outcome->over_time.add(report.number, *report.content);
}

void conductor_state::take(const phase_report& report) {
  if (report.what != now_in || over)
    return;
  if (report.what != phase::warm_up)
    outcome->total.add(*report.content);
  if (++reported >= clients.size())
    end_of_phase();
}

void conductor_state::take(const finding& found) {
  if (over)
    return;
  // The first one counts, but a wrong value is worse than whatever else went wrong.
  if (!outcome->why || (found.wrong_value && outcome->how != run_outcome::ending::wrong_value)) {
    outcome->how = found.wrong_value ? run_outcome::ending::wrong_value : run_outcome::ending::failed;
    outcome->why = found.what;
  }
  farewell();
}

void conductor_state::stop() {
  if (over || ending)
    return;
  outcome->how = run_outcome::ending::interrupted;
  farewell();
}

void conductor_state::lost(const caf::down_msg& down) {
  if (over)
    return;
  std::erase_if(clients, [&](const client_actor& client) { return client.address() == down.source; });
  take(finding{false, {errc::io_error, "a client was lost: " + self->system().render(down.reason)}});
  if (reported >= clients.size())
    end_of_phase();
}

void conductor_state::farewell() {
  if (std::exchange(ending, true))
    return;
  for (auto& client : clients)
    self->send(client, stop_order{false});
  self->delayed_send(self, setup.max_farewell, deferred{[this] {
    if (!over)
      for (auto& client : clients)
        self->send(client, stop_order{true});
  }});
}

double conductor_state::seconds_since(time_point start) const {
  return std::chrono::duration<double>(self->clock().now() - start).count();
}

void conductor_state::end_of_phase() {
  const auto took = seconds_since(phase_start);
  if (now_in == phase::load) {
    outcome->load_seconds = took;
    outcome->loaded = outcome->total.kinds[static_cast<std::size_t>(operation_kind::load)].count();
  }
  if (now_in == phase::run) {
    // In an open loop a client is done when its next start lies behind the end.
    outcome->run_seconds = ending ? took : std::max(took, std::chrono::duration<double>(setup.duration).count());
    outcome->cpu_seconds = bench::cpu_seconds() - cpu_at_start;
    over = true;
    return ask_stats([this](std::optional<store_stats> stats) {
      outcome->after = std::move(stats);
      finish();
    });
  }
  if (ending) {
    over = true;
    return finish();
  }
  begin(now_in == phase::load ? phase::warm_up : phase::run);
}

void conductor_state::finish() {
  promise.deliver(outcome_ptr(outcome));
  promise = {};
  for (auto& client : clients) {
    self->demonitor(client.address());
    self->send_exit(client, caf::exit_reason::user_shutdown);
  }
  self->quit();
}

void conductor_state::tick() {
  if (over)
    return;
  const auto now = self->clock().now();
  const auto passed = std::chrono::duration<double>(now - last_tick).count();
  if (passed > 0)
    rate = static_cast<double>(phase_operations - operations_at_tick) / passed;
  last_tick = now;
  operations_at_tick = phase_operations;
  outcome->peak_anonymous_bytes = std::max(outcome->peak_anonymous_bytes, bench::anonymous_bytes());
  if (setup.on_progress && reported < clients.size())
    setup.on_progress(now_in, seconds_since(phase_start), phase_operations, rate);
  if (now - last_success > setup.give_up_after)
    take(finding{false, {errc::timeout, "no operation of any client succeeded for "
                                            + std::to_string(setup.give_up_after.count() / 1000) + " s"}});
  self->delayed_send(self, tick_every, deferred{[this] { tick(); }});
}

conductor_actor::behavior_type conductor(conductor_state::self_pointer self, conductor_setup setup) {
  self->state.setup = std::move(setup);
  self->set_down_handler([self](caf::down_msg& down) { self->state.lost(down); });
  return {
      [self](sync_atom) -> caf::result<outcome_ptr> {
        auto promise = self->make_response_promise<outcome_ptr>();
        self->state.start(promise);
        return promise;
      },
      [self](const interval_report& report) { self->state.take(report); },
      [self](const phase_report& report) { self->state.take(report); },
      [self](const finding& found) { self->state.take(found); },
      [self](const stop_order&) { self->state.stop(); },
      [](deferred& then) { then.run(); },
  };
}

}  // namespace mutant::load
