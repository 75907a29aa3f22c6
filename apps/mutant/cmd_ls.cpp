// mutant ls [PREFIX] [-l]: lists keys, in the order of their bytes.
#include <cstdio>

#include "apps/mutant/commands.hpp"

namespace mutant::cli {

namespace {

std::string progress_of(const list_item& item) {
  auto text = "pending, " + human_bytes(item.pending_done);
  if (item.pending_size)
    text += " of " + human_bytes(*item.pending_size);
  return text + " stored";
}

std::string padded(std::string text, std::size_t width) {
  return text.size() < width ? std::string(width - text.size(), ' ') + text : text;
}

std::string line_for(const list_item& item, bool lengthy) {
  const auto complete = item.version != 0;
  std::string line;
  if (lengthy)
    line = padded(complete ? human_bytes(item.size) : "-", 9) + padded(complete ? std::to_string(item.version) : "-", 9) + "  "
           + (complete ? local_time(item.modified_ms) : "-               ") + "  ";
  line += printable(item.key);
  if (item.pending && (lengthy || !complete))
    line += "  (" + progress_of(item) + ")";
  return line + "\n";
}

// Pages until there is no more.
template <class Each>
result<void> each_item(client& store, const std::string& prefix, Each each) {
  std::string after;
  while (true) {
    auto page = store.list(prefix, after, 4096);
    if (!page)
      return fail(page.error());
    if (page->empty())
      return {};
    for (const auto& item : *page)
      each(item);
    after = page->back().key;
  }
}

int list_as_json(context& c, const std::string& prefix) {
  // An error must find the output empty: everything is fetched before the first line is printed.
  std::string items;
  if (c.store) {
    auto listed = each_item(*c.store, prefix, [&](const list_item& item) {
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

int run_ls(context& c, const std::string& prefix, bool lengthy) {
  auto opened = open_for_reading(c);
  if (!opened)
    return c.out.failed("ls", opened.error());
  if (!*opened)
    c.out.note(nothing_stored_yet(c) + "; 'mutant put KEY FILE' makes one");
  if (c.out.use_json)
    return list_as_json(c, prefix);
  if (!*opened)
    return 0;
  auto listed = each_item(*c.store, prefix, [&](const list_item& item) { c.out.print(line_for(item, lengthy)); });
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

command add_ls(CLI::App& root, const arguments& words) {
  auto* parser = root.add_subcommand("ls", "List keys");
  auto prefix = std::make_shared<std::string>();
  auto lengthy = std::make_shared<bool>(false);
  parser->add_option("PREFIX", *prefix, "Only keys that begin like this")->type_name("");
  parser->add_flag("-l,--long", *lengthy, "With size, version and time of change");
  return {parser, [prefix, lengthy, &words](context& c) { return run_ls(c, words.resolve(*prefix), *lengthy); }};
}

}  // namespace mutant::cli
