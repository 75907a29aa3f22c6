// The master index told a second time, as plainly as possible, to compare index_state with: every operation works on a copy,
// the pads in use are counted afresh each time. For small states only.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>

#include "core/error.hpp"
#include "core/index/model.hpp"

namespace mutant::testing {

struct index_model {
  struct flat_upload {
    upload head;  // no pieces
    chunk_list chunks;
  };

  std::map<std::string, entry> entries;
  std::map<std::string, flat_upload> uploads;
  std::map<std::uint64_t, std::uint64_t> free_pads;
  std::set<std::uint64_t> gaps;  // skipped when next_pad rose
  std::uint64_t next_pad = 0;

  std::set<std::uint64_t> used() const {
    std::set<std::uint64_t> pads;
    for (const auto& [key, e] : entries)
      if (e.chunks)
        for (const auto& c : *e.chunks)
          pads.insert(c.pad.number);
    for (const auto& [key, u] : uploads)
      for (const auto& c : u.chunks)
        if (!c.inherited())
          pads.insert(c.pad.number);
    return pads;
  }

  // Nothing: done. Otherwise why not, and the model is as before.
  std::optional<errc> apply(const operation& op, std::uint64_t version) {
    auto before = *this;
    auto refused = std::visit([&](const auto& o) { return before.take(o, version); }, op);
    if (!refused)
      *this = std::move(before);
    return refused;
  }

 private:
  void touch(std::uint64_t number) {
    for (; next_pad <= number; ++next_pad)
      gaps.insert(next_pad);
    gaps.erase(number);
  }

  void release(const chunk_list& chunks) {
    for (const auto& c : chunks)
      if (!c.inherited())
        free_pads[c.pad.number] = c.pad.counter;
  }

  void release_entry(const std::string& key) {
    if (auto e = entries.find(key); e != entries.end() && e->second.chunks)
      release(*e->second.chunks);
  }

  std::optional<errc> acquire(const chunk_list& chunks) {
    std::set<std::uint64_t> mine;
    for (const auto& c : chunks)
      if (!c.inherited() && !mine.insert(c.pad.number).second)
        return errc::invalid_argument;
    auto in_use = used();
    for (const auto& c : chunks) {
      if (c.inherited())
        continue;
      auto freed = free_pads.find(c.pad.number);
      if (in_use.contains(c.pad.number) || (freed != free_pads.end() && freed->second >= c.pad.counter))
        return errc::pad_conflict;
    }
    for (const auto& c : chunks)
      if (!c.inherited()) {
        touch(c.pad.number);
        free_pads.erase(c.pad.number);
      }
    return std::nullopt;
  }

  std::optional<errc> take(const put_op& op, std::uint64_t version) {
    chunk_list fresh, gone;
    auto is_in = [](const chunk& c, const std::shared_ptr<const chunk_list>& list) {
      return list && std::any_of(list->begin(), list->end(), [&](const chunk& o) { return o.pad == c.pad; });
    };
    auto old = entries.contains(op.key) ? entries[op.key].chunks : nullptr;
    if (op.value.chunks) {
      std::set<std::uint64_t> numbers;
      for (const auto& c : *op.value.chunks) {
        if (!numbers.insert(c.pad.number).second)
          return errc::invalid_argument;
        if (!is_in(c, old))
          fresh.push_back(c);
      }
    }
    if (old) {
      for (const auto& c : *old)
        if (!is_in(c, op.value.chunks))
          gone.push_back(c);
    }
    if (auto refused = acquire(fresh))
      return refused;
    release(gone);
    entries[op.key] = op.value;
    entries[op.key].version = version;
    return std::nullopt;
  }

  std::optional<errc> take(const remove_op& op, std::uint64_t) {
    if (!entries.contains(op.key))
      return errc::key_not_found;
    release_entry(op.key);
    entries.erase(op.key);
    return std::nullopt;
  }

