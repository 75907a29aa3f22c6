#include "actors/operations/get_operation.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace mutant {

result<void> get_options::validate() const {
  if (!pads || !crypto || !writers)
    return fail(errc::invalid_argument, "a get needs pads, crypto workers and file writers");
  if (window == 0 || window > 1024)
    return fail(errc::invalid_argument, "a get has 1 to 1024 chunks under way");
  return {};
}

// -- start ---------------------------------------------------------------------------------------------------------------

void get_operation_state::start() {
  if (const auto* sink = std::get_if<chunk_sink_actor>(&request.sink))
    self->monitor(*sink);
  look_up();
}

void get_operation_state::plan(found&& there) {
  if (!there.complete)
    return fail_with({errc::key_not_found,
                      there.pending ? "the key has only an unfinished upload; put it again to finish it" : "no such key"});
  read(std::move(there));
  if (request.offset > value.size || (request.length && *request.length > value.size - request.offset))
    return fail_with({errc::invalid_argument, "the range reaches beyond the value's " + std::to_string(value.size)
                                                  + " bytes"});
  range_begin = request.offset;
  range_end = request.length ? range_begin + *request.length : value.size;
  if (std::holds_alternative<std::monostate>(request.sink) && range_end - range_begin > request.max_bytes)
    return fail_with({errc::too_large,
                      std::to_string(range_end - range_begin) + " bytes do not fit one answer; give the get a sink"});
  totals = {value.size, value.version, value.modified_ms, 0, {}, value.attributes};
  begin_file();
  if (!value.chunks)
    return deliver_inline();
  if (std::holds_alternative<std::monostate>(request.sink))
    gathered = buffer(range_end - range_begin);
  if (range_begin == range_end)
    return finish();
  find_chunks();
  fill_window();
}

// What a value that was replaced has left there must not be where this one has zeros. And with its length from the start a file
// takes blocks in any order, several at once; while it grows, one after the other.
void get_operation_state::begin_file() {
  auto* file = std::get_if<file_sink>(&request.sink);
  if (file == nullptr || !file->fresh)
    return;
  file->fresh = ::ftruncate(file->file->descriptor(), 0) == 0;
  const auto length = static_cast<off_t>(range_end - range_begin);
  static_cast<void>(::ftruncate(file->file->descriptor(), length) != 0);  // the writes will tell
}

// Where the chunks of the range begin.
void get_operation_state::find_chunks() {
  starts.clear();
  first_chunk = 0;
  std::uint64_t at = 0;
  for (const auto& c : *value.chunks) {
    const auto end = at + c.length;
    if (end <= range_begin)
      ++first_chunk;
    else if (at < range_end)
      starts.push_back(at);
    at = end;
  }
  next_out = next_fetch = first_chunk;
  chunk_end = first_chunk + starts.size();
}

void get_operation_state::deliver_inline() {
  auto part = value.inline_value.slice(range_begin, range_end - range_begin);
  totals.bytes_read = part.size();
  if (part.empty()) {
    finish();
  } else if (const auto* file = std::get_if<file_sink>(&request.sink)) {
    self->request(options.writers, caf::infinite, push_atom_v, write_job{part, {file->file, 0}, file->fresh})
        .then([this](done) { finish(); }, failing());
  } else if (const auto* sink = std::get_if<chunk_sink_actor>(&request.sink)) {
    self->request(*sink, caf::infinite, push_atom_v, part).then([this](done) { finish(); }, failing());
  } else {
    totals.value = part;
    finish();
  }
}

std::pair<std::uint32_t, std::uint32_t> get_operation_state::wanted(std::size_t number) const {
  const auto at = start_of(number);
  const auto length = (*value.chunks)[number].length;
  const auto from = std::max(at, range_begin);
  const auto to = std::min(at + length, range_end);
  return {static_cast<std::uint32_t>(from - at), static_cast<std::uint32_t>(to - from)};
}

// -- fetching ------------------------------------------------------------------------------------------------------------

void get_operation_state::fill_window() {
  while (!over && under_way < options.window && next_fetch < chunk_end) {
    ++under_way;
    fetch(next_fetch++);
  }
}

// -- handing out ---------------------------------------------------------------------------------------------------------

