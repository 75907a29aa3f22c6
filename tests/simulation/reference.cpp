#include "tests/simulation/reference.hpp"

#include <algorithm>

#include "core/index/ring.hpp"

namespace mutant::simulation {

namespace {

std::string text(const pad_address& address) {
  return std::string(as_text(byte_view(address)));
}

std::string excerpt(std::string_view content) {
  std::string out;
  for (char c : content.substr(0, 24))
    out += c >= 0x20 && c < 0x7f ? c : '.';
  return std::to_string(content.size()) + " bytes '" + out + "'";
}

std::string text(std::uint64_t n) {
  return std::to_string(n);
}

}  // namespace

reference::reference(const seed& owner, pad_engine& engine) : engine_(engine), keys_(owner) {
  opener_.options.keys = std::make_shared<const keyring>(owner);
  derive(space::root, pad_space::root, 0, 1);
  derive(space::log, pad_space::log, 0, 32);
}

std::string_view reference::name_of_space(space where) {
  switch (where) {
    case space::root: return "root";
    case space::log: return "log slot";
    case space::part: return "part";
    case space::data: break;
  }
  return "pad";
}

void reference::violate(std::string what) {
  if (!violation_)
    violation_ = "at commit " + text(state_.sequence()) + ": " + std::move(what);
}

// -- pads ----------------------------------------------------------------------------------------------------------------

void reference::derive(space where, pad_space pads, std::uint64_t from, std::uint64_t count) {
  address_job job{pads, {}};
  for (auto i = from; i < from + count; ++i)
    job.numbers.push_back(i);
  auto addresses = opener_.addresses(job).value();
  for (std::size_t i = 0; i < addresses.size(); ++i)
    places_.emplace(text(addresses[i]), place{where, from + i});
}

std::optional<reference::place> reference::locate(const pad_address& address) {
  for (int i = 0; i < 256; ++i) {  // a store that stays full uses up part numbers in vain, thousands of them
    if (auto at = places_.find(text(address)); at != places_.end())
      return at->second;
    derive(space::data, pad_space::data, derived_data_, 32);
    derived_data_ += 32;
    if (i % 2 == 0) {
      derive(space::part, pad_space::part, derived_parts_, 32);
      derived_parts_ += 32;
    }
  }
  return std::nullopt;
}

void reference::wrote(const bytes& record) {
  auto header = parse_record(record);
  if (!header)
    return violate("a damaged record was written");
  auto at = locate(header->address);
  if (!at)
    return violate("a pad was written that is far beyond all others");
  if (on_write)
    on_write(std::string(name_of_space(at->where)) + " " + text(at->number) + " written at counter " + text(header->counter)
             + (header->blank ? ", blank" : ""));
  switch (at->where) {
    case space::root: return wrote_root(record, header->counter);
    case space::log: return wrote_log(record, at->number, header->counter);
    case space::part:
      if (root_)
        for (const auto& part : root_->parts)
          if (part.pad.number == at->number && part.pad.counter != header->counter)
            violate("snapshot part " + text(at->number) + ", which the root names, was overwritten");
      return;
    case space::data:
      if (auto use = used_.find(at->number); use != used_.end() && use->second != header->counter)
        violate("pad " + text(at->number) + ", in use at counter " + text(use->second) + ", was overwritten at counter "
                + text(header->counter));
  }
}

void reference::erased(const pad_address& address) {
  auto at = locate(address);
  if (!at)
    return violate("an unknown pad was erased");
  if (at->where == space::root || at->where == space::log)
    return violate("the root or a log slot was erased");
  if (at->where == space::data && used_.contains(at->number))
    return violate("pad " + text(at->number) + " was erased while in use");
  if (at->where == space::part && root_)
    for (const auto& part : root_->parts)
      if (part.pad.number == at->number)
        violate("snapshot part " + text(at->number) + " was erased while the root names it");
}

// -- root ----------------------------------------------------------------------------------------------------------------

void reference::wrote_root(const bytes& record, std::uint64_t counter) {
  auto opened = opener_.open(open_root_job{record});
  if (!opened)
    return violate("a root that cannot be read: " + opened.error().message);
  const auto& now = opened->what;
  if (counter != root_counter_ + 1)
    violate("root counter " + text(counter) + " after " + text(root_counter_));
  if (root_ && now.sequence < root_->sequence)
    violate("the root went back from commit " + text(root_->sequence) + " to " + text(now.sequence));
  if (root_ && now.ring_slots != root_->ring_slots)
    violate("the ring changed its size");
  for (std::uint64_t slot = 0; slot < now.ring_slots; ++slot)
    if (now.slot_address(slot) != opener_.addresses({pad_space::log, {slot}})->front())
      violate("the root has a wrong address for log slot " + text(slot));
  if (now.sequence > state_.sequence())
    return violate("the root is of commit " + text(now.sequence) + ", which is not there");
  if (now.last_commit != (now.sequence == 0 ? content_hash{} : hashes_.at(now.sequence - 1)))
    violate("the root does not name commit " + text(now.sequence) + " by its hash");
  root_ = now;
  root_counter_ = counter;
  ++roots_;
  compare_with_store();
}

result<index_state> reference::load(const root& from) {
  index_state loaded;
  for (const auto& part : from.parts) {
    auto address = opener_.addresses({pad_space::part, {part.pad.number}})->front();
    if (address != part.address)
      return fail(errc::index_corrupt, "part " + text(part.pad.number) + " has another address than the root says");
    auto record = engine_.get(address);
    if (!record)
      return fail(record.error().code, "part " + text(part.pad.number) + ": " + record.error().message);
    auto opened = opener_.open(open_part_job{*record, part});
    if (!opened)
      return fail(opened.error());
    if (auto taken = loaded.load(**opened); !taken)
      return fail(taken.error());
  }
  if (auto finished = loaded.finish_load(from.sequence, from.next_pad); !finished)
    return fail(finished.error());
  return loaded;
}

void reference::compare_with_store() {
  if (!root_)
    return;
  auto loaded = load(*root_);
  if (!loaded)
    return violate("the snapshot of the root of commit " + text(root_->sequence) + " does not load: "
                   + loaded.error().message);
  for (auto n = loaded->sequence(); n < log_.size(); ++n) {
    index_batch batch(*loaded);
    for (const auto& op : log_[n].operations)
      if (auto added = batch.add(op); !added)
        return violate("commit " + text(n + 1) + " does not fit the snapshot of commit " + text(root_->sequence) + ": "
                       + added.error().message);
    loaded->apply(std::move(batch));
  }
  compare(*loaded, "snapshot " + text(root_->sequence) + " and the log after it");
}

void reference::compare(const index_state& other, std::string_view what) {
  if (violation_)
    return;
  auto differs = [&](const std::string& how) { violate(std::string(what) + " differ from the whole log: " + how); };
  if (other.sequence() != state_.sequence())
    return differs("commit " + text(other.sequence()));
  auto a = state_.list({}, {}, 1'000'000);
  auto b = other.list({}, {}, 1'000'000);
  if (a.size() != b.size())
    return differs(text(b.size()) + " keys instead of " + text(a.size()));
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].key != b[i].key)
      return differs("key " + b[i].key + " instead of " + a[i].key);
    if ((a[i].complete == nullptr) != (b[i].complete == nullptr)
        || (a[i].complete != nullptr && *a[i].complete != *b[i].complete))
      return differs("entry " + a[i].key);
    if ((a[i].pending == nullptr) != (b[i].pending == nullptr)
        || (a[i].pending != nullptr && !(*a[i].pending == *b[i].pending)))
      return differs("upload " + a[i].key);
  }
  if (other.totals() != state_.totals())
    return differs("totals");
  for (std::uint64_t from = 0;;) {
    auto x = state_.next_free(from);
    auto y = other.next_free(from);
    if (x != y)
      return differs("free pads from " + text(from));
    if (!x)
      return;
    from = x->number + 1;
  }
}

