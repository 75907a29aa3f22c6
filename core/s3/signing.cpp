#include "core/s3/signing.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <ctime>

namespace mutant::s3 {

namespace {

using digest = std::array<std::byte, 32>;

digest hmac(byte_view key, std::string_view text) {
  digest out{};
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()), text.size(),
       reinterpret_cast<unsigned char*>(out.data()), &size);
  return out;
}

digest signing_key(const credentials& who, std::string_view day, std::string_view region) {
  auto secret = "AWS4" + who.secret();
  auto key = hmac(as_byte_view(secret), day);
  OPENSSL_cleanse(secret.data(), secret.size());
  for (const auto step : {region, std::string_view("s3"), std::string_view("aws4_request")})
    key = hmac(key, step);
  return key;
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

std::string utc(std::chrono::system_clock::time_point now, const char* format) {
  const auto seconds = std::chrono::system_clock::to_time_t(now);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), format, &parts)};
}

}  // namespace

std::string sha256_hex(byte_view data) {
  digest out{};
  unsigned size = 0;
  EVP_Digest(data.data(), data.size(), reinterpret_cast<unsigned char*>(out.data()), &size, EVP_sha256(), nullptr);
  return to_hex(out);
}

std::string canonical_query(query_list query) {
  for (auto& [name, value] : query) {
    name = percent_encoded(name, false);
    value = percent_encoded(value, false);
  }
  std::ranges::sort(query);
  std::string text;
  for (const auto& [name, value] : query)
    text += (text.empty() ? "" : "&") + name + "=" + value;
  return text;
}

void sign(std::string_view method, std::string_view path, std::string_view query, header_list& headers,
          std::string_view payload_hash, const credentials& who, std::string_view region,
          std::chrono::system_clock::time_point now) {
  const auto time = utc(now, "%Y%m%dT%H%M%SZ");
  const auto day = time.substr(0, 8);
  headers.emplace_back("x-amz-date", time);
  headers.emplace_back("x-amz-content-sha256", payload_hash);
  if (!who.token().empty())
    headers.emplace_back("x-amz-security-token", who.token());

  header_list sorted;
  for (const auto& [name, value] : headers)
    sorted.emplace_back(lower_case(name), value);
  std::ranges::sort(sorted);
  std::string lines, names;
  for (const auto& [name, value] : sorted) {
    lines += name + ":" + value + "\n";
    names += (names.empty() ? "" : ";") + name;
  }
  std::string request(method);
  request.append("\n").append(path).append("\n").append(query).append("\n").append(lines).append("\n").append(names);
  request.append("\n").append(payload_hash);

  auto scope = day;
  scope.append("/").append(region).append("/s3/aws4_request");
  const auto text = "AWS4-HMAC-SHA256\n" + time + "\n" + scope + "\n" + sha256_hex(as_byte_view(request));
  auto key = signing_key(who, day, region);
  const auto signature = to_hex(hmac(key, text));
  OPENSSL_cleanse(key.data(), key.size());
  headers.emplace_back("Authorization", "AWS4-HMAC-SHA256 Credential=" + who.access_key() + "/" + scope
                                            + ",SignedHeaders=" + names + ",Signature=" + signature);
}

}  // namespace mutant::s3