  std::optional<errc> take(const assemble_op& op, std::uint64_t version) {
    entry value;
    chunk_list chunks;
    std::set<std::string> met{op.key};
    for (const auto& part : op.parts) {
      if (!met.insert(part).second)
        return errc::invalid_argument;
      auto e = entries.find(part);
      if (e == entries.end())
        return errc::key_not_found;
      if (e->second.size != 0 && !e->second.chunks)
        return errc::invalid_argument;
      value.size += e->second.size;
      if (e->second.chunks)
        chunks.insert(chunks.end(), e->second.chunks->begin(), e->second.chunks->end());
    }
    if (op.parts.empty())
      return errc::invalid_argument;
    for (const auto& part : op.parts)
      entries.erase(part);
    release_entry(op.key);
    value.modified_ms = op.modified_ms;
    value.attributes = op.attributes;
    value.version = version;
    if (!chunks.empty())
      value.chunks = std::make_shared<const chunk_list>(chunks);
    entries[op.key] = value;
    return std::nullopt;
  }

  std::optional<errc> take(const rename_op& op, std::uint64_t version) {
    if (!entries.contains(op.from))
      return errc::key_not_found;
    if (entries.contains(op.to))
      return errc::key_exists;
    entries[op.to] = entries[op.from];
    entries[op.to].version = version;
    entries.erase(op.from);
    return std::nullopt;
  }

  std::optional<errc> take(const begin_upload_op& op, std::uint64_t) {
    if (auto u = uploads.find(op.key); u != uploads.end())
      release(u->second.chunks);
    upload head;
    head.id = op.id;
    head.size = op.size;
    head.chunk_size = op.chunk_size;
    head.started_ms = op.started_ms;
    head.base_version = op.base_version;
    uploads[op.key] = {head, {}};
    return std::nullopt;
  }

  flat_upload* upload_of(const std::string& key, std::uint64_t id) {
    auto u = uploads.find(key);
    return u != uploads.end() && u->second.head.id == id ? &u->second : nullptr;
  }

  static void append(flat_upload& u, const chunk_list& chunks) {
    for (auto c : chunks) {
      if (c.inherited())
        c = {{}, c.length, c.print};
      u.chunks.push_back(c);
      u.head.bytes_done += c.length;
      ++u.head.chunks_done;
    }
  }

  std::optional<errc> take(const extend_upload_op& op, std::uint64_t) {
    auto* u = upload_of(op.key, op.id);
    if (u == nullptr)
      return errc::key_not_found;
    if (op.first != u->head.chunks_done)
      return errc::invalid_argument;
    if (auto refused = acquire(op.chunks))
      return refused;
    append(*u, op.chunks);
    return std::nullopt;
  }

  std::optional<errc> take(const complete_upload_op& op, std::uint64_t version) {
    auto* u = upload_of(op.key, op.id);
    if (u == nullptr)
      return errc::key_not_found;
    if (auto refused = acquire(op.tail))
      return refused;
    append(*u, op.tail);
    if (u->head.bytes_done != op.size)
      return errc::invalid_argument;
    auto base = entries.find(op.key);
    chunk_list old = base != entries.end() && base->second.chunks ? *base->second.chunks : chunk_list();
    for (std::size_t i = 0; i < u->chunks.size(); ++i) {
      auto& c = u->chunks[i];
      if (!c.inherited())
        continue;
      if (i >= old.size() || base->second.version != u->head.base_version || old[i].length != c.length
          || old[i].print != c.print)
        return errc::version_mismatch;
      c = old[i];
      old[i].pad = {};  // stays
    }
    release(old);
    entry value;
    value.size = op.size;
    value.modified_ms = op.modified_ms;
    value.attributes = op.attributes;
    value.version = version;
    if (!u->chunks.empty())
      value.chunks = std::make_shared<const chunk_list>(u->chunks);
    entries[op.key] = value;
    uploads.erase(op.key);
    return std::nullopt;
  }

  std::optional<errc> take(const drop_upload_op& op, std::uint64_t) {
    auto* u = upload_of(op.key, op.id);
    if (u == nullptr)
      return errc::key_not_found;
    release(u->chunks);
    uploads.erase(op.key);
    return std::nullopt;
  }

  std::optional<errc> take(const adopt_upload_op& op, std::uint64_t) {
    auto* u = upload_of(op.key, op.id);
    if (u == nullptr)
      return errc::key_not_found;
    if (op.keep > u->chunks.size())
      return errc::invalid_argument;
    auto& chunks = u->chunks;
    release(chunk_list(chunks.begin() + static_cast<std::ptrdiff_t>(op.keep), chunks.end()));
    chunks.resize(op.keep);
    u->head.id = op.new_id;
    u->head.chunks_done = op.keep;
    u->head.bytes_done = 0;
    for (const auto& c : chunks)
      u->head.bytes_done += c.length;
    return std::nullopt;
  }

