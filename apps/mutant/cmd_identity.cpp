// mutant identity show | words | from-words | passwd | export FILE | import FILE: what opens the store, and how it is kept.
#include "apps/mutant/commands.hpp"
#include "core/identity.hpp"
#include "core/seed_words.hpp"

namespace mutant::cli {

namespace {

struct identity_arguments {
  std::string action;
  std::string file;
  std::string new_passphrase_file;
  bool remove = false;   // the passphrase
};

using outcome = result<void>;

outcome show(context& c) {
  auto text = read_identity_file(c.where.identity);
  if (!text)
    return fail(text.error());
  auto kind = inspect_identity(*text);
  auto keys = kind ? open_identity(*text, c.where.identity, c.options.passphrase_file) : fail(kind.error());
  wipe(std::as_writable_bytes(std::span(*text)));
  if (!keys)
    return fail(keys.error());
  const auto name = std::visit([](const auto& of) { return keyring(of).owner_name(); }, *keys);
  if (c.out.use_json) {
    c.out.document({{"identity", c.where.identity},
                    {"kind", kind->is_reader ? "reader" : "owner"},
                    {"name", name},
                    {"passphrase", kind->needs_passphrase}});
    return {};
  }
  c.out.print("identity    " + c.where.identity + "\nkind        "
              + (kind->is_reader ? "a reader's: reads what the owner of this name stores, and changes nothing" : "the owner's")
              + "\nname        " + name + " (tells nothing of the seed)\npassphrase  "
              + (kind->needs_passphrase ? "yes" : "none") + "\n");
  return {};
}

outcome print_words(context& c) {
  auto owner = load_owner(c);
  if (!owner)
    return fail(owner.error());
  c.out.note("whoever has these words has everything that is stored; a passphrase does not protect them");
  auto words = words_of_seed(*owner);
  if (c.out.use_json)
    c.out.document({{"words", words}});
  else
    c.out.print(words + "\n");
  wipe(std::as_writable_bytes(std::span(words)));
  return {};
}

outcome take_words(context& c) {
  if (auto ready = prepare_places(c.where); !ready)
    return ready;
  if (identity_exists(c.where))
    return fail(errc::key_exists, "there is an identity at " + c.where.identity + " already; it is left as it is");
  auto word = new_passphrase(c.options.passphrase_file);
  if (!word)
    return fail(word.error());
  auto owner = read_seed_words(c);
  if (!owner)
    return fail(owner.error());
  if (auto made = create_identity_file(c.where.identity, *owner, word->text()); !made)
    return made;
  c.out.summary("the identity of these words is at " + c.where.identity);
  return {};
}

// For passwd and export: never the old one, which the environment may have.
result<passphrase> other_passphrase(const identity_arguments& given) {
  if (given.new_passphrase_file.empty())
    return ask_new_passphrase();
  auto word = given_passphrase(given.new_passphrase_file);
  if (!word)
    return fail(word.error());
  return std::move(**word);
}

outcome change_passphrase(context& c, const identity_arguments& given) {
  if (given.remove && !given.new_passphrase_file.empty())
    return fail(errc::invalid_argument, "--remove and --new-passphrase-file exclude each other");
  auto keys = load_identity(c);
  if (!keys)
    return fail(keys.error());
  auto word = given.remove ? result<passphrase>(passphrase()) : other_passphrase(given);
  if (!word)
    return fail(word.error());
  if (!given.remove && word->text().empty())
    return fail(errc::invalid_argument, "the new passphrase is empty; --remove takes the old one away");
  if (auto replaced = uninterrupted([&] { return replace_identity_file(c.where.identity, *keys, word->text()); }); !replaced)
    return replaced;
  c.out.summary(given.remove ? "the identity is under no passphrase any more"
                             : "the identity is under the new passphrase; copies of the file keep the old one");
  return {};
}

outcome export_to(context& c, const identity_arguments& given) {
  auto keys = load_identity(c);
  if (!keys)
    return fail(keys.error());
  auto word = other_passphrase(given);
  if (!word)
    return fail(word.error());
  if (word->text().empty())
    return fail(errc::invalid_argument, "what leaves this machine goes under a passphrase, and none was given");
  if (auto made = create_identity_file(given.file, *keys, word->text()); !made)
    return made;
  c.out.summary("exported the identity to " + printable(given.file) + ", under the new passphrase");
  return {};
}

// As it is, once it has been opened: its passphrase stays.
outcome import_from(context& c, const identity_arguments& given) {
  if (auto ready = prepare_places(c.where); !ready)
    return ready;
  auto text = read_identity_file(given.file);
  if (!text)
    return fail(text.error());
  auto keys = open_identity(*text, given.file, c.options.passphrase_file);
  auto made = keys ? install_identity_file(c.where.identity, *text) : fail(keys.error());
  wipe(std::as_writable_bytes(std::span(*text)));
  if (!made)
    return made;
  c.out.summary("the identity of " + printable(given.file) + " is at " + c.where.identity);
  return {};
}

int run_identity(context& c, const identity_arguments& given) {
  auto done = [&]() -> outcome {
    const auto wants_file = given.action == "export" || given.action == "import";
    if (wants_file == given.file.empty())
      return fail(errc::invalid_argument, wants_file ? "give the name of a FILE"
                                                         : "this was not expected: " + in_quotes(given.file));
    if (!given.new_passphrase_file.empty() && given.action != "passwd" && given.action != "export")
      return fail(errc::invalid_argument, "--new-passphrase-file goes with passwd and export");
    if (given.remove && given.action != "passwd")
      return fail(errc::invalid_argument, "--remove goes with passwd");
    if (given.action == "show")
      return show(c);
    if (given.action == "words")
      return print_words(c);
    if (given.action == "from-words")
      return take_words(c);
    if (given.action == "passwd")
      return change_passphrase(c, given);
    if (given.action == "export")
      return export_to(c, given);
    if (given.action == "import")
      return import_from(c, given);
    return fail(errc::invalid_argument, "there is no " + in_quotes(given.action)
                                            + "; there are show, words, from-words, passwd, export FILE and import FILE");
  }();
  return done ? 0 : c.out.failed("identity " + printable(given.action), done.error());
}

}  // namespace

command add_identity(CLI::App& root, const arguments& words) {
  auto* parser = root.add_subcommand("identity", "Show, keep and move what opens the store: show, words, from-words, passwd, "
                                                 "export FILE, import FILE");
  auto given = std::make_shared<identity_arguments>();
  parser->add_option("ACTION", given->action, "show; words: the seed as 24 words; from-words: an identity from them; passwd: "
                                              "another passphrase; export or import a FILE")
      ->required()
      ->type_name("");
  parser->add_option("FILE", given->file, "Of export and import")->type_name("");
  parser->add_option("--new-passphrase-file", given->new_passphrase_file,
                     "Has the new passphrase in its first line; else it is asked for")
      ->type_name("FILE");
  parser->add_flag("--remove", given->remove, "With passwd: no passphrase any more");
  return {parser, [given, &words](context& c) {
            return run_identity(c, {words.resolve(given->action), words.resolve(given->file),
                                    words.resolve(given->new_passphrase_file), given->remove});
          }};
}

}  // namespace mutant::cli
