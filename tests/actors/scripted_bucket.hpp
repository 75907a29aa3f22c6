// A bucket in memory whose answers come when and how the test says, and an S3 store over it.
#pragma once

#include <boost/test/unit_test.hpp>
#include <deque>

#include "actors/pads/s3_store.hpp"
#include "tests/actors/pad_store_fixture.hpp"

namespace mutant::testing {

// A server with one bucket. A request waits in `pending` until the test lets it happen, or answers it without.
class scripted_bucket final : public s3_link {
 public:
  struct object {
    bytes content;
    std::string etag;
  };
  struct pending_request {
    s3::request asked;
    callback then;
    std::string name() const {
      for (const auto& [header, value] : asked.headers) {
        if (header == "If-None-Match")
          return "make";
        if (header == "If-Match")
          return asked.method == "DELETE" ? "remove" : "replace";
        if (header == "Range")
          return "look";
      }
      return asked.object.empty() ? "list" : "read";
    }
  };

  void send(s3::request asked, callback then) override { pending.push_back({std::move(asked), std::move(then)}); }
  void learn(const s3::judgement&, const s3::http_answer&) override { ++learned; }
  void renew_credentials() override { ++renewed; }
  void close() noexcept override { closed = true; }

  static s3::http_answer error_answer(int status, const std::string& code) {
    s3::http_answer a;
    a.status = status;
    a.body = bytes::copy_of("<Error><Code>" + code + "</Code></Error>");
    return a;
  }
  static s3::http_answer no_answer() {
    s3::http_answer a;
    a.failure = {errc::timeout, "no answer"};
    return a;
  }

  pending_request next() {
    BOOST_REQUIRE(!pending.empty());
    auto first = std::move(pending.front());
    pending.pop_front();
    return first;
  }

  // Does it as a server would.
  s3::http_answer happen(const s3::request& asked) {
    std::string none_match, match;
    bool ranged = false;
    for (const auto& [name, value] : asked.headers) {
      none_match = name == "If-None-Match" ? value : none_match;
      match = name == "If-Match" ? value : match;
      ranged = ranged || name == "Range";
    }
    const auto at = objects.find(asked.object);
    const auto there = at != objects.end();
    const auto same = there && match == "\"" + at->second.etag + "\"";
    s3::http_answer a;
    if (asked.method == "GET") {
      if (!there)
        return error_answer(404, "NoSuchKey");
      a.status = ranged ? 206 : 200;
      a.body = ranged ? at->second.content.slice(0, record_header_bytes) : at->second.content;
      if (ranged)
        a.headers.emplace_back("content-range", "bytes 0-" + std::to_string(a.body.size() - 1) + "/*");
      a.headers.emplace_back("etag", "\"" + at->second.etag + "\"");
      return a;
    }
    if (none_match.empty() && match.empty())
      BOOST_FAIL("a write without a condition");
    if (asked.method == "DELETE") {
      if (there && !same)
        return error_answer(412, "PreconditionFailed");
      objects.erase(asked.object);
      a.status = 204;
      return a;
    }
    if (none_match == "*" && there)
      return error_answer(412, "PreconditionFailed");
    if (!match.empty() && !there)
      return error_answer(404, "NoSuchKey");
    if (!match.empty() && !same)
      return error_answer(412, "PreconditionFailed");
    objects[asked.object] = {asked.body, "e" + std::to_string(++writes)};
    a.status = 200;
    a.headers.emplace_back("etag", "\"e" + std::to_string(writes) + "\"");
    return a;
  }

  std::map<std::string, object> objects;
  std::deque<pending_request> pending;
  std::uint64_t writes = 0;
  unsigned learned = 0, renewed = 0;
  bool closed = false;
};

struct s3_fixture : pad_store_fixture {
  explicit s3_fixture(s3_store_options o = {}) {
    o.link = bucket;
    o.where.bucket = "films";
    o.where.prefix = "p/";
    o.seed = 1;
    handle = det.system().spawn(s3_store, std::move(o));
  }
  std::string object(std::uint64_t pad) { return "p/" + to_hex(data_pad(pad)); }
  // Lets so many requests happen, one after the other, and names them.
  std::string run(std::size_t most = 100) {
    std::string names;
    det.run_messages();
    for (std::size_t i = 0; i < most && !bucket->pending.empty(); ++i) {
      auto r = bucket->next();
      names += (names.empty() ? "" : " ") + r.name();
      r.then(bucket->happen(r.asked));
      det.run_messages();
    }
    return names;
  }
  // Lets all requests that are on their way happen at once, again and again until this is answered: how many round trips.
  template <class T>
  unsigned round_trips(const answer_ptr<T>& a) {
    unsigned count = 0;
    for (det.run_messages(); a->pending(); det.run_messages()) {
      BOOST_REQUIRE(!bucket->pending.empty());
      for (auto& r : std::exchange(bucket->pending, {}))
        r.then(bucket->happen(r.asked));
      ++count;
    }
    return count;
  }
  // The next request is answered so.
  void answer_next(s3::http_answer a) {
    det.run_messages();
    bucket->next().then(std::move(a));
    det.run_messages();
  }
  std::shared_ptr<scripted_bucket> bucket = std::make_shared<scripted_bucket>();
};

}  // namespace mutant::testing
