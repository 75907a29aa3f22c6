// What the actor tests share: a system that the test drives, a store with a gate that the test holds, and answers to look at.
#pragma once

#include <boost/test/unit_test.hpp>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "actors/index/spawn_index.hpp"
#include "actors/operations/get_operation.hpp"
#include "actors/operations/put_operation.hpp"
#include "actors/pads/memory_store.hpp"
#include "actors/store.hpp"
#include "actors/workers/crypto_worker.hpp"
#include "actors/workers/file_writer.hpp"
#include "core/engine/engine.hpp"
#include "core/index/ring.hpp"
#include "tests/actors/deterministic.hpp"

namespace mutant::testing {

// What became of a request.
template <class T>
struct answer_of {
  std::optional<T> value;
  std::optional<error> failure;

  bool pending() const { return !value && !failure; }
  // The error's code; nothing if it went well or is pending.
  std::optional<errc> code() const { return failure ? std::optional(failure->code) : std::nullopt; }
};
template <class T>
using answer_ptr = std::shared_ptr<answer_of<T>>;

enum class pad_op { put, get, head, erase, stats };

// Stands before an engine: counts, refuses, holds back.
struct gate {
  std::map<pad_op, std::uint64_t> counts;
  // An error is given as the answer; nothing lets the request pass.
  std::function<std::optional<error>(pad_op, const pad_address&)> refuse;
  // True: the request waits in `held` until the test lets it go.
  std::function<bool(pad_op, const pad_address&)> hold;
  // True: the store does it, and nobody is told.
  std::function<bool(pad_op, const pad_address&)> lose_answer;
  // An error is given as the answer to what the store has done.
  std::function<std::optional<error>(pad_op, const pad_address&)> answer_instead;
  struct held_request {
    caf::actor_addr store;
    std::function<void()> go;
  };
  std::deque<held_request> held;
  std::size_t in_flight = 0;       // puts and gets that have arrived and are not answered
  std::size_t max_in_flight = 0;

  // They go on when their store runs next.
  void release_all() { release(std::exchange(held, {})); }
  static void release(std::deque<held_request> requests) {
    for (auto& r : requests)
      caf::anon_send(caf::actor_cast<caf::actor>(r.store), deferred{std::move(r.go)});
  }
};

using gated_store_actor = pad_store_actor::extend<reacts_to<deferred>>;

namespace detail {

template <class Out, class F>
caf::result<Out> through_gate(gated_store_actor::pointer self, const std::shared_ptr<gate>& g, pad_op op,
                              const pad_address& address, F run) {
  ++g->counts[op];
  g->max_in_flight = std::max(g->max_in_flight, ++g->in_flight);
  auto promise = self->make_response_promise<Out>();
  auto go = [g, op, address, run, promise]() mutable {
    --g->in_flight;
    auto no = g->refuse ? g->refuse(op, address) : std::nullopt;
    result<Out> out = no ? result<Out>(fail(*no)) : run();
    if (g->lose_answer && g->lose_answer(op, address))
      return;
    if (auto other = g->answer_instead ? g->answer_instead(op, address) : std::nullopt; other && out)
      out = fail(*other);
    if (out)
      promise.deliver(std::move(*out));
    else
      promise.deliver(to_caf(out.error()));
  };
  if (g->hold && g->hold(op, address))
    g->held.push_back({self->address(), go});
  else
    go();
  return promise;
}

inline result<done> at_once(pad_engine& engine, result<void> taken) {
  if (taken)
    taken = engine.commit();
  if (!taken)
    return fail(taken.error());
  return done{};
}

inline pad_address address_of(const bytes& record) {
  auto header = parse_header(record);
  return header ? header->address : pad_address{};
}

}  // namespace detail

inline gated_store_actor::behavior_type gated_store(gated_store_actor::pointer self, std::shared_ptr<pad_engine> engine,
                                                    std::shared_ptr<gate> g) {
  using namespace detail;
  return {
      [=](put_atom, const bytes& record) {
        return through_gate<done>(self, g, pad_op::put, address_of(record),
                                  [=] { return at_once(*engine, engine->put(record)); });
      },
      [=](put_atom, room_atom, const bytes& record) {
        return through_gate<done>(self, g, pad_op::put, address_of(record),
                                  [=] { return at_once(*engine, engine->put_making_room(record)); });
      },
      [=](get_atom, const pad_query& q) {
        return through_gate<bytes>(self, g, pad_op::get, q.address, [=] { return engine->get(q.address); });
      },
      [=](head_atom, const pad_query& q) {
        return through_gate<bytes>(self, g, pad_op::head, q.address, [=] { return engine->head(q.address); });
      },
      [=](erase_atom, const bytes& blank) {
        return through_gate<done>(self, g, pad_op::erase, address_of(blank),
                                  [=] { return at_once(*engine, engine->erase(blank)); });
      },
      [=](stats_atom) {
        return through_gate<pad_store_stats>(self, g, pad_op::stats, {}, [=]() -> result<pad_store_stats> {
          return pad_store_stats{engine->stats()->pads, 0, 0};
        });
      },
      [](trim_atom) { return std::uint64_t{0}; },
      [](deferred& later) { later.run(); },
  };
}

struct fixture {
  explicit fixture(std::uint64_t random_seed = 1, deterministic_system::order how = deterministic_system::order::fifo)
      : det(random_seed, how) {
    BOOST_REQUIRE(init_crypto().has_value());
    owner.value.fill(std::byte{7});
    keys = std::make_shared<const keyring>(owner);
    store = det.system().spawn(gated_store, engine, door);
    crypto = det.system().spawn(crypto_worker, crypto_worker_options{keys});
    writers = det.system().spawn(file_writer);
  }

