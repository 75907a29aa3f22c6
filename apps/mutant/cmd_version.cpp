// mutant version.
#include "apps/mutant/commands.hpp"

namespace mutant::cli {

command add_version(CLI::App& root, const arguments&) {
  auto run = [](context& c) {
    if (c.out.use_json)
      c.out.document({{"version", MUTANT_VERSION}});
    else
      c.out.print("mutant " MUTANT_VERSION "\n");
    return 0;
  };
  return {root.add_subcommand("version", "Show the version"), run, false};
}

}  // namespace mutant::cli
