// mutant recover --index FROM [TO]: what can be proven of a store whose index is damaged, and a new store of it.
#include "actors/copy/recover_index.hpp"
#include "apps/mutant/commands.hpp"

namespace mutant::cli {

namespace {

struct recover_arguments {
  bool index = false;
  std::string from;
  std::string to;
};

constexpr std::size_t max_named = 20;   // in text; --json has all

std::string commits_text(const std::vector<recovered_index::commit_range>& ranges) {
  std::string text;
  for (const auto& [first, last] : ranges)
    text += (text.empty() ? "" : ", ") + std::to_string(first) + (first != last ? " to " + std::to_string(last) : "");
  return text;
}

json to_json(const std::vector<recovered_index::commit_range>& ranges) {
  auto out = json::array();
  for (const auto& [first, last] : ranges)
    out.push_back({first, last});
  return out;
}

json to_json(const index_recovery_report& r) {
  json out = {{"sequence", r.sequence},
              {"keys", r.keys},
              {"complete", r.index.is_complete() && r.incomplete.empty()},
              {"complete_until", r.index.whole_until},
              {"copied_records", r.copied_records},
              {"copied_bytes", r.copied_bytes},
              {"damaged", r.damaged},
              {"lost_commits", to_json(r.index.lost_commits)},
              {"unproven_commits", to_json(r.index.unproven_commits)},
              {"lost_values", json::array()},
              {"lost_keys", json::array()},
              {"uncertain", json::array()},
              {"incomplete", json::array()}};
  for (const auto& lost : r.index.lost_values) {
    json item;
    add_key(item, "key", lost.key);
    item["version"] = lost.version;
    item["reason"] = lost.why;
    out["lost_values"].push_back(std::move(item));
  }
  for (const auto& [after, before] : r.index.lost_keys) {
    json item;
    add_key(item, "after", after);
    add_key(item, "before", before);
    out["lost_keys"].push_back(std::move(item));
  }
  for (const auto& key : r.index.uncertain) {
    json item;
    add_key(item, "key", key);
    out["uncertain"].push_back(std::move(item));
  }
  for (const auto& bad : r.incomplete) {
    json item;
    add_key(item, "key", bad.key);
    item["first_byte"] = bad.first_byte;
    item["last_byte"] = bad.last_byte;
    item["reason"] = bad.why;
    out["incomplete"].push_back(std::move(item));
  }
  return out;
}

template <class Items, class Line>
void list(console& out, const std::string& title, const Items& items, Line line) {
  if (items.empty())
    return;
  out.print(title + "\n");
  std::size_t shown = 0;
  for (const auto& item : items) {
    if (shown++ == max_named) {
      out.print("  and " + std::to_string(items.size() - max_named) + " more (--json names them)\n");
      break;
    }
    out.print("  " + line(item) + "\n");
  }
}

void print(console& out, const index_recovery_report& r) {
  list(out, "damaged:", r.damaged, [](const std::string& what) { return printable(what); });
  const auto& index = r.index;
  if (index.is_complete()) {
    out.print("the index can be proven up to its last commit, " + std::to_string(index.sequence) + ": "
              + counted(r.keys, "key") + ", nothing is lost\n");
  } else {
    out.print("the index is whole until commit " + std::to_string(index.whole_until) + "; lost: commit "
              + commits_text(index.lost_commits) + "\n");
    if (!index.unproven_commits.empty())
      out.print("of these the log has commit " + commits_text(index.unproven_commits)
                + ", but nothing proves that it is of this history\n");
    out.print(counted(r.keys, "key") + " can be proven\n");
  }
  list(out, "lost values:", index.lost_values, [](const recovered_index::lost_value& lost) {
    return in_quotes(lost.key) + (lost.version != 0 ? " version " + std::to_string(lost.version) : "") + ": "
           + printable(lost.why);
  });
  list(out, "other keys than these are not known:", index.lost_keys, [](const recovered_index::key_range& range) {
    return (range.first.empty() ? "from the first" : "behind " + in_quotes(range.first))
           + (range.second.empty() ? " to the last" : " and before " + in_quotes(range.second));
  });
  list(out, "a lost commit may have replaced or removed:", index.uncertain,
       [](const std::string& key) { return in_quotes(key); });
  list(out, "bytes that are missing:", r.incomplete, [](const index_recovery_report::incomplete_value& bad) {
    return in_quotes(bad.key) + ": bytes " + std::to_string(bad.first_byte) + " to " + std::to_string(bad.last_byte) + ": "
           + printable(bad.why);
  });
}

int report(context& c, const recover_arguments& given, const index_recovery_report& r) {
  if (!c.out.use_json)
    print(c.out, r);
  const auto is_all = r.index.is_complete() && r.incomplete.empty();
  if (!given.to.empty())
    c.out.summary(given.to + " has it, at commit " + std::to_string(r.sequence) + ": " + counted(r.keys, "key") + ", "
                  + counted(r.copied_records, "record") + " of values copied (" + human_bytes(r.copied_bytes) + ")");
  if (!is_all)
    return c.out.failed("recover " + in_quotes(given.from),
                        {errc::index_corrupt, std::string("not all of it can be proven; what is lost is listed")
                                                  + (given.to.empty() ? ". Nothing was written" : "")},
                        to_json(r));
  if (c.out.use_json)
    c.out.document(to_json(r));
  return 0;
}

// The new store opens, and holds what was written; this machine remembers it from here on.
result<void> look_at(context& c, const store_url& url, const seed& owner, const index_recovery_report& r) {
  c.where.store = url;
  if (auto opened = open_store(c, owner, false); !opened)
    return fail(opened.error());
  if (auto synced = c.store->sync(); !synced)
    return fail(synced.error());
  auto stats = c.store->stats();
  remember(c);
  c.store.reset();
  if (!stats)
    return fail(stats.error());
  if (stats->index.sequence != r.sequence || stats->index.totals.keys != r.keys)
    return fail(errc::version_mismatch, "somebody has written to it already");
  return {};
}

int run_recover(context& c, const recover_arguments& given) {
  auto failed = [&](const error& e) { return c.out.failed("recover " + in_quotes(given.from), e); };
  if (!given.index)
    return failed({errc::invalid_argument, "what is to be recovered? --index"});
  store_config source;
  std::vector<store_url> urls;
  for (const auto& text : {given.from, given.to}) {
    if (text.empty())
      continue;
    auto url = parse_store_url(text);
    if (!url)
      return failed(url.error());
    if (url->scheme == "memory")
      return failed({errc::invalid_argument, "a memory: store is gone with the process"});
    urls.push_back(std::move(*url));
  }
  if (urls.size() == 2 && to_string(urls[0]) == to_string(urls[1]))
    return failed({errc::invalid_argument, "both are the same place; a damaged store is left as it is"});
  auto owner = load_owner(c);
  if (!owner)
    return failed(owner.error());
  c.where.store_given = true;
  for (const auto& url : urls) {
    c.where.store = url;
    if (auto ours = refuse_others_folders(c.where, true); !ours)
      return failed(ours.error());
  }
  if (urls.size() == 2)
    if (auto ready = prepare_places(c.where); !ready)
      return failed(ready.error());

  source.owner = *owner;
  source.url = to_string(urls.front());
  source.cache_directory = c.where.home + "/cache";
  index_recovery_options options;
  options.owner = *owner;
  options.from = source.url;
  options.to = urls.size() == 2 ? to_string(urls.back()) : "";
  options.tls = c.where.tls;
  options.remote.unreachable_after = c.where.connect_timeout;
  options.memory_path = index_memory_path(source);
  options.any_file_system = c.options.any_file_system;
  auto work = index_recovery::open(std::move(options));
  if (!work)
    return failed(work.error());
  signal_scope scope(on_signal::cancel, [&] { work->cancel(); });
  auto found = work->look();
  if (!found)
    return failed(found.error());
  if (urls.size() == 2) {
    auto bar = bar_for(c, "copying");
    if (auto written = work->write(*found, bar.callback()); !written)
      return failed(written.error());
    if (auto opens = look_at(c, urls.back(), *owner, *found); !opens)
      return failed({opens.error().code, "the new store was made, but: " + opens.error().message});
  }
  return report(c, given, *found);
}

}  // namespace

command add_recover(CLI::App& root, const arguments& words) {
  auto* parser = root.add_subcommand("recover", "Make a new store of what can be proven of one whose index is damaged");
  auto given = std::make_shared<recover_arguments>();
  parser->add_flag("--index", given->index, "The index: from its snapshot, its log, and what this machine remembers");
  parser->add_option("FROM", given->from, "URL of the damaged store; it is only read")->required()->type_name("");
  parser->add_option("TO", given->to, "URL of a new store; without it, what could be recovered is told")->type_name("");
  return {parser, [given, &words](context& c) {
            auto resolved = *given;
            resolved.from = words.resolve(given->from);
            resolved.to = words.resolve(given->to);
            return run_recover(c, resolved);
          }};
}

}  // namespace mutant::cli
