#include "actors/streams.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "actors/caf/spawn.hpp"

namespace mutant {

namespace {

// How long a wait for input lasts before the mailbox is looked at again, so that an exit is noticed.
constexpr int poll_ms = 100;

struct source_state {
  static inline const char* name = "descriptor_source";
  int descriptor = -1;
  std::string label;
  source_end at_end;
  std::uint64_t total = 0;   // bytes that came
  buffer piece;
  std::size_t filled = 0;
  caf::typed_response_promise<bytes> asked;
};

using source_self = chunk_source_actor::extend<caf::reacts_to<deferred>>;
using source_pointer = source_self::stateful_pointer<source_state>;

void read_more(source_pointer self) {
  auto& s = self->state;
  while (s.filled < s.piece.size()) {
    pollfd ready{s.descriptor, POLLIN, 0};
    if (::poll(&ready, 1, poll_ms) == 0)
      return self->send(self, deferred{[self] { read_more(self); }});
    auto n = ::read(s.descriptor, s.piece.data() + s.filled, s.piece.size() - s.filled);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
      continue;
    if (n < 0)
      return void(s.asked.deliver(to_caf(errno_error(errno, "reading " + s.label))));
    if (n == 0 && s.at_end)
      if (auto ended = s.at_end(s.total); !ended)
        return void(s.asked.deliver(to_caf(ended.error())));
    if (n == 0)
      break;
    s.filled += static_cast<std::size_t>(n);
    s.total += static_cast<std::uint64_t>(n);
  }
  s.piece.shrink(s.filled);
  s.asked.deliver(std::move(s.piece).freeze());
}

source_self::behavior_type descriptor_source(source_pointer self, int descriptor, const std::string& label,
                                             const source_end& at_end) {
  self->state.descriptor = descriptor;
  self->state.at_end = at_end;
  self->state.label = label;
  return {
      [self](pull_atom, std::uint32_t wanted) -> caf::result<bytes> {
        auto& s = self->state;
        s.asked = self->make_response_promise<bytes>();
        s.piece = buffer::for_record(wanted);
        s.filled = 0;
        auto promise = s.asked;
        read_more(self);
        return promise;
      },
      [](deferred& later) { later.run(); },
  };
}

struct sink_state {
  static inline const char* name = "descriptor_sink";
};

chunk_sink_actor::behavior_type descriptor_sink(chunk_sink_actor::stateful_pointer<sink_state>, int descriptor,
                                                const std::string& label) {
  return {
      [descriptor, label](push_atom, const bytes& piece) -> caf::result<done> {
        std::size_t at = 0;
        while (at < piece.size()) {
          auto n = ::write(descriptor, piece.data() + at, piece.size() - at);
          if (n < 0 && errno == EAGAIN) {
            pollfd ready{descriptor, POLLOUT, 0};
            ::poll(&ready, 1, poll_ms);
          } else if (n < 0 && errno != EINTR) {
            if (errno == EPIPE)
              return to_caf({errc::io_error, label + " was closed before everything was written"});
            return to_caf(errno_error(errno, "writing " + label));
          } else if (n > 0) {
            at += static_cast<std::size_t>(n);
          }
        }
        return done{};
      },
  };
}

}  // namespace

chunk_source_actor spawn_descriptor_source(caf::actor_system& system, int descriptor, std::string name, source_end at_end) {
  return start<caf::detached>(system, descriptor_source, descriptor, std::move(name), std::move(at_end));
}

chunk_sink_actor spawn_descriptor_sink(caf::actor_system& system, int descriptor, std::string name) {
  return start<caf::detached>(system, descriptor_sink, descriptor, std::move(name));
}

}  // namespace mutant
