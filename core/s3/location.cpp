#include "core/s3/location.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace mutant::s3 {

namespace {

constexpr std::size_t max_prefix_bytes = 512;  // a name has at most 1024 bytes, of which the address takes 64

bool is_bucket_name(std::string_view name) {
  const auto fits = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-' || c == '_'; };
  return name.size() >= 3 && name.size() <= 255 && std::ranges::all_of(name, fits)
         && std::isalnum(static_cast<unsigned char>(name.front())) != 0;
}

bool is_region_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_';
  });
}

result<void> take_endpoint(location& where, std::string_view endpoint) {
  auto wrong = [&] {
    return fail(errc::invalid_argument, "the endpoint '" + std::string(endpoint.substr(0, 200))
                                            + "' is not http://HOST[:PORT] or https://HOST[:PORT]");
  };
  const auto colon = endpoint.find("://");
  if (colon == std::string_view::npos)
    return wrong();
  where.scheme = endpoint.substr(0, colon);
  auto rest = endpoint.substr(colon + 3);
  if (where.scheme != "http" && where.scheme != "https")
    return wrong();
  const auto slash = rest.find('/');
  where.host = rest.substr(0, slash);
  if (slash != std::string_view::npos)
    where.base_path = rest.substr(slash);
  while (where.base_path.ends_with('/'))
    where.base_path.pop_back();
  if (where.host.empty() || where.host.find_first_of("@?# \t\r\n") != std::string::npos
      || where.base_path.find_first_of("?# \t\r\n") != std::string::npos)
    return wrong();
  return {};
}

}  // namespace

std::string process_environment(const char* name) {
  const auto* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string percent_encoded(std::string_view text, bool keep_slashes) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  for (const auto c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const auto plain = (byte < 128 && std::isalnum(byte) != 0) || c == '-' || c == '.' || c == '_' || c == '~';
    if (plain || (c == '/' && keep_slashes)) {
      out += c;
    } else {
      out += '%';
      out += digits[byte >> 4];
      out += digits[byte & 15];
    }
  }
  return out;
}

std::string location::host_name() const {
  const auto endpoint = host.empty() ? "s3." + region + ".amazonaws.com" : host;
  return path_style ? endpoint : bucket + "." + endpoint;
}

std::string location::path_of(std::string_view object) const {
  auto path = base_path + "/";
  if (path_style)
    path += percent_encoded(bucket, false) + (object.empty() ? "" : "/");
  return path + percent_encoded(object, true);
}

std::string object_of(const location& where, const pad_address& pad) {
  return where.prefix + to_hex(pad);
}

result<location> locate(const store_url& url, const environment& env) {
  location where;
  const auto option = [&](const char* name) {
    const auto at = url.options.find(name);
    return at == url.options.end() ? std::string() : at->second;
  };
  const auto slash = url.path.find('/');
  where.bucket = url.path.substr(0, slash);
  if (!is_bucket_name(where.bucket))
    return fail(errc::invalid_argument,
                "'" + where.bucket.substr(0, 200)
                    + "' is not a bucket's name: s3:BUCKET[/PREFIX], 3 to 255 letters, digits, dots and dashes");
  if (slash != std::string::npos)
    where.prefix = url.path.substr(slash + 1);
  while (where.prefix.ends_with('/'))
    where.prefix.pop_back();
  if (where.prefix.size() > max_prefix_bytes || where.prefix.starts_with('/'))
    return fail(errc::invalid_argument, "the prefix behind a bucket's name has at most 512 bytes and does not begin with '/'");
  if (!where.prefix.empty())
    where.prefix += '/';

  auto endpoint = option("endpoint");
  for (const auto* name : {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"})
    if (endpoint.empty())
      endpoint = env(name);
  if (!endpoint.empty())
    if (auto taken = take_endpoint(where, endpoint); !taken)
      return fail(taken.error());

  auto region = option("region");
  for (const auto* name : {"AWS_REGION", "AWS_DEFAULT_REGION"})
    if (region.empty())
      region = env(name);
  if (!region.empty()) {
    if (!is_region_name(region))
      return fail(errc::invalid_argument, "'" + region.substr(0, 100) + "' is not a region's name, such as eu-central-1");
    where.region = region;
    where.region_given = true;
  }

  // Servers of one's own seldom have a name for each bucket; and a certificate for *.HOST does not cover a bucket with a dot.
  const auto style = option("path-style");
  if (!style.empty() && style != "0" && style != "1")
    return fail(errc::invalid_argument, "path-style is 1 (https://HOST/BUCKET/…) or 0 (https://BUCKET.HOST/…)");
  where.path_style = style.empty() ? !where.host.empty() || where.bucket.find('.') != std::string::npos : style == "1";
  return where;
}

}  // namespace mutant::s3
