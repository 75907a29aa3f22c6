// mutant sync: reads what other writers have committed, and says what came in.
#include "apps/mutant/commands.hpp"

namespace mutant::cli {

namespace {

int run_sync(context& c, bool accept_rollback) {
  c.accept_rollback = accept_rollback;
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
  if (report.forgotten != 0)
    c.out.summary("this machine had seen commit " + std::to_string(report.forgotten)
                  + "; what was committed behind the store's present state is given up");
  if (c.out.use_json) {
    json out = {{"sequence", report.sequence}, {"commits", report.commits}, {"reloaded", report.reloaded}};
    if (report.forgotten != 0)
      out["had_seen"] = report.forgotten;
    c.out.document(out);
  }
  return 0;
}

}  // namespace

command add_sync(CLI::App& root, const arguments&) {
  auto* parser = root.add_subcommand("sync", "Read what other writers have committed");
  auto accept = std::make_shared<bool>(false);
  parser->add_flag("--accept-rollback", *accept, "Take a store that was put back to an older state as it is");
  return {parser, [accept](context& c) { return run_sync(c, *accept); }};
}

}  // namespace mutant::cli