  std::optional<errc> take(const free_pads_op& op, std::uint64_t) {
    auto in_use = used();
    for (const auto& p : op.pads)
      if (in_use.contains(p.number))
        return errc::pad_conflict;
    for (const auto& p : op.pads) {
      touch(p.number);
      free_pads[p.number] = std::max(free_pads[p.number], p.counter);
    }
    return std::nullopt;
  }
};

// Random operations over few keys and pads, most of them possible and some not.
class operation_source {
 public:
  explicit operation_source(std::uint64_t seed) : random_(seed) {}

  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  static std::string key(std::uint64_t n) { return (n % 3 == 0 ? "a/" : "b/") + std::string(n % 5, 'k') + std::to_string(n); }
  static constexpr std::uint64_t keys = 12;
  std::string key() { return key(below(keys)); }

  // `kept`: whether uploads may keep chunks of an entry.
  operation next(const index_model& m, bool kept = true) {
    taken_.clear();
    switch (below(12)) {
      case 0: return remove_op{key()};
      case 1: return rename_op{key(), key()};
      case 2:
      case 3: return begin(m, kept);
      case 4:
      case 5: return extend(m);
      case 6: return complete(m);
      case 7: return below(3) == 0 ? operation(drop_upload_op{key(), 0}) : drop(m);
      case 8: return free(m);
      case 9: return adopt(m);
      case 10: return assemble(m);
      default: return put(m);
    }
  }

  static constexpr std::uint32_t chunk_size = 8;

 private:
  fingerprint print() {
    fingerprint p{};
    p[0] = static_cast<std::byte>(below(3));
    return p;
  }

  pad_ref pad(const index_model& m) {
    auto chosen = [&]() -> pad_ref {
      if (below(30) == 0)
        return {below(m.next_pad + 5), 1 + below(6)};
      if (!m.free_pads.empty() && below(2) == 0) {
        auto at = std::next(m.free_pads.begin(), static_cast<std::ptrdiff_t>(below(m.free_pads.size())));
        return {at->first, at->second + below(20) / 19 * 2 + (below(20) == 0 ? 0 : 1)};
      }
      return {m.next_pad + (below(8) == 0 ? below(4) : 0), 1 + below(2)};
    }();
    if (below(60) != 0)
      while (taken_.contains(chosen.number))
        chosen = {std::max(m.next_pad, *taken_.rbegin() + 1), 1};
    chosen.counter = std::max<std::uint64_t>(chosen.counter, 1);
    taken_.insert(chosen.number);
    return chosen;
  }

  chunk placed(chunk c) {
    c.address[0] = static_cast<std::byte>(c.pad.number);
    c.encoding = below(2) == 0 ? chunk_encoding::plain : chunk_encoding::zstd;
    return c;
  }

  attribute_set attributes() {
    return below(2) == 0 ? attribute_set() : attribute_set(attribute_map{{"x-n", std::to_string(below(100))}});
  }

  // Of two or three keys that are there, mostly: of those whose values lie in pads, mostly.
  operation assemble(const index_model& m) {
    assemble_op op{key(), static_cast<std::int64_t>(below(1000)), attributes(), {}};
    for (const auto& [k, e] : m.entries)
      if (op.parts.size() < 3 && (below(30) == 0 || ((e.chunks || e.size == 0) && k != op.key && below(2) == 0)))
        op.parts.push_back(k);
    if (below(20) == 0)
      op.parts.push_back(key());
    if (op.parts.size() > 1 && below(2) == 0)
      std::swap(op.parts.front(), op.parts.back());
    return op;
  }

  chunk_list chunks(const index_model& m, std::uint64_t count, bool short_end) {
    chunk_list list;
    for (std::uint64_t i = 0; i < count; ++i)
      list.push_back(placed({pad(m), below(4) == 0 ? static_cast<std::uint32_t>(1 + below(chunk_size)) : chunk_size, print()}));
    if (short_end && !list.empty())
      list.back().length = static_cast<std::uint32_t>(1 + below(chunk_size));
    return list;
  }

