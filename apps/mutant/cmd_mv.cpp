// mutant mv OLD NEW: gives a value another key.
#include "apps/mutant/commands.hpp"

namespace mutant::cli {

namespace {

int run_mv(context& c, const std::string& from, const std::string& to) {
  auto failed = [&](const error& e) { return c.out.failed("mv " + in_quotes(from) + " " + in_quotes(to), e); };
  for (const auto* key : {&from, &to})
    if (auto good = check_key(*key); !good)
      return failed(good.error());
  auto opened = open_for_changing(c);  // it makes no store
  if (!opened)
    return failed(opened.error());
  if (!*opened)
    return failed({errc::key_not_found, nothing_stored_yet(c)});
  if (auto done = uninterrupted([&] { return c.store->rename(from, to); }); !done)
    return failed(done.error());
  c.out.summary("renamed " + printable(from) + " to " + printable(to));
  if (c.out.use_json) {
    json out;
    add_key(out, "from", from);
    add_key(out, "to", to);
    c.out.document(out);
  }
  return 0;
}

}  // namespace

command add_mv(CLI::App& root, const arguments& words) {
  auto* parser = root.add_subcommand("mv", "Give a value another key, which must not be there yet");
  auto from = std::make_shared<std::string>();
  auto to = std::make_shared<std::string>();
  parser->add_option("OLD", *from, "The key as it is")->required()->type_name("");
  parser->add_option("NEW", *to, "The key as it shall be")->required()->type_name("");
  return {parser, [from, to, &words](context& c) { return run_mv(c, words.resolve(*from), words.resolve(*to)); }};
}

}  // namespace mutant::cli
