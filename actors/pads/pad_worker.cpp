#include "actors/pads/pad_worker.hpp"

#include <algorithm>

#include "core/outcome.hpp"
#include "core/store_claim.hpp"

namespace mutant {

namespace {

using self_pointer = pad_worker_actor::stateful_pointer<pad_worker_state>;

// A write that an earlier try may have brought about, or may still: no refusal of a later try is the last word on it. Only a
// conflict is, for it shows other content in the very place.
error in_doubt(error e) {
  if (e.code == errc::pad_conflict || e.code == errc::timeout)
    return e;
  return {errc::timeout, "an earlier try was not answered and may have arrived; the last one said: " + to_string(e), e.detail};
}

// One timer for all tries, which have the same timeout: CAF's own, one for each request, cost as much as what they guard.
void watch(self_pointer self) {
  auto& s = self->state;
  if (s.watching || s.tries.empty())
    return;
  s.watching = true;
  self->delayed_send(self, s.tries.begin()->second.until - self->clock().now(), deferred{[self] {
                       auto& state = self->state;
                       state.watching = false;
                       while (!state.tries.empty() && state.tries.begin()->second.until <= self->clock().now())
                         state.take_try(state.tries.begin()->first)({errc::timeout, "no answer came in time"});
                       watch(self);
                     }});
}

// Sends one request until it is answered for good or the tries are used up. doubt: a write of ours was not answered.
template <class Out, class... Args>
void attempt(self_pointer self, caf::typed_response_promise<Out> promise, unsigned failed, bool doubt, Args... args) {
  auto& s = self->state;
  const auto number = ++s.last_try;
  auto not_done = [self, promise, failed, doubt, args...](error e) mutable {
    if (!is_transient(e.code) || failed + 1 >= self->state.options.tries) {
      if (is_transient(e.code) && failed > 0)
        e.message += " (given up after " + std::to_string(failed + 1) + " tries)";
      promise.deliver(to_caf(doubt ? in_doubt(std::move(e)) : e));
      return;
    }
    doubt = doubt || (std::is_same_v<Out, done> && e.code != errc::overloaded);
    auto again = [self, promise, failed, doubt, args...]() mutable {
      attempt(self, promise, failed + 1, doubt, args...);
    };
    self->delayed_send(self, self->state.pause_after(failed + 1), deferred{again});
  };
  s.tries.emplace(number, pad_worker_state::unanswered_try{self->clock().now() + s.options.timeout, std::move(not_done)});
  self->request(s.options.store, caf::infinite, args...)
      .then(
          [self, promise, number](Out& out) mutable {
            if (self->state.take_try(number))
              promise.deliver(std::move(out));
          },
          [self, number](caf::error& cause) {
            if (auto then = self->state.take_try(number))
              then(store_claim(from_caf(cause)));
          });
  watch(self);
}

template <class Out, class... Args>
caf::result<Out> start(self_pointer self, Args... args) {
  auto promise = self->make_response_promise<Out>();
  attempt<Out>(self, promise, 0, false, std::move(args)...);
  return promise;
}

}  // namespace

result<void> pad_worker_options::validate() const {
  if (!store)
    return fail(errc::invalid_argument, "a pad worker needs a pad store");
  if (tries == 0 || timeout.count() <= 0 || first_pause.count() < 0 || max_pause < first_pause)
    return fail(errc::invalid_argument, "a pad worker needs at least one try, a timeout, and ordered pauses");
  return {};
}

std::chrono::milliseconds pad_worker_options::max_request_time() const {
  return (timeout + max_pause) * tries;
}

std::chrono::milliseconds pad_worker_state::pause_after(unsigned failed) {
  auto pause = options.first_pause.count();
  for (unsigned i = 1; i < failed && pause < options.max_pause.count(); ++i)
    pause *= 2;
  pause = std::min<std::int64_t>(pause, options.max_pause.count());
  random = random * 6364136223846793005u + 1442695040888963407u;
  auto half = pause / 2;
  return std::chrono::milliseconds(half + static_cast<std::int64_t>((random >> 33) % static_cast<std::uint64_t>(half + 1)));
}

std::function<void(error)> pad_worker_state::take_try(std::uint64_t number) {
  auto found = tries.extract(number);
  return found ? std::move(found.mapped().failed) : nullptr;
}

pad_worker_actor::behavior_type pad_worker(self_pointer self, pad_worker_options options) {
  self->state.random = options.seed != 0 ? options.seed : random_u64();
  self->state.options = std::move(options);
  return {
      [self](put_atom atom, bytes& record) { return start<done>(self, atom, std::move(record)); },
      [self](put_atom atom, room_atom room, bytes& record) { return start<done>(self, atom, room, std::move(record)); },
      [self](get_atom atom, pad_query query) { return start<bytes>(self, atom, query); },
      [self](head_atom atom, pad_query query) { return start<bytes>(self, atom, query); },
      [self](erase_atom atom, bytes& blank) { return start<done>(self, atom, std::move(blank)); },
      [self](stats_atom atom) { return start<pad_store_stats>(self, atom); },
      [self](trim_atom atom) { return start<std::uint64_t>(self, atom); },
      [](deferred& later) { later.run(); },
  };
}

}  // namespace mutant
