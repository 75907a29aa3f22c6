#include "actors/net/tls.hpp"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>

#include "core/crypto.hpp"
#include "core/printable.hpp"

namespace mutant {

namespace {

// Empties OpenSSL's queue of errors; the first of them, in words.
std::string take_errors() {
  std::string text;
  while (const auto code = ::ERR_get_error()) {
    const auto* reason = ERR_SYSTEM_ERROR(code) ? std::strerror(ERR_GET_REASON(code)) : ::ERR_reason_error_string(code);
    if (text.empty() && reason != nullptr)
      text = reason;
  }
  return text;
}

auto unusable(const std::string& file, const std::string& what) {
  const auto reason = take_errors();
  return fail(errc::invalid_argument, file + " " + what + (reason.empty() ? "" : ": " + reason));
}

result<void> check_key_file(const std::string& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0)
    return fail(errno_error(errno, "reading the key " + file));
  if ((info.st_mode & (S_IWGRP | S_IRWXO)) != 0)
    return fail(errc::access_denied, "the key " + file + " can be read by everybody, or written by others: chmod 600 it");
  return {};
}

result<void> check_dates(ssl_ctx_st* context, const std::string& file) {
  const auto* certificate = ::SSL_CTX_get0_certificate(context);
  if (::X509_cmp_current_time(::X509_get0_notAfter(certificate)) < 0)
    return fail(errc::invalid_argument, "the certificate " + file + " has expired: make a new one");
  if (::X509_cmp_current_time(::X509_get0_notBefore(certificate)) > 0)
    return fail(errc::invalid_argument, "the certificate " + file + " is not valid yet: is this machine's clock right?");
  return {};
}

result<void> load_files(ssl_ctx_st* context, const tls_files& files) {
  if (files.certificate.empty() || files.key.empty() || files.authority.empty())
    return fail(errc::invalid_argument, "TLS needs a certificate, its key and the authority's certificate: "
                                        "--tls-cert, --tls-key and --tls-ca");
  if (auto good = check_key_file(files.key); !good)
    return good;
  if (::SSL_CTX_use_certificate_chain_file(context, files.certificate.c_str()) != 1)
    return unusable(files.certificate, "is not usable as a certificate");
  if (::SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) != 1)
    return unusable(files.key, "is not usable as the key of " + files.certificate);
  if (::SSL_CTX_check_private_key(context) != 1)
    return unusable(files.key, "is not the key of " + files.certificate);
  if (::SSL_CTX_load_verify_locations(context, files.authority.c_str(), nullptr) != 1)
    return unusable(files.authority, "is not usable as an authority's certificate");
  return check_dates(context, files.certificate);
}

// OpenSSL writes to sockets with write(2): a connection that was closed would be a SIGPIPE.
void block_sigpipe() noexcept {
  thread_local const bool blocked = [] {
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    return true;
  }();
  static_cast<void>(blocked);
}

std::string fingerprint_of(const X509* certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (certificate == nullptr || ::X509_digest(certificate, ::EVP_sha256(), digest.data(), &size) != 1)
    return {};
  return to_hex(std::as_bytes(std::span(digest.data(), size)));
}

std::string common_name(const X509* certificate) {
  std::array<char, 256> text{};
  const auto size = ::X509_NAME_get_text_by_NID(::X509_get_subject_name(certificate), NID_commonName, text.data(),
                                                static_cast<int>(text.size()));
  return size > 0 ? std::string(text.data(), static_cast<std::size_t>(size)) : std::string();
}

