#include "actors/operations/check_operation.hpp"

#include <algorithm>

#include "actors/workers/damage_memory.hpp"

namespace mutant {

void check_operation_state::start(check_request r, caf::typed_response_promise<check_result> p) {
  request = std::move(r);
  promise = p;
  look_up();
}

void check_operation_state::look_up() {
  self->request(options.index, caf::infinite, find_atom_v, find_request{request.key, true})
      .then([this](found& there) { plan(std::move(there)); }, failing());
}

void check_operation_state::plan(found&& there) {
  if (over)
    return;
  if (!there.complete)
    return fail_with({errc::key_not_found, "no such key"});
  value = std::move(*there.complete);
  shared = there.shared;
  pin = there.pin;
  totals = {value.size, value.version, value.attributes, value.chunk_count(), 0, 0, {}};
  places.clear();
  next = 0;
  may_have_moved = false;
  if (value.chunks) {
    place at;
    for (const auto& c : *value.chunks) {
      if (request.share >= check_request::check_all || random_u64() % check_request::check_all < request.share)
        places.push_back(at);
      ++at.number;
      at.offset += c.length;
    }
  }
  fill_window();
}

void check_operation_state::fill_window() {
  while (!over && under_way < options.window && next < places.size()) {
    ++under_way;
    const auto at = next++;
    if (request.against)
      compare(at);
    else
      fetch(at, 0);
  }
  if (!over && under_way == 0)
    all_seen();
}

// The file has these bytes at this place, or not.
void check_operation_state::compare(std::size_t at) {
  const auto& c = (*value.chunks)[places[at].number];
  self->request(options.crypto, caf::infinite, compare_atom_v,
                compare_chunk_job{file_slice{request.against, places[at].offset}, c.length})
      .then(
          [this, at](const fingerprint& print) {
            if (print == (*value.chunks)[places[at].number].print)
              was_seen(at);
            else
              is_bad(at, {errc::invalid_argument, "the file has other bytes"});
          },
          [this, at](caf::error& cause) { is_bad(at, from_caf(cause)); });
}

void check_operation_state::fetch(std::size_t at, unsigned refused) {
  self->request(options.pads, caf::infinite, get_atom_v, pad_query{(*value.chunks)[places[at].number].address, refused})
      .then([this, at, refused](bytes& record) { open(at, std::move(record), refused); },
            [this, at](caf::error& cause) { is_bad(at, from_caf(cause)); });
}

void check_operation_state::open(std::size_t at, bytes record, unsigned refused) {
  if (over)
    return;
  // None of its bytes are wanted; all of them are held against the fingerprint.
  self->request(options.crypto, caf::infinite, open_atom_v,
                open_chunk_job{std::move(record), (*value.chunks)[places[at].number], 0, 0, shared})
      .then([this, at](bytes&) { was_seen(at); },
            [this, at, refused](caf::error& cause) {
              const auto e = from_caf(cause);
              if (!over && says_damaged(e.code) && refused < max_refused_answers)
                return fetch(at, refused + 1);
              is_bad(at, e);
            });
}

void check_operation_state::was_seen(std::size_t at) {
  if (over)
    return;
  const auto length = (*value.chunks)[places[at].number].length;
  --under_way;
  ++totals.chunks_checked;
  totals.bytes_checked += length;
  if (request.options.listener)
    self->send(request.options.listener, progress_atom_v, progress{totals.bytes_checked, std::nullopt, 0});
  fill_window();
}

void check_operation_state::is_bad(std::size_t at, const error& e) {
  if (over)
    return;
  const auto is_moved = e.code == errc::pad_not_found || e.code == errc::pad_conflict;
  if (!request.against && !says_unreadable(e.code))
    return fail_with(e);
  const auto& where = places[at];
  const auto& c = (*value.chunks)[where.number];
  may_have_moved = may_have_moved || is_moved;
  auto what = e;
  if (!request.against)
    what.message = "pad " + std::to_string(c.pad.number) + (is_moved ? " is missing: " : " is damaged: ") + e.message;
  totals.bad.push_back({where.number, where.offset, c.length, std::move(what)});
  was_seen(at);
}

// A pad that is missing may only have gone to another value.
void check_operation_state::all_seen() {
  std::ranges::sort(totals.bad, {}, &bad_chunk::number);
  if (!may_have_moved)
    return report();
  auto decide = [this](found& now) {
    if (now.pin != 0)
      self->send(options.index, release_atom_v, now.pin);
    if (over)
      return;
    if (!now.complete)
      return fail_with({errc::key_not_found, "the key was removed while it was read"});
    if (now.complete->version == value.version)
      return report();
    if (++restarts > options.max_restarts)
      return fail_with({errc::version_mismatch, "the value is replaced faster than it can be read"});
    if (pin != 0)
      self->send(options.index, release_atom_v, std::exchange(pin, 0));
    look_up();
  };
  self->request(options.index, caf::infinite, sync_atom_v)
      .then(
          [this, decide](sync_report&) {
            self->request(options.index, caf::infinite, find_atom_v, find_request{request.key, false}).then(decide, failing());
          },
          failing());
}

void check_operation_state::report() {
  over = true;
  pad_list pads;
  for (const auto& bad : totals.bad)
    pads.push_back((*value.chunks)[bad.number].pad);
  auto answer_now = [this] {
    promise.deliver(totals);
    end();
  };
  if (pads.empty() || request.against || !options.damage)
    return answer_now();
  self->request(options.damage, caf::infinite, note_atom_v, std::move(pads))
      .then([answer_now](done) { answer_now(); }, [answer_now](caf::error&) { answer_now(); });
}

void check_operation_state::fail_with(const error& e) {
  if (over)
    return;
  over = true;
  promise.deliver(to_caf(e));
  end();
}

void check_operation_state::end() {
  if (pin != 0)
    self->send(options.index, release_atom_v, pin);
  asking.forget(self);
  self->quit();
}

check_operation_actor::behavior_type check_operation(check_operation_state::self_pointer self, check_options options) {
  auto* s = &self->state;
  s->options = std::move(options);
  auto cancel = [s] { s->fail_with({errc::cancelled, "the check was cancelled"}); };
  self->set_down_handler([cancel](caf::down_msg&) { cancel(); });
  self->set_exit_handler([s, self](caf::exit_msg& exit) {
    s->fail_with({errc::unreachable, "the store was ended"});
    self->quit(exit.reason);
  });
  return {
      [s, self](check_atom, check_request& request) -> caf::result<check_result> {
        s->asking.watch(self);
        auto promise = self->make_response_promise<check_result>();
        s->start(std::move(request), promise);
        return promise;
      },
      [cancel](cancel_atom) { cancel(); },
  };
}

}  // namespace mutant
