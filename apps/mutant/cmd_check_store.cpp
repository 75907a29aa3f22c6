// mutant check-store URL: whether a place can keep a store, and how fast it is.
#include <filesystem>

#include "actors/check/check_store.hpp"
#include "apps/mutant/commands.hpp"

namespace mutant::cli {

namespace {

std::string human_time(std::chrono::nanoseconds time) {
  const auto ms = std::chrono::duration<double, std::milli>(time).count();
  char text[32];
  std::snprintf(text, sizeof text, ms < 1 ? "%.2f ms" : ms < 100 ? "%.1f ms" : "%.0f ms", ms);
  return text;
}

std::string rate(double per_second) {
  return std::to_string(static_cast<std::uint64_t>(per_second));
}

std::string both(const measured_latency& l) {
  return human_time(l.p50) + " (p99 " + human_time(l.p99) + ")";
}

void print(console& out, const store_url& url, const checked_store& s) {
  const auto& p = s.pads;
  out.print("store        " + to_string(url) + "\n");
  out.print("write rule   kept: the higher counter is taken, all else refused, and what was taken is shown\n");
  out.print("races        kept: one of 8 writers at once, of a new pad and of an old one\n");
  out.print("reads        whole records up to 4 MiB, and headers alone\n");
  if (s.bucket) {
    out.print("conditions   If-None-Match, If-Match (ETags " + std::string(s.bucket->quoted_etags ? "in" : "without")
              + " quotes)"
              + (s.bucket->conditional_delete ? ", also of DELETE" : "; not of DELETE: an erased pad stays as 7 bytes") + "\n");
    out.print("region       " + s.bucket->region + "\n");
    out.print("versioning   " + std::string(s.bucket->versioned ? "on: what is overwritten is kept, and --wipe cannot reach it"
                                                                 : "off") + "\n");
  }
  if (!s.left_behind.empty())
    out.print("left behind  " + std::to_string(s.left_behind.size()) + " objects that the credentials may not remove: "
              + s.left_behind.front() + (s.left_behind.size() > 1 ? " …" : "") + "\n");
  out.print("latency      of 1 KiB, one at a time: put " + both(p.put) + ", get " + both(p.get) + ", header " + both(p.head)
            + "\n");
  out.print("rate         of 1 KiB, 32 at a time: " + rate(p.small_puts_per_s) + " puts/s, " + rate(p.small_gets_per_s)
            + " gets/s\n");
  out.print("             of 4 MiB, 8 at a time: put " + human_bytes(static_cast<std::uint64_t>(p.put_bytes_per_s))
            + "/s, get " + human_bytes(static_cast<std::uint64_t>(p.get_bytes_per_s)) + "/s\n");
  if (!p.traffic.requests.empty())
    out.print("requests     " + traffic_text(p.traffic) + ", without the probe and the removal\n");
}

json to_json(const measured_latency& l) {
  return {{"count", l.count}, {"p50_ns", l.p50.count()}, {"p99_ns", l.p99.count()}};
}

json to_json(const store_url& url, const checked_store& s) {
  const auto& p = s.pads;
  json out = {{"store", to_string(url)}, {"write_rule", "kept"}, {"races", "kept"}, {"reads", "kept"}};
  if (s.bucket)
    out["bucket"] = {{"quoted_etags", s.bucket->quoted_etags},
                     {"conditional_delete", s.bucket->conditional_delete},
                     {"versioned", s.bucket->versioned},
                     {"region", s.bucket->region},
                     {"left_behind", s.left_behind}};
  out["latency"] = {{"put", to_json(p.put)}, {"get", to_json(p.get)}, {"header", to_json(p.head)}};
  out["rate"] = {{"small_puts_per_s", p.small_puts_per_s},
                 {"small_gets_per_s", p.small_gets_per_s},
                 {"put_bytes_per_s", p.put_bytes_per_s},
                 {"get_bytes_per_s", p.get_bytes_per_s}};
  if (!p.traffic.requests.empty())
    out["traffic"] = traffic_json(p.traffic);
  return out;
}

int run_check_store(context& c, const std::string& given) {
  auto failed = [&](const error& e) { return c.out.failed("check-store " + in_quotes(given), e); };
  auto url = parse_store_url(given);
  if (!url)
    return failed(url.error());
  c.where.store = *url;
  c.where.store_given = true;
  if (auto ours = refuse_others_folders(c.where, false); !ours)
    return failed(ours.error());
  warn_of_plain_nodes(c.out, *url);
  std::atomic<bool> stop = false;
  check_store_options options;
  options.url = *url;
  options.tls = c.where.tls;
  options.remote.unreachable_after = c.where.connect_timeout;
  options.any_file_system = c.options.any_file_system;
  options.threads = c.where.threads;
  options.stop = &stop;
  // A home is made by whoever stores something.
  std::error_code ignored;
  if (std::filesystem::is_directory(c.where.home, ignored))
    options.memory_directory = c.where.home + "/cache";
  signal_scope scope(on_signal::cancel, [&] { stop = true; });
  auto checked = check_store(options);
  if (!checked)
    return failed(checked.error());
  if (c.out.use_json)
    c.out.document(to_json(*url, *checked));
  else
    print(c.out, *url, *checked);
  return 0;
}

}  // namespace

command add_check_store(CLI::App& root, const arguments& words) {
  auto* parser = root.add_subcommand("check-store", "Try whether a place can keep a store, and how fast it is");
  auto given = std::make_shared<std::string>();
  parser->add_option("URL", *given, "The place: any store URL; what is tried there is removed again")
      ->required()
      ->type_name("");
  return {parser, [given, &words](context& c) { return run_check_store(c, words.resolve(*given)); }, true, false};
}

}  // namespace mutant::cli
