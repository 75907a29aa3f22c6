// mutant check [KEY…]: reads and verifies; tells what is wrong, and where; repairs from a file, or drops what is damaged.
#include "actors/folders/pipeline.hpp"
#include "apps/mutant/commands.hpp"

namespace mutant::cli {

namespace {

struct check_arguments {
  std::vector<std::string> keys;
  bool data = false;
  bool index = false;
  std::string sample;
  std::string repair_from;
  bool drop_damaged = false;
  bool yes = false;
};

struct damaged_value {
  std::string key;
  std::uint64_t version = 0;
  std::uint64_t bytes = 0;
  bool dropped = false;
};

struct totals {
  std::uint64_t values = 0;
  std::uint64_t chunks = 0;
  std::uint64_t bytes = 0;
  std::vector<damaged_value> damaged;
  std::optional<error> ended;    // the store's, or an interruption
};

// Per cent, as "10", "0.5" or "10%", in millionths.
result<std::uint32_t> share_of(std::string_view text) {
  const auto bad = [&] {
    return fail(errc::invalid_argument, "--sample " + in_quotes(text) + ": give per cent, as 10 or 0.5");
  };
  const auto whole = text.ends_with('%') ? text.substr(0, text.size() - 1) : text;
  const auto point = whole.find('.');
  auto digits = std::string(whole.substr(0, point));
  auto fraction = point == std::string_view::npos ? std::string() : std::string(whole.substr(point + 1));
  if (digits.empty() || digits.size() > 3 || fraction.size() > 4 || (point != std::string_view::npos && fraction.empty()))
    return bad();
  fraction.append(4 - fraction.size(), '0');
  auto number = parse_number(digits + fraction, "--sample");
  if (!number || *number == 0 || *number > check_request::check_all)
    return bad();
  return static_cast<std::uint32_t>(*number);
}

class check_session {
 public:
  check_session(context& c, const check_arguments& given, std::uint32_t share) : c_(c), given_(given), share_(share) {}

  int run();

 private:
  result<void> check_data(const progress_callback& on_progress);
  result<void> check_prefix(pipeline& calls, const std::string& prefix, const progress_callback& on_progress);
  void check_value(pipeline& calls, const std::string& key, std::uint64_t size, const progress_callback& on_progress);
  void tell(const std::string& key, const check_result& found);
  void drop();
  int end();

