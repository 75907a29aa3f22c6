// mutant init: makes an identity and a store.
#include "apps/mutant/commands.hpp"
#include "core/identity.hpp"

namespace mutant::cli {

namespace {

// With the seed that the words from standard input are.
result<seed> take_identity(context& c, std::string_view passphrase_text) {
  auto owner = read_seed_words(c);
  if (!owner)
    return owner;
  if (auto made = create_identity_file(c.where.identity, *owner, passphrase_text); !made)
    return fail(made.error());
  c.out.note("the identity of these words is at " + c.where.identity);
  return owner;
}

int run_init(context& c, bool from_words) {
  auto failed = [&](const error& e) { return c.out.failed("init", e); };
  if (auto ready = prepare_places(c.where); !ready)
    return failed(ready.error());
  if (identity_exists(c.where))
    return failed({errc::key_exists, "there is an identity at " + c.where.identity + " already; it is left as it is"});
  auto word = new_passphrase(c.options.passphrase_file);
  if (!word)
    return failed(word.error());
  auto owner = from_words ? take_identity(c, word->text()) : make_identity(c, word->text());
  if (!owner)
    return failed(owner.error());
  if (auto opened = open_store(c, *owner, true); !opened)
    return failed(opened.error());
  // The answer shows that the store is there and takes questions.
  if (auto stats = c.store->stats(); !stats)
    return failed(stats.error());
  const auto url = to_string(c.where.store);
  c.out.summary("values will be kept in " + url);
  if (c.out.use_json)
    c.out.document({{"identity", c.where.identity}, {"passphrase", !word->text().empty()}, {"store", url}});
  return 0;
}

}  // namespace

command add_init(CLI::App& root, const arguments&) {
  auto* parser = root.add_subcommand("init", "Make an identity and a store");
  auto from_words = std::make_shared<bool>(false);
  parser->add_flag("--from-words", *from_words, "The identity of the 24 words on standard input (see identity words)");
  return {parser, [from_words](context& c) { return run_init(c, *from_words); }};
}

}  // namespace mutant::cli
