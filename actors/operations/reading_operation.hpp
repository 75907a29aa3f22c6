// What operations that read a value's chunks repeat: they look the value up and pin its pads, fetch records and open them, ask
// again where an answer was no good, and find out whether a chunk that is missing belongs to a value that was replaced.
//
// Derived has, beside what operation_base wants,
//   void plan(found&& there);                               the value was looked up
//   const chunk& chunk_at(std::size_t at);                  of the value; `at` is Derived's own number for it
//   std::pair<std::uint32_t, std::uint32_t> wanted(std::size_t at);     bytes to leave out at its front, and to hand out
//   void opened(std::size_t at, bytes plaintext);
//   void chunk_failed(std::size_t at, const error& e);
#pragma once

#include "actors/operations/operation_base.hpp"
#include "actors/workers/damage_memory.hpp"

namespace mutant {

template <class Derived, class Actor, class Request, class Answer, class Options>
struct reading_operation : operation_base<Derived, Actor, Request, Answer> {
  using base = operation_base<Derived, Actor, Request, Answer>;
  using base::base;
  using base::derived;
  using base::over;
  using base::request;
  using base::self;

  void look_up() {
    self->request(options.index, caf::infinite, find_atom_v, find_request{request.key, true})
        .then(
            [this](found& there) {
              if (!over)
                derived().plan(std::move(there));
            },
            base::failing());
  }
  // What plan() found is what is read.
  void read(found&& there) {
    value = std::move(*there.complete);
    shared = there.shared;
    pin = there.pin;
  }

  // refused: so many answers were no good.
  void fetch(std::size_t at, unsigned refused = 0) {
    self->request(options.pads, caf::infinite, get_atom_v, pad_query{derived().chunk_at(at).address, refused})
        .then(
            [this, at, refused, a = attempt](bytes& record) {
              if (is_current(a))
                open(at, std::move(record), refused);
            },
            [this, at, a = attempt](caf::error& cause) {
              if (is_current(a))
                derived().chunk_failed(at, from_caf(cause));
            });
  }

  void open(std::size_t at, bytes record, unsigned refused) {
    const auto [skip, take] = derived().wanted(at);
    self->request(options.crypto, caf::infinite, open_atom_v,
                  open_chunk_job{std::move(record), derived().chunk_at(at), skip, take, shared})
        .then(
            [this, at, a = attempt](bytes& plaintext) {
              if (is_current(a))
                derived().opened(at, std::move(plaintext));
            },
            [this, at, refused, a = attempt](caf::error& cause) {
              if (!is_current(a))
                return;
              const auto e = from_caf(cause);
              if (says_damaged(e.code) && refused < max_refused_answers)
                return fetch(at, refused + 1);
              derived().chunk_failed(at, e);
            });
  }

  // A pad that is missing may only have gone to another value: `decide` gets the key as it is now, after a look into the log.
  template <class F>
  void look_whether_moved(F decide) {
    auto decide_now = [this, decide](found& now) {
      if (now.pin != 0)
        self->send(options.index, release_atom_v, now.pin);
      if (!over)
        decide(now);
    };
    self->request(options.index, caf::infinite, sync_atom_v)
        .then(
            [this, decide_now](sync_report&) {
              self->request(options.index, caf::infinite, find_atom_v, find_request{request.key, false})
                  .then(decide_now, base::failing());
            },
            base::failing());
  }

  // A put of the same value must not keep these chunks: the memory has them before anybody hears of it.
  template <class F>
  void note_damage(pad_list pads, F then) {
    if (pads.empty() || !options.damage)
      return then();
    self->request(options.damage, caf::infinite, note_atom_v, std::move(pads))
        .then([then](done) { then(); }, [then](caf::error&) { then(); });
  }

  void let_go() {
    if (pin != 0)
      self->send(options.index, release_atom_v, std::exchange(pin, 0));
  }

  bool is_current(std::uint64_t a) const { return !over && a == attempt; }

  Options options;
  entry value;
  bool shared = false;           // of the index that has it
  std::uint64_t pin = 0;
  unsigned restarts = 0;         // on a newer value
  std::uint64_t attempt = 0;     // answers to an earlier attempt are passed over
};

}  // namespace mutant
