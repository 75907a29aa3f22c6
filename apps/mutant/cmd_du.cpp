// mutant du [PREFIX]: how much the values in each folder of keys have.
#include "actors/folders/folder_walk.hpp"
#include "apps/mutant/commands.hpp"
#include "core/folders/usage.hpp"

namespace mutant::cli {

namespace {

struct du_arguments {
  std::string prefix;
  std::string depth;
  bool summarize = false;
};

result<std::uint64_t> depth_of(const du_arguments& given) {
  if (given.summarize && !given.depth.empty())
    return fail(errc::invalid_argument, "--summarize and --depth exclude each other");
  if (given.summarize)
    return 0;
  return given.depth.empty() ? result<std::uint64_t>(max_key_bytes) : parse_number(given.depth, "--depth");
}

int run_du(context& c, const du_arguments& given) {
  auto failed = [&](const error& e) { return c.out.failed("du " + in_quotes(given.prefix), e); };
  auto depth = depth_of(given);
  if (!depth)
    return failed(depth.error());
  auto opened = open_for_reading(c);
  if (!opened)
    return failed(opened.error());
  const auto which = key_selection::folder(given.prefix);
  json folders = json::array();
  std::string lines;
  usage_counter counter([&](const folder_usage& u) {
    if (u.depth > *depth)
      return;
    const auto path = which.prefix() + u.path;
    if (c.out.use_json) {
      json item;
      add_key(item, "prefix", path);
      item["values"] = u.values;
      item["bytes"] = u.bytes;
      folders.push_back(std::move(item));
    } else {
      auto size = human_bytes(u.bytes);
      lines += (size.size() < 9 ? std::string(9 - size.size(), ' ') : "") + size + "  " + counted(u.values, "value") + "  "
               + (path.empty() ? "(all)" : printable(path)) + "\n";
    }
  });
  if (!*opened)
    return failed({errc::key_not_found, nothing_stored_yet(c)});
  auto walk = store_walk::open(*c.store, which);
  if (!walk)
    return failed(walk.error());
  if (walk->item() == nullptr && !which.prefix().empty())
    return failed({errc::key_not_found, "there is no key that begins with " + in_quotes(which.prefix())});
  while (walk->item() != nullptr) {
    counter.add(walk->item()->path, walk->item()->size);
    if (auto moved = walk->next(); !moved)
      return failed(moved.error());
  }
  counter.finish();
  c.out.print(lines);
  if (c.out.use_json)
    c.out.document({{"folders", std::move(folders)}});
  return 0;
}

}  // namespace

command add_du(CLI::App& root, const arguments& words) {
  auto* parser = root.add_subcommand("du", "Show how much lies in each folder of keys");
  auto given = std::make_shared<du_arguments>();
  parser->add_option("PREFIX", given->prefix, "Only this folder; else all")->type_name("");
  parser->add_flag("-s,--summarize", given->summarize, "Only the total");
  parser->add_option("--depth", given->depth, "Only folders so far down; those below count for them")->type_name("N");
  auto salvage = add_salvage(*parser);
  return {parser, [given, salvage, &words](context& c) {
            c.salvage = *salvage;
            return run_du(c, {words.resolve(given->prefix), words.resolve(given->depth), given->summarize});
          }};
}

}  // namespace mutant::cli
