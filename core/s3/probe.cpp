#include "core/s3/probe.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace mutant::s3 {

namespace {

constexpr std::size_t racers = 8;
constexpr auto max_probe_time = std::chrono::seconds(30);   // no other attempt begins later
constexpr std::string_view unknown_etag = "00000000000000000000000000000000";

error ignores(const location& where, const std::string& what) {
  return {errc::unsupported, "the bucket " + where.bucket + " at " + where.host_name() + " cannot keep a store: " + what
                                 + ". Two writers would overwrite each other without a word. Use a server with conditional "
                                   "writes (docs/operations.md, \"Buckets\")"};
}

// One try at everything, under names that nobody uses.
class attempt {
 public:
  explicit attempt(caller& bucket) : bucket_(bucket) {
    std::array<std::byte, 8> id{};
    random_fill(id);
    name_ = bucket.where().prefix + ".mutant-probe-" + to_hex(id);
  }

  result<findings> run() {
    auto outcome = try_all();
    auto left = clean_up();
    if (outcome)
      outcome->left_behind = std::move(left);
    return outcome;
  }

 private:
  result<findings> try_all() {
    if (auto ok = check_absence(); !ok)
      return fail(ok.error());
    if (auto ok = check_making(); !ok) {
      if (ok.error().code == errc::access_denied)
        return findings{{}, ok.error(), {}};
      return fail(ok.error());
    }
    if (auto ok = check_ranges(); !ok)
      return fail(ok.error());
    if (auto ok = check_replacing(); !ok)
      return fail(ok.error());
    if (auto ok = check_race(); !ok)
      return fail(ok.error());
    check_removing();
    auto [answer, said] = bucket_.call({"GET", {}, {{"versioning", ""}}, {}, {}, 4096});
    found_.versioned = said.what == verdict::done && says_versioned(answer);
    found_.region = bucket_.where().region;
    return findings{found_, std::nullopt, {}};
  }

  // What may have been written and could not be taken away.
  std::vector<std::string> clean_up() {
    if (silent_)   // it would be waited for again and again
      return remove_objects(bucket_, written_);
    std::vector<std::string> left;
    for (const auto& object : written_)
      if (bucket_.call({"DELETE", object, {}, {}, {}, 0}).second.what == verdict::failed)
        left.push_back(object);
    return left;
  }

  static bytes content(int number) { return bytes::copy_of("mutant tries this server: " + std::to_string(number)); }

  verdict put(const request& asked, error& why) {
    auto [answer, said] = bucket_.call(asked);
    silent_ = answer.failure.has_value();
    why = said.why;
    return said.what;
  }

  // Who may not list the bucket is told 403 in place of 404.
  result<void> check_absence() {
    auto [answer, said] = bucket_.call(read_front(name_, 10));
    if (said.what == verdict::absent)
      return {};
    if (said.what == verdict::done)
      return fail(ignores(bucket_.where(), "it shows an object that was never written"));
    return fail(said.why);
  }

  result<void> check_making() {
    error why{errc::io_error, {}};
    auto outcome = put(make_object(name_, content(1)), why);
    if (outcome != verdict::failed)   // else it was refused: there is nothing to remove
      written_ = {name_, name_ + "-race"};
    if (outcome == verdict::failed && why.code == errc::unsupported)
      return fail(ignores(bucket_.where(), "it does not know If-None-Match: " + why.message));
    if (outcome != verdict::done)
      return fail(outcome == verdict::refused ? error{errc::timeout, "a write of the probe was answered twice"} : why);
    outcome = put(make_object(name_, content(2)), why);
    if (outcome == verdict::done)
      return fail(ignores(bucket_.where(), "it ignores \"If-None-Match: *\" and replaces an object that is there"));
    return outcome == verdict::refused ? result<void>() : fail(why);
  }

  result<void> check_ranges() {
    auto [answer, said] = bucket_.call(read_front(name_, 10));
    if (said.what == verdict::absent)
      return fail(ignores(bucket_.where(), "it does not show an object right after it was written"));
    if (said.what != verdict::done)
      return fail(said.why);
    auto front = front_of(answer, 10);
    if (!front)
      return fail(front.error());
    if (answer.status != 206 || *front != content(1).slice(0, 10))
      return fail(ignores(bucket_.where(), "it does not answer \"Range: bytes=0-9\" with these ten bytes"));
    etag_ = etag_of(answer);
    if (etag_.empty())
      return fail(ignores(bucket_.where(), "its answers have no ETag"));
    return {};
  }

