// Who we are to a bucket: an access key and its secret, perhaps with a session token that expires.
//
// Looked for in this order: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN (unless a profile is named); the
// profile (of the URL, of AWS_PROFILE, "default") in AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials) and AWS_CONFIG_FILE
// (~/.aws/config), credential_process included; the metadata of a container (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI,
// AWS_CONTAINER_CREDENTIALS_FULL_URI) or of an instance of EC2 (version 2, where the machine says that it is one, or
// AWS_EC2_METADATA_SERVICE_ENDPOINT is set; never with AWS_EC2_METADATA_DISABLED=true).
//
// Secrets are wiped with the object that holds them and are in no message. Loading may wait for a process (30 s) or for the
// metadata (2 s a request): not in a thread that others need.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.hpp"
#include "core/s3/location.hpp"

namespace mutant::s3 {

class credentials {
 public:
  credentials() = default;
  credentials(std::string access_key, std::string secret, std::string token = {});
  credentials(credentials&&) noexcept = default;
  credentials& operator=(credentials&&) noexcept = default;
  credentials(const credentials&) = delete;
  credentials& operator=(const credentials&) = delete;
  ~credentials();

  const std::string& access_key() const noexcept { return access_key_; }
  const std::string& secret() const noexcept { return secret_; }
  const std::string& token() const noexcept { return token_; }

  // Nothing: they do not expire.
  std::optional<std::chrono::system_clock::time_point> expires;

 private:
  std::string access_key_, secret_, token_;
};

using credentials_ptr = std::shared_ptr<const credentials>;

// access_denied: there are none, in words that say where they were looked for; io_error: a file or a process failed.
result<credentials_ptr> load_credentials(const std::string& profile, const environment& env);

// -- the forms they come in, for tests and fuzzing --------------------------------------------------------------------------

struct profile_settings {
  std::string access_key, secret, token, process;
};
// A section of an INI file as the AWS tools write it. `config`: sections are called "profile NAME" there (but "default").
profile_settings find_profile(std::string_view text, std::string_view profile, bool config);
// What credential_process and the metadata services print: AccessKeyId, SecretAccessKey, Token or SessionToken, Expiration.
result<credentials> credentials_from_json(std::string_view text);

}  // namespace mutant::s3