  context& c_;
  const check_arguments& given_;
  std::uint32_t share_;
  totals all_;
  json listed_ = json::array();
};

void check_session::tell(const std::string& key, const check_result& found) {
  ++all_.values;
  all_.chunks += found.chunks_checked;
  all_.bytes += found.chunks == 0 ? found.size : found.bytes_checked;
  if (found.bad.empty())
    return;
  all_.damaged.push_back({key, found.version});
  json item;
  add_key(item, "key", key);
  item["version"] = found.version;
  json chunks = json::array();
  progress_bar::erase();
  for (const auto& bad : found.bad) {
    const auto last = bad.offset + bad.length - 1;
    all_.damaged.back().bytes += bad.length;
    chunks.push_back({{"chunk", bad.number}, {"first_byte", bad.offset}, {"last_byte", last}, {"message", bad.what.message}});
    if (!c_.out.use_json)
      c_.out.print(printable(key) + ": bytes " + std::to_string(bad.offset) + " to " + std::to_string(last) + " (chunk "
                   + std::to_string(bad.number) + ") of " + std::to_string(found.size) + ": "
                   + without_controls(bad.what.message) + "\n");
  }
  c_.out.flush();
  item["damaged"] = std::move(chunks);
  listed_.push_back(std::move(item));
}

void check_session::check_value(pipeline& calls, const std::string& key, std::uint64_t size,
                                const progress_callback& on_progress) {
  check_request request;
  request.key = key;
  request.share = share_;
  calls.check(std::move(request), size, [this, key, on_progress](result<check_result>& found) {
    if (!found && found.error().code == errc::key_not_found)
      return;   // removed meanwhile
    if (!found) {
      if (!all_.ended)
        all_.ended = error{found.error().code, in_quotes(key) + ": " + found.error().message};
      return;
    }
    tell(key, *found);
    if (on_progress)
      on_progress({all_.bytes, std::nullopt, 0});
  });
}

result<void> check_session::check_prefix(pipeline& calls, const std::string& prefix, const progress_callback& on_progress) {
  std::string after;
  auto any = prefix.empty();
  while (!all_.ended) {
    auto page = c_.store->list(prefix, after, 1000);
    if (!page)
      return fail(page.error());
    if (page->empty() && !any)
      return fail(errc::key_not_found, "no key is, or begins with, " + in_quotes(prefix));
    if (page->empty())
      return {};
    any = true;
    for (const auto& item : *page) {
      if (was_interrupted())
        return fail(errc::cancelled, "interrupted");
      if (item.version != 0)
        check_value(calls, item.key, item.size, on_progress);
    }
    after = page->back().key;
  }
  return {};
}

result<void> check_session::check_data(const progress_callback& on_progress) {
  pipeline calls(*c_.store);
  auto words = given_.keys;
  if (words.empty())
    words.emplace_back();
  for (const auto& word : words) {
    auto item = word.empty() ? fail(errc::key_not_found, "") : c_.store->find(word);
    if (item && item->version != 0)
      check_value(calls, word, item->size, on_progress);
    else if (auto checked = check_prefix(calls, word, on_progress); !checked)
      return checked;
  }
  calls.finish();
  return all_.ended ? fail(*all_.ended) : result<void>();
}

// Each only if it is still the value that was found damaged.
void check_session::drop() {
  for (auto& value : all_.damaged) {
    if (was_interrupted())
      return;
    auto removed = uninterrupted([&] { return c_.store->remove(value.key, value.version); });
    value.dropped = removed.has_value();
    if (!removed)
      c_.out.note("check: " + in_quotes(value.key) + " stays: " + removed.error().message);
    else
      c_.out.summary("dropped " + printable(value.key));
  }
}

int check_session::end() {
  std::uint64_t lost = 0;
  std::uint64_t dropped = 0;
  for (const auto& value : all_.damaged) {
    lost += value.bytes;
    dropped += value.dropped ? 1 : 0;
  }
  const auto sampled = share_ < check_request::check_all ? " (a sample)" : "";
  c_.out.summary("checked " + counted(all_.values, "value") + ", " + counted(all_.chunks, "chunk") + sampled + ", "
                 + human_bytes(all_.bytes) + ": "
                 + (all_.damaged.empty() ? "all is well"
                                         : counted(all_.damaged.size(), "value") + " damaged, in " + human_bytes(lost)
                                               + (dropped != 0 ? "; " + std::to_string(dropped) + " dropped" : "")));
  if (given_.drop_damaged && !given_.yes && !all_.damaged.empty())
    c_.out.note("nothing was dropped: check --drop-damaged --yes removes the values that are listed");
  if (c_.out.use_json) {
    c_.out.document({{"values", all_.values},
                     {"chunks", all_.chunks},
                     {"bytes", all_.bytes},
                     {"damaged_values", all_.damaged.size()},
                     {"damaged_bytes", lost},
                     {"dropped", dropped},
                     {"damaged", std::move(listed_)}});
  }
  return all_.damaged.empty() ? 0 : exit_code(errc::corrupt_record);
}

int check_session::run() {
  auto checked = [&] {
    auto bar = bar_for(c_, "check");
    return cancellable(c_, [&] { return check_data(bar.callback()); });
  }();
  if (!checked)
    return c_.out.failed("check", checked.error(),
                         all_.damaged.empty() ? json::object() : json{{"damaged", std::move(listed_)}});
  if (given_.drop_damaged && given_.yes)
    drop();
  return end();
}

// All that the index has in the store is read and verified: first as if this machine remembered nothing of it. Then it is held
// against what this machine has seen, and left open.
result<store_stats> check_index(context& c, const identity_keys& keys) {
  c.anew = true;
  if (auto opened = open_store(c, keys, false); !opened)
    return fail(opened.error());
  auto synced = c.store->sync();
  auto stats = synced ? c.store->stats() : fail(synced.error());
  c.store.reset();
  c.anew = false;
  if (!stats)
    return stats;
  if (auto opened = open_store(c, keys, false); !opened)
    return fail(opened.error());
  if (auto seen = c.store->sync(); !seen)
    return fail(seen.error());
  return stats;
}

// False: that was all.
result<bool> begin_check(context& c, const check_arguments& given) {
  if (given.drop_damaged && given.yes)
    if (auto owners = refuse_reader(c); !owners)
      return fail(owners.error());
  if (!given.index && (given.data || !given.keys.empty() || c.salvage)) {
    auto opened = open_for_reading(c);
    return opened && !*opened ? fail(errc::key_not_found, nothing_stored_yet(c)) : opened;
  }
  auto keys = load_identity(c);
  if (!keys)
    return fail(keys.error().code, keys.error().code == errc::key_not_found ? nothing_stored_yet(c) : keys.error().message);
  auto stats = check_index(c, *keys);
  if (!stats)
    return fail(stats.error().code, "the index: " + stats.error().message);
  const auto position = position_text(stats->index.sequence, stats->index.last_commit);
  c.out.summary("checked the index: commit " + position + ", " + counted(stats->index.parts, "snapshot part") + ", "
                + counted(stats->index.totals.keys, "key"));
  if (given.index && c.out.use_json)
    c.out.document({{"position", position}, {"snapshot_parts", stats->index.parts}, {"keys", stats->index.totals.keys}});
  return !given.index;
}

int run_repair(context& c, const check_arguments& given) {
  if (given.keys.size() != 1 || given.data || given.index || !given.sample.empty() || given.drop_damaged)
    return c.out.failed("check", {errc::invalid_argument, "--repair-from FILE goes with one KEY and nothing else"});
  const auto& key = given.keys.front();
  auto failed = [&](const error& e) { return c.out.failed("check " + in_quotes(key), e); };
  auto opened = open_for_changing(c);
  if (!opened || !*opened)
    return failed(!opened ? opened.error() : error{errc::key_not_found, nothing_stored_yet(c)});
  auto bar = bar_for(c, printable(key));
  put_settings settings;
  settings.on_progress = bar.callback();
  auto repaired = cancellable(c, [&] { return c.store->repair(key, given.repair_from, settings); });
  if (!repaired)
    return failed(repaired.error());
  c.out.summary(repaired->chunks_written == 0
                    ? printable(key) + " is well: nothing was written"
                    : "repaired " + printable(key) + ": " + counted(repaired->chunks_written, "chunk") + " written, "
                          + std::to_string(repaired->chunks_kept) + " kept, version " + std::to_string(repaired->version));
  if (c.out.use_json) {
    json out;
    add_key(out, "key", key);
    out["chunks_written"] = repaired->chunks_written;
    out["chunks_kept"] = repaired->chunks_kept;
    out["version"] = repaired->version;
    c.out.document(out);
  }
  return 0;
}

int run_check(context& c, const check_arguments& given) {
  auto failed = [&](const error& e) { return c.out.failed("check", e); };
  if (given.data && given.index)
    return failed({errc::invalid_argument, "--data and --index exclude each other; both is what check does without them"});
  if (given.index && (!given.keys.empty() || !given.sample.empty() || given.drop_damaged))
    return failed({errc::invalid_argument, "--index goes with nothing else: the index is one"});
  if (given.yes && !given.drop_damaged)
    return failed({errc::invalid_argument, "--yes goes with --drop-damaged"});
  auto share = given.sample.empty() ? result<std::uint32_t>(check_request::check_all) : share_of(given.sample);
  if (!share)
    return failed(share.error());
  auto goes_on = begin_check(c, given);
  if (!goes_on)
    return failed(goes_on.error());
  if (!*goes_on)
    return 0;
  return check_session(c, given, *share).run();
}

}  // namespace

command add_check(CLI::App& root, const arguments& words) {
  auto* parser = root.add_subcommand("check", "Read and verify what is stored; exit code 5 and a list if something is damaged");
  auto given = std::make_shared<check_arguments>();
  parser->add_option("KEY", given->keys, "Keys, or beginnings of keys; none: everything")->type_name("");
  parser->add_flag("--data", given->data, "Only the values");
  parser->add_flag("--index", given->index, "Only the index: its root, snapshot and log, as they are in the store");
  parser->add_option("--sample", given->sample, "Only so many per cent of the values' chunks, by chance")->type_name("P");
  parser->add_option("--repair-from", given->repair_from,
                     "Write KEY's damaged chunks anew from a FILE that is proven to be the same value")
      ->type_name("FILE");
  parser->add_flag("--drop-damaged", given->drop_damaged,
                   "List the damaged values that would be removed; with --yes remove them");
  parser->add_flag("--yes", given->yes, "With --drop-damaged: do it");
  auto salvage = add_salvage(*parser);
  return {parser, [given, salvage, &words](context& c) {
            c.salvage = *salvage;
            auto resolved = *given;
            for (auto& key : resolved.keys)
              key = words.resolve(key);
            resolved.sample = words.resolve(given->sample);
            resolved.repair_from = words.resolve(given->repair_from);
            return resolved.repair_from.empty() ? run_check(c, resolved) : run_repair(c, resolved);
          }};
}

}  // namespace mutant::cli