  result<void> check_replacing() {
    error why{errc::io_error, {}};
    auto outcome = put(replace_object(name_, content(3), found_, unknown_etag), why);
    if (outcome == verdict::done)
      return fail(ignores(bucket_.where(), "it ignores If-Match and replaces an object with another ETag"));
    if (outcome != verdict::refused)
      return fail(why.code == errc::unsupported ? ignores(bucket_.where(), "it does not know If-Match: " + why.message) : why);
    for (const auto quoted : {true, false}) {
      found_.quoted_etags = quoted;
      outcome = put(replace_object(name_, content(4), found_, etag_), why);
      if (outcome == verdict::done)
        return {};
      if (outcome != verdict::refused)
        return fail(why);
    }
    return fail(ignores(bucket_.where(), "it refuses If-Match with the very ETag that it gave"));
  }

  // Eight at once make one object: one of them does.
  result<void> check_race() {
    std::size_t answered = 0, won = 0;
    error why{errc::io_error, {}};
    auto unclear = false;
    for (std::size_t i = 0; i < racers; ++i) {
      const auto asked = make_object(name_ + "-race", content(static_cast<int>(i)));
      bucket_.start(asked, [&, asked](const http_answer& answer) {
        ++answered;
        const auto said = judge(answer, asked, bucket_.where());
        won += said.what == verdict::done ? 1 : 0;
        if (said.what == verdict::unknown || said.what == verdict::failed) {
          unclear = true;
          why = said.why;
        }
      });
    }
    while (answered < racers)
      bucket_.run(std::chrono::milliseconds(1000));
    if (won > 1)
      return fail(
          ignores(bucket_.where(), std::to_string(won) + " of 8 writers at once were told that they had made one object"));
    if (won == 0)
      return fail(unclear ? why : error{errc::overloaded, "none of 8 writers at once made an object; try again later"});
    return {};
  }

  void check_removing() {
    auto [refused, how] = bucket_.call(remove_object(name_, found_, unknown_etag));
    if (how.what != verdict::refused)
      return;
    auto [answer, said] = bucket_.call(read_front(name_, 10));
    if (said.what != verdict::done)
      return;
    auto [removed, outcome] = bucket_.call(remove_object(name_, found_, etag_of(answer)));
    found_.conditional_delete = outcome.what == verdict::done;
  }

  caller& bucket_;
  std::string name_;
  std::vector<std::string> written_;
  std::string etag_;
  traits found_;
  bool silent_ = false;              // the last write was not answered at all
};

}  // namespace

result<findings> probe(caller& bucket) {
  // A lost answer makes one try unclear; another one under other names tells.
  const auto last_try = std::chrono::steady_clock::now() + max_probe_time;
  for (unsigned tries = 1;; ++tries) {
    auto found = attempt(bucket).run();
    if (found || found.error().code != errc::timeout || tries == 3 || std::chrono::steady_clock::now() > last_try)
      return found;
  }
}

std::vector<std::string> remove_objects(caller& bucket, const std::vector<std::string>& names) {
  constexpr std::size_t at_once = 16;
  std::vector<std::string> stay;
  for (std::size_t first = 0; first < names.size(); first += at_once) {
    std::size_t left = std::min(at_once, names.size() - first);
    for (auto i = first, end = first + left; i < end; ++i) {
      const request asked{"DELETE", names[i], {}, {}, {}, 0};
      bucket.start(asked, [&left, &stay, &bucket, asked](const http_answer& answer) {
        --left;
        const auto outcome = judge(answer, asked, bucket.where()).what;
        if (outcome != verdict::done && outcome != verdict::absent)
          stay.push_back(asked.object);
      });
    }
    while (left > 0)
      bucket.run(std::chrono::milliseconds(1000));
  }
  return stay;
}

std::optional<traits> recall_probe(const std::string& path) {
  std::ifstream in(path);
  const auto known = nlohmann::json::parse(in, nullptr, false);
  if (!known.is_object() || known.value("format", 0) != 1)
    return std::nullopt;
  for (const auto* name : {"quoted_etags", "conditional_delete", "versioned"})
    if (!known.contains(name) || !known[name].is_boolean())
      return std::nullopt;
  if (!known.contains("region") || !known["region"].is_string())
    return std::nullopt;
  return traits{known["quoted_etags"], known["conditional_delete"], known["versioned"], known["region"]};
}

void remember_probe(const std::string& path, const traits& found) {
  const nlohmann::json known{{"format", 1},
                             {"quoted_etags", found.quoted_etags},
                             {"conditional_delete", found.conditional_delete},
                             {"versioned", found.versioned},
                             {"region", found.region}};
  const auto fresh = path + ".new";
  {
    std::ofstream out(fresh, std::ios::trunc);
    out << known.dump() << '\n';
    if (!out.flush())
      return;
  }
  static_cast<void>(std::rename(fresh.c_str(), path.c_str()));
}

}  // namespace mutant::s3
