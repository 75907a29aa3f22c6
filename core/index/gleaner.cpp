#include "core/index/gleaner.hpp"

#include <algorithm>

namespace mutant {

namespace {

constexpr std::string_view replaced_in_gap = "it was replaced or removed by a commit that is lost";

chunk_list chunks_of(const upload& u) {
  chunk_list all;
  for (const auto& piece : u.pieces)
    all.insert(all.end(), piece->begin(), piece->end());
  return all;
}

void set_chunks(upload& u, chunk_list chunks) {
  u.chunks_done = chunks.size();
  u.bytes_done = bytes_of(chunks);
  u.pieces.clear();
  if (!chunks.empty())
    u.pieces.push_back(std::make_shared<const chunk_list>(std::move(chunks)));
}

// Kept chunks become those of the base, which must be just the version that the upload began with. Nothing: it is not.
std::optional<chunk_list> resolved(chunk_list all, std::uint64_t base_version, const entry* base) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!all[i].inherited())
      continue;
    if (base == nullptr || base->version != base_version || i >= base->chunk_count())
      return std::nullopt;
    const auto& there = (*base->chunks)[i];
    if (there.length != all[i].length || there.print != all[i].print)
      return std::nullopt;
    all[i] = there;
  }
  return all;
}

}  // namespace

gleaner::gleaner(recovered_index& out) : out_(out), covered_(out.whole_until) {
  start_from(out.state);
}

void gleaner::start_from(const index_state& state) {
  std::string after;
  for (auto page = state.list({}, after, 1000); !page.empty(); page = state.list({}, after, 1000)) {
    for (const auto& item : page) {
      if (item.complete != nullptr)
        entries_.insert_or_assign(item.key, known<entry>{*item.complete, out_.whole_until});
      if (item.pending != nullptr)
        uploads_.insert_or_assign(item.key, known<upload_ptr>{std::make_shared<const upload>(*item.pending), out_.whole_until});
    }
    after = page.back().key;
  }
  for (auto pad = state.next_free(0); pad; pad = state.next_free(pad->number + 1))
    free_pad(*pad, out_.whole_until);
}

void gleaner::use_parts(const root& named, const std::vector<const snapshot_part*>& parts) {
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto sequence = named.parts[i].sequence;
    auto& group = groups_[sequence];
    if (group.parts.empty())
      group.before = before;
    group.sequence = sequence;
    group.is_base = named.parts[i].base;
    group.is_whole = group.is_whole && parts[i] != nullptr;
    group.parts.push_back(parts[i]);
    if (i + 1 == parts.size() || named.parts[i + 1].sequence != sequence)
      before = sequence;
  }
  // The root stands at its commit even if nothing has changed since its last part.
  if (named.sequence > before && named.sequence > out_.whole_until)
    groups_[named.sequence] = {named.sequence, before, false, true, {}};
}

void gleaner::use_commit(std::uint64_t sequence, const commit& what) {
  commits_.emplace(sequence, &what);
}

// What a commit says comes before what a part says of the same moment.
result<void> gleaner::finish(std::uint64_t next_pad) {
  auto group = groups_.upper_bound(out_.whole_until);
  auto logged = commits_.upper_bound(out_.whole_until);
  while (group != groups_.end() || logged != commits_.end()) {
    if (logged != commits_.end() && (group == groups_.end() || logged->first <= group->first)) {
      apply(logged->first, *logged->second);
      ++logged;
    } else {
      apply(group->second);
      ++group;
    }
  }
  gap_until(out_.sequence);
  drop_what_pads_refute();
  for (const auto& [key, what] : entries_)
    if (!is_fresh(what.as_of))
      out_.uncertain.push_back(key);
  std::erase_if(uploads_, [&](const auto& item) {
    if (is_fresh(item.second.as_of))
      return false;
    if (!lost_.contains(item.first) && !entries_.contains(item.first))
      lose(item.first, 0, "its unfinished upload");
    return true;
  });
  for (auto& [key, what] : lost_)
    out_.lost_values.push_back(std::move(what));

  auto part = whole_part();
  for (const auto& e : part.entries)
    if (e.value.chunks)
      for (const auto& c : *e.value.chunks)
        next_pad = std::max(next_pad, c.pad.number + 1);
  for (const auto& u : part.uploads)
    for (const auto& c : chunks_of(u.value))
      next_pad = std::max(next_pad, c.pad.number + 1);
  std::erase_if(part.free_pads, [next_pad](const pad_ref& pad) { return pad.number >= next_pad; });
  out_.state = index_state();
  if (auto loaded = out_.state.load(std::move(part)); !loaded)
    return loaded;
  return out_.state.finish_load(out_.sequence, next_pad);
}