// -- log -----------------------------------------------------------------------------------------------------------------

void reference::wrote_log(const bytes& record, std::uint64_t slot, std::uint64_t counter) {
  if (!root_)
    return violate("a commit was written before there was a root");
  const auto slots = root_->ring_slots;
  const auto sequence = (counter - 1) * slots + slot;
  if (sequence != state_.sequence() + 1)
    return violate("commit " + text(sequence) + " was written after " + text(state_.sequence()));
  if (sequence > slots && sequence - slots > root_->sequence)
    violate("commit " + text(sequence) + " took the place of one that no root covers");
  auto opened = opener_.open(open_commit_job{record, sequence, slots});
  if (!opened)
    return violate("commit " + text(sequence) + " cannot be read: " + opened.error().message);
  if (opened->what->previous != last_hash_)
    violate("commit " + text(sequence) + " does not name the one before it");
  last_hash_ = opened->hash;
  hashes_.push_back(opened->hash);
  apply(*opened->what);
}

result<std::string> reference::read_value(const entry& value) {
  if (!value.chunks)
    return std::string(as_text(value.inline_value));
  std::string out;
  for (const auto& c : *value.chunks) {
    const auto address = opener_.addresses({pad_space::data, {c.pad.number}})->front();
    if (address != c.address)
      return fail(errc::corrupt_record, "pad " + text(c.pad.number) + " has another address than the index says");
    auto record = engine_.get(address);
    if (!record)
      return fail(record.error());
    auto plain = opener_.open(open_chunk_job{*record, c, 0, c.length, false});
    if (!plain)
      return fail(plain.error());
    if (keys_.fingerprint_of(*plain) != c.print)
      return fail(errc::corrupt_record, "pad " + text(c.pad.number) + " holds another chunk than the index says");
    out += as_text(*plain);
  }
  return out;
}

