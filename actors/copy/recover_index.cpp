#include "actors/copy/recover_index.hpp"

#include <atomic>

#include "actors/workers/damage_memory.hpp"
#include "actors/copy/pad_requests.hpp"
#include "actors/copy/store_places.hpp"
#include "core/index/codec.hpp"
#include "core/index/part_table.hpp"
#include "core/index/ring.hpp"
#include "core/record.hpp"

namespace mutant {

namespace {

store_places_options places_of(const index_recovery_options& options) {
  return {options.tls, options.remote, options.any_file_system, options.window};
}

// A record of the index, verified and opened.
struct opened_pad {
  std::uint64_t counter = 0;
  content_hash hash{};
  bytes plain;
};

result<opened_pad> open_pad(const reading_keys& keys, const bytes& record) {
  auto header = verify_record(record);
  if (!header)
    return fail(header.error());
  auto plain = open_private(keys, header->counter, record);
  if (!plain)
    return fail(plain.error());
  return opened_pad{header->counter, header->hash, std::move(*plain)};
}

// What says that this record is lost, rather than that the store is not to be had.
bool is_lost(errc code) {
  return code == errc::pad_not_found || says_unreadable(code);
}

error interrupted() { return {errc::cancelled, "interrupted; the new store is not one yet. The same command goes on"}; }

std::string commits_text(std::uint64_t sequence) { return "commit " + std::to_string(sequence); }

}  // namespace

struct index_recovery::parts {
  parts(std::string_view url, index_recovery_options o)
      : options(std::move(o)), keys(options.owner), config(url), system(config), places(system, places_of(options)) {}

  // -- reading ---------------------------------------------------------------------------------------------------------
  result<void> read_memory();
  result<void> read_root();
  result<void> read_parts();
  result<void> read_log();
  void read_slot(std::uint64_t slot, const pad_address& address, result<bytes> record);
  void damaged(std::string what, const error& why) { report.damaged.push_back(std::move(what) + ": " + why.message); }

  // -- writing ---------------------------------------------------------------------------------------------------------
  result<void> write_values(index_recovery_report& to, const progress_callback& on_progress);
  result<void> write_log(index_recovery_report& to, root& next);
  result<content_hash> write_first_commit(const recovered_index& index, std::uint64_t sequence);
  result<void> write_parts(index_recovery_report& to, root& next);
  result<void> write_root(const root& next);