// The common name, and the host names. A name with a zero byte in it is none.
std::vector<std::string> names_of(const X509* certificate) {
  std::vector<std::string> names;
  const auto add = [&](std::string name) {
    if (!name.empty() && name.find('\0') == std::string::npos)
      names.push_back(std::move(name));
  };
  add(common_name(certificate));
  auto* found = static_cast<GENERAL_NAMES*>(::X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; found != nullptr && i < sk_GENERAL_NAME_num(found); ++i) {
    const auto* name = sk_GENERAL_NAME_value(found, i);
    if (name->type == GEN_DNS)
      add(std::string(reinterpret_cast<const char*>(::ASN1_STRING_get0_data(name->d.dNSName)),
                      static_cast<std::size_t>(::ASN1_STRING_length(name->d.dNSName))));
  }
  ::GENERAL_NAMES_free(found);
  return names;
}

// After a certificate was proved: is it one that this node takes? The alert tells the client that it is not.
int check_allowed(int good, X509_STORE_CTX* store) {
  if (good != 1 || ::X509_STORE_CTX_get_error_depth(store) != 0)
    return good;
  const auto* session = static_cast<const SSL*>(::X509_STORE_CTX_get_ex_data(store, ::SSL_get_ex_data_X509_STORE_CTX_idx()));
  const auto* context = static_cast<const tls_context*>(SSL_CTX_get_app_data(::SSL_get_SSL_CTX(session)));
  const auto* certificate = ::X509_STORE_CTX_get_current_cert(store);
  if (context->allow().empty() || context->allow().allows(fingerprint_of(certificate), names_of(certificate)))
    return 1;
  static_cast<tls_session*>(SSL_get_app_data(session))
      ->not_allowed("'" + common_name(certificate) + "' nor " + fingerprint_of(certificate));
  ::X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

bool is_address(const std::string& host) noexcept {
  std::array<unsigned char, 16> ignored{};
  return ::inet_pton(AF_INET, host.c_str(), ignored.data()) == 1 || ::inet_pton(AF_INET6, host.c_str(), ignored.data()) == 1;
}

}  // namespace

result<tls_allow_list> tls_allow_list::parse(const std::vector<std::string>& entries) {
  tls_allow_list out;
  for (const auto& entry : entries) {
    std::string digits;
    for (auto c : entry)
      if (c != ':')
        digits += static_cast<char>(c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);
    if (digits.size() == 64 && digits.find_first_not_of("0123456789abcdef") == std::string::npos)
      out.fingerprints_.insert(digits);
    else if (entry.empty() || entry.size() > 255 || entry.find('\0') != std::string::npos)
      return fail(errc::invalid_argument, "'" + printable(shortened(entry, 100)) + "' is neither the SHA-256 fingerprint of a "
                                              + "certificate nor a name of 1 to 255 bytes");
    else
      out.names_.insert(entry);
  }
  return out;
}

bool tls_allow_list::allows(const std::string& print, const std::vector<std::string>& names) const {
  return fingerprints_.contains(print)
         || std::ranges::any_of(names, [&](const std::string& name) { return names_.contains(name); });
}