// All commits behind covered_ and up to this one are lost, as far as nothing else tells what they did.
void gleaner::gap_until(std::uint64_t sequence) {
  if (sequence <= covered_)
    return;
  out_.lost_commits.emplace_back(covered_ + 1, sequence);
  covered_ = gap_end_ = sequence;
}

// -- parts -------------------------------------------------------------------------------------------------------------

void gleaner::apply(const part_group& group) {
  if (group.is_base || !group.is_whole)
    gap_until(group.sequence);
  else
    gap_until(group.before);   // what a whole delta does not name has not changed since the root before it
  if (group.is_base)
    find_lost_keys(group);
  long_entry_.reset();
  long_upload_.reset();
  for (const auto* part : group.parts) {
    if (part == nullptr) {
      long_entry_.reset();
      long_upload_.reset();
      continue;
    }
    for (const auto& key : part->removed_entries)
      entries_.erase(key);
    for (const auto& key : part->removed_uploads)
      uploads_.erase(key);
    take_entries(*part, group.sequence);
    take_uploads(*part, group.sequence);
    for (const auto& pad : part->free_pads)
      free_pad(pad, group.sequence);
  }
  covered_ = std::max(covered_, group.sequence);
}

// Base parts ascend: between the keys of one, and of neighbours, there was nothing at that commit; of what a lost part held
// nothing is known.
void gleaner::find_lost_keys(const part_group& base) {
  std::string known_until;      // entries up to this key were seen
  bool is_open = false;         // a part behind it is lost
  auto absent_between = [this](const std::string& first, const std::string* last) {
    auto end = last != nullptr ? entries_.lower_bound(*last) : entries_.end();
    for (auto at = first.empty() ? entries_.begin() : entries_.upper_bound(first); at != end;)
      at = entries_.erase(at);
  };
  bool at_end = false;
  for (const auto* part : base.parts) {
    if (part == nullptr) {
      is_open = is_open || !at_end;
      continue;
    }
    for (const auto& item : part->entries) {
      if (item.first == 0) {
        if (is_open)
          out_.lost_keys.emplace_back(known_until, item.key);
        else
          absent_between(known_until, &item.key);
        is_open = false;
        // A long one whose end is lost is lost.
        lost_.erase(item.key);
      }
      known_until = item.key;
    }
    // Behind the last entry come uploads and free pads.
    if (!at_end && (!part->uploads.empty() || !part->free_pads.empty())) {
      at_end = true;
      if (is_open)
        out_.lost_keys.emplace_back(known_until, std::string());
      else
        absent_between(known_until, nullptr);
      is_open = false;
    }
  }
  if (is_open)
    out_.lost_keys.emplace_back(known_until, std::string());
  else if (!at_end)
    absent_between(known_until, nullptr);
}

void gleaner::take_entries(const snapshot_part& part, std::uint64_t sequence) {
  for (const auto& item : part.entries) {
    auto chunks = item.value.chunks ? *item.value.chunks : chunk_list();
    if (item.first == 0) {
      // A version is one value: what is known of it already needs no other parts.
      const auto known_one = entries_.find(item.key);
      if (known_one != entries_.end() && known_one->second.value.version == item.value.version) {
        known_one->second.as_of = sequence;
        long_entry_ = unfinished<entry>{item.key, item.value, item.chunk_total, std::move(chunks)};
        if (long_entry_->chunks.size() >= long_entry_->total)
          long_entry_.reset();
        continue;
      }
      entries_.erase(item.key);
      lose(item.key, item.value.version, "a part of the index that names its chunks is lost");   // until they are all there
      long_entry_ = unfinished<entry>{item.key, item.value, item.chunk_total, std::move(chunks)};
    } else if (long_entry_ && long_entry_->key == item.key && long_entry_->chunks.size() == item.first) {
      long_entry_->chunks.insert(long_entry_->chunks.end(), chunks.begin(), chunks.end());
    } else {
      if (!entries_.contains(item.key))
        lose(item.key, 0, "a part of the index that names its first chunks is lost");
      long_entry_.reset();
      continue;
    }
    if (long_entry_->chunks.size() < long_entry_->total)
      continue;
    auto whole = std::move(long_entry_->value);
    whole.chunks = long_entry_->chunks.empty() ? nullptr
                                               : std::make_shared<const chunk_list>(std::move(long_entry_->chunks));
    entries_.insert_or_assign(item.key, known<entry>{std::move(whole), sequence});
    lost_.erase(item.key);
    long_entry_.reset();
  }
}

