#include "actors/net/tls_certificates.hpp"

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
#include <cstdio>
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
  std::string name;                                      // common name: at most 64 bytes
  int days = 0;
  std::vector<std::pair<int, std::string>> extensions;   // NID, value in OpenSSL's notation
};

// Without an issuer it signs itself; without a key it gets a new one.
result<credential> issue(const subject& who, const credential* issuer, key_ptr key = nullptr) {
  ::ERR_clear_error();
  credential made{certificate_ptr(::X509_new()), key ? std::move(key) : key_ptr(::EVP_EC_gen("P-256"))};
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

result<void> write_certificate(const credential& what, const std::string& path) {
  return write_file(path, 0644, [&](BIO* to) { return ::PEM_write_bio_X509(to, what.certificate.get()) == 1; });
}

result<void> replace_certificate(const credential& what, const std::string& path) {
  const auto whole = path + ".new";
  ::unlink(whole.c_str());   // of an attempt that was cut off
  if (auto written = write_certificate(what, whole); !written)
    return written;
  if (::rename(whole.c_str(), path.c_str()) != 0)
    return fail(errno_error(errno, "renaming " + whole + " to " + path));
  return {};
}

result<void> write(const credential& what, const std::string& name) {
  auto key = write_file(name + "-key.pem", 0600, [&](BIO* to) {
    return ::PEM_write_bio_PrivateKey(to, what.key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1;
  });
  if (!key)
    return key;
  return write_certificate(what, name + ".pem");
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

result<credential> authority(const std::string& name, bool may_make, std::vector<std::string>& written) {
  if (exists(name + ".pem") && exists(name + "-key.pem"))
    return read(name);
  if (!may_make)
    return fail(errc::invalid_argument, name + ".pem and " + name + "-key.pem are needed for this, and are not there");
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

std::string text_of(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(::ASN1_STRING_get0_data(text)), static_cast<std::size_t>(::ASN1_STRING_length(text))};
}

// The names that a certificate was made out to, to make another one like it.
std::vector<std::string> alternative_names_of(const X509* certificate) {
  std::vector<std::string> out;
  auto* found = static_cast<GENERAL_NAMES*>(::X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; found != nullptr && i < sk_GENERAL_NAME_num(found); ++i) {
    const auto* name = sk_GENERAL_NAME_value(found, i);
    if (name->type == GEN_DNS)
      out.push_back(text_of(name->d.dNSName));
    if (name->type != GEN_IPADD)
      continue;
    const auto raw = text_of(name->d.iPAddress);
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (::inet_ntop(raw.size() == 4 ? AF_INET : AF_INET6, raw.data(), text.data(), text.size()) != nullptr)
      out.emplace_back(text.data());
  }
  ::GENERAL_NAMES_free(found);
  return out;
}

std::string common_name_of(const X509* certificate) {
  std::array<char, 256> text{};
  const auto size = ::X509_NAME_get_text_by_NID(::X509_get_subject_name(certificate), NID_commonName, text.data(),
                                                static_cast<int>(text.size()));
  return size > 0 ? std::string(text.data(), static_cast<std::size_t>(size)) : std::string();
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

constexpr std::size_t max_common_name_bytes = 64;   // X.520

// A file is called like it, too.
result<void> check_client_name(const std::string& name) {
  const auto usual = name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@");
  if (name.empty() || name.size() > max_common_name_bytes || usual != std::string::npos || name.front() == '.'
      || name == "ca" || name == "node" || name.ends_with("-key"))
    return fail(errc::invalid_argument, "'" + name.substr(0, 255) + "' cannot be a client's name: it takes 1 to 64 letters, "
                                            "digits, '.', '-', '_' and '@', and is not 'ca', 'node' or ends in '-key'");
  return {};
}

// One kind of certificate that the authority makes.
struct leaf {
  std::string file;           // without .pem
  std::string common_name;
  std::string use;            // extended key usage
  std::string alternative_names;
};

subject subject_of(const leaf& what, int days) {
  subject who{what.common_name, days, {}};
  if (!what.alternative_names.empty())
    who.extensions.emplace_back(NID_subject_alt_name, what.alternative_names);
  who.extensions.emplace_back(NID_basic_constraints, "critical,CA:FALSE");
  who.extensions.emplace_back(NID_key_usage, "critical,digitalSignature");
  who.extensions.emplace_back(NID_ext_key_usage, what.use);
  return who;
}

// A node may be a client of other nodes.
result<leaf> node_leaf(const std::string& file, std::vector<std::string> names) {
  if (names.empty())
    names = {"localhost", "127.0.0.1", "::1"};
  auto alternatives = alternative_names(names);
  if (!alternatives)
    return fail(alternatives.error());
  // Whoever checks a host looks at the alternative names; the common name is for people, and has its limit.
  const auto& first = names.front();
  return leaf{file, first.size() <= max_common_name_bytes ? first : "mutant node", "serverAuth,clientAuth", *alternatives};
}

leaf client_leaf(const std::string& file, const std::string& name) {
  return {file, name, "clientAuth", {}};
}

result<void> make(const leaf& what, const certificate_request& request, const credential& ca,
                  std::vector<std::string>& written) {
  auto made = issue(subject_of(what, request.days), &ca);
  if (!made)
    return fail(made.error());
  if (auto stored = write(*made, what.file); !stored)
    return stored;
  written.push_back(what.file + ".pem");
  written.push_back(what.file + "-key.pem");
  return {};
}

// A new certificate for the old key and, unless others are given, the old names.
result<void> renew(const std::string& file, bool is_node, const certificate_request& request, const credential& ca,
                   std::vector<std::string>& written) {
  auto old = read(file);
  if (!old)
    return fail(old.error());
  const auto* before = old->certificate.get();
  auto what = is_node ? node_leaf(file, request.names.empty() ? alternative_names_of(before) : request.names)
                      : result<leaf>(client_leaf(file, common_name_of(before)));
  if (!what)
    return fail(what.error());
  auto made = issue(subject_of(*what, request.days), &ca, std::move(old->key));
  if (!made)
    return fail(made.error());
  if (auto stored = replace_certificate(*made, file + ".pem"); !stored)
    return stored;
  written.push_back(file + ".pem");
  return {};
}

result<void> check_absent(const std::string& file) {
  for (const auto* end : {".pem", "-key.pem"})
    if (exists(file + end))
      return fail(errc::invalid_argument, file + end + " is there already; give --renew to have it made anew, remove it, or "
                                              "choose another directory");
  return {};
}

}  // namespace

result<std::vector<std::string>> make_certificates(const certificate_request& request) {
  const auto& folder = request.directory;
  const auto one_client = !request.client.empty();
  std::vector<std::string> files = {folder + "/node", folder + "/client"};
  if (one_client) {
    if (auto good = check_client_name(request.client); !good)
      return fail(good.error());
    files = {folder + "/" + request.client};
  }
  const auto node = node_leaf(files.front(), request.names);
  if (!node)
    return fail(node.error());
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return fail(errno_error(errno, "making the directory " + folder));
  if (!request.renew)
    for (const auto& file : files)
      if (auto absent = check_absent(file); !absent)
        return fail(absent.error());
  std::vector<std::string> written;
  const auto ca = authority(folder + "/ca", !request.renew && !one_client, written);
  if (!ca)
    return fail(ca.error());
  for (const auto& file : files) {
    const auto is_node = !one_client && file == files.front();
    auto done = request.renew ? renew(file, is_node, request, *ca, written)
                : is_node     ? make(*node, request, *ca, written)
                              : make(client_leaf(file, one_client ? request.client : "mutant client"), request, *ca, written);
    if (!done)
      return fail(done.error());
  }
  return written;
}

}  // namespace mutant
