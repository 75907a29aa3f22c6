#include "actors/operations/put_operation.hpp"

#include <algorithm>

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

void put_operation_state::start() {
  if (auto good = rules::check_given_key(request.key, request.reserved); !good)
    return fail_with(good.error());
  if (auto good = check_given_attributes(request.attributes); !good)
    return fail_with(good.error());
  source = put_source(std::move(request.source));
  if (const auto* stream = source.stream())
    self->monitor(*stream);
  look_up();
}

void put_operation_state::look_up() {
  if (auto opened = source.open(); !opened)
    return fail_with(opened.error());
  // A value of one chunk has a pad of its own, most likely.
  const auto size = source.size();
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
            kept.known_damage = known;
            plan(std::move(*old));
          },
          [this, old](caf::error&) { plan(std::move(*old)); });
}

// Decides how the value is cut and what of it may be there already.
void put_operation_state::plan(found&& old) {
  supply.spare.insert(supply.spare.end(), old.pads.begin(), old.pads.end());
  if (over)
    return let_go();
  if (request.if_version) {
    const auto version = old.complete ? old.complete->version : 0;
    if (auto right = rules::check_version(version, *request.if_version); !right)
      return fail_with(right.error());
  }
  kept.shared = old.shared;
  kept.base = std::move(old.complete);
  chunk_bytes = chunk_bytes_like(kept.base, options.chunk_bytes);
  if (const auto size = source.size(); size && *size <= inline_bytes()) {
    if (*size == 0 || source.file() == nullptr)
      return store_inline(source.slice(0, *size));
    read_job job{{source.file()->file, 0}, static_cast<std::uint32_t>(*size)};
    self->request(options.crypto, caf::infinite, pull_atom_v, std::move(job))
        .then([this](bytes& value) { store_inline(std::move(value)); }, failing());
    return;
  }
  const auto resuming = old.pending && resume(*old.pending);
  const auto any_bad = [this](const chunk_list& chunks) {
    return std::ranges::any_of(chunks, [this](const chunk& c) { return is_known_bad(c); });
  };
  kept.verify = request.verify || any_bad(recorded.chunks())
                || (kept.base && kept.base->chunks && any_bad(*kept.base->chunks));
  if (!resuming)
    return fill_window();
  // From here on only we add to it: two puts of one key never mix.
  commit({recorded.adopt(request.key, random_u64() | 1)}, [this] { fill_window(); });
}

// Takes over what an earlier attempt recorded. False: it is of another source, or its kept chunks are gone.
bool put_operation_state::resume(const upload& pending) {
  const auto base_version = kept.base ? kept.base->version : 0;
  auto there = upload_record::taken_over(pending, source.size(), base_version);
  if (!there)
    return false;
  if (there->base_version() != base_version)
    kept.base.reset();
  chunk_bytes = pending.chunk_size;
  recorded = std::move(*there);
  return true;
}

void put_operation_state::store_inline(bytes value) {
  if (over)
    return;
  if (auto same = source.check_unchanged(); !same)
    return fail_with(same.error());
  totals.size = value.size();
  totals.bytes_written = value.size();
  std::vector<operation> operations{put_op{request.key, inline_entry(std::move(value), request.attributes)}};
  if (recorded.is_begun())
    operations.push_back(recorded.drop(request.key));
  commit_final(std::move(operations));
}

// -- source --------------------------------------------------------------------------------------------------------------

void put_operation_state::fill_window() {
  if (!takes_chunks())
    return;
  if (source.stream() != nullptr)
    return pull();
  const auto size = *source.size();
  while (window.size() < options.window && taken < size) {
    const auto length = static_cast<std::uint32_t>(std::min<std::uint64_t>(chunk_bytes, size - taken));
    add_chunk(length, source.slice(taken, length));
  }
  source_ended = taken == size;
}

void put_operation_state::pull() {
  if (pulling || source_ended || window.size() >= options.window)
    return;
  pulling = true;
  self->request(*source.stream(), caf::infinite, pull_atom_v, chunk_bytes)
      .then([this](bytes& piece) { pulled(std::move(piece)); }, failing());
}

