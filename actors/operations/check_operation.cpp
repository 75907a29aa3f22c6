#include "actors/operations/check_operation.hpp"

#include <algorithm>

namespace mutant {

void check_operation_state::plan(found&& there) {
  if (!there.complete)
    return fail_with({errc::key_not_found, "no such key"});
  read(std::move(there));
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
      fetch(at);
  }
  if (!over && under_way == 0)
    all_seen();
}

// The file has these bytes at this place, or not.
void check_operation_state::compare(std::size_t at) {
  const auto& c = chunk_at(at);
  self->request(options.crypto, caf::infinite, compare_atom_v,
                compare_chunk_job{file_slice{request.against, places[at].offset}, c.length})
      .then(
          [this, at](const fingerprint& print) {
            if (print == chunk_at(at).print)
              was_seen(at);
            else
              chunk_failed(at, {errc::invalid_argument, "the file has other bytes"});
          },
          [this, at](caf::error& cause) { chunk_failed(at, from_caf(cause)); });
}

void check_operation_state::was_seen(std::size_t at) {
  if (over)
    return;
  const auto length = chunk_at(at).length;
  --under_way;
  ++totals.chunks_checked;
  totals.bytes_checked += length;
  if (request.options.listener)
    self->send(request.options.listener, progress_atom_v, progress{totals.bytes_checked, std::nullopt, 0});
  fill_window();
}

void check_operation_state::chunk_failed(std::size_t at, const error& e) {
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

void check_operation_state::all_seen() {
  std::ranges::sort(totals.bad, {}, &bad_chunk::number);
  if (!may_have_moved)
    return report();
  look_whether_moved([this](const found& now) {
    if (!now.complete)
      return fail_with({errc::key_not_found, "the key was removed while it was read"});
    if (now.complete->version == value.version)
      return report();
    if (++restarts > options.max_restarts)
      return fail_with({errc::version_mismatch, "the value is replaced faster than it can be read"});
    let_go();
    look_up();
  });
}

void check_operation_state::report() {
  over = true;
  pad_list pads;
  if (!request.against)
    for (const auto& bad : totals.bad)
      pads.push_back((*value.chunks)[bad.number].pad);
  note_damage(std::move(pads), [this] { end(totals); });
}

check_operation_actor::behavior_type check_operation(check_operation_state::self_pointer self, check_options options) {
  auto* s = &self->state;
  s->options = std::move(options);
  auto cancel = [s] { s->fail_with({errc::cancelled, "the check was cancelled"}); };
  s->watch_over(cancel, "the store was ended");
  return {
      [s](check_atom, check_request& request) { return s->begin(request); },
      [cancel](cancel_atom) { cancel(); },
  };
}

}  // namespace mutant
