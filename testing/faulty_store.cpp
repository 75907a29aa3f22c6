#include "testing/faulty_store.hpp"

#include <cstring>

namespace mutant {

namespace {

using self_pointer = faulty_store_actor::stateful_pointer<faulty_store_state>;
using fate = faulty_store_state::fate;

bytes with_flipped_bit(const bytes& record, std::uint64_t bit) {
  if (record.empty())
    return record;
  buffer out(record.size());
  std::memcpy(out.data(), record.data(), record.size());
  const auto at = bit % (record.size() * 8);
  out.data()[at / 8] ^= std::byte{1} << (at % 8);
  return std::move(out).freeze();
}

void later(self_pointer self, std::chrono::microseconds delay, std::function<void()> run) {
  if (delay.count() == 0)
    run();
  else
    self->delayed_send(self, delay, deferred{std::move(run)});
}

// What an answer becomes on its way back.
done tampered(self_pointer, const fate&, done&& answer) {
  return answer;
}

pad_store_stats tampered(self_pointer, const fate&, pad_store_stats&& answer) {
  return answer;
}

bytes tampered(self_pointer self, const fate& f, bytes&& answer) {
  if (!f.corrupt)
    return std::move(answer);
  ++self->state.counts.tampered;
  return with_flipped_bit(answer, f.bit);
}

template <class Out>
void give(self_pointer self, const fate& f, caf::typed_response_promise<Out> promise, caf::expected<Out> answer) {
  if (f.lose_answer) {
    ++self->state.counts.lost;
    return;
  }
  later(self, f.after, [self, f, promise, answer = std::move(answer)]() mutable {
    if (answer)
      promise.deliver(tampered(self, f, std::move(*answer)));
    else
      promise.deliver(std::move(answer.error()));
  });
}

// The refusal that the request meets before it reaches the store.
std::optional<error> refusal(const fate& f, bool write) {
  if (f.overloaded)
    return error{errc::overloaded, "the store is overloaded (injected fault)"};
  if (write && f.full)
    return error{errc::store_full, "the store is full (injected fault)"};
  if (f.io)
    return error{errc::io_error, "the medium failed (injected fault)"};
  return std::nullopt;
}

// What the store has refused does not come a second time: a refusal is the last word on a request, on every transport.
template <class... Args>
void repeat(self_pointer self, const fate& f, Args... args) {
  if (!f.repeat)
    return;
  ++self->state.counts.repeated;
  later(self, f.again, [self, args...] {
    self->request(self->state.options.store, self->state.options.timeout, args...)
        .then([](done) {}, [](caf::error&) {});
  });
}

template <class Out, class... Args>
void ask_behind(self_pointer self, const fate& f, caf::typed_response_promise<Out> promise, Args... args) {
  self->request(self->state.options.store, self->state.options.timeout, args...)
      .then(
          [self, f, promise, args...](Out& answer) {
            if constexpr (std::is_same_v<Out, done>)
              repeat(self, f, args...);
            else
              (static_cast<void>(args), ...);  // clang would call the capture unused
            give<Out>(self, f, promise, std::move(answer));
          },
          [self, f, promise](caf::error& e) { give<Out>(self, f, promise, std::move(e)); });
}

// True: the request goes no further.
template <class Out>
bool stopped(self_pointer self, const fate& f, bool write, caf::typed_response_promise<Out> promise) {
  if (f.lose_request) {
    ++self->state.counts.lost;
    return true;
  }
  auto no = refusal(f, write);
  if (!no)
    return false;
  ++self->state.counts.refused;
  give<Out>(self, f, promise, to_caf(*no));
  return true;
}

// The atoms of a write, and its record.
template <class Atom, class... Room>
caf::result<done> change(self_pointer self, const bytes& record, Atom atom, Room... room) {
  const auto f = self->state.draw();
  auto promise = self->template make_response_promise<done>();
  later(self, f.before, [self, f, promise, record, atom, room...] {
    if (stopped(self, f, true, promise))
      return;
    if constexpr (std::is_same_v<Atom, put_atom>)
      self->state.remember(record);
    ask_behind<done>(self, f, promise, atom, room..., record);
  });
  return promise;
}

template <class Atom>
caf::result<bytes> read(self_pointer self, Atom atom, pad_query query) {
  const auto f = self->state.draw();
  auto promise = self->template make_response_promise<bytes>();
  later(self, f.before, [self, f, promise, atom, query] {
    if (stopped(self, f, false, promise))
      return;
    auto old = f.stale ? self->state.stale_record(query.address) : std::nullopt;
    if (!old)
      return ask_behind<bytes>(self, f, promise, atom, query);
    ++self->state.counts.tampered;
    if (!*old)
      return give<bytes>(self, f, promise, to_caf(old->error()));
    const auto size = std::is_same_v<Atom, head_atom> ? record_header_bytes : (*old)->size();
    give<bytes>(self, f, promise, (*old)->slice(0, size));
  });
  return promise;
}

result<void> check_chance(double p, const char* name) {
  if (p >= 0 && p <= 1)
    return {};
  return fail(errc::invalid_argument, std::string("the chance ") + name + " is from 0 to 1");
}

}  // namespace

result<void> fault_options::validate() const {
  const std::pair<double, const char*> chances[] = {
      {lose_request, "lose_request"}, {lose_answer, "lose_answer"}, {repeat_write, "repeat_write"},
      {refuse_overloaded, "refuse_overloaded"}, {refuse_full, "refuse_full"}, {fail_io, "fail_io"},
      {corrupt_read, "corrupt_read"}, {stale_read, "stale_read"}, {straggle, "straggle"}};
  for (auto [p, name] : chances)
    if (auto ok = check_chance(p, name); !ok)
      return ok;
  if (min_delay.count() < 0 || max_delay < min_delay || max_straggle.count() < 0)
    return fail(errc::invalid_argument, "delays are not negative, and the shortest is not above the longest");
  return {};
}

result<void> faulty_store_options::validate() const {
  if (!store)
    return fail(errc::invalid_argument, "a faulty store needs a store behind it");
  return faults.validate();
}

// 53 bits of one draw: the same on every machine, unlike std::uniform_real_distribution.
bool faulty_store_state::chance(double p) {
  return static_cast<double>(random() >> 11) * 0x1p-53 < p;
}

std::chrono::microseconds faulty_store_state::draw_delay() {
  const auto& f = options.faults;
  auto between = [this](std::chrono::microseconds low, std::chrono::microseconds high) {
    return low + std::chrono::microseconds(random() % static_cast<std::uint64_t>((high - low).count() + 1));
  };
  auto usual = between(f.min_delay, f.max_delay);
  auto long_one = between(std::chrono::microseconds(0), f.max_straggle);
  return chance(f.straggle) ? std::max(usual, long_one) : usual;
}

fate faulty_store_state::draw() {
  const auto& f = options.faults;
  fate out;
  ++counts.requests;
  out.lose_request = chance(f.lose_request);
  out.lose_answer = chance(f.lose_answer);
  out.repeat = chance(f.repeat_write);
  out.overloaded = chance(f.refuse_overloaded);
  out.full = chance(f.refuse_full);
  out.io = chance(f.fail_io);
  out.corrupt = chance(f.corrupt_read);
  out.stale = chance(f.stale_read);
  out.bit = random();
  out.before = draw_delay();
  out.after = draw_delay();
  out.again = draw_delay();
  return out;
}

void faulty_store_state::remember(const bytes& record) {
  if (options.faults.stale_read == 0)
    return;
  auto header = parse_header(record);
  if (!header)
    return;
  if (earlier.size() >= options.max_remembered && !earlier.contains(header->address))
    earlier.clear();
  auto& r = earlier[header->address];
  auto before = parse_header(r.newer);
  if (before && before->counter >= header->counter)
    return;
  r.older = std::exchange(r.newer, record);
}

std::optional<result<bytes>> faulty_store_state::stale_record(const pad_address& address) const {
  auto at = earlier.find(address);
  if (at == earlier.end())
    return std::nullopt;
  if (at->second.older.empty())
    return fail(errc::pad_not_found, "there is no pad " + short_name(address) + " (injected fault)");
  return at->second.older;
}

faulty_store_actor::behavior_type faulty_store(self_pointer self, faulty_store_options options) {
  self->state.random.seed(options.seed);
  self->state.options = std::move(options);
  return {
      [self](put_atom atom, const bytes& record) { return change(self, record, atom); },
      [self](put_atom atom, room_atom room, const bytes& record) { return change(self, record, atom, room); },
      [self](get_atom atom, const pad_query& query) { return read(self, atom, query); },
      [self](head_atom atom, const pad_query& query) { return read(self, atom, query); },
      [self](erase_atom atom, const bytes& blank) { return change(self, blank, atom); },
      [self](stats_atom atom) -> caf::result<pad_store_stats> {
        const auto f = self->state.draw();
        auto promise = self->make_response_promise<pad_store_stats>();
        later(self, f.before, [self, f, promise, atom] {
          if (!stopped(self, f, false, promise))
            ask_behind<pad_store_stats>(self, f, promise, atom);
        });
        return promise;
      },
      [self](trim_atom atom) { return self->delegate(self->state.options.store, atom); },
      [self](const fault_options& faults) { self->state.options.faults = faults; },
      [self](fault_counts_query) { return self->state.counts; },
      [](deferred& run_later) { run_later.run(); },
  };
}

}  // namespace mutant
