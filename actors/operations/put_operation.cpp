#include "actors/operations/put_operation.hpp"

#include <sys/stat.h>

#include <algorithm>

#include "actors/caf/spawn.hpp"
#include "actors/operations/purge_operation.hpp"
#include "actors/workers/damage_memory.hpp"
#include "core/index/rules.hpp"
#include "core/outcome.hpp"

namespace mutant {

namespace {

constexpr unsigned max_restarts = 3;

// How long the chunks of a new value are: as those of the value that it replaces, so that unchanged ones are found, where these
// are all of one length but the last. A value that was assembled of tiny parts is no model.
std::uint32_t chunk_bytes_like(const std::optional<entry>& base, std::uint32_t otherwise) {
  if (!base || base->chunk_count() < 2)
    return otherwise;
  const auto length = base->chunks->front().length;
  const auto last = base->chunks->end() - 1;
  const auto even = std::all_of(base->chunks->begin(), last, [length](const chunk& c) { return c.length == length; });
  return even && last->length <= length && length >= otherwise / 1024 ? length : otherwise;
}

struct file_facts {
  std::uint64_t size = 0;
  std::int64_t modified_ns = 0;
};

result<file_facts> facts_of(const file_source& source) {
  struct stat s {};
  if (::fstat(source.file->descriptor(), &s) != 0)
    return fail(errno_error(errno, "looking at " + source.name));
  if (!S_ISREG(s.st_mode))
    return fail(errc::invalid_argument, source.name + " is not a regular file; put it through a pipe");
  return file_facts{static_cast<std::uint64_t>(s.st_size), s.st_mtim.tv_sec * 1'000'000'000 + s.st_mtim.tv_nsec};
}

}  // namespace

result<void> put_options::validate() const {
  if (!pads || !crypto)
    return fail(errc::invalid_argument, "a put needs pads and crypto workers");
  if (chunk_bytes < min_chunk_bytes || chunk_bytes > max_chunk_bytes)
    return fail(errc::invalid_argument, "a chunk has from 1 to " + std::to_string(max_chunk_bytes) + " bytes");
  if (window == 0 || window > 1024 || checkpoint_chunks == 0 || checkpoint_chunks > 4096)
    return fail(errc::invalid_argument, "a put has 1 to 1024 chunks under way and 1 to 4096 between checkpoints");
  if (inline_bytes > max_inline_bytes)
    return fail(errc::invalid_argument, "at most " + std::to_string(max_inline_bytes) + " bytes lie in the index");
  return {};
}

// -- start ---------------------------------------------------------------------------------------------------------------

void put_operation_state::start(put_request r, caf::typed_response_promise<put_result> p) {
  request = std::move(r);
  promise = p;
  if (auto good = rules::check_given_key(request.key, request.reserved); !good)
    return fail_with(good.error());
  if (auto good = check_given_attributes(request.attributes); !good)
    return fail_with(good.error());
  if (from_stream())
    self->monitor(std::get<chunk_source_actor>(request.source));
  look_up();
}

void put_operation_state::look_up() {
  if (auto opened = open_source(); !opened)
    return fail_with(opened.error());
  // A value of one chunk has a pad of its own, most likely.
  const auto one_chunk = size && *size > inline_bytes() && *size <= options.chunk_bytes;
  self->request(options.index, caf::infinite, find_atom_v, find_request{request.key, false, one_chunk ? 1u : 0u})
      .then([this](found& old) { recall_damage(std::make_shared<found>(std::move(old))); }, failing());
}

void put_operation_state::recall_damage(std::shared_ptr<found> old) {
  if (!options.damage || !(old->pending || (old->complete && old->complete->chunks)))
    return plan(std::move(*old));
  self->request(options.damage, caf::infinite, find_atom_v)
      .then(
          [this, old](const damaged_pads& known) {
            known_damage = known;
            plan(std::move(*old));
          },
          [this, old](caf::error&) { plan(std::move(*old)); });
}

result<void> put_operation_state::open_source() {
  if (const auto* value = std::get_if<bytes>(&request.source)) {
    size = value->size();
  } else if (const auto* file = std::get_if<file_source>(&request.source)) {
    auto facts = facts_of(*file);
    if (!facts)
      return fail(facts.error());
    size = facts->size;
    source_modified_ns = facts->modified_ns;
  }
  return {};
}

result<void> put_operation_state::check_source() const {
  const auto* file = std::get_if<file_source>(&request.source);
  if (file == nullptr)
    return {};
  auto facts = facts_of(*file);
  if (!facts)
    return fail(facts.error());
  if (file->may_grow && facts->size >= size)
    return {};
  if (facts->size != size || facts->modified_ns != source_modified_ns)
    return fail(errc::io_error, file->name + " changed while it was read; the value was not stored. Put it again when nobody "
                                    "writes to it. A file that only grows can be put as it is now (--snapshot), or as far as "
                                    "it goes: through a pipe");
  return {};
}

// Decides how the value is cut and what of it may be there already.
void put_operation_state::plan(found&& old) {
  spare_pads.insert(spare_pads.end(), old.pads.begin(), old.pads.end());
  if (over)
    return give_back_pads();
  if (request.if_version) {
    const auto version = old.complete ? old.complete->version : 0;
    if (auto right = rules::check_version(version, *request.if_version); !right)
      return fail_with(right.error());
  }
  shared = old.shared;
  base = std::move(old.complete);
  chunk_bytes = chunk_bytes_like(base, options.chunk_bytes);
  if (size && *size <= inline_bytes()) {
    if (const auto* value = std::get_if<bytes>(&request.source))
      return store_inline(*value);
    if (*size == 0)
      return store_inline({});
    read_job job{{std::get<file_source>(request.source).file, 0}, static_cast<std::uint32_t>(*size)};
    self->request(options.crypto, caf::infinite, pull_atom_v, std::move(job))
        .then([this](bytes& value) { store_inline(std::move(value)); }, failing());
    return;
  }
  const auto resuming = old.pending && resume(*old.pending);
  const auto any_bad = [this](const chunk_list& chunks) {
    return std::ranges::any_of(chunks, [this](const chunk& c) { return is_known_bad(c); });
  };
  verify = request.verify || any_bad(recorded) || (base && base->chunks && any_bad(*base->chunks));
  if (!resuming)
    return fill_window();
  // From here on only we add to it: two puts of one key never mix.
  const auto new_id = random_u64() | 1;
  commit({adopt_upload_op{request.key, upload_id, new_id, recorded_in_index}}, {}, [this, new_id](std::uint64_t) {
    upload_id = new_id;
    fill_window();
  });
}

// Takes over what an earlier attempt recorded. False: it is of another source, or its kept chunks are gone.
bool put_operation_state::resume(const upload& pending) {
  if (pending.chunks_done == 0 || (size && pending.size && *pending.size != *size))
    return false;
  chunk_list chunks;
  for (const auto& piece : pending.pieces)
    chunks.insert(chunks.end(), piece->begin(), piece->end());
  const auto same_base = (base ? base->version : 0) == pending.base_version;
  if (!same_base && std::ranges::any_of(chunks, &chunk::inherited))
    return false;
  if (!same_base)
    base.reset();
  chunk_bytes = pending.chunk_size;
  recorded = std::move(chunks);
  recorded_in_index = recorded.size();
  upload_id = pending.id;
  upload_base = pending.base_version;
  return true;
}

void put_operation_state::store_inline(bytes value) {
  if (over)
    return;
  if (auto same = check_source(); !same)
    return fail_with(same.error());
  totals.size = value.size();
  totals.bytes_written = value.size();
  std::vector<operation> operations{put_op{request.key, inline_entry(std::move(value), request.attributes)}};
  if (upload_id != 0)
    operations.push_back(drop_upload_op{request.key, upload_id});
  commit_final(std::move(operations));
}

// -- source --------------------------------------------------------------------------------------------------------------

void put_operation_state::fill_window() {
  if (over || cancelled || starting_over)
    return;
  if (from_stream())
    return pull();
  while (window.size() < options.window && taken < *size) {
    const auto length = static_cast<std::uint32_t>(std::min<std::uint64_t>(chunk_bytes, *size - taken));
    bytes plaintext;
    if (const auto* value = std::get_if<bytes>(&request.source))
      plaintext = value->slice(taken, length);
    add_chunk(length, std::move(plaintext));
  }
  source_ended = taken == *size;
}

void put_operation_state::pull() {
  if (pulling || source_ended || window.size() >= options.window)
    return;
  pulling = true;
  self->request(std::get<chunk_source_actor>(request.source), caf::infinite, pull_atom_v, chunk_bytes)
      .then([this](bytes& piece) { pulled(std::move(piece)); }, failing());
}

void put_operation_state::pulled(bytes piece) {
  pulling = false;
  if (over || cancelled)
    return;
  if (piece.size() > chunk_bytes)
    return fail_with({errc::invalid_argument, "the source gave more than it was asked for"});
  source_ended = piece.size() < chunk_bytes;
  if (source_ended && taken == 0 && piece.size() <= inline_bytes())
    return store_inline(std::move(piece));
  if (!piece.empty()) {
    const auto length = static_cast<std::uint32_t>(piece.size());
    add_chunk(length, std::move(piece));
  }
  pull();
  next_step();
}

void put_operation_state::add_chunk(std::uint32_t length, bytes plaintext) {
  const auto number = next_chunk++;
  taken += length;
  auto& s = window[number];
  s.length = length;
  s.plaintext = std::move(plaintext);
  if (number < recorded.size() && recorded[number].length == length)
    return compare(number, recorded[number], origin::recorded);
  if (const auto* old = base_chunk(number); old != nullptr && old->length == length)
    return compare(number, *old, origin::base);
  want_pad(number);
}

const chunk* put_operation_state::base_chunk(std::uint64_t number) const {
  if (!base || number >= base->chunk_count() || (upload_id != 0 && upload_base != base->version))
    return nullptr;
  return &(*base->chunks)[number];
}

chunk_input put_operation_state::input_of(std::uint64_t number, const slot& s) const {
  if (const auto* file = std::get_if<file_source>(&request.source))
    return file_slice{file->file, number * chunk_bytes};
  return s.plaintext;
}

// -- one chunk -----------------------------------------------------------------------------------------------------------

// The chunk may be what is stored already: look before a pad is spent on it.
void put_operation_state::compare(std::uint64_t number, chunk before, origin from) {
  auto& s = window.at(number);
  self->request(options.crypto, caf::infinite, compare_atom_v, compare_chunk_job{input_of(number, s), s.length})
      .then(
          [this, number, before, from](fingerprint& now) {
            if (over)
              return;
            if (now != before.print || (from == origin::recorded && number >= recorded.size()))
              return want_pad(number);
            confirm(number, before, from);
          },
          failing());
}

// The index says that this chunk was written; believe it only if the store has it.
void put_operation_state::confirm(std::uint64_t number, const chunk& before, origin from) {
  const auto* base_there = base_chunk(number);
  if (before.inherited() && base_there == nullptr)
    return want_pad(number);
  const auto there = before.inherited() ? *base_there : before;
  if (is_known_bad(there))
    return want_pad(number);
  auto decide = [this, number, before, from](result<void> looked) {
    if (over)
      return;
    if (!looked && !says_unreadable(looked.error().code))
      return fail_with(looked.error());
    if (looked && (from != origin::recorded || number < recorded.size()))  // the record may have been cut meanwhile
      finished(number, before, from);
    else
      want_pad(number);
  };
  look_at(there, there.address, decide);
}

void put_operation_state::look_at(const chunk& what, const pad_address& address, std::function<void(result<void>)> then) {
  auto failed = [then](caf::error& cause) { then(fail(from_caf(cause))); };
  if (!verify)
    return self->request(options.pads, caf::infinite, head_atom_v, pad_query{address})
        .then(
            [what, address, then](const bytes& head) {
              then(shows_chunk(head, address, what) ? result<void>()
                                                    : fail(errc::corrupt_record, "another record lies in the chunk's pad"));
            },
            failed);
  self->request(options.pads, caf::infinite, get_atom_v, pad_query{address})
      .then(
          [this, what, then, failed](bytes& record) {
            self->request(options.crypto, caf::infinite, open_atom_v, open_chunk_job{std::move(record), what, 0, 0, shared})
                .then([then](const bytes&) { then({}); }, failed);
          },
          failed);
}

void put_operation_state::want_pad(std::uint64_t number) {
  without_pad.push_back(number);
  give_pads();
}

void put_operation_state::give_pads() {
  while (!without_pad.empty() && !spare_pads.empty()) {
    const auto number = without_pad.front();
    without_pad.pop_front();
    window.at(number).pad = spare_pads.front();
    spare_pads.pop_front();
    seal(number);
  }
  if (without_pad.empty() || reserving || over)
    return;
  reserving = true;
  auto count = std::max<std::uint64_t>(without_pad.size(), options.window);
  if (size)
    count = std::min(count, without_pad.size() + (*size - taken + chunk_bytes - 1) / chunk_bytes);
  const auto wanted = static_cast<std::uint32_t>(std::min<std::uint64_t>(count, 1024));
  self->request(options.index, caf::infinite, reserve_atom_v, wanted)
      .then(
          [this](pad_list& pads) {
            reserving = false;
            spare_pads.insert(spare_pads.end(), pads.begin(), pads.end());
            if (over)
              return give_back_pads();
            give_pads();
          },
          failing());
}

void put_operation_state::seal(std::uint64_t number) {
  const auto& s = window.at(number);
  self->request(options.crypto, caf::infinite, seal_atom_v, seal_chunk_job{input_of(number, s), s.length, s.pad})
      .then(
          [this, number](sealed_chunk& result) {
            if (!over)
              write(number, std::move(result));
          },
          failing());
}

void put_operation_state::write(std::uint64_t number, sealed_chunk sealed) {
  window.at(number).sent = true;
  ++writing;
  self->request(options.pads, caf::infinite, put_atom_v, sealed.record)
      .then(
          [this, number, what = sealed.what](done) {
            --writing;
            if (over) {
              window.at(number).done = what;
              return wait_for_writes();
            }
            ++totals.chunks_written;
            totals.bytes_written += what.length;
            finished(number, what, origin::written);
          },
          [this, number, sealed](caf::error& cause) {
            --writing;
            if (over)
              return wait_for_writes();
            auto e = from_caf(cause);
            if (lost_to_another(e))
              return contested(number, e.detail);
            if (e.code == errc::corrupt_record)  // what lay there before is damaged, and cannot be replaced
              return contested(number, window.at(number).pad.counter);
            if (e.code == errc::store_full && !std::exchange(window.at(number).without_room, true))
              return make_room([this, number, sealed] { write(number, sealed); });
            if (e.code == errc::store_full && left_overs != 0)
              e.message += ". " + std::to_string(left_overs) + " pads hold what interrupted puts left, or what others are just "
                           "putting: when nobody is, 'mutant purge' makes room of them";
            fail_with(std::move(e));
          });
}

// Values that were replaced leave pads that are free and still hold what they held. Only now it is worth while to empty them:
// once, and every chunk that found no room before that is over tries again after it.
void put_operation_state::make_room(std::function<void()> then) {
  if (made_room)
    return then();
  waiting_for_room.push_back(std::move(then));
  if (waiting_for_room.size() > 1)
    return;
  auto go_on = [this] {
    made_room = true;
    for (auto& next : std::exchange(waiting_for_room, {}))
      if (!over)
        next();
  };
  purge_request blank;
  blank.make_room = true;
  auto blanking = mutant::start(*self, purge_operation, purge_options{options.pads, options.crypto, options.index});
  self->request(blanking, caf::infinite, purge_atom_v, std::move(blank))
      .then(
          [this, go_on](const purge_result& found) {
            left_overs = found.leaked_pads + found.stale_free;
            go_on();
          },
          [go_on](caf::error&) { go_on(); });
}

// Another writer has this pad: take another one.
void put_operation_state::contested(std::uint64_t number, std::uint64_t stored_counter) {
  auto& s = window.at(number);
  self->send(options.index, release_atom_v,
             returned_pads{{{s.pad.number, stored_counter}}, returned_pads::state::contested});
  s.pad = {};
  s.sent = false;
  if (++s.pad_changes > options.max_pad_changes)
    return fail_with({errc::pad_conflict, "chunk " + std::to_string(number) + " met " + std::to_string(s.pad_changes)
                                              + " pads in a row that other writers hold, or that are damaged; run purge, then "
                                                "put it again"});
  want_pad(number);
}

void put_operation_state::finished(std::uint64_t number, chunk what, origin from) {
  auto& s = window.at(number);
  s.done = what;
  s.from = from;
  take_prefix();
  fill_window();
  next_step();
}

// Moves finished chunks, in order, out of the window.
void put_operation_state::take_prefix() {
  while (!window.empty() && window.begin()->second.done) {
    auto node = window.extract(window.begin());
    const auto& s = node.mapped();
    if (s.from != origin::recorded && done_chunks < recorded.size())
      diverged(done_chunks);
    if (s.from != origin::written) {
      ++totals.chunks_kept;
      totals.bytes_kept += s.length;
    }
    totals.size += s.length;
    totals.resumed = totals.resumed || s.from == origin::recorded;
    if (s.from != origin::recorded)
      tail.push_back(*s.done);
    ++done_chunks;
  }
  report();
}

// The source differs from the recorded upload at this chunk: the record counts no further. Later chunks that were taken from
// it must be written, because the record's pads go back with its end.
void put_operation_state::diverged(std::uint64_t at) {
  recorded.resize(at);
  for (auto& [number, s] : window)
    if (s.done && s.from == origin::recorded) {
      s.done.reset();
      s.from = origin::written;
      without_pad.push_back(number);
    }
  give_pads();
}

// -- progress and end ----------------------------------------------------------------------------------------------------

void put_operation_state::report() {
  if (request.options.listener)
    self->send(request.options.listener, progress_atom_v, progress{totals.size, size, totals.bytes_kept});
}

void put_operation_state::next_step() {
  if (over || cancelled || committing)
    return;
  if (starting_over)
    return window.empty() ? start_over() : void();
  if (source_ended && window.empty())
    return finish();
  if (tail.size() >= options.checkpoint_chunks)
    checkpoint([this] { next_step(); });
}

// Records the progress in the index, so that a put of the same source goes on from here.
void put_operation_state::checkpoint(std::function<void()> then) {
  std::vector<operation> operations;
  if (upload_id == 0) {
    upload_id = random_u64() | 1;
    upload_base = base ? base->version : 0;
    operations.push_back(begin_upload_op{request.key, upload_id, size, chunk_bytes, now_ms(), upload_base});
  } else if (recorded.size() < recorded_in_index) {
    operations.push_back(cut_record());
  }
  auto chunks = as_recorded(tail);
  if (!chunks.empty())
    operations.push_back(extend_upload_op{request.key, upload_id, recorded.size(), chunks});
  commit(std::move(operations), {}, [this, chunks, then](std::uint64_t) {
    recorded.insert(recorded.end(), chunks.begin(), chunks.end());
    recorded_in_index = recorded.size();
    tail.erase(tail.begin(), tail.begin() + static_cast<std::ptrdiff_t>(chunks.size()));
    then();
  });
}

// The record goes no further than the source agrees with it. It gets another name with that: under one name a record only
// grows, so that whoever looked it up before, and adopts it now, finds the chunks in it that it saw.
operation put_operation_state::cut_record() {
  const auto old_id = std::exchange(upload_id, random_u64() | 1);
  return adopt_upload_op{request.key, old_id, upload_id, recorded.size()};
}

// In an upload, the base entry's chunks are named by place, not by pad.
chunk_list put_operation_state::as_recorded(chunk_list chunks) const {
  for (std::size_t i = 0; i < chunks.size(); ++i)
    if (const auto* old = base_chunk(recorded.size() + i); old != nullptr && old->pad == chunks[i].pad)
      chunks[i] = {{}, chunks[i].length, chunks[i].print};
  return chunks;
}

void put_operation_state::finish() {
  if (auto same = check_source(); !same)
    return fail_with(same.error());
  if (upload_id == 0)
    return commit_final({put_op{request.key, chunked_entry(tail, request.attributes)}});
  recorded.resize(std::min<std::uint64_t>(recorded.size(), done_chunks));  // the source was shorter than the record
  std::vector<operation> operations;
  if (recorded.size() < recorded_in_index)
    operations.push_back(cut_record());
  operations.push_back(complete_upload_op{request.key, upload_id, totals.size, now_ms(), request.attributes,
                                          as_recorded(tail)});
  commit_final(std::move(operations));
}

void put_operation_state::commit(std::vector<operation> operations, std::vector<key_condition> conditions,
                                 std::function<void(std::uint64_t)> then) {
  committing = true;
  self->request(options.index, caf::infinite, commit_atom_v, commit_request{std::move(operations), std::move(conditions)})
      .then(
          [this, then](commit_result r) {
            committing = false;
            then(r.version);
            if (over)
              return wait_for_writes();
            if (cancelled && !committing)
              wind_up();
          },
          [this](caf::error& cause) {
            auto e = from_caf(cause);
            committing = false;
            if (over)
              return wait_for_writes();
            if (e.code == errc::key_not_found)
              e = {errc::version_mismatch, "another put of the same key took over while this one was running"};
            if (e.code == errc::pad_conflict && !cancelled && !from_stream() && ++restarts <= max_restarts) {
              starting_over = true;
              return next_step();
            }
            if (e.code == errc::pad_conflict)
              e.message = "pads of this put were taken away, by a purge in another process most likely; put it again, and it "
                          "goes on where it stopped (" + e.message + ")";
            fail_with(std::move(e));
          });
}

void put_operation_state::commit_final(std::vector<operation> operations) {
  committing = deciding = true;
  std::vector<key_condition> conditions;
  if (request.if_version)
    conditions.push_back({request.key, *request.if_version});
  self->request(options.index, caf::infinite, commit_atom_v, commit_request{std::move(operations), std::move(conditions)})
      .then(
          [this](commit_result r) {
            if (over)
              return;
            totals.version = r.version;
            over = true;
            promise.deliver(totals);
            give_back_pads();
            end();
          },
          [this](caf::error& cause) {
            committing = deciding = false;
            final_refused(from_caf(cause));
          });
}

// The value that chunks were kept from may have been replaced meanwhile; then all is compared again with what is there now.
void put_operation_state::final_refused(const error& e) {
  const auto base_moved = e.code == errc::pad_conflict || e.code == errc::key_not_found
                          || (e.code == errc::version_mismatch && !request.if_version);
  if (over || cancelled || !base_moved)
    return fail_with(e);
  if (from_stream() || ++restarts > max_restarts)
    return fail_with({errc::version_mismatch, "the key was changed by another writer while it was put; put it again"});
  start_over();
}

// From what the index knows now: chunks that it has on record are found to be there, and kept. Nothing is under way.
void put_operation_state::start_over() {
  give_back_tail();
  base.reset();
  recorded.clear();
  recorded_in_index = upload_id = upload_base = next_chunk = taken = done_chunks = 0;
  source_ended = starting_over = false;
  totals = {};
  look_up();
}

// Chunks that are written and were not committed. Pads of a commit that was refused are the index's again: it passes over them.
void put_operation_state::give_back_tail() {
  returned_pads written{{}, returned_pads::state::written};
  for (const auto& c : tail)
    written.pads.push_back(c.pad);
  tail.clear();
  if (!written.pads.empty())
    self->send(options.index, release_atom_v, std::move(written));
}

// Keeps the progress for the next attempt, then answers `cancelled`. Too late when the value is being committed: the answer
// is then what becomes of that.
void put_operation_state::cancel() {
  if (over || cancelled || deciding)
    return;
  cancelled = true;
  if (!committing)
    wind_up();
}

// Cancelled, and nothing is being committed: what is finished is recorded first.
void put_operation_state::wind_up() {
  if (over)
    return;
  if (tail.empty() || starting_over)  // then it is not what comes next
    return fail_with({errc::cancelled, "the put was cancelled; the key is as it was before"});
  checkpoint([] {});
}

void put_operation_state::fail_with(error e) {
  if (over)
    return;
  over = true;
  const auto store_is_silent = is_transient(e.code);
  failure = std::move(e);
  if (store_is_silent)
    return answer_failure();
  if (writing != 0)
    self->delayed_send(self, cancelled ? options.cancel_patience : options.failure_patience,
                       deferred{[this] { free_unrecorded(); }});
  wait_for_writes();
}

void put_operation_state::wait_for_writes() {
  if (writing == 0 && !committing)
    free_unrecorded();
}

// Pads of which the store said that they hold what we wrote, and that neither the value nor its upload names.
std::vector<pad_ref> put_operation_state::unrecorded_pads() const {
  std::vector<pad_ref> pads;
  for (const auto& c : as_recorded(tail))
    if (!c.inherited())
      pads.push_back(c.pad);
  for (const auto& [number, s] : window)
    if (s.done && s.from == origin::written)
      pads.push_back(s.done->pad);
  return pads;
}

// Another process could not tell these pads from those that a put is just writing, and so would leave them alone.
void put_operation_state::free_unrecorded() {
  if (std::exchange(freeing, true))
    return;
  auto pads = unrecorded_pads();
  if (pads.empty())
    return answer_failure();
  self->request(options.index, caf::infinite, commit_atom_v, commit_request{{free_pads_op{std::move(pads)}}, {}})
      .then([this](const commit_result&) { answer_failure(); }, [this](caf::error&) { answer_failure(); });
}

void put_operation_state::answer_failure() {
  promise.deliver(to_caf(*failure));
  give_back_pads();
  end();
}

void put_operation_state::end() {
  asking.forget(self);
  self->quit();
}

void put_operation_state::give_back_pads() {
  returned_pads unused{{spare_pads.begin(), spare_pads.end()}, returned_pads::state::unused};
  returned_pads sent{{}, returned_pads::state::sent};
  returned_pads written{{}, returned_pads::state::written};
  for (const auto& [number, s] : window)
    if (s.pad.counter != 0)
      (s.done ? written : s.sent ? sent : unused).pads.push_back(s.pad);
  for (const auto& c : tail)
    written.pads.push_back(c.pad);  // what was never reserved is passed over there
  for (auto* list : {&unused, &sent, &written})
    if (!list->pads.empty())
      self->send(options.index, release_atom_v, std::move(*list));
  spare_pads.clear();
}

put_operation_actor::behavior_type put_operation(put_operation_state::self_pointer self, put_options options) {
  auto* s = &self->state;
  s->options = std::move(options);
  // Monitored are the asking actor and the source.
  self->set_down_handler([s](caf::down_msg& down) {
    const auto* source = std::get_if<chunk_source_actor>(&s->request.source);
    if (source == nullptr || down.source != source->address())
      s->cancel();
    else if (!s->source_ended)
      s->fail_with({errc::io_error, "the source ended before the value did"});
  });
  self->set_exit_handler([s, self](caf::exit_msg& exit) {
    if (!s->failure && s->deciding)
      s->failure = {errc::timeout, "the store was ended while the value was being stored; whether it was is not known"};
    else if (!s->failure)
      s->failure = {errc::unreachable, "the store was ended; the key is as it was before"};
    if (s->promise.pending())
      s->answer_failure();
    self->quit(exit.reason);
  });
  return {
      [s, self](put_atom, put_request& request) -> caf::result<put_result> {
        s->asking.watch(self);
        auto promise = self->make_response_promise<put_result>();
        s->start(std::move(request), promise);
        return promise;
      },
      [s](cancel_atom) { s->cancel(); },
      [](deferred& next) { next.run(); },
  };
}

}  // namespace mutant
