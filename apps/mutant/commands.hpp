// The subcommands, one file each. Each adds itself to the parser, with its own options, and gives back what runs it.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "apps/mutant/arguments.hpp"
#include "apps/mutant/session.hpp"
#include "apps/mutant/text.hpp"

namespace mutant::cli {

struct command {
  CLI::App* parser;
  // Returns the exit code; has said what went wrong.
  std::function<int(context&)> run;
  bool needs_places = true;   // context::where is filled in
  bool needs_home = true;     // it uses the identity there
};

// `words` outlives the command.
command add_identity(CLI::App& root, const arguments& words);
command add_init(CLI::App& root, const arguments& words);
command add_put(CLI::App& root, const arguments& words);
command add_get(CLI::App& root, const arguments& words);
command add_rm(CLI::App& root, const arguments& words);
command add_mv(CLI::App& root, const arguments& words);
command add_ls(CLI::App& root, const arguments& words);
command add_check(CLI::App& root, const arguments& words);
command add_du(CLI::App& root, const arguments& words);
command add_stat(CLI::App& root, const arguments& words);
command add_stats(CLI::App& root, const arguments& words);
command add_sync(CLI::App& root, const arguments& words);
command add_purge(CLI::App& root, const arguments& words);
command add_recover(CLI::App& root, const arguments& words);
command add_copy_store(CLI::App& root, const arguments& words);
command add_check_store(CLI::App& root, const arguments& words);
command add_node(CLI::App& root, const arguments& words);
command add_version(CLI::App& root, const arguments& words);

// --salvage, for commands that only look; to be copied to context::salvage.
std::shared_ptr<bool> add_salvage(CLI::App& parser);

// What ls and stat tell about a key, for --json.
json describe(const list_item& item);

}  // namespace mutant::cli
