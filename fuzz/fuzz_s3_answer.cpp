// What a bucket's server, a metadata service or a file of the AWS tools says: never a crash, texts that are shown are bounded
// and plain, and no answer is longer or more than it can be.
//
// The input is an answer: its status, header lines "name: value", an empty line, the body.
#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "core/limits.hpp"
#include "core/s3/credentials.hpp"
#include "core/s3/protocol.hpp"
#include "core/s3/time.hpp"

using namespace mutant;
using namespace mutant::s3;

namespace {

constexpr std::size_t max_message_bytes = 2048;

std::string_view next_line(std::string_view& rest) {
  const auto end = rest.find('\n');
  const auto line = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return line;
}

http_answer answer_of(std::string_view text) {
  http_answer out;
  const auto status = next_line(text);
  std::from_chars(status.data(), status.data() + status.size(), out.status);
  for (auto line = next_line(text); !line.empty(); line = next_line(text)) {
    const auto colon = line.find(": ");
    if (colon != std::string_view::npos)
      out.headers.emplace_back(line.substr(0, colon), line.substr(colon + 2));
  }
  out.body = bytes::copy_of(text);
  return out;
}

void must(bool holds) {
  if (!holds)
    std::abort();
}

bool plain(const std::string& text) {
  return std::ranges::all_of(text, [](char c) { return c >= ' ' && c < 127; });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto answer = answer_of(text);
  location where;
  where.bucket = "films";
  where.region = "us-east-1";
  for (const auto& asked : {read_object("a"), make_object("a", {}), list_objects("p/", {})}) {
    const auto said = judge(answer, asked, where);
    must(plain(said.why.message) && said.why.message.size() <= max_message_bytes);
    must(said.what != verdict::absent || answer.status == 404);
    must(said.what != verdict::done || answer.status / 100 == 2);
  }
  if (const auto front = front_of(answer, record_header_bytes))
    must(front->size() <= record_header_bytes);
  if (const auto page = parse_listing(answer))
    must(page->object_bytes >= page->objects * record_header_bytes && page->object_bytes <= page->objects * max_record_bytes);
  must(etag_of(answer).size() <= answer.header("etag").size());
  says_versioned(answer);
  parse_http_date(answer.header("date"));
  const auto body = text.substr(text.size() - answer.body.size());
  if (const auto who = credentials_from_json(body))
    must(!who->access_key().empty() && !who->secret().empty());
  find_profile(body, "default", false);
  find_profile(body, "work", true);
  parse_time(body);
  return 0;
}
