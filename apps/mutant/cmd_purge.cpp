// mutant purge: returns what crashed uploads left in the store to the free pads.
#include "apps/mutant/commands.hpp"

namespace mutant::cli {

namespace {

json to_json(const purge_request& asked, const purge_result& r) {
  return {{"dry_run", asked.dry_run},
          {"looked_at", r.looked_at},
          {"leaked_pads", r.leaked_pads},
          {"gaps", r.gaps},
          {"stale_free", r.stale_free},
          {"uploads_dropped", r.uploads_dropped},
          {"parts_erased", r.parts_erased},
          {"wiped", r.wiped},
          {"bytes_returned", r.bytes_returned},
          {"in_use_elsewhere", r.in_use_elsewhere}};
}

int run_purge(context& c, const purge_request& request) {
  if (request.trim && (request.dry_run || request.wipe || request.drop_uploads))
    return c.out.failed("purge", {errc::invalid_argument, "--trim only gives back what is free; it goes with nothing else"});
  auto opened = open_for_changing(c);
  if (!opened)
    return c.out.failed("purge", opened.error());
  purge_result r;
  if (*opened) {
    auto purged = cancellable(c, [&] { return c.store->purge(request); });
    if (!purged)
      return c.out.failed("purge", purged.error());
    r = *purged;
  } else {
    c.out.note(nothing_stored_yet(c));
  }
  if (request.trim)
    c.out.summary(human_bytes(r.bytes_returned) + " given back to the disk");
  else
    c.out.summary("looked at " + counted(r.looked_at, "pad") + " that no value uses: " + std::to_string(r.leaked_pads)
                + " left by unfinished puts" + (request.dry_run ? " would be free again" : ", free again")
                + (r.uploads_dropped != 0 ? "; " + counted(r.uploads_dropped, "unfinished put") + " given up" : "")
                + (r.wiped != 0 ? "; " + counted(r.wiped, "pad") + " blanked" : "")
                + (r.parts_erased != 0 ? "; " + counted(r.parts_erased, "old snapshot part") + " erased" : "")
                + (r.bytes_returned != 0 ? "; " + human_bytes(r.bytes_returned) + " given back to the disk" : ""));
  if (c.out.use_json)
    c.out.document(to_json(request, r));
  return 0;
}

}  // namespace

command add_purge(CLI::App& root, const arguments&) {
  auto* parser = root.add_subcommand("purge", "Give back the room of what was removed or left behind by crashed puts");
  auto request = std::make_shared<purge_request>();
  parser->add_flag("--dry-run", request->dry_run, "Only tell");
  parser->add_flag("--trim", request->trim, "Only give blocks that are free already back to the file system");
  parser->add_flag("--wipe", request->wipe, "Fail unless all that was removed is gone from the store");
  parser->add_flag("--drop-uploads", request->drop_uploads, "Give up every unfinished put, too");
  return {parser, [request](context& c) { return run_purge(c, *request); }};
}

}  // namespace mutant::cli