void gleaner::take_uploads(const snapshot_part& part, std::uint64_t sequence) {
  for (const auto& item : part.uploads) {
    auto chunks = chunks_of(item.value);
    uploads_.erase(item.key);
    if (item.first == 0)
      long_upload_ = unfinished<upload>{item.key, item.value, item.value.chunks_done, std::move(chunks)};
    else if (long_upload_ && long_upload_->key == item.key && long_upload_->chunks.size() == item.first)
      long_upload_->chunks.insert(long_upload_->chunks.end(), chunks.begin(), chunks.end());
    else
      long_upload_.reset();
    if (!long_upload_ || long_upload_->chunks.size() < long_upload_->total)
      continue;
    auto whole = std::move(long_upload_->value);
    set_chunks(whole, std::move(long_upload_->chunks));
    uploads_.insert_or_assign(item.key, known<upload_ptr>{std::make_shared<const upload>(std::move(whole)), sequence});
    long_upload_.reset();
  }
}

void gleaner::free_pad(const pad_ref& pad, std::uint64_t as_of) {
  auto& freed = freed_[pad.number];
  if (pad.counter >= freed.counter)
    freed = {pad.counter, as_of};
}

// -- commits -----------------------------------------------------------------------------------------------------------

void gleaner::apply(std::uint64_t sequence, const commit& what) {
  gap_until(sequence - 1);
  for (const auto& op : what.operations)
    std::visit([&](const auto& o) { apply(o, sequence); }, op);
  covered_ = std::max(covered_, sequence);
}

void gleaner::set(const std::string& key, entry value, std::uint64_t version) {
  value.version = version;
  entries_.insert_or_assign(key, known<entry>{std::move(value), version});
  lost_.erase(key);
}

void gleaner::lose(const std::string& key, std::uint64_t version, std::string why) {
  lost_.insert_or_assign(key, recovered_index::lost_value{key, version, std::move(why)});
}

void gleaner::apply(const put_op& op, std::uint64_t sequence) {
  set(op.key, op.value, sequence);
}

void gleaner::apply(const remove_op& op, std::uint64_t) {
  entries_.erase(op.key);
  lost_.erase(op.key);
}

void gleaner::apply(const rename_op& op, std::uint64_t sequence) {
  const auto from = entries_.find(op.from);
  if (from != entries_.end() && is_fresh(from->second.as_of)) {
    set(op.to, from->second.value, sequence);
  } else {
    entries_.erase(op.to);
    lose(op.to, sequence, "it was renamed from " + op.from + ", whose value then is not known");
  }
  entries_.erase(op.from);
  lost_.erase(op.from);
}

void gleaner::apply(const begin_upload_op& op, std::uint64_t sequence) {
  upload begun;
  begun.id = op.id;
  begun.size = op.size;
  begun.chunk_size = op.chunk_size;
  begun.started_ms = op.started_ms;
  begun.base_version = op.base_version;
  uploads_.insert_or_assign(op.key, known<upload_ptr>{std::make_shared<const upload>(std::move(begun)), sequence});
}

// Under one id an upload only grows: one that fits is the one that was extended, whatever a gap may have held.
void gleaner::apply(const extend_upload_op& op, std::uint64_t sequence) {
  const auto at = uploads_.find(op.key);
  if (at == uploads_.end())
    return;
  if (at->second.value->id != op.id || at->second.value->chunks_done != op.first)
    return void(uploads_.erase(at));
  auto longer = *at->second.value;
  auto chunks = chunks_of(longer);
  chunks.insert(chunks.end(), op.chunks.begin(), op.chunks.end());
  set_chunks(longer, std::move(chunks));
  at->second = {std::make_shared<const upload>(std::move(longer)), sequence};
}

void gleaner::apply(const adopt_upload_op& op, std::uint64_t sequence) {
  const auto at = uploads_.find(op.key);
  if (at == uploads_.end())
    return;
  if (at->second.value->id != op.id || at->second.value->chunks_done < op.keep)
    return void(uploads_.erase(at));
  auto adopted = *at->second.value;
  adopted.id = op.new_id;
  auto chunks = chunks_of(adopted);
  chunks.resize(static_cast<std::size_t>(op.keep));
  set_chunks(adopted, std::move(chunks));
  at->second = {std::make_shared<const upload>(std::move(adopted)), sequence};
}

