// Where a bucket is: what an s3: URL and the environment say, and how the address of an object is written.
// docs/format.md, "Store URLs" and "S3 objects". Pure functions; thread-safe.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "core/crypto.hpp"
#include "core/error.hpp"
#include "core/store_url.hpp"

namespace mutant::s3 {

// What getenv gives, "" for what is not set; tests give their own.
using environment = std::function<std::string(const char* name)>;
std::string process_environment(const char* name);

struct location {
  std::string bucket;
  std::string prefix;            // of every object's name: "" or "a/b/"
  std::string scheme = "https";  // or "http"
  std::string host;              // of the endpoint, with its port if that is not the scheme's; empty: Amazon's, by region
  std::string base_path;         // of the endpoint: "" or "/x"
  std::string region = "us-east-1";
  bool region_given = false;     // otherwise a server's hint may correct it
  bool path_style = false;       // https://HOST/BUCKET/NAME instead of https://BUCKET.HOST/NAME

  std::string host_name() const;                          // what goes into the Host header
  std::string path_of(std::string_view object) const;     // percent-encoded; "" is the bucket itself
};

// From s3:BUCKET[/PREFIX][?endpoint=URL&region=NAME&profile=NAME&path-style=1]; AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL,
// AWS_REGION and AWS_DEFAULT_REGION say what the URL does not. invalid_argument: no bucket's name, an endpoint that is not
// http(s)://HOST…
result<location> locate(const store_url& url, const environment& env);

// RFC 3986: everything but letters, digits and "-._~" (and "/", where it is a path) as %XX.
std::string percent_encoded(std::string_view text, bool keep_slashes);

// "PREFIX/<64 hex digits>"
std::string object_of(const location& where, const pad_address& pad);

}  // namespace mutant::s3
