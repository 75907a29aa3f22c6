// index_state: snapshot parts in. What comes in here was written by this owner or by somebody who would like to be:
// everything is checked, and memory grows with the input only.
#include <algorithm>

#include "core/index/rules.hpp"
#include "core/index/state.hpp"

namespace mutant {
namespace {

tl::unexpected<error> corrupt(std::string message) {
  return fail(errc::index_corrupt, "snapshot: " + std::move(message));
}

tl::unexpected<error> corrupt(std::string_view what, std::string_view key, std::string_view problem) {
  return corrupt(std::string(what) + " " + rules::quoted(key) + ": " + std::string(problem));
}

const std::string& order_of(const snapshot_part::entry_item& item) { return item.key; }
const std::string& order_of(const snapshot_part::upload_item& item) { return item.key; }
const std::string& order_of(const std::string& key) { return key; }
std::uint64_t order_of(const pad_ref& pad) { return pad.number; }
std::uint64_t order_of(std::uint64_t number) { return number; }

template <class Items>
bool ascends(const Items& items) {
  return std::adjacent_find(items.begin(), items.end(),
                            [](const auto& a, const auto& b) { return !(order_of(a) < order_of(b)); })
         == items.end();
}

// Something that is both there and gone. Both lists ascend.
template <class Items, class Gone>
const typename Items::value_type* find_contradiction(const Items& items, const Gone& gone) {
  auto at = gone.begin();
  for (const auto& item : items) {
    while (at != gone.end() && *at < order_of(item))
      ++at;
    if (at != gone.end() && *at == order_of(item))
      return &item;
  }
  return nullptr;
}

result<void> check_order(const snapshot_part& part) {
  if (!ascends(part.entries) || !ascends(part.removed_entries))
    return corrupt("the entries of a part do not ascend");
  if (!ascends(part.uploads) || !ascends(part.removed_uploads))
    return corrupt("the uploads of a part do not ascend");
  if (!ascends(part.free_pads) || !ascends(part.taken_pads))
    return corrupt("the pads of a part do not ascend");
  if (const auto* both = find_contradiction(part.entries, part.removed_entries))
    return corrupt("entry", both->key, "both there and removed");
  if (const auto* both = find_contradiction(part.uploads, part.removed_uploads))
    return corrupt("upload", both->key, "both there and removed");
  if (const auto* both = find_contradiction(part.free_pads, part.taken_pads))
    return corrupt("pad " + std::to_string(both->number) + " is both free and taken");
  return {};
}

chunk_list chunks_of(const upload& u) {
  chunk_list chunks;
  for (const auto& piece : u.pieces)
    chunks.insert(chunks.end(), piece->begin(), piece->end());
  return chunks;
}

// Adds a continuation to the list that waits for it. True: the list is whole. `open` null: nothing waits.
template <class Open>
result<bool> go_on(std::string_view what, Open* open, std::string_view key, std::uint64_t first,
                   const chunk_list& chunks) {
  if (open == nullptr || open->key != key)
    return corrupt(what, key, "goes on without a beginning");
  if (first != open->chunks.size())
    return corrupt(what, key, "goes on with chunk " + std::to_string(first) + " after "
                                  + std::to_string(open->chunks.size()));
  if (chunks.empty() || chunks.size() > open->total - first)
    return corrupt(what, key, "goes on with " + std::to_string(chunks.size()) + " chunks of "
                                  + std::to_string(open->total - first) + " that are missing");
  open->chunks.insert(open->chunks.end(), chunks.begin(), chunks.end());
  return open->chunks.size() == open->total;
}

}  // namespace

result<void> index_state::load(snapshot_part part) {
  if (auto ok = check_order(part); !ok)
    return ok;
  for (const auto& key : part.removed_entries)
    unload_entry(key);
  for (auto& item : part.entries)
    if (auto ok = load_entry(std::move(item)); !ok)
      return ok;
  for (const auto& key : part.removed_uploads)
    unload_upload(key);
  for (const auto& item : part.uploads)
    if (auto ok = load_upload(item); !ok)
      return ok;
  return load_free_pads(part);
}

result<void> index_state::load_entry(snapshot_part::entry_item&& item) {
  auto& open = loading_.long_entry;
  if (item.first > 0) {
    auto whole = go_on("entry", open ? &*open : nullptr, item.key, item.first,
                       item.value.chunks ? *item.value.chunks : chunk_list());
    if (!whole)
      return fail(std::move(whole.error()));
    if (!*whole)
      return {};
    auto done = std::exchange(open, std::nullopt);
    done->value.chunks = std::make_shared<const chunk_list>(std::move(done->chunks));
    return settle_entry(std::move(done->key), std::move(done->value));
  }
  if (open)
    return corrupt("entry", open->key, "its end is missing");
  if (item.value.chunk_count() == item.chunk_total)
    return settle_entry(std::move(item.key), std::move(item.value));
  if (item.value.chunk_count() > item.chunk_total)
    return corrupt("entry", item.key, "more chunks than announced");
  open = {item.key, item.value, item.chunk_total, item.value.chunks ? *item.value.chunks : chunk_list()};
  open->value.chunks = nullptr;
  return {};
}

result<void> index_state::load_upload(const snapshot_part::upload_item& item) {
  auto& open = loading_.long_upload;
  auto chunks = chunks_of(item.value);
  if (item.first > 0) {
    auto whole = go_on("upload", open ? &*open : nullptr, item.key, item.first, chunks);
    if (!whole)
      return fail(std::move(whole.error()));
  } else {
    if (open)
      return corrupt("upload", open->key, "its end is missing");
    if (chunks.size() > item.value.chunks_done)
      return corrupt("upload", item.key, "more chunks than announced");
    open = {item.key, item.value, item.value.chunks_done, std::move(chunks)};
  }
  if (open->chunks.size() < open->total)
    return {};
  auto done = std::exchange(open, std::nullopt);
  done->value.pieces.clear();
  if (!done->chunks.empty())
    done->value.pieces.push_back(std::make_shared<const chunk_list>(std::move(done->chunks)));
  return settle_upload(done->key, std::move(done->value));
}

result<void> index_state::load_free_pads(const snapshot_part& part) {
  for (auto number : part.taken_pads)
    free_pads_.erase(number);
  for (const auto& pad : part.free_pads) {
    if (pad.number >= max_number || pad.counter >= max_number)
      return corrupt("free pad " + std::to_string(pad.number) + " at counter " + std::to_string(pad.counter)
                     + " is out of range");
    free_pads_.insert_or_assign(pad.number, pad.counter);
    loading_.pads.push_back({pad.number, 0});
  }
  return {};
}

result<void> index_state::settle_entry(std::string&& key, entry&& value) {
  if (auto ok = rules::check_key(key); !ok)
    return corrupt(ok.error().message);
  if (auto ok = rules::check_value(value); !ok)
    return corrupt("entry", key, ok.error().message);
  if (value.version == 0 || value.version >= max_number)
    return corrupt("entry", key, "version " + std::to_string(value.version) + " is out of range");
  if (value.chunk_count() == 0)
    value.chunks = nullptr;
  loading_.newest_version = std::max(loading_.newest_version, value.version);
  if (value.chunks)
    note_pads(*value.chunks, 1);
  // Base parts, which are nearly all that is ever loaded, only ascend.
  if (const auto* last = entries_.last_key(); last == nullptr || *last < key) {
    value_bytes_ += value.size;
    entries_.append(std::move(key), std::move(value));
    return {};
  }
  unload_entry(key);
  set_entry(key, std::move(value));
  return {};
}

result<void> index_state::settle_upload(std::string_view key, upload value) {
  if (auto ok = rules::check_key(key); !ok)
    return corrupt(ok.error().message);
  if (auto ok = rules::check_upload_head(value); !ok)
    return corrupt("upload", key, ok.error().message);
  std::uint64_t bytes_done = 0;
  if (!value.pieces.empty()) {
    auto run = rules::check_run(0, 0, *value.pieces.front(), value.base_version != 0);
    if (!run)
      return corrupt("upload", key, run.error().message);
    bytes_done = *run;
  }
  if (bytes_done != value.bytes_done)
    return corrupt("upload", key, std::to_string(value.bytes_done) + " bytes done, but chunks for "
                                      + std::to_string(bytes_done));
  unload_upload(key);
  if (!value.pieces.empty())
    note_pads(*value.pieces.front(), 1);
  uploads_.insert_or_assign(key, std::make_shared<const upload>(std::move(value)));
  return {};
}

void index_state::unload_entry(std::string_view key) {
  if (const auto* old = entries_.find(key); old != nullptr && old->chunks)
    note_pads(*old->chunks, -1);
  erase_entry(key);
}

void index_state::unload_upload(std::string_view key) {
  const auto* old = uploads_.find(key);
  if (old == nullptr)
    return;
  for (const auto& piece : (*old)->pieces)
    note_pads(*piece, -1);
  uploads_.erase(key);
}

void index_state::note_pads(const chunk_list& chunks, int change) {
  for (const auto& c : chunks)
    if (!c.inherited())
      loading_.pads.push_back({c.pad.number, change});
}

result<void> index_state::finish_load(std::uint64_t sequence, std::uint64_t next_pad) {
  if (loading_.long_entry)
    return corrupt("entry", loading_.long_entry->key, "its end is missing");
  if (loading_.long_upload)
    return corrupt("upload", loading_.long_upload->key, "its end is missing");
  if (sequence < sequence_ || sequence >= max_number)
    return corrupt("sequence " + std::to_string(sequence) + " after " + std::to_string(sequence_));
  if (next_pad < next_pad_ || next_pad > max_number)
    return corrupt("next pad " + std::to_string(next_pad) + " after " + std::to_string(next_pad_));
  if (loading_.newest_version > sequence)
    return corrupt("an entry of version " + std::to_string(loading_.newest_version) + " in the state at sequence "
                   + std::to_string(sequence));
  if (auto ok = settle_pads(next_pad); !ok)
    return ok;
  sequence_ = sequence;
  next_pad_ = next_pad;
  loading_ = {};
  changes_ = {};
  return {};
}

// Sums up what the parts did to each pad: in use once at most, then not free, and below next_pad either way.
result<void> index_state::settle_pads(std::uint64_t next_pad) {
  auto& notes = loading_.pads;
  auto by_number = [](const pad_note& a, const pad_note& b) { return a.number < b.number; };
  if (!std::is_sorted(notes.begin(), notes.end(), by_number))
    std::sort(notes.begin(), notes.end(), by_number);
  for (auto at = notes.begin(); at != notes.end();) {
    auto number = at->number;
    std::int64_t references = used_.contains(number) ? 1 : 0;
    for (; at != notes.end() && at->number == number; ++at)
      references += at->change;
    auto is_free = free_pads_.find(number) != nullptr;
    if (references > 1)
      return corrupt("pad " + std::to_string(number) + " is used twice, by " + users_of(number));
    if (references == 1 && is_free)
      return corrupt("pad " + std::to_string(number) + " is free and used by " + users_of(number));
    if (number >= next_pad && (references == 1 || is_free))
      return corrupt("pad " + std::to_string(number) + (is_free ? " is free" : " is used by " + users_of(number))
                     + ", but the next pad is " + std::to_string(next_pad));
    if (references == 1)
      used_.insert(number);
    else
      used_.erase(number);
  }
  return {};
}

// For messages: looks at every key.
std::string index_state::users_of(std::uint64_t pad_number) const {
  std::string users;
  auto look = [&](std::string_view what, const std::string& key, const chunk_list& chunks) {
    for (const auto& c : chunks)
      if (!c.inherited() && c.pad.number == pad_number)
        users += std::string(users.empty() ? "" : " and ") + std::string(what) + " " + rules::quoted(key);
    return users.size() < 1000;
  };
  entries_.for_each_from({}, [&](const std::string& key, const entry& value) {
    return !value.chunks || look("entry", key, *value.chunks);
  });
  uploads_.for_each_from({}, [&](const std::string& key, const std::shared_ptr<const upload>& u) {
    return look("upload", key, chunks_of(*u));
  });
  return users;
}

}  // namespace mutant