  index_recovery_options options;
  keyring keys;
  system_config config;
  caf::actor_system system;
  store_places places;
  std::unique_ptr<pad_requests> from;
  std::unique_ptr<pad_requests> to;
  std::atomic<bool> stopped = false;
  index_evidence evidence;
  index_recovery_report report;
  std::optional<error> failure;                    // of the source, while many records are read
};

index_recovery::index_recovery(std::unique_ptr<parts> p) : parts_(std::move(p)) {}
index_recovery::index_recovery(index_recovery&&) noexcept = default;
index_recovery::~index_recovery() = default;

void index_recovery::cancel() noexcept {
  parts_->stopped = true;
}

result<index_recovery> index_recovery::open(index_recovery_options options) {
  if (auto ready = init_crypto(); !ready)
    return fail(ready.error());
  const auto remote = options.from.starts_with("caf") ? options.from : options.to;
  const auto threads = threads_of({options.from, options.to}, places_of(options));
  if (auto given = check_resources(system_config(remote), threads); !given)
    return fail(given.error());
  auto p = std::make_unique<parts>(remote, std::move(options));
  auto from = p->places.open(p->options.from, false);
  if (!from)
    return fail(from.error());
  p->from = std::make_unique<pad_requests>(p->system, *from, p->options.window);
  if (p->options.to.empty())
    return index_recovery(std::move(p));
  auto to = p->places.open(p->options.to, true);
  if (!to)
    return fail(to.error());
  p->to = std::make_unique<pad_requests>(p->system, *to, p->options.window);
  const auto there = p->to->head(p->keys.root_at().address);
  if (there)
    return fail(errc::version_mismatch, p->options.to + " has an index of this identity already; nothing was changed there. "
                                                        "Recover to an empty place");
  if (there.error().code != errc::pad_not_found)
    return fail(there.error().code, p->options.to + ": " + there.error().message);
  return index_recovery(std::move(p));
}

// -- what is left of the index -----------------------------------------------------------------------------------------

result<index_recovery_report> index_recovery::look() {
  auto& p = *parts_;
  p.evidence = {};
  p.report = {};
  for (auto step : {&parts::read_memory, &parts::read_root, &parts::read_parts, &parts::read_log})
    if (auto done = (p.*step)(); !done)
      return fail(done.error());
  if (!p.evidence.last_root && !p.evidence.seen && p.evidence.log.empty() && p.evidence.headers.empty())
    return fail(errc::key_not_found, "there is nothing of this identity's index in " + p.options.from);
  auto recovered = recover_index(p.evidence);
  if (!recovered)
    return fail(recovered.error());
  p.report.index = std::move(*recovered);
  const auto totals = p.report.index.state.totals();
  p.report.keys = totals.keys;
  p.report.sequence = p.report.index.sequence + (p.report.index.is_complete() ? 0 : 1);
  return std::move(p.report);
}

result<void> index_recovery::parts::read_memory() {
  if (options.memory_path.empty())
    return {};
  auto seen = read_seen(options.memory_path + ".seen", keys.cache_key());
  if (!seen)
    return fail(seen.error());
  evidence.seen = *seen;
  auto file = cache_reader::open(options.memory_path + ".cache", keys.cache_key());
  if (!file || !*file || !*seen)
    return {};
  const auto& summary = (*file)->summary();
  if (summary.sequence != (*seen)->cached_sequence || summary.last_commit != (*seen)->cached_commit)
    return {};
  index_evidence::cached_state cached{summary.sequence, summary.last_commit, summary.next_pad, {}};
  for (std::size_t i = 0; i < summary.frames.size(); ++i) {
    auto part = (*file)->read_part(i);
    if (!part)
      return {};   // it only saves time; here it might have saved more
    cached.parts.push_back(std::move(*part));
  }
  evidence.ring_slots = summary.ring_slots;
  evidence.cached = std::move(cached);
  return {};
}

result<void> index_recovery::parts::read_root() {
  if (evidence.ring_slots == 0)
    evidence.ring_slots = default_ring_slots;
  auto record = from->get(keys.root_at().address);
  if (!record && !is_lost(record.error().code))
    return fail(record.error());
  auto opened = record ? open_pad(keys.root_at(), *record) : result<opened_pad>(fail(record.error()));
  auto what = opened ? decode_root(opened->plain) : result<root>(fail(opened.error()));
  if (!what) {
    damaged("the index root", what.error());
    return {};
  }
  const auto& seen = evidence.seen;
  if (seen && (opened->counter < seen->root_counter
               || (opened->counter == seen->root_counter && opened->hash != seen->root_hash)))
    return fail(errc::rollback_detected, "the store shows root " + std::to_string(opened->counter) + " of commit "
                                             + std::to_string(what->sequence) + ", and this machine has seen root "
                                             + std::to_string(seen->root_counter) + " of commit "
                                             + std::to_string(seen->sequence)
                                             + ": it was put back to an older state. Bring the newer store back");
  evidence.ring_slots = what->ring_slots;
  evidence.last_root = index_evidence::named_root{std::move(*what), opened->counter, opened->hash};
  return {};
}

result<void> index_recovery::parts::read_parts() {
  if (!evidence.last_root)
    return {};
  const auto& named = evidence.last_root->what.parts;
  std::vector<pad_address> addresses;
  for (const auto& part : named)
    addresses.push_back(part.address);
  evidence.parts.resize(named.size());
  from->get_all(addresses, [&](std::size_t i, result<bytes> record) {
    if (!record && !is_lost(record.error().code))
      failure = record.error();
    auto part = record ? open_part(keys.part_at(named[i].address, named[i].pad.number), named[i], *record)
                       : result<snapshot_part>(fail(record.error()));
    if (part)
      evidence.parts[i] = std::move(*part);
    else
      damaged("snapshot part " + std::to_string(named[i].pad.number), part.error());
    if (stopped)
      failure = interrupted();
    return !failure;
  });
  return failure ? fail(*failure) : result<void>();
}

result<void> index_recovery::parts::read_log() {
  evidence.unreadable_slots.assign(static_cast<std::size_t>(evidence.ring_slots), false);
  std::vector<pad_address> addresses;
  for (std::uint64_t slot = 0; slot < evidence.ring_slots; ++slot)
    addresses.push_back(keys.log(slot).address);
  from->get_all(addresses, [&](std::size_t slot, result<bytes> record) {
    read_slot(slot, addresses[slot], std::move(record));
    if (stopped)
      failure = interrupted();
    return !failure;
  });
  return failure ? fail(*failure) : result<void>();
}

void index_recovery::parts::read_slot(std::uint64_t slot, const pad_address& address, result<bytes> record) {
  if (!record && record.error().code == errc::pad_not_found)
    return;
  if (!record && !is_lost(record.error().code))
    return void(failure = record.error());
  auto opened = record ? open_pad(keys.log_at(address, slot), *record) : result<opened_pad>(fail(record.error()));
  auto what = opened ? decode_commit(opened->plain) : result<commit>(fail(opened.error()));
  if (what && (slot_of(what->sequence, evidence.ring_slots) != slot
               || counter_of(what->sequence, evidence.ring_slots) != opened->counter))
    what = fail(errc::corrupt_record, "it says that it is commit " + std::to_string(what->sequence));
  if (what) {
    const auto sequence = what->sequence;
    evidence.log.emplace(sequence, index_evidence::logged_commit{std::move(*what), opened->hash});
    return;
  }
  auto head = record ? result<bytes>(*record) : from->head(address);
  auto header = head ? verify_head(*head, address) : result<record_header>(fail(head.error()));
  const auto sequence = header ? (header->counter - 1) * evidence.ring_slots + slot : 0;
  if (sequence != 0) {
    evidence.headers.insert(sequence);
    return damaged(commits_text(sequence), what.error());
  }
  evidence.unreadable_slots[static_cast<std::size_t>(slot)] = true;
  damaged("log slot " + std::to_string(slot), what.error());
}

// -- the new store -----------------------------------------------------------------------------------------------------

result<void> index_recovery::write(index_recovery_report& to, const progress_callback& on_progress) {
  auto& p = *parts_;
  root next;
  next.sequence = to.sequence;
  next.next_pad = to.index.state.next_pad();
  next.ring_slots = p.evidence.ring_slots;
  // Whether the reading secret was given away is not known without the root.
  next.shared = !p.evidence.last_root || p.evidence.last_root->what.shared;
  if (auto values = p.write_values(to, on_progress); !values)
    return values;
  if (auto log = p.write_log(to, next); !log)
    return log;
  if (auto written = p.write_parts(to, next); !written)
    return written;
  return p.write_root(next);
}

// Pads as they are, each verified. What is missing of a value is named, and the rest of it is copied.
result<void> index_recovery::parts::write_values(index_recovery_report& out, const progress_callback& on_progress) {
  struct place {
    std::string key;
    pad_ref pad;
    std::uint64_t first_byte = 0;
    std::uint64_t last_byte = 0;
  };
  std::vector<place> places_of_page;
  std::vector<pad_address> addresses;
  const auto add = [&](const std::string& key, const chunk_list& chunks) {
    std::uint64_t offset = 0;
    for (const auto& c : chunks) {
      if (!c.inherited()) {
        places_of_page.push_back({key, c.pad, offset, offset + c.length - 1});
        addresses.push_back(c.address);
      }
      offset += c.length;
    }
  };
  const auto copy_page = [&] {
    from->get_all(addresses, [&](std::size_t i, result<bytes> record) {
      const auto& at = places_of_page[i];
      if (!record && !is_lost(record.error().code))
        failure = record.error();
      auto header = record ? verify_record(*record) : result<record_header>(fail(record.error()));
      if (header && (header->address != addresses[i] || header->counter != at.pad.counter))
        header = fail(errc::corrupt_record, "its pad holds another version");
      if (!header) {
        out.incomplete.push_back({at.key, at.first_byte, at.last_byte, header.error().message});
      } else if (auto put = to->put(*record); !put) {
        failure = put.error();
      } else {
        ++out.copied_records;
        out.copied_bytes += record->size();
        if (on_progress)
          on_progress({out.copied_bytes, std::nullopt, 0});
      }
      if (stopped)
        failure = interrupted();
      return !failure;
    });
    places_of_page.clear();
    addresses.clear();
  };
  const auto& state = out.index.state;
  for (auto page = state.list({}, {}, 1000); !page.empty() && !failure; page = state.list({}, page.back().key, 1000)) {
    for (const auto& item : page) {
      if (item.complete != nullptr && item.complete->chunks)
        add(item.key, *item.complete->chunks);
      if (item.pending != nullptr)
        for (const auto& piece : item.pending->pieces)
          add(item.key, *piece);
    }
    copy_page();
  }
  return failure ? fail(*failure) : result<void>();
}

// Every slot must hold a commit of its own: where the source's is lost, or not proven, an empty one takes its place. Nobody
// applies them, for the root stands at the last; whoever follows the chain through them finds it broken there, as it is.
result<void> index_recovery::parts::write_log(index_recovery_report& out, root& next) {
  const auto slots = evidence.ring_slots;
  const auto last = out.sequence;
  std::vector<pad_address> ring;
  for (std::uint64_t slot = 0; slot < slots; ++slot)
    ring.push_back(keys.log(slot).address);
  const std::set<std::uint64_t> proven(out.index.proven.begin(), out.index.proven.end());
  for (auto n = last > slots ? last - slots + 1 : 1; n <= last; ++n) {
    if (stopped)
      return fail(interrupted());
    const auto slot = slot_of(n, slots);
    auto record = proven.contains(n) ? from->get(ring[static_cast<std::size_t>(slot)]) : result<bytes>(bytes());
    if (!record)
      return fail(record.error());
    if (record->empty()) {
      if (n == last && !out.index.is_complete())
        continue;
      commit stand_in;
      stand_in.sequence = n;
      record = seal_private(keys.log(slot), counter_of(n, slots), encode(stand_in));
    }
    // One that an earlier run left there is as good.
    if (auto put = to->put(*record); !put && put.error().code != errc::pad_conflict)
      return put;
  }
  next.ring.slots = std::make_shared<const std::vector<pad_address>>(std::move(ring));
  next.last_commit = out.index.whole_commit;
  if (out.index.is_complete())
    return {};
  // Something is lost: this is another history from the last commit on of which all is known.
  auto begun = write_first_commit(out.index, last);
  if (!begun)
    return fail(begun.error());
  next.last_commit = *begun;
  return {};
}

result<content_hash> index_recovery::parts::write_first_commit(const recovered_index& index, std::uint64_t sequence) {
  const auto slot = slot_of(sequence, evidence.ring_slots);
  commit first;
  first.sequence = sequence;
  random_fill(first.writer);
  first.previous = index.whole_commit;
  const auto record = seal_private(keys.log(slot), counter_of(sequence, evidence.ring_slots), encode(first));
  auto put = to->put(record);
  if (put)
    return parse_header(record)->hash;
  if (put.error().code != errc::pad_conflict)
    return fail(put.error());
  // An earlier run's.
  auto there = to->get(keys.log(slot).address);
  if (!there)
    return fail(there.error());
  auto opened = open_pad(keys.log_at(keys.log(slot).address, slot), *there);
  auto what = opened ? decode_commit(opened->plain) : result<commit>(fail(opened.error()));
  if (!what || what->sequence != sequence || what->previous != first.previous || !what->operations.empty())
    return fail(errc::version_mismatch, options.to + " has something else of this identity. Recover to an empty place");
  return opened->hash;
}

result<void> index_recovery::parts::write_parts(index_recovery_report& out, root& next) {
  part_cutter cutter(out.index.state.freeze(), max_part_content_bytes);
  std::uint64_t number = 0;
  while (auto part = cutter.next()) {
    for (bool is_written = false; !is_written; ++number) {
      if (stopped)
        return fail(interrupted());
      auto sealed = seal_part(keys.part(number), number, *part);
      if (!sealed)
        return fail(sealed.error());
      auto put = to->put(std::move(sealed->record));
      const auto is_taken = !put && (put.error().code == errc::pad_conflict || put.error().code == errc::stale_counter);
      if (!put && !is_taken)
        return put;
      is_written = !is_taken;   // one of an earlier run stays for purge
      sealed->at.sequence = next.sequence;
      sealed->at.base = true;
      if (is_written)
        next.parts.push_back(sealed->at);
    }
  }
  next.next_part = number;
  return {};
}

// Above all roots that this machine or the source know of: whoever has seen one of those looks how the log leads here.
result<void> index_recovery::parts::write_root(const root& next) {
  std::uint64_t counter = evidence.last_root ? evidence.last_root->counter : 0;
  if (evidence.seen)
    counter = std::max(counter, evidence.seen->root_counter);
  const auto plain = encode(next);
  if (plain.size() > max_plaintext_bytes)
    return fail(errc::too_large, "the index has more parts than a root can name");
  return to->put(seal_private(keys.root(), counter + 1, plain));
}

}  // namespace mutant
