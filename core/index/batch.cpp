// index_batch: every operation is checked in full before it changes anything.
#include <algorithm>
#include <set>

#include "core/index/rules.hpp"
#include "core/index/state.hpp"

namespace mutant {
namespace {

// Pieces of an upload merge while they are small: extending n times leaves about n / piece_chunks + log n pieces, each
// chunk copied a few times.
constexpr std::size_t piece_chunks = 4096;

void append_piece(upload& u, chunk_list&& chunks) {
  while (!u.pieces.empty()) {
    const auto& last = *u.pieces.back();
    if (last.size() > 2 * chunks.size() || last.size() + chunks.size() > piece_chunks)
      break;
    chunk_list joined;
    joined.reserve(last.size() + chunks.size());
    joined.insert(joined.end(), last.begin(), last.end());
    joined.insert(joined.end(), chunks.begin(), chunks.end());
    chunks = std::move(joined);
    u.pieces.pop_back();
  }
  u.pieces.push_back(std::make_shared<const chunk_list>(std::move(chunks)));
}

// Leaves the first `keep` chunks, of more than that; gives the others.
chunk_list cut_tail(upload& u, std::uint64_t keep) {
  chunk_list tail;
  auto count = u.chunks_done - keep;
  while (tail.size() < count) {
    const auto piece = std::move(u.pieces.back());
    u.pieces.pop_back();
    auto surplus = std::min<std::size_t>(piece->size(), count - tail.size());
    auto end = piece->end() - static_cast<std::ptrdiff_t>(surplus);
    tail.insert(tail.end(), end, piece->end());
    if (surplus < piece->size())
      u.pieces.push_back(std::make_shared<const chunk_list>(piece->begin(), end));
  }
  u.chunks_done = keep;
  u.bytes_done -= bytes_of(tail);
  return tail;
}

// One form for kept chunks, in the log and in every state.
void clear_kept_pads(chunk_list& chunks) {
  for (auto& c : chunks)
    if (c.inherited())
      c = {{}, c.length, c.print};
}

bool contains(const std::vector<pad_ref>& sorted, const pad_ref& ref) {
  return std::binary_search(sorted.begin(), sorted.end(), ref);
}

// The references that both lists hold, sorted.
std::vector<pad_ref> common_refs(const chunk_list& a, const chunk_list& b) {
  auto sorted_refs = [](const chunk_list& chunks) {
    std::vector<pad_ref> refs;
    refs.reserve(chunks.size());
    for (const auto& c : chunks)
      refs.push_back(c.pad);
    std::sort(refs.begin(), refs.end());
    return refs;
  };
  auto left = sorted_refs(a);
  auto right = sorted_refs(b);
  std::vector<pad_ref> both;
  std::set_intersection(left.begin(), left.end(), right.begin(), right.end(), std::back_inserter(both));
  return both;
}

tl::unexpected<error> absent(std::string_view doing, std::string_view key) {
  return fail(errc::key_not_found, std::string(doing) + " " + rules::quoted(key) + ": no such key");
}

// "put 'key': what is wrong"
tl::unexpected<error> because(std::string_view doing, std::string_view key, error&& e) {
  e.message = std::string(doing) + " " + rules::quoted(key) + ": " + e.message;
  return fail(std::move(e));
}

}  // namespace

index_batch::index_batch(const index_state& base) : base_(base), next_pad_(base.next_pad()) {}

result<void> index_batch::add(operation op) {
  auto taken = std::visit([this](auto& o) { return take(o); }, op);
  if (taken)
    operations_.push_back(std::move(op));
  return taken;
}

const entry* index_batch::find(std::string_view key) const {
  if (auto changed = entries_.find(key); changed != entries_.end())
    return changed->second ? &*changed->second : nullptr;
  return base_.find(key);
}

const upload* index_batch::find_upload(std::string_view key) const {
  if (auto changed = uploads_.find(key); changed != uploads_.end())
    return changed->second.get();
  return base_.find_upload(key);
}

index_batch::pad_state index_batch::pad(std::uint64_t number) const {
  if (const auto* changed = pads_.find(number))
    return *changed;
  return {base_.in_use(number), base_.free_counter(number)};
}

// -- pads -------------------------------------------------------------------------------------------------------------

// kept: references that change nothing, sorted.
result<void> index_batch::check_takeable(const chunk_list& chunks, const std::vector<pad_ref>& kept) const {
  if (auto twice = rules::find_duplicate(chunks))
    return fail(errc::invalid_argument, "two chunks use pad " + std::to_string(*twice));
  for (const auto& c : chunks) {
    if (c.inherited() || contains(kept, c.pad))
      continue;
    auto state = pad(c.pad.number);
    if (state.used)
      return fail(errc::pad_conflict, "pad " + std::to_string(c.pad.number) + " is in use: take another");
    if (state.free_counter && *state.free_counter >= c.pad.counter)
      return fail(errc::pad_conflict,
                  "pad " + std::to_string(c.pad.number) + " is free at counter " + std::to_string(*state.free_counter)
                      + ", so counter " + std::to_string(c.pad.counter) + " cannot be trusted: take another",
                  *state.free_counter);
  }
  return {};
}

void index_batch::take_pads(const chunk_list& chunks, const std::vector<pad_ref>& kept) {
  for (const auto& c : chunks) {
    if (c.inherited() || contains(kept, c.pad))
      continue;
    pads_.insert_or_assign(c.pad.number, {.used = true, .free_counter = std::nullopt});
    next_pad_ = std::max(next_pad_, c.pad.number + 1);
  }
}

void index_batch::free_pads(const chunk_list& chunks, const std::vector<pad_ref>& kept) {
  for (const auto& c : chunks)
    if (!c.inherited() && !contains(kept, c.pad))
      pads_.insert_or_assign(c.pad.number, {.used = false, .free_counter = c.pad.counter});
}

void index_batch::free_upload_pads(std::string_view key) {
  if (const auto* u = find_upload(key))
    for (const auto& piece : u->pieces)
      free_pads(*piece, {});
}

// kept: references that the value has in common with the entry that it replaces.
void index_batch::replace_entry(const std::string& key, entry value, const std::vector<pad_ref>& kept) {
  if (const auto* old = find(key); old != nullptr && old->chunks)
    free_pads(*old->chunks, kept);
  value.version = base_.sequence() + 1;
  entries_.insert_or_assign(key, std::move(value));
}

// -- complete values --------------------------------------------------------------------------------------------------

result<void> index_batch::take(put_op& op) {
  op.value.version = 0;
  if (op.value.chunk_count() == 0)
    op.value.chunks = nullptr;
  if (auto ok = rules::check_key(op.key); !ok)
    return ok;
  if (auto ok = rules::check_value(op.value); !ok)
    return because("put", op.key, std::move(ok.error()));
  std::vector<pad_ref> kept;
  if (op.value.chunks) {
    if (const auto* old = find(op.key); old != nullptr && old->chunks)
      kept = common_refs(*op.value.chunks, *old->chunks);
    if (auto ok = check_takeable(*op.value.chunks, kept); !ok)
      return because("put", op.key, std::move(ok.error()));
    take_pads(*op.value.chunks, kept);
  }
  replace_entry(op.key, op.value, kept);
  return {};
}

result<void> index_batch::take(remove_op& op) {
  if (auto ok = rules::check_key(op.key); !ok)
    return ok;
  const auto* old = find(op.key);
  if (old == nullptr)
    return absent("remove", op.key);
  if (old->chunks)
    free_pads(*old->chunks, {});
  entries_.insert_or_assign(op.key, std::nullopt);
  return {};
}

result<void> index_batch::take(rename_op& op) {
  for (const auto* key : {&op.from, &op.to})
    if (auto ok = rules::check_key(*key); !ok)
      return ok;
  const auto* from = find(op.from);
  if (from == nullptr)
    return absent("rename", op.from);
  if (find(op.to) != nullptr)
    return fail(errc::key_exists, "rename " + rules::quoted(op.from) + ": " + rules::quoted(op.to) + " exists");
  auto value = *from;
  value.version = base_.sequence() + 1;
  entries_.insert_or_assign(op.to, std::move(value));
  entries_.insert_or_assign(op.from, std::nullopt);
  return {};
}

// The chunks of all parts, in order.
result<chunk_list> index_batch::gather_parts(const assemble_op& op) const {
  chunk_list all;
  std::uint64_t size = 0;
  std::set<std::string_view> met{op.key};
  for (const auto& part : op.parts) {
    if (auto ok = rules::check_key(part); !ok)
      return fail(std::move(ok.error()));
    if (!met.insert(part).second)
      return fail(errc::invalid_argument, "assemble " + rules::quoted(op.key) + ": " + rules::quoted(part)
                                              + (part == op.key ? " cannot be a part of itself" : " is there twice"));
    const auto* value = find(part);
    if (value == nullptr)
      return fail(errc::key_not_found, "assemble " + rules::quoted(op.key) + ": its part " + rules::quoted(part)
                                           + " is gone");
    if (!value->chunks && value->size != 0)
      return fail(errc::invalid_argument, "assemble " + rules::quoted(op.key) + ": its part " + rules::quoted(part)
                                              + " lies in the index, not in pads");
    size += value->size;  // each below max_number, which two of do not wrap
    if (size >= max_number)
      return fail(errc::invalid_argument, "assemble " + rules::quoted(op.key) + ": the value is too large");
    if (value->chunks)
      all.insert(all.end(), value->chunks->begin(), value->chunks->end());
  }
  return all;
}

result<void> index_batch::take(assemble_op& op) {
  if (auto ok = rules::check_key(op.key); !ok)
    return ok;
  if (auto ok = check_attributes(op.attributes); !ok)
    return because("assemble", op.key, std::move(ok.error()));
  if (op.parts.empty())
    return fail(errc::invalid_argument, "assemble " + rules::quoted(op.key) + ": of no parts");
  auto chunks = gather_parts(op);
  if (!chunks)
    return fail(std::move(chunks.error()));
  entry value;
  value.size = bytes_of(*chunks);
  value.modified_ms = op.modified_ms;
  value.attributes = op.attributes;
  if (!chunks->empty())
    value.chunks = std::make_shared<const chunk_list>(std::move(*chunks));
  for (const auto& part : op.parts)
    entries_.insert_or_assign(part, std::nullopt);  // its pads stay in use: they are the new value's
  replace_entry(op.key, std::move(value), {});
  return {};
}

// -- uploads ----------------------------------------------------------------------------------------------------------

result<const upload*> index_batch::upload_of(std::string_view key, std::uint64_t id, std::string_view doing) const {
  if (auto ok = rules::check_key(key); !ok)
    return fail(std::move(ok.error()));
  const auto* u = find_upload(key);
  if (u == nullptr || u->id != id)
    return fail(errc::key_not_found,
                std::string(doing) + " " + rules::quoted(key) + ": the upload is gone or another has replaced it");
  return u;
}

// Whether `chunks` may come next.
result<void> index_batch::check_upload_run(const upload& u, const chunk_list& chunks, std::string_view key) const {
  auto bytes_done = rules::check_run(u.chunks_done, u.bytes_done, chunks, u.base_version != 0);
  if (!bytes_done)
    return because("upload of", key, std::move(bytes_done.error()));
  if (u.size && *bytes_done > *u.size)
    return fail(errc::invalid_argument, "upload of " + rules::quoted(key) + ": chunks for "
                                            + std::to_string(*bytes_done) + " bytes of " + std::to_string(*u.size));
  if (auto ok = check_takeable(chunks, {}); !ok)
    return because("upload of", key, std::move(ok.error()));
  return {};
}

result<void> index_batch::take(begin_upload_op& op) {
  if (auto ok = rules::check_key(op.key); !ok)
    return ok;
  upload u;
  u.id = op.id;
  u.size = op.size;
  u.chunk_size = op.chunk_size;
  u.started_ms = op.started_ms;
  u.base_version = op.base_version;
  if (auto ok = rules::check_upload_head(u); !ok)
    return because("begin upload of", op.key, std::move(ok.error()));
  free_upload_pads(op.key);
  uploads_.insert_or_assign(op.key, std::make_shared<const upload>(std::move(u)));
  return {};
}

result<void> index_batch::take(extend_upload_op& op) {
  auto found = upload_of(op.key, op.id, "extend upload of");
  if (!found)
    return fail(std::move(found.error()));
  const auto& u = **found;
  clear_kept_pads(op.chunks);
  if (op.first != u.chunks_done)
    return fail(errc::invalid_argument, "extend upload of " + rules::quoted(op.key) + ": chunk "
                                            + std::to_string(op.first) + " comes after "
                                            + std::to_string(u.chunks_done));
  if (auto ok = check_upload_run(u, op.chunks, op.key); !ok)
    return ok;
  if (op.chunks.empty())
    return {};
  auto longer = std::make_shared<upload>(u);
  longer->chunks_done += op.chunks.size();
  longer->bytes_done += bytes_of(op.chunks);
  append_piece(*longer, chunk_list(op.chunks));
  take_pads(op.chunks, {});
  uploads_.insert_or_assign(op.key, std::move(longer));
  return {};
}

result<void> index_batch::take(adopt_upload_op& op) {
  auto found = upload_of(op.key, op.id, "adopt upload of");
  if (!found)
    return fail(std::move(found.error()));
  const auto& u = **found;
  if (op.keep > u.chunks_done)
    return fail(errc::invalid_argument, "adopt upload of " + rules::quoted(op.key) + ": it has "
                                            + std::to_string(u.chunks_done) + " chunks, not "
                                            + std::to_string(op.keep));
  auto adopted = std::make_shared<upload>(u);
  adopted->id = op.new_id;
  if (op.keep < u.chunks_done)
    free_pads(cut_tail(*adopted, op.keep), {});
  uploads_.insert_or_assign(op.key, std::move(adopted));
  return {};
}

// The value's whole list, kept chunks replaced by the base entry's. kept: those, sorted.
result<chunk_list> index_batch::resolve(const upload& u, const complete_upload_op& op,
                                        std::vector<pad_ref>& kept) const {
  const auto* base = find(op.key);
  chunk_list all;
  all.reserve(u.chunks_done + op.tail.size());
  for (const auto& piece : u.pieces)
    all.insert(all.end(), piece->begin(), piece->end());
  all.insert(all.end(), op.tail.begin(), op.tail.end());
  for (std::size_t i = 0; i < all.size(); ++i) {
    auto& c = all[i];
    if (!c.inherited())
      continue;
    auto known = base != nullptr && base->version == u.base_version && i < base->chunk_count();
    if (!known || (*base->chunks)[i].length != c.length || (*base->chunks)[i].print != c.print)
      return fail(errc::version_mismatch, "complete upload of " + rules::quoted(op.key) + ": chunk " + std::to_string(i)
                                              + " is not in version " + std::to_string(u.base_version)
                                              + " of the value any more: put it again");
    c = (*base->chunks)[i];
    kept.push_back(c.pad);
  }
  std::sort(kept.begin(), kept.end());
  return all;
}

result<void> index_batch::take(complete_upload_op& op) {
  auto found = upload_of(op.key, op.id, "complete upload of");
  if (!found)
    return fail(std::move(found.error()));
  const auto& u = **found;
  if (auto ok = check_attributes(op.attributes); !ok)
    return because("complete upload of", op.key, std::move(ok.error()));
  clear_kept_pads(op.tail);
  if (auto ok = check_upload_run(u, op.tail, op.key); !ok)
    return ok;
  const auto size = u.bytes_done + bytes_of(op.tail);
  if (size != op.size || (u.size && *u.size != op.size))
    return fail(errc::invalid_argument, "complete upload of " + rules::quoted(op.key) + ": " + std::to_string(size)
                                            + " bytes are there of " + std::to_string(op.size));
  std::vector<pad_ref> kept;
  auto chunks = resolve(u, op, kept);
  if (!chunks)
    return fail(std::move(chunks.error()));

  entry value;
  value.size = size;
  value.modified_ms = op.modified_ms;
  value.attributes = op.attributes;
  if (!chunks->empty())
    value.chunks = std::make_shared<const chunk_list>(std::move(*chunks));
  take_pads(op.tail, {});
  replace_entry(op.key, std::move(value), kept);
  uploads_.insert_or_assign(op.key, nullptr);
  return {};
}

result<void> index_batch::take(drop_upload_op& op) {
  if (auto found = upload_of(op.key, op.id, "drop upload of"); !found)
    return fail(std::move(found.error()));
  free_upload_pads(op.key);
  uploads_.insert_or_assign(op.key, nullptr);
  return {};
}

result<void> index_batch::take(free_pads_op& op) {
  if (auto twice = rules::find_duplicate(op.pads))
    return fail(errc::invalid_argument, "free pads: pad " + std::to_string(*twice) + " is there twice");
  for (const auto& p : op.pads) {
    if (p.number >= max_number || p.counter >= max_number)
      return fail(errc::invalid_argument, "free pads: pad " + std::to_string(p.number) + " at counter "
                                              + std::to_string(p.counter) + " is out of range");
    if (in_use(p.number))
      return fail(errc::pad_conflict, "free pads: pad " + std::to_string(p.number) + " is in use");
  }
  for (const auto& p : op.pads) {
    auto counter = std::max(p.counter, free_counter(p.number).value_or(0));
    pads_.insert_or_assign(p.number, {.used = false, .free_counter = counter});
    next_pad_ = std::max(next_pad_, p.number + 1);
  }
  return {};
}

}  // namespace mutant
