// mutant copy-store FROM TO: copies everything of this identity to another place, while it is in use.
#include <filesystem>

#include "actors/copy/copy_store.hpp"
#include "apps/mutant/commands.hpp"

namespace mutant::cli {

namespace {

struct copy_arguments {
  std::string from;
  std::string to;
  bool read_back = false;
  bool skip_damaged = false;
};

// The same for the same place, however a directory is written.
std::string place_of(const store_url& url) {
  std::error_code ignored;
  return url.scheme == "local" ? "local:" + std::filesystem::weakly_canonical(url.path, ignored).string() : to_string(url);
}

result<store_url> parse_place(const std::string& text) {
  auto url = parse_store_url(text);
  if (url && url->scheme == "memory")
    return fail(errc::invalid_argument, "a memory: store is gone with the process; there is nothing to copy from or to");
  return url;
}

// A source that was put back to an older state is noticed here, and the target's memory begins.
result<store_stats> look_at(context& c, const store_url& url, const seed& owner) {
  c.where.store = url;
  if (auto opened = open_store(c, owner, false); !opened)
    return fail(opened.error());
  if (auto synced = c.store->sync(); !synced)
    return fail(synced.error());
  auto stats = c.store->stats();
  remember(c);
  c.store.reset();
  return stats;
}

result<copy_result> copy(context& c, const seed& owner, const store_url& from, const store_url& to,
                         const copy_arguments& given) {
  store_copy_options options;
  options.owner = owner;
  options.from = to_string(from);
  options.to = to_string(to);
  options.tls = c.where.tls;
  options.remote.unreachable_after = c.where.connect_timeout;
  options.read_back = given.read_back;
  options.skip_damaged = given.skip_damaged;
  options.any_file_system = c.options.any_file_system;
  options.threads = c.where.threads;
  const auto id = hash_of(as_byte_view(place_of(from) + " -> " + place_of(to)));
  options.memory_path = c.where.home + "/cache/copy-" + to_hex(byte_view(id).first(8));
  auto work = store_copy::open(std::move(options));
  if (!work)
    return fail(work.error());
  auto bar = bar_for(c, "copying");
  signal_scope scope(on_signal::cancel, [&] { work->cancel(); });
  return work->run(bar.callback());
}

error damage_of(const copy_result& r) {
  constexpr std::size_t max_named = 20;
  error e{errc::corrupt_record, counted(r.damaged_pads, "pad") + " of the source could not be read; these values are "
                                "incomplete in the copy, too:"};
  for (std::size_t i = 0; i < r.damaged_keys.size() && i < max_named; ++i)
    e.message += " " + in_quotes(r.damaged_keys[i]);
  if (r.damaged_keys.size() > max_named)
    e.message += " and " + std::to_string(r.damaged_keys.size() - max_named) + " more (--json names them)";
  return e;
}

json to_json(const copy_result& r, const std::string& to) {
  json out = {{"store", to},
              {"sequence", r.sequence},
              {"keys", r.keys},
              {"data_pads", r.data_pads},
              {"copied_records", r.copied_records},
              {"copied_bytes", r.copied_bytes},
              {"kept_records", r.kept_records},
              {"read_back", r.read_back},
              {"passes", r.passes}};
  if (r.damaged_pads == 0)
    return out;
  out["damaged_pads"] = r.damaged_pads;
  out["damaged"] = json::array();
  for (const auto& key : r.damaged_keys) {
    json item;
    add_key(item, "key", key);
    out["damaged"].push_back(std::move(item));
  }
  return out;
}

int report(context& c, const copy_arguments& given, const copy_result& r, const std::string& to) {
  c.out.summary(to + " is a copy at commit " + std::to_string(r.sequence) + ", " + counted(r.keys, "key") + ": "
                + counted(r.copied_records, "record") + " copied (" + human_bytes(r.copied_bytes) + "), "
                + std::to_string(r.kept_records) + " were there" + (r.read_back != 0 ? ", all read back" : ""));
  if (r.damaged_pads != 0)
    return c.out.failed("copy-store " + in_quotes(given.from) + " " + in_quotes(given.to), damage_of(r), to_json(r, to));
  if (c.out.use_json)
    c.out.document(to_json(r, to));
  return 0;
}

int run_copy_store(context& c, const copy_arguments& given) {
  auto failed = [&](const error& e) {
    return c.out.failed("copy-store " + in_quotes(given.from) + " " + in_quotes(given.to), e);
  };
  auto from = parse_place(given.from);
  auto to = parse_place(given.to);
  for (const auto* url : {&from, &to})
    if (!*url)
      return failed(url->error());
  if (place_of(*from) == place_of(*to))
    return failed({errc::invalid_argument, "both are the same place"});
  auto owner = load_owner(c);
  if (!owner)
    return failed(owner.error().code == errc::key_not_found ? error{errc::key_not_found, nothing_stored_yet(c)}
                                                            : owner.error());
  c.where.store_given = true;
  for (const auto* url : {&*from, &*to}) {
    c.where.store = *url;
    if (auto ours = refuse_others_folders(c.where, true); !ours)
      return failed(ours.error());
  }
  if (auto ready = prepare_places(c.where); !ready)
    return failed(ready.error());
  if (auto source = look_at(c, *from, *owner); !source)
    return failed(source.error());
  auto copied = copy(c, *owner, *from, *to, given);
  if (!copied)
    return failed(copied.error());
  auto target = look_at(c, *to, *owner);
  if (!target)
    return failed({target.error().code, "the copy was made, but does not open: " + target.error().message});
  if (target->index.sequence != copied->sequence || target->index.totals.keys != copied->keys)
    return failed({errc::version_mismatch, "the copy was made, but somebody has written to it already"});
  return report(c, given, *copied, to_string(*to));
}

}  // namespace

command add_copy_store(CLI::App& root, const arguments& words) {
  auto* parser = root.add_subcommand("copy-store", "Copy everything of this identity to another store");
  auto given = std::make_shared<copy_arguments>();
  parser->add_option("FROM", given->from, "URL of the store that is copied; it may be in use")->required()->type_name("");
  parser->add_option("TO", given->to, "URL of an empty store, or of an older copy, that nobody uses")
      ->required()
      ->type_name("");
  parser->add_flag("--read-back", given->read_back, "In the end, read and verify all of the copy");
  parser->add_flag("--skip-damaged", given->skip_damaged, "Go on without pads of values that cannot be read; name the keys");
  return {parser, [given, &words](context& c) {
            auto resolved = *given;
            resolved.from = words.resolve(given->from);
            resolved.to = words.resolve(given->to);
            return run_copy_store(c, resolved);
          }};
}

}  // namespace mutant::cli
