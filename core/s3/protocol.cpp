#include "core/s3/protocol.hpp"

#include <algorithm>
#include <charconv>
#include <pugixml.hpp>

#include "core/limits.hpp"

namespace mutant::s3 {

namespace {

constexpr std::size_t max_shown_bytes = 200;
constexpr std::size_t max_listing_bytes = 2u << 20;

// A server's text as text.
std::string shown(std::string_view text) {
  std::string out;
  for (const auto c : text.substr(0, max_shown_bytes))
    out += c >= ' ' && c < 127 ? c : '?';
  return text.size() > max_shown_bytes ? out + "..." : out;
}

struct server_error {
  std::string code, message, region;
};

// Nothing: the body is not S3's.
std::optional<server_error> parse_error(const http_answer& answer) {
  pugi::xml_document document;
  if (!document.load_buffer(answer.body.data(), answer.body.size(), pugi::parse_minimal | pugi::parse_escapes))
    return std::nullopt;
  const auto root = document.child("Error");
  if (!root)
    return std::nullopt;
  return server_error{root.child_value("Code"), root.child_value("Message"), root.child_value("Region")};
}

std::string if_match(const traits& how, std::string_view etag) {
  return how.quoted_etags ? "\"" + std::string(etag) + "\"" : std::string(etag);
}

request put_request(std::string object, bytes record, std::string condition, std::string value) {
  return {"PUT", std::move(object), {}, {{std::move(condition), std::move(value)}}, std::move(record), 0};
}

judgement failed(errc code, std::string message) {
  return {verdict::failed, {code, std::move(message)}, {}};
}

// How people find out what was meant: what was asked, of which bucket, and what the server said.
std::string sentence(const http_answer& answer, const std::optional<server_error>& said, const request& asked,
                     const location& where) {
  auto text = asked.method + " in the bucket " + where.bucket + " at " + where.host_name() + ": ";
  if (said)
    return text + shown(said->code) + (said->message.empty() ? "" : " (the server says: " + shown(said->message) + ")");
  return text + "status " + std::to_string(answer.status)
         + (answer.body.empty() ? "" : ", with an answer that is not S3's; is there a proxy in between?");
}

judgement judge_code(const server_error& said, const http_answer& answer, std::string text, const location& where) {
  const auto& code = said.code;
  if (code == "RequestTimeTooSkewed")
    return {verdict::skewed,
            {errc::access_denied, text + ": this machine's clock is wrong, and so is what it learned of the server's; set it"},
            {}};
  if (code == "ExpiredToken" || code == "ExpiredTokenException" || code == "TokenRefreshRequired")
    return {verdict::expired, {errc::access_denied, text + ": get new credentials"}, {}};
  if (code == "NoSuchBucket")
    return failed(errc::unreachable, "there is no bucket " + where.bucket + " at " + where.host_name() + ": make it first");
  if (code == "QuotaExceeded" || code == "InsufficientStorage")
    return failed(errc::store_full, text + ": raise the quota, or remove something from the store");
  if (code == "InvalidAccessKeyId")
    return failed(errc::access_denied, text + ": the access key is not known there; look at AWS_ACCESS_KEY_ID or the profile");
  if (code == "SignatureDoesNotMatch")
    return failed(errc::access_denied,
                  text + ": the secret key is not that of the access key; look at AWS_SECRET_ACCESS_KEY or the profile");
  if (code == "AccessDenied" || code == "AccountProblem" || code == "AllAccessDisabled")
    return failed(errc::access_denied, text + ": the credentials' policy does not allow it (docs/operations.md, \"Buckets\")");
  if (code == "AuthorizationHeaderMalformed" || code == "PermanentRedirect" || code == "IllegalLocationConstraintException") {
    const auto hint = said.region.empty() ? std::string(answer.header("x-amz-bucket-region")) : said.region;
    if (!hint.empty() && hint != where.region)
      return {verdict::elsewhere, {errc::unreachable, text + ": the bucket is in the region " + shown(hint) + ": say region="
                                                      + shown(hint)}, hint};
    return failed(errc::unreachable, text + ": is region= right, is endpoint=?");
  }
  if (code == "RequestTimeout")
    return {verdict::again, {errc::timeout, std::move(text)}, {}};
  return {};
}

}  // namespace

request make_object(std::string object, bytes record) {
  return put_request(std::move(object), std::move(record), "If-None-Match", "*");
}

request replace_object(std::string object, bytes record, const traits& how, std::string_view etag) {
  return put_request(std::move(object), std::move(record), "If-Match", if_match(how, etag));
}

request remove_object(std::string object, const traits& how, std::string_view etag) {
  return {"DELETE", std::move(object), {}, {{"If-Match", if_match(how, etag)}}, {}, 0};
}

request read_object(std::string object) {
  return {"GET", std::move(object), {}, {}, {}, max_record_bytes};
}

request read_front(std::string object, std::size_t count) {
  return {"GET", std::move(object), {}, {{"Range", "bytes=0-" + std::to_string(count - 1)}}, {}, count};
}

request list_objects(const std::string& prefix, const std::string& after) {
  request made{"GET", {}, {{"list-type", "2"}, {"prefix", prefix}, {"max-keys", "1000"}}, {}, {}, max_listing_bytes};
  if (!after.empty())
    made.query.emplace_back("continuation-token", after);
  return made;
}

std::string etag_of(const http_answer& answer) {
  auto tag = answer.header("etag");
  if (tag.size() >= 2 && tag.front() == '"' && tag.back() == '"')
    tag = tag.substr(1, tag.size() - 2);
  return std::string(tag);
}

judgement judge(const http_answer& answer, const request& asked, const location& where) {
  if (answer.failure) {
    auto why = *answer.failure;
    why.message = asked.method + " in the bucket " + where.bucket + " at " + where.host_name() + ": " + why.message;
    if (why.code == errc::unreachable || why.code == errc::access_denied)
      return {verdict::failed, std::move(why), {}};
    // Cut short: the connection was lost. That the next answer is whole is well possible.
    why.code = errc::timeout;
    return {verdict::unknown, std::move(why), {}};
  }
  if (answer.status == 200 || answer.status == 201 || answer.status == 204 || answer.status == 206)
    return {verdict::done, {errc::io_error, {}}, {}};
  if (answer.status == 412)
    return {verdict::refused, {errc::io_error, {}}, {}};
  const auto said = parse_error(answer);
  auto text = sentence(answer, said, asked, where);
  if (answer.status == 404 && said && said->code == "NoSuchKey")
    return {verdict::absent, {errc::pad_not_found, std::move(text)}, {}};
  if (said)
    if (auto found = judge_code(*said, answer, text, where); !found.why.message.empty()) {
      if (said->code == "AccessDenied" && asked.method == "GET" && !asked.object.empty())
        found.why.message += "; without the right to list (s3:ListBucket) an object that is not there looks like this, too";
      return found;
    }
  switch (answer.status) {
    case 409: return {verdict::again, {errc::overloaded, std::move(text)}, {}};
    case 429:
    case 503: return {verdict::slow_down, {errc::overloaded, std::move(text)}, {}};
    case 408:
    case 500:
    case 502:
    case 504: return {verdict::unknown, {errc::timeout, std::move(text)}, {}};
    case 401:
    case 403: return failed(errc::access_denied, std::move(text));
    case 301:
    case 302:
    case 307:
    case 308: return failed(errc::unreachable, text + "; it sends us elsewhere: is endpoint= right, is region=?");
    case 404: return failed(errc::unreachable, text + "; is endpoint= right?");
    case 501: return failed(errc::unsupported, std::move(text));
    case 507: return failed(errc::store_full, std::move(text));
    default: return failed(errc::io_error, std::move(text));
  }
}

result<bytes> front_of(const http_answer& answer, std::size_t count) {
  auto body = answer.body;
  if (answer.status == 206) {
    // "bytes 0-159/4194304"
    const auto range = answer.header("content-range");
    std::size_t first = 1, last = 0;
    if (range.starts_with("bytes ")) {
      auto [dash, bad] = std::from_chars(range.data() + 6, range.data() + range.size(), first);
      if (bad == std::errc{} && dash != range.data() + range.size() && *dash == '-')
        std::from_chars(dash + 1, range.data() + range.size(), last);
    }
    if (first != 0 || last + 1 != body.size() || body.size() > count)
      return fail(errc::corrupt_record, "the server answers with " + std::to_string(body.size()) + " bytes and calls them '"
                                            + shown(range) + "'");
    return body;
  }
  return body.slice(0, count);
}

result<listing> parse_listing(const http_answer& answer) {
  pugi::xml_document document;
  if (!document.load_buffer(answer.body.data(), answer.body.size(), pugi::parse_minimal | pugi::parse_escapes)
      || !document.child("ListBucketResult"))
    return fail(errc::io_error, "the server answers with something that is not a listing of the bucket");
  const auto root = document.child("ListBucketResult");
  listing out;
  for (const auto object : root.children("Contents")) {
    const auto size = object.child("Size").text().as_ullong();
    if (size < record_header_bytes || size > max_record_bytes)
      continue;
    ++out.objects;
    out.object_bytes += size;
  }
  if (root.child("IsTruncated").text().as_bool())
    out.next = root.child_value("NextContinuationToken");
  return out;
}

bool says_versioned(const http_answer& answer) {
  pugi::xml_document document;
  return document.load_buffer(answer.body.data(), answer.body.size(), pugi::parse_minimal | pugi::parse_escapes)
         && std::string_view(document.child("VersioningConfiguration").child_value("Status")) == "Enabled";
}

}  // namespace mutant::s3