std::string names_of(const std::vector<std::string>& parts) {
  std::string names;
  for (const auto& part : parts)
    names += (names.empty() ? "" : "+") + part;
  return names;
}

result<std::string> reference::read_parts(const index_batch& before, const assemble_op& op) {
  std::string all;
  for (const auto& part : op.parts) {
    const auto* there = before.find(part);
    auto content = there != nullptr ? read_value(*there) : result<std::string>(fail(errc::key_not_found, part + " is gone"));
    if (!content)
      return content;
    all += *content;
  }
  return all;
}

void reference::apply(const commit& c) {
  index_batch batch(state_);
  std::set<std::string> touched;
  auto version_of = [&batch](const std::string& key) {
    const auto* now = batch.find(key);
    return now != nullptr ? now->version : 0;
  };
  for (const auto& op : c.operations) {
    if (const auto* put = std::get_if<put_op>(&op)) {
      auto content = read_value(put->value);
      if (!content)
        return violate("commit " + text(c.sequence) + ": value of " + put->key + " is not there: " + content.error().message);
      happened(attempt::kind::put, c, put->key, *content, version_of(put->key));
      puts_[{put->key, c.sequence}].push_back(*content);
      touched.insert(put->key);
    } else if (const auto* gone = std::get_if<remove_op>(&op)) {
      happened(attempt::kind::remove, c, gone->key, {}, version_of(gone->key));
      touched.insert(gone->key);
    } else if (const auto* moved = std::get_if<rename_op>(&op)) {
      happened(attempt::kind::rename, c, moved->from, moved->to, version_of(moved->from));
      touched.insert(moved->from);
      touched.insert(moved->to);
    } else if (const auto* made = std::get_if<assemble_op>(&op)) {
      happened(attempt::kind::assemble, c, made->key, names_of(made->parts), version_of(made->key));
      touched.insert(made->key);
      touched.insert(made->parts.begin(), made->parts.end());
    }
    const auto* made = std::get_if<assemble_op>(&op);
    const auto expected = made != nullptr ? read_parts(batch, *made) : result<std::string>();
    const auto* whole = std::get_if<complete_upload_op>(&op);
    const auto before = whole != nullptr ? version_of(whole->key) : 0;
    if (auto added = batch.add(op); !added)
      return violate("commit " + text(c.sequence) + " does not fit: " + added.error().message);
    if (made != nullptr && (!expected || read_value(*batch.find(made->key)) != expected))
      return violate("commit " + text(c.sequence) + ": " + made->key + " is not what its parts were");
    if (whole != nullptr) {
      auto content = read_value(*batch.find(whole->key));
      if (!content)
        return violate("commit " + text(c.sequence) + ": upload of " + whole->key + " is not there: "
                       + content.error().message);
      happened(attempt::kind::put, c, whole->key, *content, before);
      puts_[{whole->key, c.sequence}].push_back(*content);
      touched.insert(whole->key);
    }
  }
  state_.apply(std::move(batch));
  log_.push_back(c);
  for (const auto& key : touched) {
    const auto* now = state_.find(key);
    auto& spans = history_[key];
    if (!spans.empty() && spans.back().to == 0)
      spans.back().to = c.sequence;
    if (now == nullptr)
      continue;
    auto content = read_value(*now);
    if (!content)
      return violate("commit " + text(c.sequence) + ": " + key + " cannot be read: " + content.error().message);
    spans.push_back({c.sequence, 0, now->version, std::move(*content)});
  }
  rebuild_used();
}

