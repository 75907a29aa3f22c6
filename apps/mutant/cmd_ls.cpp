// mutant ls [PREFIX] [-l] [-R] [-0] [--pending]: lists keys, in the order of their bytes.
#include <cstdio>

#include "apps/mutant/commands.hpp"
#include "core/folders/item.hpp"

namespace mutant::cli {

namespace {

struct ls_arguments {
  std::string prefix;
  bool lengthy = false;
  bool pending = false;      // unfinished uploads, too
  bool end_with_nul = false;
  bool folder = false;       // PREFIX is one
};

std::string progress_of(const list_item& item) {
  auto text = "pending, " + human_bytes(item.pending_done);
  if (item.pending_size)
    text += " of " + human_bytes(*item.pending_size);
  return text + " stored";
}

std::string padded(std::string text, std::size_t width) {
  return text.size() < width ? std::string(width - text.size(), ' ') + text : text;
}

// As other programs of this name show it: "drwxr-x---".
std::string mode_text(const list_item& item) {
  const auto what = item_of(item.key, item.size, item.attributes);
  if (!what.mode && what.kind == item_kind::file)
    return "----------";
  const auto mode = what.mode.value_or(0777);
  std::string text = what.kind == item_kind::folder ? "d" : what.kind == item_kind::link ? "l" : "-";
  for (unsigned shift = 9; shift > 0; shift -= 3)
    for (unsigned bit = 0; bit < 3; ++bit)
      text += (mode >> (shift - 1 - bit) & 1) != 0 ? "rwx"[bit] : '-';
  return text;
}

std::string line_for(const list_item& item, const ls_arguments& given) {
  const auto complete = item.version != 0;
  std::string line;
  if (given.lengthy && given.folder)
    line = mode_text(item) + "  ";
  if (given.lengthy)
    line += padded(complete ? human_bytes(item.size) : "-", 9) + padded(complete ? std::to_string(item.version) : "-", 9) + "  "
           + (complete ? local_time(item.modified_ms) : "-               ") + "  ";
  if (given.end_with_nul)
    return line + item.key + '\0';
  line += printable(item.key);
  if (item.pending && (given.lengthy || !complete))
    line += "  (" + progress_of(item) + ")";
  return line + "\n";
}

// Pages until there is no more, or nobody reads any more.
template <class Each>
result<void> each_item(const context& c, const ls_arguments& given, Each each) {
  std::string after;
  while (true) {
    auto page = c.store->list(given.prefix, after, 4096);
    if (!page)
      return fail(page.error());
    if (page->empty() || c.out.is_closed())
      return {};
    for (const auto& item : *page)
      if (item.version != 0 || given.pending)
        each(item);
    after = page->back().key;
  }
}

int list_as_json(context& c, const ls_arguments& given) {
  // An error must find the output empty: everything is fetched before the first line is printed.
  std::string items;
  if (c.store) {
    auto listed = each_item(c, given, [&](const list_item& item) {
      items += (items.empty() ? "\n" : ",\n") + dump(describe(item));
    });
    if (!listed)
      return c.out.failed("ls", listed.error());
  }
  c.out.print("{\"keys\":[");
  c.out.print(items);
  c.out.print("]}\n");
  return 0;
}

int run_ls(context& c, const ls_arguments& given) {
  if (given.end_with_nul && c.out.use_json)
    return c.out.failed("ls", {errc::invalid_argument, "-0 and --json exclude each other"});
  auto opened = open_for_reading(c);
  if (!opened)
    return c.out.failed("ls", opened.error());
  if (!*opened)
    c.out.note(nothing_stored_yet(c) + "; 'mutant put KEY FILE' makes one");
  if (c.out.use_json)
    return list_as_json(c, given);
  if (!*opened)
    return 0;
  auto listed = each_item(c, given, [&](const list_item& item) { c.out.print(line_for(item, given)); });
  if (!listed)
    return c.out.failed("ls", listed.error());
  return 0;
}

}  // namespace

json describe(const list_item& item) {
  json out;
  add_key(out, "key", item.key);
  if (item.version != 0) {
    out["size"] = item.size;
    out["version"] = item.version;
    out["modified"] = utc_time(item.modified_ms);
    out["chunks"] = item.chunks;
    if (!item.attributes.empty()) {
      json attributes;
      for (const auto& [name, content] : item.attributes.values())
        add_key(attributes, name, content);
      out["attributes"] = std::move(attributes);
    }
  }
  if (item.pending) {
    json pending;
    pending["bytes_done"] = item.pending_done;
    if (item.pending_size)
      pending["size"] = *item.pending_size;
    out["pending"] = std::move(pending);
  }
  return out;
}

std::shared_ptr<bool> add_salvage(CLI::App& parser) {
  auto salvage = std::make_shared<bool>(false);
  parser.add_flag("--salvage", *salvage, "Of a damaged store show what can be proven; changes nothing");
  return salvage;
}

command add_ls(CLI::App& root, const arguments& words) {
  auto* parser = root.add_subcommand("ls", "List keys");
  auto given = std::make_shared<ls_arguments>();
  parser->add_option("PREFIX", given->prefix, "Only keys that begin like this")->type_name("");
  parser->add_flag("-l,--long", given->lengthy, "With size, version and time of change");
  parser->add_flag("-0,--null", given->end_with_nul, "Keys as they are, each ended by a NUL instead of a line feed");
  parser->add_flag("--pending", given->pending, "With keys that have only an unfinished upload");
  parser->add_flag("-R,--recursive", given->folder, "PREFIX is a folder: all that is in it, and with -l its modes");
  auto salvage = add_salvage(*parser);
  return {parser, [given, salvage, &words](context& c) {
            c.salvage = *salvage;
            auto resolved = *given;
            resolved.prefix = words.resolve(given->prefix);
            if (given->folder)
              resolved.prefix = folder_prefix(resolved.prefix);
            return run_ls(c, resolved);
          }};
}

}  // namespace mutant::cli