void put_operation_state::pulled(bytes piece) {
  pulling = false;
  if (!takes_chunks())
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
  if (const auto& before = recorded.chunks(); number < before.size() && before[number].length == length)
    return compare(number, before[number], origin::recorded);
  if (const auto* old = base_chunk(number); old != nullptr && old->length == length)
    return compare(number, *old, origin::base);
  want_pad(number);
}

// -- progress ------------------------------------------------------------------------------------------------------------

void put_operation_state::report() {
  if (request.options.listener)
    self->send(request.options.listener, progress_atom_v, progress{totals.size, source.size(), totals.bytes_kept});
}

// The one place that decides what comes next.
void put_operation_state::next_step() {
  if (over)
    return;
  switch (doing) {
    case phase::writing:
      if (source_ended && window.empty())
        return finish();
      if (tail.size() >= options.checkpoint_chunks)
        checkpoint([this] { next_step(); });
      return;
    case phase::restarting:
      if (window.empty())
        start_over();
      return;
    case phase::recording:
    case phase::deciding:   // when the commit is answered
    case phase::cancelled:
    case phase::cancelling: return;
  }
}

// Records the progress in the index, so that a put of the same source goes on from here.
void put_operation_state::checkpoint(std::function<void()> then) {
  const auto base_version = kept.base ? kept.base->version : 0;
  auto chunks = as_recorded(tail);
  auto operations =
      recorded.extend(request.key, source.size(), chunk_bytes, base_version, chunks, random_u64() | 1);
  commit(std::move(operations), [this, chunks, then] {
    recorded.added(chunks);
    tail.erase(tail.begin(), tail.begin() + static_cast<std::ptrdiff_t>(chunks.size()));
    then();
  });
}

// In an upload, the base entry's chunks are named by place, not by pad.
chunk_list put_operation_state::as_recorded(chunk_list chunks) const {
  for (std::size_t i = 0; i < chunks.size(); ++i)
    if (const auto* old = base_chunk(recorded.chunks().size() + i); old != nullptr && old->pad == chunks[i].pad)
      chunks[i] = {{}, chunks[i].length, chunks[i].print};
  return chunks;
}

// `then`: when it is stored.
void put_operation_state::commit(std::vector<operation> operations, std::function<void()> then) {
  doing = doing == phase::cancelled ? phase::cancelling : phase::recording;
  self->request(options.index, caf::infinite, commit_atom_v, commit_request{std::move(operations), {}})
      .then(
          [this, then](commit_result) {
            doing = doing == phase::cancelling ? phase::cancelled : phase::writing;
            then();
            if (over)
              return wait_for_writes();
            if (doing == phase::cancelled)
              wind_up();
          },
          [this](caf::error& cause) { commit_refused(from_caf(cause)); });
}

void put_operation_state::commit_refused(error e) {
  doing = doing == phase::cancelling ? phase::cancelled : phase::writing;
  if (over)
    return wait_for_writes();
  if (e.code == errc::key_not_found)
    e = {errc::version_mismatch, "another put of the same key took over while this one was running"};
  if (e.code == errc::pad_conflict && doing != phase::cancelled && source.stream() == nullptr && ++restarts <= max_restarts) {
    doing = phase::restarting;
    return next_step();
  }
  if (e.code == errc::pad_conflict)
    e.message = "pads of this put were taken away, by a purge in another process most likely; put it again, and it "
                "goes on where it stopped (" + e.message + ")";
  fail_with(std::move(e));
}

// From what the index knows now: chunks that it has on record are found to be there, and kept. Nothing is under way.
void put_operation_state::start_over() {
  give_back_tail();
  kept.base.reset();
  recorded = {};
  next_chunk = taken = done_chunks = 0;
  source_ended = false;
  doing = phase::writing;
  totals = {};
  look_up();
}

// -- the end -------------------------------------------------------------------------------------------------------------

void put_operation_state::finish() {
  if (auto same = source.check_unchanged(); !same)
    return fail_with(same.error());
  if (!recorded.is_begun())
    return commit_final({put_op{request.key, chunked_entry(tail, request.attributes)}});
  recorded.cut_at(done_chunks);  // the source was shorter than the record
  commit_final(recorded.complete(request.key, totals.size, request.attributes, as_recorded(tail), random_u64() | 1));
}

