// mutant stats: totals of the index and of the store.
#include <algorithm>

#include "apps/mutant/commands.hpp"

namespace mutant::cli {

namespace {

// What of the store's bytes somebody needs, and what nobody does.
struct space {
  std::uint64_t live = 0;          // bytes of records that something needs: this identity's, or others'
  std::uint64_t free = 0;          // that free pads still hold
  std::uint64_t orphaned = 0;      // left by puts and snapshots that were cut off
  std::uint64_t reclaimable = 0;   // that purge gives back: both
};

space space_of(const store_stats& s, const purge_result& unused) {
  space out;
  out.free = unused.free_bytes;
  out.orphaned = unused.leaked_bytes;
  const auto gone = out.free + out.orphaned;
  out.live = s.pads.record_bytes - std::min(s.pads.record_bytes, gone);
  out.reclaimable = gone;
  return out;
}

void print(console& out, const space& s) {
  out.print("live         " + exact_bytes(s.live) + "\n");
  out.print("free pads    " + exact_bytes(s.free) + " that purge gives back\n");
  out.print("orphaned     " + exact_bytes(s.orphaned) + " left by puts that were cut off\n");
  out.print("reclaimable  " + exact_bytes(s.reclaimable) + " by purge\n");
}

void print(console& out, const places& where, const store_stats& s) {
  const auto& t = s.index.totals;
  out.print("identity     " + where.identity + "\n");
  out.print("store        " + to_string(where.store) + "\n");
  out.print("keys         " + std::to_string(t.keys) + "\n");
  out.print("values       " + exact_bytes(t.value_bytes) + "\n");
  if (t.uploads != 0)
    out.print("unfinished   " + counted(t.uploads, "put") + "\n");
  out.print("data pads    " + std::to_string(t.pads_in_use) + " in use, " + std::to_string(t.pads_free) + " free\n");
  out.print("index        commit " + position_text(s.index.sequence, s.index.last_commit) + "; snapshot at "
            + std::to_string(s.index.snapshot_sequence) + " in " + counted(s.index.parts, "part") + ", "
            + human_bytes(s.index.part_bytes) + "\n");
  out.print("in the store " + counted(s.pads.pads, "pad") + ", " + human_bytes(s.pads.record_bytes) + "; "
            + human_bytes(s.pads.disk_bytes) + " on disk\n");
  if (const auto& asked = s.pads.traffic; !asked.requests.empty())
    out.print("this command " + traffic_text(asked) + "\n");
}

json to_json(const places& where, const store_stats& s) {
  const auto& t = s.index.totals;
  json out;
  out["identity"] = where.identity;
  out["store"] = to_string(where.store);
  out["keys"] = t.keys;
  out["value_bytes"] = t.value_bytes;
  out["uploads"] = t.uploads;
  out["pads_in_use"] = t.pads_in_use;
  out["pads_free"] = t.pads_free;
  out["index"] = {{"sequence", s.index.sequence},
                  {"position", position_text(s.index.sequence, s.index.last_commit)},
                  {"snapshot_sequence", s.index.snapshot_sequence},
                  {"snapshot_parts", s.index.parts},
                  {"snapshot_bytes", s.index.part_bytes},
                  {"ring_slots", s.index.ring_slots}};
  out["pads"] = {{"count", s.pads.pads}, {"record_bytes", s.pads.record_bytes}, {"disk_bytes", s.pads.disk_bytes}};
  if (!s.pads.traffic.requests.empty())
    out["traffic"] = traffic_json(s.pads.traffic);
  return out;
}

int run_stats(context& c, bool with_space) {
  auto opened = open_for_reading(c);
  if (!opened)
    return c.out.failed("stats", opened.error());
  store_stats stats;
  purge_result unused;
  if (*opened) {
    auto got = c.store->stats();
    if (!got)
      return c.out.failed("stats", got.error());
    stats = *got;
    if (with_space) {
      purge_request look;
      look.dry_run = true;
      auto looked = cancellable(c, [&] { return c.store->purge(look); });
      if (!looked)
        return c.out.failed("stats", looked.error());
      unused = *looked;
    }
  } else {
    c.out.note(nothing_stored_yet(c));
  }
  const auto spaces = space_of(stats, unused);
  if (c.out.use_json) {
    auto document = to_json(c.where, stats);
    if (with_space)
      document["space"] = {{"live_bytes", spaces.live},
                           {"free_bytes", spaces.free},
                           {"orphaned_bytes", spaces.orphaned},
                           {"orphaned_pads", unused.leaked_pads},
                           {"reclaimable_bytes", spaces.reclaimable},
                           {"disk_bytes", stats.pads.disk_bytes}};
    c.out.document(document);
  } else {
    print(c.out, c.where, stats);
    if (with_space)
      print(c.out, spaces);
  }
  return 0;
}

}  // namespace

command add_stats(CLI::App& root, const arguments&) {
  auto* parser = root.add_subcommand("stats", "Show totals of the store");
  auto with_space = std::make_shared<bool>(false);
  parser->add_flag("--space", *with_space, "Also what is live, free, orphaned and reclaimable, for which all unused pads are "
                                           "looked at");
  return {parser, [with_space](context& c) { return run_stats(c, *with_space); }};
}

}  // namespace mutant::cli
