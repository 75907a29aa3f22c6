// AWS Signature Version 4 in the Authorization header ("Authenticating Requests (AWS Signature Version 4)", Amazon S3 API
// Reference). Pure functions over OpenSSL's SHA-256 and HMAC; thread-safe.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/bytes.hpp"
#include "core/s3/credentials.hpp"

namespace mutant::s3 {

using header_list = std::vector<std::pair<std::string, std::string>>;
using query_list = std::vector<std::pair<std::string, std::string>>;   // not encoded

constexpr std::string_view unsigned_payload = "UNSIGNED-PAYLOAD";

// In lower-case hex.
std::string sha256_hex(byte_view data);

// "a=1&b=%2F", sorted and encoded as it is signed; the request must carry this very text.
std::string canonical_query(query_list query);

// Adds to the headers (host among them) what the signature needs: x-amz-date, x-amz-content-sha256, x-amz-security-token and
// Authorization. All that were there are signed. `path` is percent-encoded; `payload_hash` hex, or unsigned_payload.
void sign(std::string_view method, std::string_view path, std::string_view query, header_list& headers,
          std::string_view payload_hash, const credentials& who, std::string_view region,
          std::chrono::system_clock::time_point now);

}  // namespace mutant::s3
