// Opening the index: the root, the parts that it names or the cached state, and the log behind them.
#include "actors/caf/ask.hpp"
#include "actors/index/index.hpp"

namespace mutant {

namespace {

constexpr unsigned max_restarts = 32;       // of opening, because a root moved on under us

}  // namespace

void index_actor_state::open() {
  is_open = false;
  log_busy = true;
  opening.reload_wanted = false;
  remember_high_water();
  serve_syncs();
  if (++opening.restarts > max_restarts)
    return fail_all({errc::timeout, "the index kept changing while it was read; other writers are too busy, try again"});
  auto start = [this] {
    load_root([this](std::optional<opened_root> there) {
      if (!there)
        no_root_there();
      else if (!root_went_back(there))
        open_from(*there);
    });
  };
  ask(self, options.crypto, options.timeout, address_atom_v, address_job{pad_space::root, {0}})
      .then(
          [this, start](address_list& addresses) {
            known_root.address = addresses.front();
            open_cache(start);
          },
          [this](caf::error& cause) { fail_all(from_caf(cause)); });
}

// A store without an index, or one that lost it.
void index_actor_state::no_root_there() {
  if (cache.high_water_is_ours && root_went_back(std::nullopt))
    return;  // a stale answer, perhaps
  if (options.reader) {
    if (!root_went_back(std::nullopt))
      fail_all({errc::index_corrupt, "the index root is missing, and this reader's identity was made when there was one. "
                                     "Restore the store from a copy"});
    return;
  }
  // The first commit of any index lies in slot 1, and the one seen last in its own, unless a later one does.
  std::vector<std::uint64_t> numbers = {1};
  if (cache.high_water && cache.high_water->sequence > 1)
    numbers.push_back(cache.high_water->sequence);
  look_for_commits(std::move(numbers), [this](bool found) {
    if (found)
      return root_is_missing();
    if (root_went_back(std::nullopt))
      return;
    known_root.counter = 0;
    known_root.hash = {};
    known_root.what = root{};
    known_root.what.ring_slots = options.ring_slots;
    forget_state();
    became_open();
  });
}

// Whether the slot of one of these holds anything.
void index_actor_state::look_for_commits(std::vector<std::uint64_t> numbers, std::function<void(bool)> then) {
  if (numbers.empty())
    return then(false);
  const auto sequence = numbers.back();
  numbers.pop_back();
  with_slot_addresses(sequence, 1, [this, numbers, then](std::vector<pad_address> slot) {
    ask(self, options.pads, options.timeout, head_atom_v, pad_query{slot.front()})
        .then([then](bytes&) { then(true); },
              [this, numbers, then](caf::error& cause) {
                auto e = from_caf(cause);
                if (e.code == errc::pad_not_found)
                  return look_for_commits(numbers, then);
                fail_all(std::move(e));
              });
  });
}

// Data is there and no index is: that is damage, not an older state to be accepted.
void index_actor_state::root_is_missing() {
  load_root([this](std::optional<opened_root> late) {
    if (!late)
      return fail_all({errc::index_corrupt, "the index root is missing, but its log has commits. Nothing was written. Restore "
                                            "the store from a copy"});
    // Another process may have created both just now.
    if (!root_went_back(late))
      open_from(*late);
  });
}

void index_actor_state::forget_state() {
  data = index_state{};
  chain = commit_chain();
  salvaged.state_is_whole = false;
  ++snapshots.loads;
}

void index_actor_state::load_root(std::function<void(std::optional<opened_root>)> then) {
  load_root(std::move(then), [this](error e) { fail_all(std::move(e)); });
}

void index_actor_state::load_root(std::function<void(std::optional<opened_root>)> then, std::function<void(error)> failed) {
  ask(self, options.pads, options.timeout, get_atom_v, pad_query{known_root.address})
      .then(
          [this, then, failed](bytes& record) {
            ask(self, options.crypto, options.timeout, open_atom_v, open_root_job{std::move(record)})
                .then([then](opened_root& opened) { then(std::move(opened)); },
                      [this, failed](caf::error& cause) {
                        auto e = from_caf(cause);
                        if (e.code == errc::unsupported && (cache.high_water || data.sequence() != 0))
                          e.code = errc::index_corrupt;  // it was of our format before
                        failed(std::move(e));
                      });
          },
          [then, failed](caf::error& cause) {
            auto e = from_caf(cause);
            if (e.code == errc::pad_not_found)
              return then(std::nullopt);
            if (e.code == errc::corrupt_record || e.code == errc::bad_signature)
              e = {errc::index_corrupt, "the index root is damaged: " + e.message
                                            + ". Nothing was written. Restore the store from a copy"};
            failed(std::move(e));
          });
}

void index_actor_state::open_from(const opened_root& opened) {
  forget_state();
  auto from = std::make_shared<const opened_root>(opened);
  prove_root(from, [this, from](bool proven) {
    if (!proven)
      forget_cached_state();  // what the cache file holds may be of another history than the root
    if (!load_from_cache(from))
      load_parts(from, 0);
  });
}

index_actor_state::loading_ptr index_actor_state::begin_loading(std::size_t count, std::function<void(const error&)> failed,
                                                                next_step then) {
  auto l = std::make_shared<index_parts::loading>(count);
  l->failed = std::move(failed);
  l->then = std::move(then);
  l->generation = generation;
  return l;
}

void index_actor_state::take_parts(const loading_ptr& l) {
  if (l->parts.is_complete())
    return l->then();
  while (const auto number = l->parts.next_to_fetch())
    l->fetch(*number);
}

void index_actor_state::part_arrived(const loading_ptr& l, std::size_t number, opened_part part) {
  if (!is_current(l))
    return;
  l->parts.arrived(number, std::move(part));
  while (auto next = l->parts.next_to_apply())
    if (auto loaded = data.load(std::move(*next)); !loaded) {
      l->parts.abandon();
      return l->failed(loaded.error());
    }
  take_parts(l);
}

void index_actor_state::load_parts(std::shared_ptr<const opened_root> from, std::size_t at) {
  auto finish = [this, from] {
    if (auto loaded = data.finish_load(from->what.sequence, from->what.next_pad); !loaded)
      return fail_all(loaded.error());
    chain = commit_chain(from->what.sequence, from->what.last_commit);
    parts_loaded(*from);
  };
  const auto l = begin_loading(from->what.parts.size() - at, [this](const error& e) { fail_all(e); }, finish);
  l->fetch = [this, from, at, weak = std::weak_ptr(l)](std::size_t i) {
    fetch_part(weak.lock(), i, from->what.parts[at + i], from->counter);
  };
  take_parts(l);
}

void index_actor_state::fetch_part(const loading_ptr& l, std::size_t number, const part_ref& what,
                                   std::uint64_t root_counter_then) {
  // A part that is gone was replaced together with the root; if the root is still the same, it is lost.
  auto gone = [this, l, name = what.pad.number, root_counter_then](const error& e) {
    if (!is_current(l))
      return;
    l->parts.abandon();
    if (e.code != errc::pad_not_found && e.code != errc::pad_conflict && e.code != errc::corrupt_record)
      return fail_all(e);
    load_root([=, this, g = generation](std::optional<opened_root> now) {
      if (g != generation)
        return;
      if (now && now->counter != root_counter_then)
        return open();  // the root moved on
      fail_all({errc::index_corrupt, "index snapshot part " + std::to_string(name) + " is missing or damaged: " + e.message
                                         + ". Nothing was written. Restore the store from a copy"});
    });
  };
  ask(self, options.pads, options.timeout, get_atom_v, pad_query{what.address})
      .then(
          [this, l, number, what, gone](bytes& record) {
            ask(self, options.crypto, options.timeout, open_atom_v, open_part_job{std::move(record), what})
                .then([this, l, number](opened_part& opened) { part_arrived(l, number, std::move(opened)); },
                      [gone](caf::error& cause) { gone(from_caf(cause)); });
          },
          [gone](caf::error& cause) { gone(from_caf(cause)); });
}

// The state is that of the root, or a later one: the rest is in the log.
void index_actor_state::parts_loaded(const opened_root& from) {
  salvaged.state_is_whole = true;
  know_root(from);
  snapshots.log_bytes = 0;
  snapshots.changes_since = data.sequence();
  read_forward(4, [this] { check_high_water([this] { became_open(); }); });
}

void index_actor_state::became_open() {
  if (options.salvage)
    return open_for_salvage();
  is_open = true;
  log_busy = false;
  opening.restarts = 0;
  run_held_back();
  auto answers = std::exchange(syncs.served, {});
  pads.reloaded(data);
  syncs.incoming.sequence = data.sequence();
  syncs.incoming.last_commit = chain.last();
  if (options.accept_rollback && cache.high_water && cache.high_water->sequence > data.sequence())
    syncs.incoming.forgotten = cache.high_water->sequence;
  for (auto& promise : answers)
    promise.deliver(syncs.incoming);
  snapshot_if_due();
  pump();
}

}  // namespace mutant
