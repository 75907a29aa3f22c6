#include "core/s3/http.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <map>
#include <mutex>
#include <vector>

namespace mutant::s3 {

namespace {

constexpr long connect_limit_s = 10;
constexpr long slow_limit_s = 20;
constexpr long slow_bytes_per_s = 1024;
constexpr long whole_limit_s = 60;
constexpr long idle_connection_s = 20;            // servers hang up after 20 to 60 seconds, and a request may meet that
constexpr std::size_t max_header_bytes = 65536;
constexpr std::size_t max_short_answer_bytes = 65536;
constexpr long buffer_bytes = 512 * 1024;

struct slist_free {
  void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
};

std::once_flag curl_once;

std::string lower_case(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

// One request under way: what libcurl's callbacks work on.
struct transfer {
  http_request request;
  http_client::callback then;
  http_answer answer;
  std::unique_ptr<curl_slist, slist_free> sent_headers;
  std::size_t sent = 0;
  std::size_t header_bytes = 0;
  buffer body;                       // where the length was said
  std::size_t received = 0;
  std::vector<std::byte> growing;    // where it was not
  bool too_long = false;
  char trouble[CURL_ERROR_SIZE] = {};

  static transfer& of(void* me) { return *static_cast<transfer*>(me); }

  static std::size_t on_header(char* text, std::size_t one, std::size_t size, void* me) {
    auto& t = of(me);
    std::string_view line(text, one * size);
    t.header_bytes += line.size();
    if (t.header_bytes > max_header_bytes)
      return 0;
    if (line.starts_with("HTTP/"))  // also after a 100
      t.answer.headers.clear();
    while (!line.empty() && (line.back() == '\r' || line.back() == '\n'))
      line.remove_suffix(1);
    const auto colon = line.find(':');
    if (colon != std::string_view::npos) {
      auto value = line.substr(colon + 1);
      while (!value.empty() && (value.front() == ' ' || value.front() == '\t'))
        value.remove_prefix(1);
      t.answer.headers.emplace_back(lower_case(line.substr(0, colon)), value);
    }
    return one * size;
  }

  static std::size_t on_body(char* data, std::size_t one, std::size_t size, void* me) {
    return of(me).take({reinterpret_cast<const std::byte*>(data), one * size});
  }

  // What a server says when it refuses may be longer than what was asked for.
  std::size_t bound() const { return std::max(request.max_answer_bytes, max_short_answer_bytes); }

  std::size_t take(byte_view part) {
    if (part.size() > bound() - received) {
      too_long = true;
      return 0;
    }
    if (received == 0 && body.size() == 0)
      if (const auto length = answer.header("content-length"); !length.empty()) {
        std::size_t said = 0;
        std::from_chars(length.data(), length.data() + length.size(), said);
        if (said <= bound())
          body = buffer(said);
      }
    if (body.size() >= received + part.size())
      copy_bytes(part, body.span().subspan(received));
    else if (body.size() != 0)
      return 0;  // longer than said; libcurl does not let that happen
    else
      growing.insert(growing.end(), part.begin(), part.end());
    received += part.size();
    return part.size();
  }

  static std::size_t on_send(char* out, std::size_t one, std::size_t size, void* me) {
    auto& t = of(me);
    const auto count = std::min(one * size, t.request.body.size() - t.sent);
    copy_bytes(t.request.body.view().subspan(t.sent, count), {reinterpret_cast<std::byte*>(out), count});
    t.sent += count;
    return count;
  }

  static int on_seek(void* me, curl_off_t offset, int origin) {
    auto& t = of(me);
    if (origin != SEEK_SET || offset < 0 || static_cast<std::size_t>(offset) > t.request.body.size())
      return CURL_SEEKFUNC_FAIL;
    t.sent = static_cast<std::size_t>(offset);
    return CURL_SEEKFUNC_OK;
  }

  bytes take_body() {
    if (!growing.empty())
      return bytes::copy_of(growing);
    body.shrink(received);
    return std::move(body).freeze();
  }
};

void set_up(CURL* easy, transfer& t) {
  curl_easy_setopt(easy, CURLOPT_URL, t.request.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, connect_limit_s);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, slow_bytes_per_s);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, slow_limit_s);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT, whole_limit_s);
  curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, idle_connection_s);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, buffer_bytes);
  curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, buffer_bytes);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t.trouble);
  if (const auto* authorities = std::getenv("AWS_CA_BUNDLE"); authorities != nullptr && *authorities != '\0')
    curl_easy_setopt(easy, CURLOPT_CAINFO, authorities);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &transfer::on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &t);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &transfer::on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &t);
  if (t.request.method == "PUT" || t.request.method == "POST") {
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(t.request.body.size()));
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, &transfer::on_send);
    curl_easy_setopt(easy, CURLOPT_READDATA, &t);
    curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, &transfer::on_seek);
    curl_easy_setopt(easy, CURLOPT_SEEKDATA, &t);
  }
  if (t.request.method != "GET" && t.request.method != "PUT")
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, t.request.method.c_str());
  curl_slist* headers = curl_slist_append(nullptr, "Expect:");
  for (const auto& [name, value] : t.request.headers)
    headers = curl_slist_append(headers, (name + ": " + value).c_str());
  t.sent_headers.reset(headers);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
}

