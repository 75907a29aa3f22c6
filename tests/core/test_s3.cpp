// What is said to a bucket and understood of it: signatures (the examples that Amazon publishes), names, credentials, answers.
#include <boost/test/unit_test.hpp>

#include "core/s3/credentials.hpp"
#include "core/s3/location.hpp"
#include "core/s3/protocol.hpp"
#include "core/s3/signing.hpp"
#include "core/s3/time.hpp"

namespace mutant::s3 {

namespace {

environment set_to(std::map<std::string, std::string> values) {
  return [values](const char* name) {
    const auto at = values.find(name);
    return at == values.end() ? std::string() : at->second;
  };
}

result<location> located(const std::string& url, std::map<std::string, std::string> values = {}) {
  auto parsed = parse_store_url(url);
  BOOST_REQUIRE(parsed);
  return locate(*parsed, set_to(std::move(values)));
}

http_answer answer_of(int status, std::string_view body = {}, header_list headers = {}) {
  http_answer a;
  a.status = status;
  a.body = bytes::copy_of(body);
  a.headers = std::move(headers);
  return a;
}

std::string error_body(std::string_view code, std::string_view more = {}) {
  return "<?xml version=\"1.0\"?><Error><Code>" + std::string(code) + "</Code><Message>m</Message>" + std::string(more)
         + "</Error>";
}

judgement judged(const http_answer& a, const std::string& method = "PUT") {
  location where;
  where.bucket = "films";
  return judge(a, {method, "x", {}, {}, {}, 0}, where);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(s3)

// "Signature Calculations for the Authorization Header: Transferring Payload in a Single Chunk", Amazon S3 API Reference.
BOOST_AUTO_TEST_CASE(the_published_examples_of_signatures_come_out) {
  struct example {
    std::string method, path;
    query_list query;
    header_list headers;
    std::string payload, signature;
  };
  const std::vector<example> examples = {
      {"GET", "/test.txt", {}, {{"Host", "examplebucket.s3.amazonaws.com"}, {"Range", "bytes=0-9"}}, "",
       "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
      {"PUT", "/" + percent_encoded("test$file.text", true), {},
       {{"Host", "examplebucket.s3.amazonaws.com"}, {"Date", "Fri, 24 May 2013 00:00:00 GMT"},
        {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
       "Welcome to Amazon S3.", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
      {"GET", "/", {{"lifecycle", ""}}, {{"Host", "examplebucket.s3.amazonaws.com"}}, "",
       "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
      {"GET", "/", {{"prefix", "J"}, {"max-keys", "2"}}, {{"Host", "examplebucket.s3.amazonaws.com"}}, "",
       "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"}};
  const credentials who("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
  const auto now = std::chrono::system_clock::from_time_t(1369353600);  // 2013-05-24T00:00:00Z
  for (auto e : examples) {
    sign(e.method, e.path, canonical_query(e.query), e.headers, sha256_hex(as_byte_view(e.payload)), who, "us-east-1", now);
    BOOST_TEST(e.headers.back().first == "Authorization");
    BOOST_TEST(e.headers.back().second.ends_with("Signature=" + e.signature));
  }
}

BOOST_AUTO_TEST_CASE(a_url_and_the_environment_say_where_a_bucket_is) {
  auto amazon = located("s3:films", {{"AWS_REGION", "eu-central-1"}});
  BOOST_REQUIRE(amazon);
  BOOST_TEST(amazon->host_name() == "films.s3.eu-central-1.amazonaws.com");
  BOOST_TEST(amazon->path_of("a b") == "/a%20b");
  BOOST_TEST(amazon->scheme == "https");
  auto dotted = located("s3:my.films");
  BOOST_TEST(dotted->host_name() == "s3.us-east-1.amazonaws.com");
  auto own = located("s3:films/a/b/?endpoint=http://127.0.0.1:9000/&region=here");
  BOOST_REQUIRE(own);
  BOOST_TEST(own->host_name() == "127.0.0.1:9000");
  BOOST_TEST(own->path_of("a/b/x") == "/films/a/b/x");
  BOOST_TEST(own->path_of("") == "/films");
  BOOST_TEST(own->prefix == "a/b/");
  BOOST_TEST(own->region == "here");
  auto by_name = located("s3:films?endpoint=https://r2.example&path-style=0");
  BOOST_TEST(by_name->host_name() == "films.r2.example");
  BOOST_TEST(located("s3:films", {{"AWS_ENDPOINT_URL", "http://a"}, {"AWS_ENDPOINT_URL_S3", "http://b"}})->host == "b");
}

BOOST_AUTO_TEST_CASE(a_url_that_names_no_bucket_is_refused) {
  for (const std::string url :
       {"s3:ab", "s3:/films", "s3:a b c", "s3:films?endpoint=films", "s3:films?endpoint=ftp://x", "s3:films?endpoint=http://",
        "s3:films?endpoint=http://a@b", "s3:films?path-style=yes", "s3:films?region=a/b", "s3:films//x"}) {
    auto where = located(url);
    BOOST_TEST_CONTEXT(url) {
      BOOST_REQUIRE(!where);
      BOOST_CHECK(where.error().code == errc::invalid_argument);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_profile_is_found_in_either_file) {
  const std::string keys = "# mine\n[default]\naws_access_key_id = A\naws_secret_access_key=S\n\n[ other ]\r\n"
                           "aws_access_key_id=B\r\naws_secret_access_key = T\r\naws_session_token = U\r\n";
  BOOST_TEST(find_profile(keys, "default", false).secret == "S");
  const auto other = find_profile(keys, "other", false);
  BOOST_TEST(other.access_key == "B");
  BOOST_TEST(other.secret == "T");
  BOOST_TEST(other.token == "U");
  BOOST_TEST(find_profile(keys, "none", false).access_key.empty());
  const std::string config = "[profile work]\ncredential_process = /bin/give --to me=you\n[work]\ncredential_process = wrong\n";
  BOOST_TEST(find_profile(config, "work", true).process == "/bin/give --to me=you");
  for (const std::string odd : {"[", "]", "[]", "=\n", "[default", "[default]\n=", "[profile ]\naws_access_key_id=A"})
    BOOST_TEST(find_profile(odd, "default", true).access_key.empty());
}

BOOST_AUTO_TEST_CASE(credentials_in_json_are_whole_or_refused) {
  auto found = credentials_from_json(R"({"Version":1,"AccessKeyId":"A","SecretAccessKey":"S","SessionToken":"T",
                                         "Expiration":"2026-01-31T12:00:00Z"})");
  BOOST_REQUIRE(found);
  BOOST_TEST(found->token() == "T");
  BOOST_CHECK(found->expires == std::chrono::system_clock::from_time_t(1769860800));
  for (const std::string bad : {"", "[]", "{}", R"({"AccessKeyId":"A"})", R"({"AccessKeyId":"A","SecretAccessKey":5})",
                                R"({"AccessKeyId":"A","SecretAccessKey":"S","Expiration":"soon"})"}) {
    auto refused = credentials_from_json(bad);
    BOOST_REQUIRE(!refused);
    BOOST_TEST(refused.error().message.find("SecretAccessKey\":") == std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(the_environment_comes_first_and_half_of_it_is_an_error) {
  auto found = load_credentials("", set_to({{"AWS_ACCESS_KEY_ID", "A"}, {"AWS_SECRET_ACCESS_KEY", "S"}}));
  BOOST_REQUIRE(found);
  BOOST_TEST((*found)->secret() == "S");
  auto half = load_credentials("", set_to({{"AWS_ACCESS_KEY_ID", "A"}}));
  BOOST_REQUIRE(!half);
  auto none = load_credentials("", set_to({{"AWS_EC2_METADATA_DISABLED", "true"}}));
  BOOST_REQUIRE(!none);
  BOOST_CHECK(none.error().code == errc::access_denied);
}

BOOST_AUTO_TEST_CASE(only_an_answer_in_the_servers_own_form_says_that_an_object_is_absent) {
  BOOST_CHECK(judged(answer_of(404, error_body("NoSuchKey"))).what == verdict::absent);
  for (const std::string body :
       {"", "<html>not found</html>", "NoSuchKey", "<Error><Code>Elsewhere</Code></Error>", "<Error>"}) {
    auto said = judged(answer_of(404, body));
    BOOST_CHECK(said.what == verdict::failed);
    BOOST_CHECK(said.why.code == errc::unreachable);
  }
}

BOOST_AUTO_TEST_CASE(every_status_has_its_verdict) {
  for (auto status : {200, 201, 204, 206})
    BOOST_CHECK(judged(answer_of(status)).what == verdict::done);
  BOOST_CHECK(judged(answer_of(412)).what == verdict::refused);
  BOOST_CHECK(judged(answer_of(409, error_body("ConditionalRequestConflict"))).what == verdict::again);
  BOOST_CHECK(judged(answer_of(400, error_body("RequestTimeout"))).what == verdict::again);
  for (auto status : {429, 503})
    BOOST_CHECK(judged(answer_of(status)).what == verdict::slow_down);
  for (auto status : {500, 502, 504, 408})
    BOOST_CHECK(judged(answer_of(status)).what == verdict::unknown);
  const std::vector<std::tuple<int, std::string, errc>> failures = {
      {403, "AccessDenied", errc::access_denied},       {403, "InvalidAccessKeyId", errc::access_denied},
      {403, "SignatureDoesNotMatch", errc::access_denied}, {404, "NoSuchBucket", errc::unreachable},
      {403, "QuotaExceeded", errc::store_full},         {501, "NotImplemented", errc::unsupported},
      {307, "TemporaryRedirect", errc::unreachable},    {418, "Teapot", errc::io_error}};
  for (const auto& [status, code, expected] : failures) {
    auto said = judged(answer_of(status, error_body(code)));
    BOOST_CHECK(said.what == verdict::failed);
    BOOST_CHECK_EQUAL(name_of(said.why.code), name_of(expected));
  }
  BOOST_CHECK(judged(answer_of(403, error_body("RequestTimeTooSkewed"))).what == verdict::skewed);
  BOOST_CHECK(judged(answer_of(400, error_body("ExpiredToken"))).what == verdict::expired);
  auto moved = judged(answer_of(400, error_body("AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>")));
  BOOST_CHECK(moved.what == verdict::elsewhere);
  BOOST_TEST(moved.region == "eu-west-3");
  BOOST_TEST(judged(answer_of(301, error_body("PermanentRedirect"), {{"x-amz-bucket-region", "eu-west-3"}})).region
             == "eu-west-3");
}

BOOST_AUTO_TEST_CASE(what_a_server_says_is_shown_without_control_characters_and_shortened) {
  auto said = judged(answer_of(400, "<Error><Code>Odd\x1b[2J</Code><Message>" + std::string(5000, 'x') + "</Message></Error>"));
  BOOST_TEST(said.why.message.find('\x1b') == std::string::npos);
  BOOST_TEST(said.why.message.size() < 1000u);
}

BOOST_AUTO_TEST_CASE(a_front_is_what_its_range_says_or_refused) {
  auto ranged = answer_of(206, "0123456789", {{"content-range", "bytes 0-9/500"}});
  BOOST_TEST(as_text(*front_of(ranged, 10)) == "0123456789");
  BOOST_TEST(as_text(*front_of(answer_of(200, "0123456789abcdef"), 10)) == "0123456789");
  for (const std::string range :
       {"", "bytes 1-10/500", "bytes 0-8/500", "bytes 0-10/500", "bytes */500", "0-9", "bytes 0-99999999999999999999/1"})
    BOOST_CHECK(!front_of(answer_of(206, "0123456789", {{"content-range", range}}), 10));
  BOOST_CHECK(!front_of(answer_of(206, "0123456789", {{"content-range", "bytes 0-9/500"}}), 5));
}

BOOST_AUTO_TEST_CASE(a_listing_is_added_up_and_followed) {
  auto page = parse_listing(answer_of(
      200,
      "<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Size>500</Size></Contents>"
      "<Contents><Size>7</Size></Contents><Contents><Size>160</Size></Contents><NextContinuationToken>t</NextContinuationToken>"
      "</ListBucketResult>"));
  BOOST_REQUIRE(page);
  BOOST_TEST(page->objects == 2u);
  BOOST_TEST(page->object_bytes == 660u);   // one is too short to be a record: an erased pad
  BOOST_TEST(page->next == "t");
  BOOST_CHECK(!parse_listing(answer_of(200, "<html/>")));
  BOOST_CHECK(!parse_listing(answer_of(200, "")));
}

BOOST_AUTO_TEST_CASE(dates_of_servers_are_read) {
  BOOST_CHECK(parse_http_date("Fri, 24 May 2013 00:00:00 GMT") == std::chrono::system_clock::from_time_t(1369353600));
  for (const std::string bad : {"", "now", "Fri, 24 May 2013", "2013-05-24T00:00:00Z"})
    BOOST_CHECK(!parse_http_date(bad));
}

BOOST_AUTO_TEST_CASE(times_beyond_what_a_clock_holds_are_its_end) {
  const auto last = parse_time("2200-12-31T23:59:59Z");
  BOOST_REQUIRE(last && *last > std::chrono::system_clock::now());
  BOOST_CHECK(parse_time("9999-12-31T23:59:59Z") == last);
  BOOST_CHECK(parse_http_date("Wed, 31 Dec 9999 23:59:59 GMT") == last);
  BOOST_CHECK(parse_time("1066-01-01T00:00:00Z") == std::chrono::system_clock::time_point{});
  const auto who =
      credentials_from_json(R"({"AccessKeyId": "A", "SecretAccessKey": "S", "Expiration": "9999-12-31T00:00:00Z"})");
  BOOST_REQUIRE(who && who->expires);
  BOOST_CHECK(*who->expires > std::chrono::system_clock::now());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::s3