  operation put(const index_model& m) {
    put_op op{key(), {}};
    op.value.modified_ms = static_cast<std::int64_t>(below(1000));
    op.value.attributes = attributes();
    if (below(3) == 0) {
      op.value.inline_value = bytes::copy_of(std::string(below(20), 'v'));
      op.value.size = op.value.inline_value.size();
      return op;
    }
    auto list = chunks(m, 1 + below(6), true);
    if (auto old = m.entries.find(op.key); old != m.entries.end() && old->second.chunks)
      for (std::size_t i = 0; i < list.size() && i < old->second.chunks->size(); ++i)
        if (below(2) == 0)
          list[i].pad = (*old->second.chunks)[i].pad;
    for (const auto& c : list)
      op.value.size += c.length;
    op.value.chunks = std::make_shared<const chunk_list>(std::move(list));
    return op;
  }

  operation begin(const index_model& m, bool kept) {
    auto k = key();
    auto old = m.entries.find(k);
    auto base = kept && old != m.entries.end() ? old->second.version : 0;
    return begin_upload_op{k, below(4), std::nullopt, chunk_size, static_cast<std::int64_t>(below(1000)), base};
  }

  const std::pair<const std::string, index_model::flat_upload>* some_upload(const index_model& m) {
    if (m.uploads.empty())
      return nullptr;
    return &*std::next(m.uploads.begin(), static_cast<std::ptrdiff_t>(below(m.uploads.size())));
  }

  // Replaces chunks by those of the entry at the same places.
  void keep_some(const index_model& m, const std::string& k, const index_model::flat_upload& u, chunk_list& list) {
    auto old = m.entries.find(k);
    if (u.head.base_version == 0 || old == m.entries.end() || !old->second.chunks)
      return;
    for (std::size_t i = 0; i < list.size(); ++i) {
      auto place = u.chunks.size() + i;
      if (place >= old->second.chunks->size() || below(3) == 0)
        continue;
      const auto& c = (*old->second.chunks)[place];
      if (c.length == list[i].length)
        list[i] = {{c.pad.number, 0}, c.length, below(20) == 0 ? print() : c.print};
    }
  }

  operation extend(const index_model& m) {
    const auto* u = some_upload(m);
    if (u == nullptr)
      return extend_upload_op{key(), 0, 0, {}};
    auto list = chunks(m, below(5), below(5) == 0);
    keep_some(m, u->first, u->second, list);
    auto first = u->second.head.chunks_done + below(30) / 29;
    return extend_upload_op{u->first, u->second.head.id + below(20) / 19, first, std::move(list)};
  }

  operation complete(const index_model& m) {
    const auto* u = some_upload(m);
    if (u == nullptr)
      return complete_upload_op{key(), 0, 0, 0, {}, {}};
    auto list = chunks(m, below(3), true);
    keep_some(m, u->first, u->second, list);
    auto size = u->second.head.bytes_done + below(20) / 19;
    for (const auto& c : list)
      size += c.length;
    return complete_upload_op{u->first, u->second.head.id, size, static_cast<std::int64_t>(below(1000)),
                              attributes(), std::move(list)};
  }

  operation drop(const index_model& m) {
    const auto* u = some_upload(m);
    return u == nullptr ? drop_upload_op{key(), 1} : drop_upload_op{u->first, u->second.head.id};
  }

  operation adopt(const index_model& m) {
    const auto* u = some_upload(m);
    if (u == nullptr)
      return adopt_upload_op{key(), 1, 2, 0};
    return adopt_upload_op{u->first, u->second.head.id, below(4), below(u->second.chunks.size() + 1) + below(20) / 19};
  }

  operation free(const index_model& m) {
    free_pads_op op;
    if (below(5) == 0) {
      op.pads = {{below(m.next_pad + 3), below(4)}};
    } else {
      for (auto gap : m.gaps)
        if (below(2) == 0)
          op.pads.push_back({gap, below(3)});
    }
    return op;
  }

  std::mt19937_64 random_;
  std::set<std::uint64_t> taken_;
};

}  // namespace mutant::testing
