#include "actors/tls_certificates.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>

namespace mutant {

namespace {

constexpr int authority_days = 3650;
constexpr long clock_skew_s = 3600;   // certificates are valid from an hour ago: not every clock is right

template <auto Free>
struct freed_by {
  template <class T>
  void operator()(T* x) const noexcept {
    Free(x);
  }
};
using key_ptr = std::unique_ptr<EVP_PKEY, freed_by<::EVP_PKEY_free>>;
using certificate_ptr = std::unique_ptr<X509, freed_by<::X509_free>>;
using bio_ptr = std::unique_ptr<BIO, freed_by<::BIO_free_all>>;
using extension_ptr = std::unique_ptr<X509_EXTENSION, freed_by<::X509_EXTENSION_free>>;

struct credential {
  certificate_ptr certificate;
  key_ptr key;
};

auto openssl_failed(const std::string& doing) {
  const auto* reason = ::ERR_reason_error_string(::ERR_peek_error());
  ::ERR_clear_error();
  return fail(errc::io_error, doing + ": " + (reason != nullptr ? reason : "OpenSSL failed"));
}

bool add_extension(X509* to, X509* issuer, int which, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  ::X509V3_set_ctx(&context, issuer, to, nullptr, nullptr, 0);
  const extension_ptr extension(::X509V3_EXT_conf_nid(nullptr, &context, which, value.c_str()));
  return extension && ::X509_add_ext(to, extension.get(), -1) == 1;
}

bool set_serial(X509* certificate) {
  std::array<unsigned char, 16> bytes{};
  if (::RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1)
    return false;
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7F) | 0x40);
  const std::unique_ptr<BIGNUM, freed_by<::BN_free>> number(::BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
  return number && ::BN_to_ASN1_INTEGER(number.get(), ::X509_get_serialNumber(certificate)) != nullptr;
}

struct subject {
  std::string name;
  int days = 0;
  std::vector<std::pair<int, std::string>> extensions;   // NID, value in OpenSSL's notation
};

// Without an issuer it signs itself.
result<credential> issue(const subject& who, const credential* issuer) {
  ::ERR_clear_error();
  credential made{certificate_ptr(::X509_new()), key_ptr(::EVP_EC_gen("P-256"))};
  auto* certificate = made.certificate.get();
  if (certificate == nullptr || !made.key)
    return openssl_failed("making a key for " + who.name);
  auto* by = issuer != nullptr ? issuer->certificate.get() : certificate;
  auto* subject_name = ::X509_get_subject_name(certificate);
  auto good = ::X509_set_version(certificate, 2) == 1 && set_serial(certificate)
              && ::X509_gmtime_adj(::X509_getm_notBefore(certificate), -clock_skew_s) != nullptr
              && ::X509_time_adj_ex(::X509_getm_notAfter(certificate), who.days, 0, nullptr) != nullptr
              && ::X509_NAME_add_entry_by_NID(subject_name, NID_commonName, MBSTRING_UTF8,
                                              reinterpret_cast<const unsigned char*>(who.name.data()),
                                              static_cast<int>(who.name.size()), -1, 0) == 1
              && ::X509_set_issuer_name(certificate, ::X509_get_subject_name(by)) == 1
              && ::X509_set_pubkey(certificate, made.key.get()) == 1;
  good = good && add_extension(certificate, by, NID_subject_key_identifier, "hash")
         && add_extension(certificate, by, NID_authority_key_identifier, "keyid:always");
  for (const auto& [which, value] : who.extensions)
    good = good && add_extension(certificate, by, which, value);
  if (!good || ::X509_sign(certificate, issuer != nullptr ? issuer->key.get() : made.key.get(), ::EVP_sha256()) == 0)
    return openssl_failed("making the certificate of " + who.name);
  return made;
}

template <class Write>
result<void> write_file(const std::string& path, mode_t mode, Write write) {
  const auto descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
  if (descriptor < 0) {
    if (errno == EEXIST)
      return fail(errc::invalid_argument, path + " is there already; remove it, or choose another directory");
    return fail(errno_error(errno, "making " + path));
  }
  const bio_ptr file(::BIO_new_fd(descriptor, BIO_CLOSE));
  if (!file || !write(file.get()) || BIO_flush(file.get()) != 1 || ::fsync(descriptor) != 0)
    return openssl_failed("writing " + path);
  return {};
}

result<void> write(const credential& what, const std::string& name) {
  auto key = write_file(name + "-key.pem", 0600, [&](BIO* to) {
    return ::PEM_write_bio_PrivateKey(to, what.key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1;
  });
  if (!key)
    return key;
  return write_file(name + ".pem", 0644, [&](BIO* to) { return ::PEM_write_bio_X509(to, what.certificate.get()) == 1; });
}

result<credential> read(const std::string& name) {
  const bio_ptr certificate(::BIO_new_file((name + ".pem").c_str(), "r"));
  const bio_ptr key(::BIO_new_file((name + "-key.pem").c_str(), "r"));
  if (!certificate || !key)
    return openssl_failed("reading " + name + ".pem and " + name + "-key.pem");
  credential out{certificate_ptr(::PEM_read_bio_X509(certificate.get(), nullptr, nullptr, nullptr)),
                 key_ptr(::PEM_read_bio_PrivateKey(key.get(), nullptr, nullptr, nullptr))};
  if (!out.certificate || !out.key)
    return openssl_failed("reading " + name + ".pem and " + name + "-key.pem");
  return out;
}

bool exists(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0;
}

result<credential> authority(const std::string& name, std::vector<std::string>& written) {
  if (exists(name + ".pem") && exists(name + "-key.pem"))
    return read(name);
  auto made = issue({"mutant authority",
                     authority_days,
                     {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"}, {NID_key_usage, "critical,keyCertSign,cRLSign"}}},
                    nullptr);
  if (!made)
    return made;
  if (auto stored = write(*made, name); !stored)
    return fail(stored.error());
  written.push_back(name + ".pem");
  written.push_back(name + "-key.pem");
  return made;
}

// What stands in the certificate: "IP:10.0.0.1,DNS:node-1". Nothing that OpenSSL's notation could take for more.
result<std::string> alternative_names(const std::vector<std::string>& names) {
  std::string out;
  for (const auto& name : names) {
    std::array<unsigned char, 16> ignored{};
    const auto address =
        ::inet_pton(AF_INET, name.c_str(), ignored.data()) == 1 || ::inet_pton(AF_INET6, name.c_str(), ignored.data()) == 1;
    const auto usual = name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_*");
    if (name.empty() || name.size() > 255 || (!address && usual != std::string::npos))
      return fail(errc::invalid_argument, "'" + name.substr(0, 255) + "' is no host name or address");
    out += (out.empty() ? "" : ",") + std::string(address ? "IP:" : "DNS:") + name;
  }
  return out;
}

}  // namespace

result<std::vector<std::string>> make_certificates(const certificate_request& request) {
  auto names = alternative_names(request.names);
  if (!names)
    return fail(names.error());
  if (::mkdir(request.directory.c_str(), 0700) != 0 && errno != EEXIST)
    return fail(errno_error(errno, "making the directory " + request.directory));
  for (const auto* name : {"/node.pem", "/node-key.pem", "/client.pem", "/client-key.pem"})
    if (exists(request.directory + name))
      return fail(errc::invalid_argument,
                  request.directory + name + " is there already; remove it, or choose another directory");
  std::vector<std::string> written;
  auto ca = authority(request.directory + "/ca", written);
  if (!ca)
    return fail(ca.error());
  const auto leaf = [&](const std::string& file, const std::string& name, const std::string& use,
                        std::vector<std::pair<int, std::string>> more) -> result<void> {
    subject who{name, request.days, std::move(more)};
    who.extensions.push_back({NID_basic_constraints, "critical,CA:FALSE"});
    who.extensions.push_back({NID_key_usage, "critical,digitalSignature"});
    who.extensions.push_back({NID_ext_key_usage, use});
    auto made = issue(who, &*ca);
    if (!made)
      return fail(made.error());
    if (auto stored = write(*made, request.directory + "/" + file); !stored)
      return stored;
    written.push_back(request.directory + "/" + file + ".pem");
    written.push_back(request.directory + "/" + file + "-key.pem");
    return {};
  };
  // A node may be a client of other nodes.
  if (auto made = leaf("node", request.names.front(), "serverAuth,clientAuth", {{NID_subject_alt_name, *names}}); !made)
    return fail(made.error());
  if (auto made = leaf("client", "mutant client", "clientAuth", {}); !made)
    return fail(made.error());
  return written;
}

}  // namespace mutant