void reference::rebuild_used() {
  used_.clear();
  auto take = [this](const chunk_list& chunks) {
    for (const auto& c : chunks)
      if (!c.inherited() && !used_.emplace(c.pad.number, c.pad.counter).second)
        violate("pad " + text(c.pad.number) + " is used twice");
  };
  for (const auto& item : state_.list({}, {}, 1'000'000)) {
    if (item.complete != nullptr && item.complete->chunks)
      take(*item.complete->chunks);
    if (item.pending != nullptr)
      for (const auto& piece : item.pending->pieces)
        take(*piece);
  }
  for (auto pad = state_.next_free(0); pad; pad = state_.next_free(pad->number + 1))
    if (used_.contains(pad->number))
      violate("pad " + text(pad->number) + " is both free and in use");
}

// -- what clients tried --------------------------------------------------------------------------------------------------

// A change in the log must be somebody's: of this writer, not refused, its condition true just before.
void reference::happened(attempt::kind what, const commit& c, const std::string& key, const std::string& detail,
                         std::uint64_t version) {
  attempt* candidate = nullptr;
  bool tried = false, refused = false;
  for (auto& a : attempts_) {
    if (a.what != what || a.key != key || a.writer != c.writer
        || (what == attempt::kind::put && a.content != detail)
        || ((what == attempt::kind::rename || what == attempt::kind::assemble) && a.to != detail))
      continue;
    tried = true;
    if (a.result == outcome::refused) {
      refused = true;
      continue;
    }
    if (a.result == outcome::done || !a.commits.empty())
      continue;
    if (a.if_version && *a.if_version != version)
      continue;
    // Of equal changes one that is awaited comes before one that nobody heard of, and one with a condition, which holds only
    // now, before one without.
    auto rank = [](const attempt& one) { return (one.result == outcome::unknown ? 0 : 2) + (one.if_version ? 1 : 0); };
    if (candidate == nullptr || rank(a) > rank(*candidate))
      candidate = &a;
  }
  if (candidate != nullptr) {
    candidate->commits.push_back(c.sequence);
    return;
  }
  const char* names[] = {"put", "remove", "rename", "assemble"};
  violate(std::string("commit ") + text(c.sequence) + " holds a " + names[static_cast<int>(what)] + " of " + key + " ("
          + excerpt(detail) + ") "
          + (!tried ? "that this writer never tried"
                    : refused ? "that was refused" : "that was done already, or whose precondition does not hold"));
}

