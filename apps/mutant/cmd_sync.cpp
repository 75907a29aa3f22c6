// mutant sync: reads what other writers have committed, and says what came in.
#include "apps/mutant/commands.hpp"

namespace mutant::cli {

namespace {

int run(context& c) {
  auto opened = open_for_reading(c);
  if (!opened)
    return c.out.failed("sync", opened.error());
  sync_report report;
  if (*opened) {
    auto got = c.store->sync();
    if (!got)
      return c.out.failed("sync", got.error());
    report = *got;
  } else {
    c.out.note(nothing_stored_yet(c));
  }
  c.out.summary("at commit " + std::to_string(report.sequence) + "; " + counted(report.commits, "commit") + " came in"
                + (report.reloaded ? ", from a newer snapshot" : ""));
  if (c.out.use_json)
    c.out.document({{"sequence", report.sequence}, {"commits", report.commits}, {"reloaded", report.reloaded}});
  return 0;
}

}  // namespace

command add_sync(CLI::App& root, const arguments&) {
  return {root.add_subcommand("sync", "Read what other writers have committed"), run};
}

}  // namespace mutant::cli
