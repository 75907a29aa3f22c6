// TLS with certificates on both sides, over OpenSSL, for sockets that CAF's multiplexer watches.
//
// Not CAF's OpenSSL module, although the two understand each other: of 0.17.6's, a node could not say why it refused a
// client, a client would take any certificate of the same authority for its node's (another client's, say), a missing key
// file would end the process at the next connection, and whoever forgets the authority's file gets no checks at all.
//
// The rules: TLS 1.3, or 1.2 with ephemeral keys (ECDHE) and authenticated encryption; either side shows a certificate that the
// authority's file proves; a client also checks that the node's certificate carries the host name or address that it asked for;
// a certificate with "extended key usage" must allow its role; a node may have a list of the certificates that it takes.
// A context is immutable and shared; a session belongs to the multiplexer's thread.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/error.hpp"

struct ssl_ctx_st;
struct ssl_st;   // OpenSSL's

namespace mutant {

// PEM files. The certificate's may hold its whole chain.
struct tls_files {
  std::string certificate;
  std::string key;
  std::string authority;

  bool given() const noexcept { return !certificate.empty() || !key.empty() || !authority.empty(); }
};

enum class tls_role { node, client };

// The clients that a node lets in, out of those that its authority has certified. Empty: all.
class tls_allow_list {
 public:
  // Each is the SHA-256 fingerprint of a certificate, 64 hexadecimal digits with or without colons, or else a name that it was
  // made out to: its common name, or a host name of it. invalid_argument: neither.
  static result<tls_allow_list> parse(const std::vector<std::string>& entries);

  bool empty() const noexcept { return fingerprints_.empty() && names_.empty(); }
  bool allows(const std::string& print, const std::vector<std::string>& names) const;

 private:
  std::set<std::string> fingerprints_;   // 64 small hexadecimal digits
  std::set<std::string> names_;
};

class tls_context {
 public:
  // invalid_argument: a file is not named, cannot be read as what it should be, does not fit the others, or the certificate
  // is not valid today. access_denied: the key is readable for others than its owner and group.
  static result<std::shared_ptr<const tls_context>> load(const tls_files& files, tls_role role, tls_allow_list allow = {});
  ~tls_context();
  tls_context(const tls_context&) = delete;
  tls_context& operator=(const tls_context&) = delete;

  tls_role role() const noexcept { return role_; }
  const tls_allow_list& allow() const noexcept { return allow_; }
  ssl_ctx_st* handle() const noexcept { return handle_; }

 private:
  tls_context(ssl_ctx_st* handle, tls_role role, tls_allow_list allow) noexcept
      : handle_(handle), role_(role), allow_(std::move(allow)) {}
  ssl_ctx_st* handle_;
  tls_role role_;
  tls_allow_list allow_;
};

using tls_context_ptr = std::shared_ptr<const tls_context>;

// One connection. The first calls of read and write do the handshake.
class tls_session {
 public:
  enum class outcome { moved, wait, over };   // bytes went through; the socket is not ready; closed or failed

  // `host`: whom a client means to reach. The descriptor stays the caller's.
  static result<std::unique_ptr<tls_session>> make(const tls_context_ptr& context, int descriptor, const std::string& host);
  ~tls_session();
  tls_session(const tls_session&) = delete;
  tls_session& operator=(const tls_session&) = delete;

  outcome handshake();
  outcome read(void* to, std::size_t size, std::size_t& moved);
  outcome write(const void* from, std::size_t size, std::size_t& moved);

  bool established() const noexcept { return established_; }
  // Bytes that were taken off the socket but not read yet.
  std::size_t pending() const noexcept;
  // For whoever checks the other side's certificate: it is not one that is let in.
  void not_allowed(const std::string& whose) { not_allowed_ = whose; }
  // Why it is over, if that is known.
  const std::string& failure() const noexcept { return failure_; }
  // The name that the other side's certificate was made out to.
  std::string peer_name() const;
  // The SHA-256 of that certificate, in hex.
  std::string peer_fingerprint() const;

 private:
  tls_session(tls_context_ptr context, ssl_st* handle) noexcept : context_(std::move(context)), handle_(handle) {}
  outcome judge(int returned);

  tls_context_ptr context_;
  ssl_st* handle_;
  bool established_ = false;
  std::string failure_;
  std::string not_allowed_;
};

}  // namespace mutant