std::size_t reference::begin(attempt a) {
  a.begun_at = state_.sequence();
  attempts_.push_back(std::move(a));
  return attempts_.size() - 1;
}

bool reference::has_commit(attempt& a, std::optional<std::uint64_t> version) {
  // Equal attempts of one writer cannot be told apart: any commit that one of them was given will do.
  auto right = [&](std::uint64_t sequence) { return version ? sequence == *version : sequence > a.begun_at; };
  if (std::ranges::any_of(a.commits, right))
    return true;
  for (auto& other : attempts_) {
    if (&other == &a || other.result == outcome::done || other.what != a.what || other.key != a.key
        || other.writer != a.writer || other.content != a.content || other.to != a.to)
      continue;
    if (std::ranges::any_of(other.commits, right)) {
      std::swap(other.commits, a.commits);
      return true;
    }
  }
  return false;
}

void reference::succeeded(std::size_t number, std::optional<std::uint64_t> version) {
  auto& a = attempts_[number];
  a.result = outcome::done;
  if (!has_commit(a, version))
    violate("a change of " + a.key + " (" + excerpt(a.content) + ") was acknowledged"
            + (version ? " as version " + text(*version) : "") + " and is not in the log");
}

void reference::removed(std::size_t number) {
  auto& a = attempts_[number];
  if (a.if_version || has_commit(a, std::nullopt))
    return succeeded(number, std::nullopt);
  // Then the key was absent at some moment since.
  a.result = outcome::done;
  saw_nothing(a.key, {a.begun_at, state_.sequence()});
}

void reference::refused(std::size_t number, std::string_view why) {
  auto& a = attempts_[number];
  a.result = outcome::refused;
  if (a.commits.empty())
    return;
  for (auto& other : attempts_)
    if (&other != &a && other.commits.empty() && other.result != outcome::refused && other.result != outcome::done
        && other.what == a.what && other.key == a.key && other.writer == a.writer && other.content == a.content
        && other.to == a.to && other.begun_at < a.commits.front()) {
      std::swap(other.commits, a.commits);
      return;
    }
  violate("a change of " + a.key + " (" + excerpt(a.content) + ") was refused (" + std::string(why) + ") but is in commit "
          + text(a.commits.front()));
}

void reference::unknown(std::size_t number) {
  attempts_[number].result = outcome::unknown;
}

// -- what clients saw ----------------------------------------------------------------------------------------------------

namespace {

std::string text(reference::between when) {
  return "between commits " + std::to_string(when.first) + " and " + std::to_string(when.last);
}

}  // namespace

void reference::saw_value(const std::string& key, std::uint64_t version, std::uint64_t offset, std::string_view content,
                          between when) {
  auto at = history_.find(key);
  if (at == history_.end())
    return violate("a value of " + key + " was read, and there never was one");
  bool known = false;
  for (const auto& s : at->second) {
    if (s.version != version)
      continue;
    known = true;
    if (s.from > when.last || (s.to != 0 && s.to <= when.first))
      continue;
    if (offset > s.content.size() || s.content.substr(offset, content.size()) != content)
      return violate("what was read of " + key + " at version " + text(version) + " is not what was stored: "
                     + excerpt(content) + " instead of " + excerpt(s.content.substr(std::min(offset, s.content.size()))));
    return;
  }
  violate("version " + text(version) + " of " + key + " was read, which was " + (known ? "not current " : "never there ")
          + text(when));
}

void reference::saw_part(const std::string& key, std::uint64_t offset, std::string_view content) {
  if (content.empty())
    return;
  auto at = history_.find(key);
  if (at != history_.end())
    for (const auto& s : at->second)
      if (offset <= s.content.size() && s.content.substr(offset).starts_with(content))
        return;
  violate("what was read of " + key + " before the read failed is the front of no value: " + excerpt(content));
}