error failure_of(CURLcode code, const transfer& t) {
  std::string why = t.trouble[0] != '\0' ? std::string(t.trouble) : std::string(curl_easy_strerror(code));
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return {errc::unreachable, why};
    case CURLE_SSL_CONNECT_ERROR:
      return {errc::unreachable, "no TLS connection comes about: " + why + " (does the endpoint speak https there?)"};
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      // Not a matter of time: nothing is gained by another try.
      return {errc::access_denied,
              "the server's certificate does not verify: " + why + " (AWS_CA_BUNDLE names other authorities)"};
    case CURLE_PARTIAL_FILE:
    case CURLE_WRITE_ERROR:
      return {errc::corrupt_record,
              t.too_long ? "the answer is longer than a record can be" : "the answer is cut short: " + why};
    default:
      // A connection that was never made has sent nothing.
      return {t.sent == 0 && t.header_bytes == 0 && code == CURLE_OPERATION_TIMEDOUT && t.request.body.size() != 0
                  ? errc::unreachable
                  : errc::timeout,
              why};
  }
}

}  // namespace

std::string_view http_answer::header(std::string_view name) const noexcept {
  for (const auto& [known, value] : headers)
    if (known == name)
      return value;
  return {};
}

struct http_client::state {
  CURLM* multi = nullptr;
  std::map<CURL*, std::unique_ptr<transfer>> under_way;
  std::vector<CURL*> idle;           // handles to be used again
};

http_client::http_client(std::size_t max_connections) : state_(std::make_unique<state>()) {
  std::call_once(curl_once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  state_->multi = curl_multi_init();
  curl_multi_setopt(state_->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, static_cast<long>(max_connections));
  curl_multi_setopt(state_->multi, CURLMOPT_MAXCONNECTS, static_cast<long>(max_connections));
  curl_multi_setopt(state_->multi, CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_NOTHING));
}

http_client::~http_client() {
  for (const auto& [easy, t] : state_->under_way) {
    curl_multi_remove_handle(state_->multi, easy);
    curl_easy_cleanup(easy);
  }
  for (auto* easy : state_->idle)
    curl_easy_cleanup(easy);
  curl_multi_cleanup(state_->multi);
}

void http_client::start(http_request request, callback then) {
  CURL* easy = nullptr;
  if (state_->idle.empty()) {
    easy = curl_easy_init();
  } else {
    easy = state_->idle.back();
    state_->idle.pop_back();
    curl_easy_reset(easy);
  }
  auto t = std::make_unique<transfer>();
  t->request = std::move(request);
  t->then = std::move(then);
  if (easy != nullptr)
    set_up(easy, *t);
  if (easy == nullptr || curl_multi_add_handle(state_->multi, easy) != CURLM_OK) {
    if (easy != nullptr)
      curl_easy_cleanup(easy);
    http_answer answer;
    answer.failure = {errc::io_error, "libcurl cannot begin a request: out of memory?"};
    return t->then(std::move(answer));
  }
  state_->under_way.emplace(easy, std::move(t));
}

bool http_client::run(std::chrono::milliseconds wait) {
  int running = 0;
  curl_multi_perform(state_->multi, &running);
  if (running != 0) {
    curl_multi_poll(state_->multi, nullptr, 0, static_cast<int>(wait.count()), nullptr);
    curl_multi_perform(state_->multi, &running);
  }
  int left = 0;
  while (const auto* message = curl_multi_info_read(state_->multi, &left)) {
    if (message->msg != CURLMSG_DONE)
      continue;
    auto* easy = message->easy_handle;
    const auto code = message->data.result;
    auto done = std::move(state_->under_way.extract(easy).mapped());
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    done->answer.status = static_cast<int>(status);
    if (code != CURLE_OK)
      done->answer.failure = failure_of(code, *done);
    else
      done->answer.body = done->take_body();
    curl_multi_remove_handle(state_->multi, easy);
    state_->idle.push_back(easy);
    done->then(std::move(done->answer));
  }
  return !state_->under_way.empty();
}

void http_client::wakeup() noexcept {
  curl_multi_wakeup(state_->multi);
}

result<std::string> fetch(const std::string& method, const std::string& url, const header_list& headers,
                          std::chrono::milliseconds limit) {
  http_client client(1);
  std::optional<http_answer> answer;
  client.start({method, url, headers, {}, max_short_answer_bytes}, [&](http_answer a) { answer = std::move(a); });
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!answer && std::chrono::steady_clock::now() < end)
    client.run(std::chrono::milliseconds(100));
  if (!answer)
    return fail(errc::timeout, "no answer from " + url);
  if (answer->failure)
    return fail(*answer->failure);
  if (answer->status != 200)
    return fail(errc::io_error, url + " answers with status " + std::to_string(answer->status));
  return std::string(as_text(answer->body));
}

}  // namespace mutant::s3
