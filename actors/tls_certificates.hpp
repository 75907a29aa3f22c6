// A small authority and certificates to start with, for nodes and clients that talk TLS. P-256 keys, PEM files.
#pragma once

#include <string>
#include <vector>

#include "core/error.hpp"

namespace mutant {

struct certificate_request {
  std::string directory;
  std::vector<std::string> names;   // host names and addresses that clients call the node by
  int days = 825;                   // of the node's and the client's (tests: below zero); the authority's last ten years
};

// Writes ca.pem, node.pem and client.pem with their keys (ca-key.pem, …, mode 0600) into the directory, which it makes if need
// be. An authority that is there already is used. Returns the files written. invalid_argument: one of them is there.
result<std::vector<std::string>> make_certificates(const certificate_request& request);

}  // namespace mutant
