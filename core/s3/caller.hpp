// Signs requests to one bucket and sends them. Belongs to one thread, that calls run(); wakeup() alone may be called by any.
//
// Over https the payload is not hashed for the signature (records are signed already); over http it is. The moment of signing
// is that of sending, so that a request that waited is not too old; every try is signed anew.
#pragma once

#include "core/s3/credentials.hpp"
#include "core/s3/http.hpp"
#include "core/s3/protocol.hpp"

namespace mutant::s3 {

class caller {
 public:
  using callback = http_client::callback;

  caller(location where, credentials_ptr who, std::size_t max_connections);

  // `then` is called from run().
  void start(request asked, callback then);
  bool run(std::chrono::milliseconds wait) { return http_.run(wait); }
  void wakeup() noexcept { http_.wakeup(); }

  // One request, waited for, with what a server wants repeated: again, slow_down and unknown with pauses, the rest at once.
  // What came in the end; its verdict is done, absent, refused, unknown or failed.
  std::pair<http_answer, judgement> call(const request& asked);
  // Takes what an answer says about clock and region. False: it says nothing new, so there is no reason to repeat the request.
  bool learn(const judgement& said, const http_answer& answer);

  const location& where() const noexcept { return where_; }
  const credentials& who() const noexcept { return *who_; }
  void use(credentials_ptr who) { who_ = std::move(who); }
  // One more to the same bucket, with connections of its own, for another thread.
  std::shared_ptr<caller> another(std::size_t max_connections) const;

 private:
  location where_;
  credentials_ptr who_;
  http_client http_;
  std::chrono::seconds clock_offset_{0};   // the server's clock minus ours
};

}  // namespace mutant::s3
