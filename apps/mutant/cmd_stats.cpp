// mutant stats: totals of the index and of the store.
#include "apps/mutant/commands.hpp"

namespace mutant::cli {

namespace {

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

int run_stats(context& c) {
  auto opened = open_for_reading(c);
  if (!opened)
    return c.out.failed("stats", opened.error());
  store_stats stats;
  if (*opened) {
    auto got = c.store->stats();
    if (!got)
      return c.out.failed("stats", got.error());
    stats = *got;
  } else {
    c.out.note(nothing_stored_yet(c));
  }
  if (c.out.use_json)
    c.out.document(to_json(c.where, stats));
  else
    print(c.out, c.where, stats);
  return 0;
}

}  // namespace

command add_stats(CLI::App& root, const arguments&) {
  return {root.add_subcommand("stats", "Show totals of the store"), run_stats};
}

}  // namespace mutant::cli