result<tls_context_ptr> tls_context::load(const tls_files& files, tls_role role, tls_allow_list allow) {
  ::ERR_clear_error();
  auto* handle = ::SSL_CTX_new(role == tls_role::node ? ::TLS_server_method() : ::TLS_client_method());
  if (handle == nullptr)
    return fail(errc::io_error, "making a TLS context: " + take_errors());
  std::shared_ptr<const tls_context> context(new tls_context(handle, role, std::move(allow)));
  if (auto loaded = load_files(handle, files); !loaded)
    return fail(loaded.error());
  // Of TLS 1.2 only what 1.3 has as well: keys that are gone when the connection is, and encryption that notices changes.
  if (::SSL_CTX_set_min_proto_version(handle, TLS1_2_VERSION) != 1
      || ::SSL_CTX_set_cipher_list(handle, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1)
    return fail(errc::io_error, "setting up TLS: " + take_errors());
  SSL_CTX_set_app_data(handle, const_cast<tls_context*>(context.get()));
  ::SSL_CTX_set_verify(handle, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, check_allowed);
  ::SSL_CTX_set_verify_depth(handle, 8);
  ::SSL_CTX_set_options(handle, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
  // A resumed session would not be checked again: a certificate that expires has to be noticed.
  ::SSL_CTX_set_session_cache_mode(handle, SSL_SESS_CACHE_OFF);
  ::SSL_CTX_set_num_tickets(handle, 0);
  ::SSL_CTX_set_mode(handle, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  return context;
}

tls_context::~tls_context() {
  ::SSL_CTX_free(handle_);
}

result<std::unique_ptr<tls_session>> tls_session::make(const tls_context_ptr& context, int descriptor,
                                                       const std::string& host) {
  ::ERR_clear_error();
  auto* handle = ::SSL_new(context->handle());
  if (handle == nullptr)
    return fail(errc::io_error, "making a TLS session: " + take_errors());
  std::unique_ptr<tls_session> session(new tls_session(context, handle));
  SSL_set_app_data(handle, session.get());
  auto good = ::SSL_set_fd(handle, descriptor) == 1;
  if (context->role() == tls_role::node) {
    ::SSL_set_accept_state(handle);
  } else {
    ::SSL_set_connect_state(handle);
    if (is_address(host)) {
      good = good && ::X509_VERIFY_PARAM_set1_ip_asc(::SSL_get0_param(handle), host.c_str()) == 1;
    } else {
      ::SSL_set_hostflags(handle, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
      good = good && ::SSL_set1_host(handle, host.c_str()) == 1 && ::SSL_set_tlsext_host_name(handle, host.c_str()) == 1;
    }
  }
  if (!good)
    return fail(errc::io_error, "setting up TLS: " + take_errors());
  return session;
}

tls_session::~tls_session() {
  ::SSL_free(handle_);
}

tls_session::outcome tls_session::judge(int returned) {
  const auto number = errno;
  switch (::SSL_get_error(handle_, returned)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return outcome::wait;
    case SSL_ERROR_ZERO_RETURN: failure_ = "the connection was closed"; break;
    case SSL_ERROR_SYSCALL:
      failure_ = number != 0 ? std::strerror(number) : "the connection was closed";
      take_errors();
      break;
    default: {
      failure_ = take_errors();
      const auto verdict = ::SSL_get_verify_result(handle_);
      if (!established_ && verdict == X509_V_ERR_APPLICATION_VERIFICATION)
        failure_ = "its certificate was refused: --tls-allow names neither " + not_allowed_;
      else if (!established_ && verdict != X509_V_OK)
        failure_ = std::string("its certificate was refused: ") + ::X509_verify_cert_error_string(verdict);
    }
  }
  return outcome::over;
}

tls_session::outcome tls_session::handshake() {
  block_sigpipe();
  ::ERR_clear_error();
  errno = 0;
  const auto returned = ::SSL_do_handshake(handle_);
  if (returned != 1)
    return judge(returned);
  established_ = true;
  return outcome::moved;
}

tls_session::outcome tls_session::read(void* to, std::size_t size, std::size_t& moved) {
  moved = 0;
  block_sigpipe();
  ::ERR_clear_error();
  errno = 0;
  const auto returned = ::SSL_read_ex(handle_, to, size, &moved);
  return returned == 1 ? outcome::moved : judge(returned);
}

tls_session::outcome tls_session::write(const void* from, std::size_t size, std::size_t& moved) {
  moved = 0;
  block_sigpipe();
  ::ERR_clear_error();
  errno = 0;
  const auto returned = ::SSL_write_ex(handle_, from, size, &moved);
  return returned == 1 ? outcome::moved : judge(returned);
}

std::size_t tls_session::pending() const noexcept {
  return static_cast<std::size_t>(::SSL_pending(handle_));
}

std::string tls_session::peer_name() const {
  const auto* certificate = ::SSL_get0_peer_certificate(handle_);
  return certificate == nullptr ? std::string() : common_name(certificate);
}

std::string tls_session::peer_fingerprint() const {
  return fingerprint_of(::SSL_get0_peer_certificate(handle_));
}

}  // namespace mutant