  ~fixture() { *door = {}; }   // what it holds back holds it

  // Sends a request from an actor of its own; look at the answer after running.
  template <class Out, class Handle, class... Args>
  answer_ptr<Out> ask(const Handle& whom, Args... args) {
    return ask_as<Out>(nullptr, whom, std::move(args)...);
  }

  // Keeps the asking actor, to be killed by the test.
  template <class Out, class Handle, class... Args>
  answer_ptr<Out> ask_as(caf::actor* asker, const Handle& whom, Args... args) {
    auto out = std::make_shared<answer_of<Out>>();
    auto who = det.system().spawn([=](caf::event_based_actor* self) -> caf::behavior {
      self->request(whom, caf::infinite, args...)
          .then(
              [=](Out& x) {
                BOOST_TEST(out->pending(), "answered twice");
                out->value = std::move(x);
              },
              [=](caf::error& e) {
                BOOST_TEST(out->pending(), "answered twice");
                out->failure = from_caf(e);
              });
      if (asker == nullptr)
        return {};
      return {[](caf::unit_t) {}};
    });
    if (asker != nullptr)
      *asker = who;
    return out;
  }

  // Asks, runs until it is answered, and expects a value.
  template <class Out, class Handle, class... Args>
  Out get(const Handle& whom, Args... args) {
    auto a = ask<Out>(whom, std::move(args)...);
    det.run_until([&] { return !a->pending(); });
    BOOST_REQUIRE_MESSAGE(a->value, (a->failure ? to_string(*a->failure) : std::string("no answer")));
    return std::move(*a->value);
  }

  // Asks, runs until it is answered, and expects an error.
  template <class Out, class Handle, class... Args>
  error get_error(const Handle& whom, Args... args) {
    auto a = ask<Out>(whom, std::move(args)...);
    det.run_until([&] { return !a->pending(); });
    BOOST_REQUIRE_MESSAGE(a->failure, (a->value ? std::string("it went well") : std::string("no answer")));
    return *a->failure;
  }

  index_options small_index() const {
    index_options o;
    o.pads = store;
    o.crypto = crypto;
    o.writer[0] = std::byte{1};
    o.ring_slots = 8;
    return o;
  }

  index_actor spawn_index(const index_options& o) { return mutant::spawn_index(det.system(), o); }
  index_actor spawn_index() { return spawn_index(small_index()); }

  put_options small_put(const index_actor& index) const {
    put_options o;
    o.pads = store;
    o.crypto = crypto;
    o.index = index;
    o.chunk_bytes = 10;
    o.inline_bytes = 4;
    o.window = 3;
    o.checkpoint_chunks = 2;
    return o;
  }

  // A whole store over the gate, with chunks as small.
  store_config small_store() const {
    store_config c;
    c.owner = owner;
    c.pads = caf::actor_cast<pad_store_actor>(store);
    c.chunk_bytes = 10;
    c.inline_bytes = 5;
    c.detached = false;
    return c;
  }
  store_actor spawn_small_store() {
    auto made = spawn_store(det.system(), small_store());
    BOOST_REQUIRE(made.has_value());
    return *made;
  }

  get_options small_get(const index_actor& index) const {
    get_options o;
    o.pads = store;
    o.crypto = crypto;
    o.writers = writers;
    o.index = index;
    o.window = 3;
    return o;
  }