void put_operation_state::commit_final(std::vector<operation> operations) {
  doing = phase::deciding;
  std::vector<key_condition> conditions;
  if (request.if_version)
    conditions.push_back({request.key, *request.if_version});
  self->request(options.index, caf::infinite, commit_atom_v, commit_request{std::move(operations), std::move(conditions)})
      .then(
          [this](commit_result r) {
            totals.version = r.version;
            succeed();
          },
          [this](caf::error& cause) {
            doing = phase::writing;
            final_refused(from_caf(cause));
          });
}

// The value that chunks were kept from may have been replaced meanwhile; then all is compared again with what is there now.
void put_operation_state::final_refused(const error& e) {
  const auto base_moved = e.code == errc::pad_conflict || e.code == errc::key_not_found
                          || (e.code == errc::version_mismatch && !request.if_version);
  if (over || !base_moved)
    return fail_with(e);
  if (source.stream() != nullptr || ++restarts > max_restarts)
    return fail_with({errc::version_mismatch, "the key was changed by another writer while it was put; put it again"});
  start_over();
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
  if (over || doing == phase::cancelled || doing == phase::cancelling || doing == phase::deciding)
    return;
  const auto was = std::exchange(doing, doing == phase::recording ? phase::cancelling : phase::cancelled);
  if (was == phase::restarting)
    fail_cancelled();  // what is finished is not what comes next on the record
  else if (was == phase::writing)
    wind_up();
}

// Cancelled, and nothing is being committed: what is finished is recorded first.
void put_operation_state::wind_up() {
  if (over)
    return;
  if (tail.empty())
    return fail_cancelled();
  checkpoint([] {});
}

void put_operation_state::fail_cancelled() {
  fail_with({errc::cancelled, "the put was cancelled; the key is as it was before"});
}

void put_operation_state::fail_with(error e) {
  if (std::exchange(over, true))
    return;
  const auto store_is_silent = is_transient(e.code);
  failure = std::move(e);
  if (store_is_silent)
    return end(to_caf(*failure));
  if (writing != 0) {
    const auto is_cancelled = doing == phase::cancelled || doing == phase::cancelling;
    self->delayed_send(self, is_cancelled ? options.cancel_patience : options.failure_patience,
                       deferred{[this] { free_unrecorded(); }});
  }
  wait_for_writes();
}

void put_operation_state::wait_for_writes() {
  if (writing == 0 && !commits())
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
  auto answer = [this] { end(to_caf(*failure)); };
  auto pads = unrecorded_pads();
  if (pads.empty())
    return answer();
  self->request(options.index, caf::infinite, commit_atom_v, commit_request{{free_pads_op{std::move(pads)}}, {}})
      .then([answer](const commit_result&) { answer(); }, [answer](caf::error&) { answer(); });
}

void put_operation_state::let_go() {
  returned_pads unused{{supply.spare.begin(), supply.spare.end()}, returned_pads::state::unused};
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
  supply.spare.clear();
}

put_operation_actor::behavior_type put_operation(put_operation_state::self_pointer self, put_options options) {
  auto* s = &self->state;
  s->options = std::move(options);
  // Monitored are the asking actor and the source.
  self->set_down_handler([s](caf::down_msg& down) {
    const auto* stream = s->source.stream();
    if (stream == nullptr || down.source != stream->address())
      s->cancel();
    else if (!s->source_ended)
      s->fail_with({errc::io_error, "the source ended before the value did"});
  });
  self->set_exit_handler([s, self](caf::exit_msg& exit) {
    s->over = true;
    if (!s->failure && s->doing == put_operation_state::phase::deciding)
      s->failure = {errc::timeout, "the store was ended while the value was being stored; whether it was is not known"};
    else if (!s->failure)
      s->failure = {errc::unreachable, "the store was ended; the key is as it was before"};
    if (s->promise.pending())
      s->end(to_caf(*s->failure));
    self->quit(exit.reason);
  });
  return {
      [s](put_atom, put_request& request) { return s->begin(request); },
      [s](cancel_atom) { s->cancel(); },
      [](deferred& next) { next.run(); },
  };
}

}  // namespace mutant
