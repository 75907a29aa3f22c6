// What becomes of one chunk of a put: kept where it is, if it is there already and can be read; otherwise it gets a pad, is
// sealed and written, and takes another pad where a writer was first.
#include <algorithm>

#include "actors/caf/spawn.hpp"
#include "actors/operations/purge_operation.hpp"
#include "actors/operations/put_operation.hpp"
#include "actors/workers/damage_memory.hpp"
#include "core/outcome.hpp"

namespace mutant {

// The chunk may be what is stored already: look before a pad is spent on it.
void put_operation_state::compare(std::uint64_t number, chunk before, origin from) {
  auto& s = window.at(number);
  self->request(options.crypto, caf::infinite, compare_atom_v, compare_chunk_job{input_of(number, s), s.length})
      .then(
          [this, number, before, from](fingerprint& now) {
            if (over)
              return;
            if (now != before.print || (from == origin::recorded && number >= recorded.chunks().size()))
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
    if (looked && (from != origin::recorded || number < recorded.chunks().size()))  // the record may have been cut meanwhile
      finished(number, before, from);
    else
      want_pad(number);
  };
  look_at(there, there.address, decide);
}

void put_operation_state::look_at(const chunk& what, const pad_address& address, std::function<void(result<void>)> then) {
  auto failed = [then](caf::error& cause) { then(fail(from_caf(cause))); };
  if (!kept.verify)
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
            open_chunk_job job{std::move(record), what, 0, 0, kept.shared};
            self->request(options.crypto, caf::infinite, open_atom_v, std::move(job))
                .then([then](const bytes&) { then({}); }, failed);
          },
          failed);
}

const chunk* put_operation_state::base_chunk(std::uint64_t number) const {
  if (!kept.base || number >= kept.base->chunk_count())
    return nullptr;
  if (recorded.is_begun() && recorded.base_version() != kept.base->version)
    return nullptr;
  return &(*kept.base->chunks)[number];
}

chunk_input put_operation_state::input_of(std::uint64_t number, const slot& s) const {
  if (const auto* file = source.file())
    return file_slice{file->file, number * chunk_bytes};
  return s.plaintext;
}

void put_operation_state::want_pad(std::uint64_t number) {
  supply.wanted.push_back(number);
  give_pads();
}

void put_operation_state::give_pads() {
  while (!supply.wanted.empty() && !supply.spare.empty()) {
    const auto number = supply.wanted.front();
    supply.wanted.pop_front();
    window.at(number).pad = supply.spare.front();
    supply.spare.pop_front();
    seal(number);
  }
  if (supply.wanted.empty() || supply.reserving || over)
    return;
  supply.reserving = true;
  auto count = std::max<std::uint64_t>(supply.wanted.size(), options.window);
  if (source.size())
    count = std::min(count, supply.wanted.size() + (*source.size() - taken + chunk_bytes - 1) / chunk_bytes);
  const auto wanted = static_cast<std::uint32_t>(std::min<std::uint64_t>(count, 1024));
  self->request(options.index, caf::infinite, reserve_atom_v, wanted)
      .then(
          [this](pad_list& pads) {
            supply.reserving = false;
            supply.spare.insert(supply.spare.end(), pads.begin(), pads.end());
            if (over)
              return let_go();
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
            if (e.code == errc::store_full && room.left_overs != 0)
              e.message += ". " + std::to_string(room.left_overs) + " pads hold what interrupted puts left, or what others are "
                           "just putting: when nobody is, 'mutant purge' makes room of them";
            fail_with(std::move(e));
          });
}

// Values that were replaced leave pads that are free and still hold what they held. Only now it is worth while to empty them:
// once, and every chunk that found no room before that is over tries again after it.
void put_operation_state::make_room(std::function<void()> then) {
  if (room.done)
    return then();
  room.waiting.push_back(std::move(then));
  if (room.waiting.size() > 1)
    return;
  auto go_on = [this] {
    room.done = true;
    for (auto& next : std::exchange(room.waiting, {}))
      if (!over)
        next();
  };
  purge_request blank;
  blank.make_room = true;
  auto blanking = mutant::start(*self, purge_operation, purge_options{options.pads, options.crypto, options.index});
  self->request(blanking, caf::infinite, purge_atom_v, std::move(blank))
      .then(
          [this, go_on](const purge_result& found) {
            room.left_overs = found.leaked_pads + found.stale_free;
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
    if (s.from != origin::recorded && done_chunks < recorded.chunks().size())
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
  recorded.cut_at(at);
  for (auto& [number, s] : window)
    if (s.done && s.from == origin::recorded) {
      s.done.reset();
      s.from = origin::written;
      supply.wanted.push_back(number);
    }
  give_pads();
}

}  // namespace mutant
