// A small authority and certificates to start with, for nodes and clients that talk TLS. P-256 keys, PEM files.
#pragma once

#include <string>
#include <vector>

#include "core/error.hpp"

namespace mutant {

struct certificate_request {
  std::string directory;
  // Host names and addresses that clients call the node by. Empty: this machine's, or when renewing, those of before.
  std::vector<std::string> names;
  std::string client;               // not empty: only a certificate of this name, for one more client
  bool renew = false;               // in place of what is there
  int days = 825;                   // of the node's and the client's (tests: below zero); the authority's last ten years
};

// Writes ca.pem, node.pem and client.pem with their keys (ca-key.pem, …, mode 0600) into the directory, which it makes if need
// be; or NAME.pem for one client. An authority that is there already is used. Renewing makes new certificates under it for the
// keys that are there, with the same names, and replaces each in one step; to have new keys, remove the files instead. Returns
// the files written.
// invalid_argument: one of them is there, or (renewing) the authority is not; names that cannot be. io_error: not readable.
result<std::vector<std::string>> make_certificates(const certificate_request& request);

}  // namespace mutant
