#include "actors/operations/purge_operation.hpp"

#include <algorithm>
#include <utility>

#include "core/outcome.hpp"

namespace mutant {

void purge_operation_state::start() {
  if (request.only)
    return claim_page(0);
  if (request.make_room)
    return next_page(0);
  if (request.trim)
    return trim();
  // What other writers have committed is no leak.
  self->request(options.index, caf::infinite, sync_atom_v)
      .then([this](sync_report&) { request.drop_uploads ? drop_uploads({}) : purge_parts(); }, failing());
}

void purge_operation_state::drop_uploads(std::string after) {
  self->request(options.index, caf::infinite, list_atom_v, list_request{{}, std::move(after), 1000})
      .then(
          [this](list_page& items) {
            if (items.empty())
              return purge_parts();
            commit_request change;
            for (const auto& item : items)
              if (item.pending)
                change.operations.push_back(drop_upload_op{item.key, item.pending_id});
            auto last = items.back().key;
            if (change.operations.empty())
              return drop_uploads(last);
            totals.uploads_dropped += change.operations.size();
            if (request.dry_run)
              return drop_uploads(last);
            self->request(options.index, caf::infinite, commit_atom_v, std::move(change))
                .then([this, last](commit_result) { drop_uploads(last); }, failing());
          },
          failing());
}

void purge_operation_state::purge_parts() {
  self->request(options.index, caf::infinite, purge_atom_v, request.dry_run)
      .then(
          [this](std::uint64_t erased) {
            totals.parts_erased = erased;
            next_page(0);
          },
          failing());
}

// The pads of a value that was just removed.
void purge_operation_state::claim_page(std::size_t from) {
  if (over)
    return;
  const auto& all = *request.only;
  const auto count = std::min<std::size_t>(options.page, all.size() - from);
  const auto first = all.begin() + static_cast<std::ptrdiff_t>(from);
  claim_request wanted{{first, first + static_cast<std::ptrdiff_t>(count)}};
  self->request(options.index, caf::infinite, claim_atom_v, std::move(wanted))
      .then(
          [this, next = from + count](pad_list& pads) {
            page.clear();
            for (const auto& pad : pads)
              page.push_back({pad.number, true, pad.counter, {}});
            look(next, next == request.only->size());
          },
          failing());
}

// -- one page of pads ----------------------------------------------------------------------------------------------------

void purge_operation_state::next_page(std::uint64_t from) {
  if (over)
    return;
  self->request(options.index, caf::infinite, survey_atom_v, survey_request{from, options.page})
      .then(
          [this](survey_page& found) {
            page.clear();
            for (const auto& pad : found.pads)
              page.push_back({pad.number, pad.number < found.next_pad, pad.free_counter, {}});
            look(found.next, found.last);
          },
          failing());
}

// Asks the store what it holds of each.
void purge_operation_state::look(std::uint64_t next, bool last) {
  if (over)
    return;
  if (page.empty())
    return page_done(next, last);
  address_job job{pad_space::data, {}};
  for (const auto& c : page)
    job.numbers.push_back(c.number);
  self->request(options.crypto, caf::infinite, address_atom_v, std::move(job))
      .then(
          [this, next, last](address_list& derived) {
            addresses = std::move(derived);
            waiting = page.size();
            for (std::size_t i = 0; i < page.size(); ++i)
              self->request(options.pads, caf::infinite, head_atom_v, pad_query{addresses[i]})
                  .then(
                      [this, i, next, last](bytes& head) {
                        // Only what the owner signed: a counter that was made up would make a pad useless for good.
                        if (auto header = verify_head(head, addresses[i]); header && header->counter < max_number) {
                          page[i].stored = header->counter;
                          page[i].blank = header->blank;
                          page[i].bytes = record_header_bytes + header->payload_bytes;
                        } else {
                          page[i].skip = true;  // damaged: leave it for those who look at the medium
                        }
                        if (--waiting == 0)
                          looked(next, last);
                      },
                      [this, next, last](caf::error& cause) {
                        auto e = from_caf(cause);
                        if (e.code != errc::pad_not_found)
                          return fail_with(std::move(e));
                        if (--waiting == 0)
                          looked(next, last);
                      });
          },
          failing());
}

void purge_operation_state::looked(std::uint64_t next, bool last) {
  if (over)
    return;
  totals.looked_at += page.size();
  for (const auto& c : page) {
    if (c.free_counter && c.stored && !c.blank)
      totals.free_bytes += c.bytes;
    if (!c.free_counter) {
      totals.gaps += c.known_range || c.stored ? 1 : 0;
      totals.leaked_pads += c.stored ? 1 : 0;
      totals.leaked_bytes += c.stored ? c.bytes : 0;
    } else if (c.stored && *c.stored > *c.free_counter) {
      ++totals.stale_free;
    }
  }
  // Whose record a pad holds, only the log can say: what is not free at the stored counter becomes so first, or is another
  // writer's. Only then may it be written over.
  auto go_on = [this, next, last] { wipe(next, last); };
  if (request.only || request.make_room)  // what other processes are just writing looks like left-overs
    return go_on();
  settle(go_on);
}

// Writes a blank record over what the store still holds, one counter above the one at which the pad is free: another writer
// that takes the pad meets a conflict, or wins.
void purge_operation_state::wipe(std::uint64_t next, bool last) {
  if (over)
    return;
  std::vector<std::size_t> targets;
  seal_blank_job job{pad_space::data, {}};
  for (std::size_t i = 0; i < page.size(); ++i) {
    auto& c = page[i];
    if (!c.stored || c.blank || c.skip || (!request.dry_run && c.stored != c.free_counter))
      continue;
    targets.push_back(i);
    job.pads.push_back({c.number, *c.stored + 1});
  }
  if (targets.empty() || request.dry_run) {
    totals.wiped += targets.size();
    return page_done(next, last);
  }
  const auto pads = job.pads;
  auto one_done = [this, next, last] {
    if (--waiting == 0)
      settle([this, next, last] { page_done(next, last); });
  };
  self->request(options.crypto, caf::infinite, seal_atom_v, std::move(job))
      .then(
          [this, one_done, targets, pads](record_list& blanks) {
            waiting = blanks.size();
            for (std::size_t k = 0; k < blanks.size(); ++k)
              self->request(options.pads, caf::infinite, put_atom_v, std::move(blanks[k]))
                  .then(
                      [this, one_done, i = targets[k], counter = pads[k].counter](done) {
                        page[i].stored = counter;
                        ++totals.wiped;
                        one_done();
                      },
                      [this, one_done, i = targets[k]](caf::error& cause) {
                        auto e = from_caf(cause);
                        const auto anothers = is_refusal_by_rule(e.code);
                        // It may be there: whoever asks the store next sees it.
                        const auto no_matter = !request.wipe && e.code == errc::io_error;
                        if (!anothers && !no_matter)
                          return fail_with(std::move(e));
                        page[i].skip = true;
                        totals.in_use_elsewhere += anothers ? 1 : 0;
                        one_done();
                      });
          },
          failing());
}

// Tells the index what it did not know.
void purge_operation_state::settle(std::function<void()> then) {
  if (over)
    return;
  auto which = std::make_shared<std::vector<std::size_t>>();
  for (std::size_t i = 0; i < page.size(); ++i) {
    const auto& c = page[i];
    const auto known = c.free_counter && c.stored.value_or(0) <= *c.free_counter;
    // A number above all that was ever used, and not in the store, is as good as new.
    if (!c.skip && !known && (c.stored || c.known_range))
      which->push_back(i);
  }
  if (which->empty() || request.dry_run)
    return then();
  commit(which, 0, which->size(), std::move(then));
}

// When another writer has taken one of them, the others are still to be freed: halve until the one is alone.
void purge_operation_state::commit(std::shared_ptr<std::vector<std::size_t>> which, std::size_t from, std::size_t count,
                                   std::function<void()> then) {
  if (over)
    return;
  free_pads_op op;
  for (auto i = from; i < from + count; ++i) {
    const auto& c = page[(*which)[i]];
    op.pads.push_back({c.number, c.stored.value_or(0)});
  }
  self->request(options.index, caf::infinite, commit_atom_v, commit_request{{std::move(op)}, {}})
      .then(
          [this, which, from, count, then](commit_result) {
            if (over)
              return;
            for (auto i = from; i < from + count; ++i) {
              auto& c = page[(*which)[i]];
              c.free_counter = c.stored.value_or(0);
            }
            then();
          },
          [this, which, from, count, then](caf::error& cause) {
            auto e = from_caf(cause);
            if (e.code != errc::pad_conflict)
              return fail_with(std::move(e));
            if (over)
              return;
            if (count == 1) {
              page[(*which)[from]].skip = true;
              ++totals.in_use_elsewhere;
              return then();
            }
            const auto half = count / 2;
            commit(which, from, half, [=, this] { commit(which, from + half, count - half, then); });
          });
}

void purge_operation_state::page_done(std::uint64_t next, bool last) {
  if (over)
    return;
  let_go();
  if (request.options.listener)
    self->send(request.options.listener, progress_atom_v, progress{next, {}, 0});
  if (!last)
    return request.only ? claim_page(static_cast<std::size_t>(next)) : next_page(next);
  if (request.dry_run || request.only || request.make_room)
    return succeed();
  trim();
}

// What a store on this machine has of no use to anybody. It also finishes what could not be wiped before.
void purge_operation_state::trim() {
  self->request(options.pads, caf::infinite, trim_atom_v)
      .then(
          [this](std::uint64_t returned) {
            totals.bytes_returned = returned;
            succeed();
          },
          [this](caf::error& cause) {
            if (request.wipe)
              return fail_with(from_caf(cause));
            succeed();
          });
}

void purge_operation_state::let_go() {
  returned_pads back{{}, returned_pads::state::unused};
  for (const auto& c : page)
    back.pads.push_back({c.number, 0});
  page.clear();
  if (!back.pads.empty())
    self->send(options.index, release_atom_v, std::move(back));
}

purge_operation_actor::behavior_type purge_operation(purge_operation_state::self_pointer self, purge_options options) {
  auto* s = &self->state;
  s->options = std::move(options);
  auto cancel = [s] { s->fail_with({errc::cancelled, "the purge was cancelled; what it found so far is free again"}); };
  s->watch_over(cancel, "the store was ended; what the purge found so far is free again");
  return {
      [s](purge_atom, purge_request& request) { return s->begin(request); },
      [cancel](cancel_atom) { cancel(); },
  };
}

}  // namespace mutant