void get_operation_state::opened(std::size_t number, bytes plaintext) {
  const auto [skip, take] = wanted(number);
  if (std::holds_alternative<chunk_sink_actor>(request.sink)) {
    ready.emplace(number, std::move(plaintext));
    return push_ready();
  }
  if (const auto* file = std::get_if<file_sink>(&request.sink)) {
    const auto at = start_of(number) + skip - range_begin;
    self->request(options.writers, caf::infinite, push_atom_v, write_job{std::move(plaintext), {file->file, at}, file->fresh})
        .then(
            [this, size = take, a = attempt](done) {
              --writing;
              if (!over && a == attempt)
                handed_out(size);
              else if (!over && restart_waits && writing == 0)
                start_again();
            },
            failing());
    ++writing;
    return;
  }
  if (std::holds_alternative<std::monostate>(request.sink))
    std::memcpy(gathered.data() + (start_of(number) + skip - range_begin), plaintext.data(), plaintext.size());
  handed_out(take);
}

// A stream gets its chunks in order, one at a time: a slow reader slows the fetching.
void get_operation_state::push_ready() {
  if (pushing || ready.empty() || ready.begin()->first != next_out)
    return;
  pushing = true;
  cannot_restart = true;
  auto node = ready.extract(ready.begin());
  ++next_out;
  const auto size = node.mapped().size();
  self->request(std::get<chunk_sink_actor>(request.sink), caf::infinite, push_atom_v, std::move(node.mapped()))
      .then(
          [this, size](done) {
            pushing = false;
            if (over)
              return;
            handed_out(size);
            if (!over)
              push_ready();
          },
          failing());
}

void get_operation_state::handed_out(std::uint64_t size_bytes) {
  --under_way;
  totals.bytes_read += size_bytes;
  if (request.options.listener)
    self->send(request.options.listener, progress_atom_v, progress{totals.bytes_read, range_end - range_begin, 0});
  if (totals.bytes_read == range_end - range_begin)
    return finish();
  fill_window();
}

// -- trouble -------------------------------------------------------------------------------------------------------------

void get_operation_state::chunk_failed(std::size_t number, const error& e) {
  switch (e.code) {
    // What the store shows when the pad has gone to another value. It may also be damage: the index tells.
    case errc::pad_not_found:
    case errc::pad_conflict: return value_moved(number, e);
    default: break;
  }
  if (says_damaged(e.code))
    return fail_damaged(number, {e.code == errc::bad_signature ? e.code : errc::decrypt_failed,
                                 "chunk " + std::to_string(number) + " of the value, in pad "
                                     + std::to_string((*value.chunks)[number].pad.number) + ", is damaged: " + e.message});
  const error told{e.code, "reading chunk " + std::to_string(number) + ": " + e.message, e.detail};
  says_unreadable(e.code) ? fail_damaged(number, told) : fail_with(told);
}

void get_operation_state::value_moved(std::size_t number, const error& e) {
  ++attempt;
  look_whether_moved([this, number, e, version = value.version](const found& now) {
    if (now.complete && now.complete->version == version)
      return fail_damaged(number, {errc::corrupt_record, "chunk " + std::to_string(number) + " of the value is missing: pad "
                                                             + std::to_string(chunk_at(number).pad.number) + ": " + e.message});
    if (!now.complete)
      return fail_with({errc::key_not_found, "the key was removed while it was read"});
    if (cannot_restart)
      return fail_with({errc::version_mismatch, "the value was replaced while it was read, after part of the old one was "
                                                "handed out; read it again"});
    if (++restarts > options.max_restarts)
      return fail_with({errc::version_mismatch, "the value is replaced faster than it can be read"});
    start_again();
  });
}

void get_operation_state::fail_damaged(std::size_t number, const error& e) {
  if (!std::exchange(over, true))
    note_damage({chunk_at(number).pad}, [this, e] { end(to_caf(e)); });
}

void get_operation_state::start_again() {
  restart_waits = writing > 0;  // a late write of the old value must not land on the new one
  if (restart_waits)
    return;
  let_go();
  ready.clear();
  under_way = 0;
  look_up();
}

void get_operation_state::finish() {
  if (!over && std::holds_alternative<std::monostate>(request.sink) && value.chunks)
    totals.value = std::move(gathered).freeze();
  succeed();
}

get_operation_actor::behavior_type get_operation(get_operation_state::self_pointer self, get_options options) {
  auto* s = &self->state;
  s->options = std::move(options);
  auto cancel = [s] { s->fail_with({errc::cancelled, "the get was cancelled"}); };
  s->watch_over(cancel, "the store was ended");
  // Monitored are the asking actor and the sink.
  self->set_down_handler([s, cancel](caf::down_msg& down) {
    const auto* sink = std::get_if<chunk_sink_actor>(&s->request.sink);
    if (sink != nullptr && down.source == sink->address())
      s->fail_with({errc::io_error, "the sink ended before the value did"});
    else
      cancel();
  });
  return {
      [s](get_atom, get_request& request) { return s->begin(request); },
      [cancel](cancel_atom) { cancel(); },
  };
}

}  // namespace mutant
