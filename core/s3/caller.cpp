#include "core/s3/caller.hpp"

#include <thread>

#include "core/s3/time.hpp"

namespace mutant::s3 {

namespace {

constexpr unsigned max_tries = 6;
constexpr auto first_pause = std::chrono::milliseconds(50);
constexpr auto max_call_time = std::chrono::seconds(30);   // no try begins later: a server may never answer, each time for 20 s

}  // namespace

caller::caller(location where, credentials_ptr who, std::size_t max_connections)
    : where_(std::move(where)), who_(std::move(who)), http_(max_connections) {}

std::shared_ptr<caller> caller::another(std::size_t max_connections) const {
  auto made = std::make_shared<caller>(where_, who_, max_connections);
  made->clock_offset_ = clock_offset_;
  return made;
}

void caller::start(request asked, callback then) {
  const auto path = where_.path_of(asked.object);
  const auto query = canonical_query(std::move(asked.query));
  auto headers = std::move(asked.headers);
  headers.emplace_back("Host", where_.host_name());
  const auto hash = where_.scheme == "https" ? std::string(unsigned_payload) : sha256_hex(asked.body);
  sign(asked.method, path, query, headers, hash, *who_, where_.region, std::chrono::system_clock::now() + clock_offset_);
  http_request made;
  made.method = std::move(asked.method);
  made.url = where_.scheme + "://" + where_.host_name() + path + (query.empty() ? "" : "?" + query);
  made.headers = std::move(headers);
  made.body = std::move(asked.body);
  made.max_answer_bytes = asked.max_answer_bytes;
  http_.start(std::move(made), std::move(then));
}

bool caller::learn(const judgement& said, const http_answer& answer) {
  if (said.what == verdict::skewed) {
    const auto date = parse_http_date(answer.header("date"));
    if (!date)
      return false;
    const auto offset = std::chrono::duration_cast<std::chrono::seconds>(*date - std::chrono::system_clock::now());
    const auto news = std::chrono::abs(offset - clock_offset_) > std::chrono::seconds(60);
    clock_offset_ = offset;
    return news;
  }
  if (said.what == verdict::elsewhere && said.region != where_.region) {
    where_.region = said.region;
    return true;
  }
  return false;
}

std::pair<http_answer, judgement> caller::call(const request& asked) {
  auto pause = first_pause;
  const auto last_try = std::chrono::steady_clock::now() + max_call_time;
  for (unsigned tries = 1;; ++tries) {
    std::optional<http_answer> answer;
    start(asked, [&](http_answer a) { answer = std::move(a); });
    while (!answer)
      run(std::chrono::milliseconds(1000));
    auto said = judge(*answer, asked, where_);
    const auto give_up = tries == max_tries || std::chrono::steady_clock::now() > last_try;
    switch (said.what) {
      case verdict::skewed:
      case verdict::elsewhere:
        if (!give_up && learn(said, *answer))
          continue;
        break;
      case verdict::again:
      case verdict::slow_down:
      case verdict::unknown:
        if (give_up)
          break;
        std::this_thread::sleep_for(pause);
        pause *= 2;
        continue;
      default: return {std::move(*answer), std::move(said)};
    }
    if (said.what != verdict::unknown)
      said.what = verdict::failed;
    return {std::move(*answer), std::move(said)};
  }
}

}  // namespace mutant::s3
