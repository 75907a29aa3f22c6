#include "actors/pad_worker.hpp"

#include <algorithm>

#include "actors/ask.hpp"

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

// Sends one request until it is answered for good or the tries are used up. doubt: a write of ours was not answered.
template <class Out, class... Args>
void attempt(self_pointer self, caf::typed_response_promise<Out> promise, unsigned failed, bool doubt, Args... args) {
  auto& options = self->state.options;
  ask(self, options.store, options.timeout, args...)
      .then([promise](Out& out) mutable { promise.deliver(std::move(out)); },
            [self, promise, failed, doubt, args...](caf::error& cause) mutable {
              auto e = from_caf(cause);
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
            });
}

template <class Out, class... Args>
caf::result<Out> start(self_pointer self, Args... args) {
  auto promise = self->make_response_promise<Out>();
  attempt<Out>(self, promise, 0, false, std::move(args)...);
  return promise;
}

}  // namespace

bool is_transient(errc code) noexcept {
  return code == errc::overloaded || code == errc::timeout || code == errc::unreachable;
}

result<void> pad_worker_options::validate() const {
  if (!store)
    return fail(errc::invalid_argument, "a pad worker needs a pad store");
  if (tries == 0 || timeout.count() <= 0 || first_pause.count() < 0 || longest_pause < first_pause)
    return fail(errc::invalid_argument, "a pad worker needs at least one try, a timeout, and ordered pauses");
  return {};
}

std::chrono::milliseconds pad_worker_options::longest_request() const {
  return (timeout + longest_pause) * tries;
}

std::chrono::milliseconds pad_worker_state::pause_after(unsigned failed) {
  auto pause = options.first_pause.count();
  for (unsigned i = 1; i < failed && pause < options.longest_pause.count(); ++i)
    pause *= 2;
  pause = std::min<std::int64_t>(pause, options.longest_pause.count());
  random = random * 6364136223846793005u + 1442695040888963407u;
  auto half = pause / 2;
  return std::chrono::milliseconds(half + static_cast<std::int64_t>((random >> 33) % static_cast<std::uint64_t>(half + 1)));
}

pad_worker_actor::behavior_type pad_worker(self_pointer self, pad_worker_options options) {
  self->state.random = options.seed;
  self->state.options = std::move(options);
  return {
      [self](put_atom atom, bytes& record) { return start<done>(self, atom, std::move(record)); },
      [self](get_atom atom, pad_query query) { return start<bytes>(self, atom, query); },
      [self](head_atom atom, pad_query query) { return start<bytes>(self, atom, query); },
      [self](erase_atom atom, bytes& blank) { return start<done>(self, atom, std::move(blank)); },
      [self](stats_atom atom) { return start<pad_store_stats>(self, atom); },
      [](deferred& later) { later.run(); },
  };
}

}  // namespace mutant
