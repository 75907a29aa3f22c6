// mutant stat KEY: what the index knows about a value.
#include "apps/mutant/commands.hpp"

namespace mutant::cli {

namespace {

std::string attribute_line(const std::string& name, const std::string& content) {
  constexpr std::size_t column = 10;
  auto line = printable(name);
  line.append(line.size() < column ? column - line.size() : 1, ' ');
  return line + (name == attribute_name::md5 ? to_hex(as_byte_view(content)) : printable(content)) + "\n";
}

int run_stat(context& c, const std::string& key) {
  auto failed = [&](const error& e) { return c.out.failed("stat " + in_quotes(key), e); };
  if (auto good = check_key(key); !good)
    return failed(good.error());
  auto opened = open_for_reading(c);
  if (!opened)
    return failed(opened.error());
  if (!*opened)
    return failed({errc::key_not_found, nothing_stored_yet(c)});
  auto item = c.store->find(key);
  if (!item)
    return failed(item.error());
  if (c.out.use_json) {
    c.out.document(describe(*item));
    return 0;
  }
  c.out.print("key       " + printable(key) + "\n");
  if (item->version != 0) {
    c.out.print("size      " + exact_bytes(item->size) + "\n");
    c.out.print("version   " + std::to_string(item->version) + "\n");
    c.out.print("modified  " + local_time(item->modified_ms) + "\n");
    c.out.print("chunks    " + std::to_string(item->chunks) + (item->chunks == 0 ? " (it lies in the index)\n" : "\n"));
    for (const auto& [name, content] : item->attributes.values())
      c.out.print(attribute_line(name, content));
  }
  if (item->pending)
    c.out.print("pending   " + human_bytes(item->pending_done)
                + (item->pending_size ? " of " + human_bytes(*item->pending_size) : std::string())
                + " of an unfinished put: put it again to go on with it\n");
  return 0;
}

}  // namespace

command add_stat(CLI::App& root, const arguments& words) {
  auto* parser = root.add_subcommand("stat", "Show what is known about a key");
  auto key = std::make_shared<std::string>();
  parser->add_option("KEY", *key, "The key")->required()->type_name("");
  auto salvage = add_salvage(*parser);
  return {parser, [key, salvage, &words](context& c) {
            c.salvage = *salvage;
            return run_stat(c, words.resolve(*key));
          }};
}

}  // namespace mutant::cli
