// mutant sync: reads what other writers have committed, and says what came in.
#include "apps/mutant/commands.hpp"

namespace mutant::cli {

namespace {

struct sync_arguments {
  bool accept_rollback = false;
  std::string expect;
};

int run_sync(context& c, const sync_arguments& given) {
  c.accept_rollback = given.accept_rollback;
  std::optional<position> expected;
  if (!given.expect.empty()) {
    auto parsed = parse_position(given.expect, "--expect");
    if (!parsed)
      return c.out.failed("sync", parsed.error());
    expected = std::move(*parsed);
  }
  auto opened = open_for_reading(c);
  if (!opened)
    return c.out.failed("sync", opened.error());
  sync_report report;
  if (*opened) {
    auto got = expected ? c.store->sync(*expected) : c.store->sync();
    if (!got)
      return c.out.failed("sync", got.error());
    report = *got;
  } else if (expected) {
    return c.out.failed("sync", {errc::rollback_detected,
                                 "commit " + given.expect + " was expected, and the store holds nothing"});
  } else {
    c.out.note(nothing_stored_yet(c));
  }
  const auto here = position_text(report.sequence, report.last_commit);
  c.out.summary("at commit " + here + "; " + counted(report.commits, "commit") + " came in"
                + (report.reloaded ? ", from a newer snapshot" : ""));
  if (report.forgotten != 0)
    c.out.summary("this machine had seen commit " + std::to_string(report.forgotten)
                  + "; what was committed behind the store's present state is given up");
  if (c.out.use_json) {
    json out = {{"sequence", report.sequence}, {"position", here}, {"commits", report.commits}, {"reloaded", report.reloaded}};
    if (report.forgotten != 0)
      out["had_seen"] = report.forgotten;
    c.out.document(out);
  }
  return 0;
}

}  // namespace

command add_sync(CLI::App& root, const arguments& words) {
  auto* parser = root.add_subcommand("sync", "Read what other writers have committed");
  auto given = std::make_shared<sync_arguments>();
  parser->add_flag("--accept-rollback", given->accept_rollback, "Take a store that was put back to an older state as it is");
  parser->add_option("--expect", given->expect, "Refuse a store whose history does not go through this position")
      ->type_name("SEQ:HASH");
  return {parser, [given, &words](context& c) { return run_sync(c, {given->accept_rollback, words.resolve(given->expect)}); }};
}

}  // namespace mutant::cli
