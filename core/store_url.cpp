#include "core/store_url.hpp"

#include <algorithm>
#include <charconv>
#include <set>

#include "core/crypto.hpp"

namespace mutant {

namespace {

constexpr std::size_t max_url_bytes = 8192;
constexpr std::size_t max_hosts = 64;

// Options each scheme knows.
const std::map<std::string, std::set<std::string>, std::less<>>& known_options() {
  static const std::map<std::string, std::set<std::string>, std::less<>> known = {
      {"local", {}}, {"memory", {}}, {"caf", {}}, {"cafs", {}}, {"rados", {"conf", "id", "namespace"}},
      {"s3", {"endpoint", "region", "profile", "path-style"}}};
  return known;
}

result<std::string> percent_decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    std::array<std::byte, 1> byte{};
    if (i + 2 >= text.size() || !from_hex(text.substr(i + 1, 2), byte))
      return fail(errc::invalid_argument, "a store URL has a '%' without two hex digits behind it");
    if (byte[0] == std::byte{0})
      return fail(errc::invalid_argument, "a store URL has no zero bytes, %00 neither");
    out += static_cast<char>(byte[0]);
    i += 2;
  }
  return out;
}

std::string percent_encode(std::string_view text) {
  std::string out;
  for (auto c : text)
    if (c == '%' || c == '&' || c == '=' || c == '?')
      out += '%' + to_hex(as_byte_view({&c, 1}));
    else
      out += c;
  return out;
}

result<std::map<std::string, std::string>> parse_options(std::string_view scheme, std::string_view text) {
  std::map<std::string, std::string> out;
  while (!text.empty()) {
    auto item = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(text.size(), item.size() + 1));
    auto equals = item.find('=');
    if (equals == std::string_view::npos)
      return fail(errc::invalid_argument, "a store URL's options have the form name=value, joined by '&'");
    std::string name(item.substr(0, equals));
    if (!known_options().find(scheme)->second.contains(name))
      return fail(errc::invalid_argument, "a " + std::string(scheme) + ": store has no option '" + name + "'");
    auto value = percent_decode(item.substr(equals + 1));
    if (!value)
      return fail(value.error());
    if (!out.emplace(std::move(name), std::move(*value)).second)
      return fail(errc::invalid_argument, "a store URL names an option twice");
  }
  return out;
}

result<std::vector<host_port>> parse_hosts(std::string_view text) {
  std::vector<host_port> out;
  while (true) {
    auto comma = text.find(',');
    auto host = parse_host_port(text.substr(0, comma));
    if (!host)
      return fail(host.error());
    out.push_back(std::move(*host));
    if (comma == std::string_view::npos)
      return out;
    if (out.size() == max_hosts)
      return fail(errc::invalid_argument, "a store URL names at most 64 hosts");
    text.remove_prefix(comma + 1);
  }
}

}  // namespace

result<host_port> parse_host_port(std::string_view text, bool allow_zero) {
  auto wrong = [&] {
    return fail(errc::invalid_argument, "'" + std::string(text.substr(0, 200)) + "' is not HOST:PORT with a port from "
                                            + (allow_zero ? "0" : "1") + " to 65535");
  };
  auto colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == text.size())
    return wrong();
  host_port out;
  auto host = text.substr(0, colon);
  auto digits = text.substr(colon + 1);
  auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), out.port);
  if (ec != std::errc{} || end != digits.data() + digits.size() || (out.port == 0 && !allow_zero))
    return wrong();
  if (host.front() == '[') {
    if (host.size() < 3 || host.back() != ']')
      return wrong();
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return wrong();
  }
  if (host.find_first_of("/?#@ \t\r\n[]") != std::string_view::npos || std::ranges::any_of(host, [](char c) { return c == 0; }))
    return wrong();
  out.host = host;
  return out;
}

result<store_url> parse_store_url(std::string_view text) {
  if (text.size() > max_url_bytes)
    return fail(errc::invalid_argument, "a store URL has at most 8192 bytes");
  auto colon = text.find(':');
  if (colon == std::string_view::npos)
    return fail(errc::invalid_argument, "'" + std::string(text.substr(0, 200))
                                            + "' is not a store URL; write local:DIR, memory:, caf://HOST:PORT, "
                                              "cafs://HOST:PORT, rados:POOL or s3:BUCKET");
  store_url url;
  url.scheme = text.substr(0, colon);
  if (!known_options().contains(url.scheme))
    return fail(errc::unsupported, "no store has the scheme '" + url.scheme.substr(0, 64)
                                       + ":'; there are local:, memory:, caf://, cafs://, rados: and s3:");
  auto rest = text.substr(colon + 1);
  if (rest.find('\0') != std::string_view::npos)
    return fail(errc::invalid_argument, "a store URL has no zero bytes");
  // A directory's name may hold any character; the others take options.
  if (url.scheme != "local") {
    auto question = rest.find('?');
    if (question != std::string_view::npos) {
      auto options = parse_options(url.scheme, rest.substr(question + 1));
      if (!options)
        return fail(options.error());
      url.options = std::move(*options);
      rest = rest.substr(0, question);
    }
  }
  if (url.scheme == "caf" || url.scheme == "cafs") {
    if (!rest.starts_with("//"))
      return fail(errc::invalid_argument, url.scheme + " URLs have the form " + url.scheme + "://HOST:PORT[,HOST:PORT…]");
    auto hosts = parse_hosts(rest.substr(2));
    if (!hosts)
      return fail(hosts.error());
    url.hosts = std::move(*hosts);
    return url;
  }
  url.path = rest;
  if (url.scheme == "memory" ? !url.path.empty() : url.path.empty())
    return fail(errc::invalid_argument, url.scheme == "memory" ? "memory: has nothing behind the colon"
                                                               : url.scheme + ": needs a name behind the colon");
  return url;
}

std::string to_string(const store_url& url) {
  auto text = url.scheme + ":";
  if (!url.hosts.empty())
    text += "//";
  for (std::size_t i = 0; i < url.hosts.size(); ++i) {
    const auto& [host, port] = url.hosts[i];
    auto v6 = host.find(':') != std::string::npos;
    text += (i == 0 ? "" : ",") + (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
  }
  text += url.path;
  auto separator = '?';
  for (const auto& [name, value] : url.options) {
    text += separator + name + "=" + percent_encode(value);
    separator = '&';
  }
  return text;
}

}  // namespace mutant
