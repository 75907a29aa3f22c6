// mutant, the command line: parses, dispatches, and ends with the right exit code. docs/operations.md describes its use.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "apps/mutant/commands.hpp"
#include "apps/mutant/faults.hpp"
#include "apps/mutant/store_faults.hpp"

namespace mutant::cli {

namespace {

// A file that is opened while standard output is closed would become standard output, and the store would be printed into.
// The stand-ins fail when they are used.
void occupy_standard_descriptors() {
  for (auto descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(descriptor, F_GETFD) < 0 && errno == EBADF)
      [[maybe_unused]] auto taken = ::open("/dev/null", descriptor == STDOUT_FILENO ? O_RDONLY : O_WRONLY);
}

const std::vector<std::string_view> valued_options = {"--home",    "--store",      "--passphrase-file",
                                                      "--threads", "--if-version", "--range",     "--expect",
                                                      "--type", "--attribute", "--compress",
                                                      "--tls-cert",  "--tls-key",    "--tls-ca",
                                                      "--connect-timeout", "--listen",
                                                      "--max-bytes", "--max-pending", "--max-connections",
                                                      "--log-level", "--make-certs",  "--names",
                                                      "--max-per-client", "--tls-allow", "--client", "--exclude",
                                                      "--exclude-from", "--depth", "--sample", "--repair-from",
                                                      "--new-passphrase-file"};

void add_globals(CLI::App& root, context& c) {
  auto& g = c.options;
  root.add_option("--home", g.home, "Where the identity is; else $MUTANT_HOME, else the user's data directory")
      ->type_name("DIR");
  root.add_option("--store", g.store, "Where the values are; else $MUTANT_STORE, else local: in the home")->type_name("URL");
  root.add_option("--passphrase-file", g.passphrase_file, "Has the passphrase in its first line; else $MUTANT_PASSPHRASE")
      ->type_name("FILE");
  root.add_option("--threads", g.threads, "Threads for encryption; else one per core")->type_name("N");
  root.add_option("--tls-cert", g.tls.certificate, "For cafs:// stores and nodes: our certificate; else $MUTANT_TLS_CERT")
      ->type_name("FILE");
  root.add_option("--tls-key", g.tls.key, "Its key; else $MUTANT_TLS_KEY")->type_name("FILE");
  root.add_option("--tls-ca", g.tls.authority, "The authority that theirs must come from; else $MUTANT_TLS_CA")
      ->type_name("FILE");
  root.add_option("--connect-timeout", g.connect_timeout, "How long a remote store may be out of reach (10)")
      ->type_name("SECONDS");
  root.add_flag("--force-filesystem", g.any_file_system,
                "Use a local: store on NFS, CIFS, 9p or FUSE, where it may be damaged");
  root.add_flag("--json", c.out.use_json, "Print one JSON document");
  root.add_flag("--quiet,-q", c.out.quiet, "Print results and errors only");
}

std::vector<command> add_commands(CLI::App& root, const arguments& words) {
  std::vector<command> all;
  for (auto add : {add_put, add_get, add_ls, add_du, add_rm, add_mv, add_stat, add_stats, add_check, add_sync, add_purge,
                   add_recover, add_copy_store, add_check_store, add_node, add_init, add_identity, add_version})
    all.push_back(add(root, words));
  return all;
}

int wrong_usage(context& c, const std::string& message) {
  return c.out.failed("usage", {errc::invalid_argument, message + " (see mutant --help)"});
}

std::string explain(const CLI::App& root, const arguments& words, const CLI::ParseError& e) {
  if (root.get_subcommands().empty()) {
    const auto name = words.command();
    return name.empty() ? "which command?" : "there is no command " + in_quotes(name);
  }
  if (dynamic_cast<const CLI::ExtrasError*>(&e) == nullptr)
    return words.resolve(e.what());
  std::string text = "this was not expected:";
  for (const auto& word : root.remaining(true))
    text += " " + in_quotes(words.resolve(word));
  return text;
}

// An option with an empty value is what is left of a variable that was not set: nobody means it.
std::string empty_option(const CLI::App& parser, const arguments& words) {
  for (const auto* option : parser.get_options())
    if (option->nonpositional() && option->get_items_expected_max() > 0)
      for (const auto& value : option->results())
        if (words.resolve(value).empty())
          return option->get_name() + " is given, but empty";
  return {};
}

int run_command(context& c, const arguments& words, const command& chosen) {
  for (auto* text : {&c.options.home, &c.options.store, &c.options.threads, &c.options.passphrase_file,
                     &c.options.tls.certificate, &c.options.tls.key, &c.options.tls.authority, &c.options.connect_timeout})
    *text = words.resolve(*text);
  if (chosen.needs_places) {
    auto where = find_places(c.options);
    if (!where)
      return c.out.failed(chosen.parser->get_name(), where.error());
    c.where = std::move(*where);
    if (auto ours = refuse_others_folders(c.where, chosen.needs_home); !ours)
      return c.out.failed(chosen.parser->get_name(), ours.error());
  }
  const auto code = chosen.run(c);
  remember(c);  // also after a failure: what was seen of the store on the way must not be forgotten
  return code;
}

int parse_and_run(context& c, const arguments& words) {
  CLI::App root("Private, mutable key-value storage over scratchpads", "mutant");
  root.require_subcommand(1, 1);
  root.fallthrough();
  root.footer("Options that every command takes (--home, --store, --json, --quiet and others): mutant --help.\n"
              "Exit codes: 0 done, 1 other, 2 usage, 3 not found, 4 exists or another version, 5 damaged data,\n"
              "6 store unavailable or full, 130 interrupted.");
  add_globals(root, c);
  root.set_version_flag("--version", "mutant " MUTANT_VERSION);
  const auto commands = add_commands(root, words);
  try {
    root.parse(words.for_parser());
  } catch (const CLI::Success& wanted) {  // --help, --version
    std::ostringstream text;
    root.exit(wanted, text, text);
    c.out.print(text.str());
    return 0;
  } catch (const CLI::ParseError& e) {
    return wrong_usage(c, explain(root, words, e));
  }
  const auto* parsed = root.get_subcommands().front();
  for (const auto* parser : {const_cast<const CLI::App*>(&root), parsed})
    if (auto empty = empty_option(*parser, words); !empty.empty())
      return wrong_usage(c, empty);
  return run_command(c, words, *std::ranges::find(commands, parsed, &command::parser));
}

}  // namespace

}  // namespace mutant::cli

int main(int count, char** words) {
  using namespace mutant::cli;
  occupy_standard_descriptors();
  keep_memory_to_ourselves();
  static context c;
  take_faults([](std::string_view what) noexcept {
    restore_terminal();
    progress_bar::erase();
    c.out.fault(what);
  });
  const arguments given(count, words, valued_options);
  c.out.use_json = given.has_flag("--json");  // for what may go wrong before it is parsed
  start_signals([] {
    restore_terminal();
    progress_bar::erase();
    c.out.interrupted();
  });
  end_on_store_faults(c.out);
  const auto code = c.out.finish(parse_and_run(c, given));
  // A cancelled transfer may leave an actor behind that waits for someone else's end of a pipe.
  if (code == exit_interrupted)
    ::_exit(code);
  c.store.reset();
  return code;
}