  answer_ptr<put_result> ask_put(const put_options& o, put_request request) {
    return ask<put_result>(det.system().spawn(put_operation, o), put_atom_v, std::move(request));
  }
  answer_ptr<put_result> ask_put(const put_options& o, std::string key, std::string_view value) {
    return ask_put(o, put_request{std::move(key), bytes::copy_of(value), std::nullopt, {}});
  }
  put_result put(const put_options& o, std::string key, std::string_view value) {
    auto a = ask_put(o, std::move(key), value);
    det.run_until([&] { return !a->pending(); });
    BOOST_REQUIRE_MESSAGE(a->value, (a->failure ? to_string(*a->failure) : std::string("no answer")));
    return *a->value;
  }

  answer_ptr<get_result> ask_get(const get_options& o, get_request request) {
    return ask<get_result>(det.system().spawn(get_operation, o), get_atom_v, std::move(request));
  }
  answer_ptr<get_result> ask_get(const get_options& o, std::string key) {
    get_request request;
    request.key = std::move(key);
    return ask_get(o, std::move(request));
  }
  std::string value_of(const get_options& o, std::string key) {
    auto a = ask_get(o, std::move(key));
    det.run_until([&] { return !a->pending(); });
    return a->value ? std::string(as_text(a->value->value)) : to_string(*a->failure);
  }

  // A small value of its own, in the index.
  static commit_request put_inline(std::string key, std::string_view value) {
    entry e;
    e.size = value.size();
    e.inline_value = bytes::copy_of(value);
    return {{put_op{std::move(key), std::move(e)}}, {}};
  }

  pad_address log_slot(std::uint64_t slot) const { return keys->log(slot).address; }
  pad_address data_pad(std::uint64_t number) const { return keys->data(number).address; }
  pad_address part_pad(std::uint64_t number) const { return keys->part(number).address; }
  bool is_log(const pad_address& a, std::uint64_t slots = 8) const {
    for (std::uint64_t i = 0; i < slots; ++i)
      if (a == log_slot(i))
        return true;
    return false;
  }

  bool is_data(const pad_address& a) const {
    for (std::uint64_t n = 0; n < 64; ++n)
      if (a == data_pad(n))
        return true;
    return false;
  }

  // What a store is asked.
  static put_request put_of(std::string key, std::string_view value, std::optional<std::uint64_t> if_version = {}) {
    return {std::move(key), bytes::copy_of(value), if_version, {}};
  }
  static get_request get_of(std::string key) {
    get_request request;
    request.key = std::move(key);
    return request;
  }

  // Flips a bit of what the engine holds, whatever the write rule says.
  void damage(const pad_address& address, std::size_t byte) {
    auto record = engine->get(address);
    BOOST_REQUIRE(record.has_value());
    auto raw = buffer(record->size());
    std::copy(record->data(), record->data() + record->size(), raw.data());
    raw.data()[byte] ^= std::byte{1};
    broken[address] = std::move(raw).freeze();
  }

  // Memory that shows damaged records for those in `broken`, nothing for those in `missing`.
  class damaged_engine final : public pad_engine {
   public:
    explicit damaged_engine(fixture& f) : f_(f), inner_(make_memory_engine(std::uint64_t{1} << 40)) {}
    result<void> put(const bytes& record) override {
      ++writes;
      auto stored = inner_->put(record);
      if (stored && f_.writes_heal) {
        f_.broken.erase(detail::address_of(record));
        f_.missing.erase(detail::address_of(record));
      }
      return stored;
    }
    result<void> erase(const bytes& blank) override {
      ++writes;
      return inner_->erase(blank);
    }
    result<void> commit() override { return inner_->commit(); }
    result<bytes> get(const pad_address& address) override {
      if (f_.missing.contains(address))
        return fail(errc::pad_not_found, "missing");
      if (auto at = f_.broken.find(address); at != f_.broken.end())
        return at->second;
      return inner_->get(address);
    }
    result<bytes> head(const pad_address& address) override {
      auto record = get(address);
      return record ? result<bytes>(record->slice(0, record_header_bytes)) : record;
    }
    result<engine_stats> stats() override { return inner_->stats(); }
    std::uint64_t writes = 0;

   private:
    fixture& f_;
    std::unique_ptr<pad_engine> inner_;
  };

  deterministic_system det;
  seed owner;
  std::shared_ptr<const keyring> keys;
  std::map<pad_address, bytes> broken;
  std::set<pad_address> missing;
  bool writes_heal = false;   // a pad that is written to is neither any more
  std::shared_ptr<damaged_engine> engine = std::make_shared<damaged_engine>(*this);
  std::shared_ptr<gate> door = std::make_shared<gate>();
  pad_store_actor store;
  crypto_worker_actor crypto;
  file_writer_actor writers;
};

}  // namespace mutant::testing