void gleaner::apply(const complete_upload_op& op, std::uint64_t sequence) {
  const auto there = uploads_.find(op.key);
  std::optional<chunk_list> all;
  if (there != uploads_.end() && there->second.value->id == op.id) {
    auto chunks = chunks_of(*there->second.value);
    chunks.insert(chunks.end(), op.tail.begin(), op.tail.end());
    const auto base = entries_.find(op.key);
    if (bytes_of(chunks) == op.size)
      all = resolved(std::move(chunks), there->second.value->base_version,
                     base != entries_.end() ? &base->second.value : nullptr);
  }
  if (there != uploads_.end())
    uploads_.erase(there);
  if (!all) {
    entries_.erase(op.key);
    return lose(op.key, sequence, "some of its chunks were named by a commit that is lost");
  }
  entry value;
  value.size = op.size;
  value.modified_ms = op.modified_ms;
  value.attributes = op.attributes;
  if (!all->empty())
    value.chunks = std::make_shared<const chunk_list>(std::move(*all));
  set(op.key, std::move(value), sequence);
}

void gleaner::apply(const drop_upload_op& op, std::uint64_t) {
  uploads_.erase(op.key);
}

void gleaner::apply(const free_pads_op& op, std::uint64_t sequence) {
  for (const auto& pad : op.pads)
    free_pad(pad, sequence);
}

void gleaner::apply(const assemble_op& op, std::uint64_t sequence) {
  chunk_list all;
  bool is_known = true;
  for (const auto& key : op.parts) {
    const auto part = entries_.find(key);
    is_known = is_known && part != entries_.end() && is_fresh(part->second.as_of);
    if (is_known && part->second.value.chunks)
      all.insert(all.end(), part->second.value.chunks->begin(), part->second.value.chunks->end());
  }
  for (const auto& key : op.parts) {
    entries_.erase(key);
    lost_.erase(key);
  }
  if (!is_known) {
    entries_.erase(op.key);
    return lose(op.key, sequence, "it was assembled from values of which one is not known");
  }
  entry value;
  value.size = bytes_of(all);
  value.modified_ms = op.modified_ms;
  value.attributes = op.attributes;
  if (!all.empty())
    value.chunks = std::make_shared<const chunk_list>(std::move(all));
  set(op.key, std::move(value), sequence);
}

// -- what is left ------------------------------------------------------------------------------------------------------

// A pad is used once: where it was since freed, or is another's under a higher counter, or by a later word, the value is gone.
void gleaner::drop_what_pads_refute() {
  struct user {
    std::uint64_t counter = 0;
    std::uint64_t as_of = 0;
    std::string key;
    bool is_upload = false;
  };
  std::map<std::uint64_t, user> users;
  std::set<std::string> gone_entries;
  std::set<std::string> gone_uploads;
  auto drop = [&](const user& who) { (who.is_upload ? gone_uploads : gone_entries).insert(who.key); };
  auto look = [&](const chunk& c, std::uint64_t as_of, const std::string& key, bool is_upload) {
    if (c.inherited())
      return;
    const user now{c.pad.counter, as_of, key, is_upload};
    if (const auto freed = freed_.find(c.pad.number); freed != freed_.end())
      if (freed->second.counter >= c.pad.counter && freed->second.as_of > as_of)
        return drop(now);
    const auto [at, is_first] = users.emplace(c.pad.number, now);
    if (is_first)
      return;
    if (std::pair(now.counter, now.as_of) > std::pair(at->second.counter, at->second.as_of))
      drop(std::exchange(at->second, now));
    else
      drop(now);
  };
  for (const auto& [key, what] : entries_)
    if (what.value.chunks)
      for (const auto& c : *what.value.chunks)
        look(c, what.as_of, key, false);
  for (const auto& [key, what] : uploads_)
    for (const auto& c : chunks_of(*what.value))
      look(c, what.as_of, key, true);
  for (const auto& key : gone_entries) {
    lose(key, entries_.at(key).value.version, std::string(replaced_in_gap));
    entries_.erase(key);
  }
  for (const auto& key : gone_uploads)
    uploads_.erase(key);
}

snapshot_part gleaner::whole_part() const {
  snapshot_part part;
  std::set<std::uint64_t> used;
  for (const auto& [key, what] : entries_) {
    part.entries.push_back({key, 0, what.value, what.value.chunk_count()});
    if (what.value.chunks)
      for (const auto& c : *what.value.chunks)
        used.insert(c.pad.number);
  }
  for (const auto& [key, what] : uploads_) {
    part.uploads.push_back({key, 0, *what.value});
    for (const auto& c : chunks_of(*what.value))
      if (!c.inherited())
        used.insert(c.pad.number);
    // One list, as in a part.
    set_chunks(part.uploads.back().value, chunks_of(*what.value));
  }
  for (const auto& [number, freed] : freed_)
    if (!used.contains(number))
      part.free_pads.push_back({number, freed.counter});
  return part;
}

}  // namespace mutant
