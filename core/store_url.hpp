// Names of pad stores: "local:DIR", "memory:", "caf://HOST:PORT[,HOST:PORT…]", "cafs://…", "rados:POOL[?conf=FILE&…]",
// "s3:BUCKET[/PREFIX][?endpoint=URL&…]".
// docs/format.md, "Store URLs".
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"

namespace mutant {

struct host_port {
  std::string host;
  std::uint16_t port = 0;
  friend bool operator==(const host_port&, const host_port&) = default;
};

struct store_url {
  std::string scheme;                           // "local", "memory", "caf", "cafs", "rados", "s3"
  std::string path;                             // local: the directory; rados: the pool; s3: BUCKET[/PREFIX]
  std::vector<host_port> hosts;                 // caf, cafs: at least one
  std::map<std::string, std::string> options;   // what stands behind '?', percent-decoded

  friend bool operator==(const store_url&, const store_url&) = default;
};

// invalid_argument: not a store URL, an option that the scheme does not know, a port out of range; unsupported: unknown scheme.
result<store_url> parse_store_url(std::string_view text);
// Text that parses to the same.
std::string to_string(const store_url& url);

// "HOST:PORT" or "[V6]:PORT". `allow_zero`: port 0, for listening anywhere.
result<host_port> parse_host_port(std::string_view text, bool allow_zero = false);

}  // namespace mutant
