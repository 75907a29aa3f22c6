// HTTP by libcurl's multi interface, without a thread of its own: whoever owns a client calls run() again and again. The only
// place that knows libcurl.
//
// An answer is bounded in bytes before memory is taken for it, and in time: ten seconds to connect, 20 seconds with less than
// a kilobyte a second, a minute in all. HTTP/1.1; no redirects, no "Expect: 100-continue"; certificates are verified, against
// AWS_CA_BUNDLE if that is set. A client belongs to one thread; wakeup() alone may be called by any.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/bytes.hpp"
#include "core/error.hpp"
#include "core/s3/signing.hpp"

namespace mutant::s3 {

struct http_request {
  std::string method;                // GET, PUT, DELETE, POST
  std::string url;
  header_list headers;
  bytes body;                        // of a PUT or POST
  std::size_t max_answer_bytes = 0;  // of the body; more is a failure
};

struct http_answer {
  // Nothing: there is an answer. Nothing was sent: unreachable (no such host, no connection), access_denied (a certificate
  // that does not verify). timeout: it may have been received; corrupt_record: the answer is cut short, or longer than it may
  // be.
  std::optional<error> failure;
  int status = 0;
  header_list headers;               // names in lower case
  bytes body;

  // "" if there is none.
  std::string_view header(std::string_view name) const noexcept;
};

class http_client {
 public:
  using callback = std::function<void(http_answer)>;

  explicit http_client(std::size_t max_connections);
  ~http_client();                    // what is under way is forgotten: its callbacks are dropped uncalled
  http_client(const http_client&) = delete;
  http_client& operator=(const http_client&) = delete;

  // `then` is called from run(), or from here if it cannot even begin.
  void start(http_request request, callback then);
  // Does what can be done now, and waits at most so long for more to do. Whether anything is still under way.
  bool run(std::chrono::milliseconds wait);
  // Ends a run() that waits in another thread.
  void wakeup() noexcept;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

// One request, waited for: the body of an answer with status 200. unreachable, timeout, io_error (another status).
result<std::string> fetch(const std::string& method, const std::string& url, const header_list& headers,
                          std::chrono::milliseconds limit);

}  // namespace mutant::s3
