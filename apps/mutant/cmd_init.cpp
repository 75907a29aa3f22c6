// mutant init: makes an identity and a store.
#include <unistd.h>

#include "apps/mutant/commands.hpp"

namespace mutant::cli {

namespace {

// Whoever sits at a terminal is asked for a passphrase.
result<passphrase> passphrase_for_init(const context& c) {
  auto given = given_passphrase(c.options.passphrase_file);
  if (!given)
    return fail(given.error());
  if (*given)
    return std::move(**given);
  if (::isatty(STDIN_FILENO) != 1)
    return passphrase();
  return ask_new_passphrase();
}

int run_init(context& c) {
  auto failed = [&](const error& e) { return c.out.failed("init", e); };
  if (auto ready = prepare_places(c.where); !ready)
    return failed(ready.error());
  if (identity_exists(c.where))
    return failed({errc::key_exists, "there is an identity at " + c.where.identity + " already; it is left as it is"});
  auto word = passphrase_for_init(c);
  if (!word)
    return failed(word.error());
  auto owner = make_identity(c, word->text());
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
  return {root.add_subcommand("init", "Make an identity and a store"), run_init};
}

}  // namespace mutant::cli