void reference::saw_nothing(const std::string& key, between when) {
  auto at = history_.find(key);
  if (at == history_.end())
    return;
  // Absent: some commit in the range that no span covers.
  for (auto n = when.first; n <= when.last; ++n)
    if (std::ranges::none_of(at->second, [n](const span& s) { return s.from <= n && (s.to == 0 || s.to > n); }))
      return;
  violate("key " + key + " was said to be absent, and was there at every moment " + text(when));
}

void reference::saw_list(const std::vector<std::pair<std::string, std::uint64_t>>& items, between when) {
  for (auto n = when.last + 1; n-- > when.first;) {
    std::vector<std::pair<std::string, std::uint64_t>> there;
    for (const auto& [key, spans] : history_)
      for (const auto& s : spans)
        if (s.from <= n && (s.to == 0 || s.to > n))
          there.emplace_back(key, s.version);
    if (there == items)
      return;
  }
  std::string shown;
  for (const auto& [key, version] : items)
    shown += " " + key + "@" + text(version);
  violate("a list was shown that was true at no moment " + text(when) + ":" + shown);
}

const std::string* reference::content_of(const std::string& key) const {
  auto at = history_.find(key);
  if (at == history_.end() || at->second.empty() || at->second.back().to != 0)
    return nullptr;
  return &at->second.back().content;
}

void reference::check_nothing_leaked() {
  for (std::uint64_t number = 0; number < derived_data_; ++number) {
    auto head = engine_.head(opener_.addresses({pad_space::data, {number}})->front());
    if (!head)
      continue;
    const auto stored = parse_header(*head)->counter;
    if (used_.contains(number))
      continue;
    auto known = state_.free_counter(number);
    if (!known)
      return violate("pad " + text(number) + " is in the store at counter " + text(stored)
                     + ", neither in use nor free after a purge");
    if (*known != stored)
      return violate("pad " + text(number) + " is in the store at counter " + text(stored) + ", and free at "
                     + text(*known) + " after a purge");
  }
}

// -- engine --------------------------------------------------------------------------------------------------------------

observed_engine::observed_engine(const seed& owner)
    : engine_(make_memory_engine(std::uint64_t{1} << 40)), reference_(owner, *engine_) {}

result<void> observed_engine::put(const bytes& record) {
  auto stored = engine_->stats();
  if (stored && stored->record_bytes + record.size() > capacity_) {
    auto header = parse_header(record);
    auto old = header ? engine_->get(header->address) : fail(errc::pad_not_found, "");
    if (!old || stored->record_bytes - old->size() + record.size() > capacity_)
      return fail(errc::store_full, "the simulated store is full");
  }
  auto header = parse_header(record);
  auto before = header ? engine_->head(header->address) : fail(errc::pad_not_found, "");
  auto taken = engine_->put(record);
  const auto repeated = std::ranges::any_of(batch_, [&](const bytes& earlier) { return earlier == record; });
  if (taken && !repeated && (!before || parse_header(*before)->counter != header->counter))
    batch_.push_back(record);
  return taken;
}

result<void> observed_engine::erase(const bytes& blank) {
  auto header = parse_header(blank);
  auto there = header && engine_->head(header->address);
  auto taken = engine_->erase(blank);
  if (taken && there)
    batch_.push_back(blank);
  return taken;
}

result<void> observed_engine::commit() {
  auto stored = engine_->commit();
  auto written = std::exchange(batch_, {});
  if (!stored)
    return stored;
  for (const auto& record : written) {
    auto header = parse_header(record);
    if (auto there = engine_->head(header->address); there && parse_header(*there)->counter >= header->counter)
      reference_.wrote(record);
    else
      reference_.erased(header->address);
  }
  return stored;
}

}  // namespace mutant::simulation
