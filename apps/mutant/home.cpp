#include "apps/mutant/home.hpp"

#include <arpa/inet.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <tuple>

#include "apps/mutant/environment.hpp"
#include "apps/mutant/text.hpp"
#include "core/engine/store_format.hpp"

namespace mutant::cli {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t max_threads = 256;
constexpr std::uint64_t max_connect_timeout_s = 3600;

std::string variable(const char* name) {
  const auto* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

result<std::string> default_home() {
  // The XDG base directory specification: a relative path or an empty one there counts as none.
  if (auto data = variable("XDG_DATA_HOME"); data.starts_with('/'))
    return data + "/mutant";
  auto home = variable("HOME");
  if (home.empty())
    if (const auto* user = ::getpwuid(::getuid()); user != nullptr && user->pw_dir != nullptr)
      home = user->pw_dir;
  if (home.empty())
    return fail(errc::invalid_argument, "there is no home directory to keep things in; give --home DIR or set $MUTANT_HOME");
  return home + "/.local/share/mutant";
}

result<void> make_directories(const fs::path& directory) {
  if (::mkdir(directory.c_str(), 0700) == 0)
    return {};
  auto number = errno;
  if (number == ENOENT && directory.has_parent_path() && directory.parent_path() != directory) {
    if (auto made = make_directories(directory.parent_path()); !made)
      return made;
    number = ::mkdir(directory.c_str(), 0700) == 0 ? 0 : errno;
  }
  std::error_code ignored;
  if (number == 0 || (number == EEXIST && fs::is_directory(directory, ignored)))
    return {};
  return fail(errno_error(number, "making the directory " + directory.string()));
}

// The file or folder itself, or the nearest above it that is there.
fs::path nearest_existing(fs::path path) {
  struct stat info {};
  while (::lstat(path.c_str(), &info) != 0 && path.has_parent_path() && path.parent_path() != path)
    path = path.parent_path();
  return path;
}

std::string user_name(uid_t user) {
  const auto* known = ::getpwuid(user);
  return known != nullptr ? std::string(known->pw_name) : "#" + std::to_string(user);
}

}  // namespace

result<void> refuse_others_folders(const places& where, bool needs_home) {
  if (::geteuid() != 0)
    return {};
  std::vector<std::pair<std::string, fs::path>> folders;
  if (needs_home || !where.store_given)
    folders.emplace_back("the home", where.home);
  if (where.store_given && where.store.scheme == "local")
    folders.emplace_back("the store", where.store.path);
  for (const auto& [what, given] : folders) {
    const auto folder = fs::absolute(given).lexically_normal();
    const auto there = nearest_existing(folder);
    struct stat info {};
    if (::stat(there.c_str(), &info) != 0 || info.st_uid == 0)
      continue;
    const auto user = user_name(info.st_uid);
    return fail(errc::access_denied, what + " " + folder.string() + " is " + user + "'s"
                                         + (there == folder ? "" : " (" + there.string() + " is)")
                                         + ", and files that root leaves there cannot be used by " + user
                                         + " any more. Run it as that user: sudo -u '" + user + "' mutant …");
  }
  return {};
}

result<places> find_places(const global_options& options) {
  places where;
  auto url = options.store;
  where.tls = options.tls;
  for (auto [to, given, name] : {std::tuple(&where.home, &options.home, "MUTANT_HOME"),
                                 std::tuple(&url, &options.store, "MUTANT_STORE"),
                                 std::tuple(&where.tls.certificate, &options.tls.certificate, "MUTANT_TLS_CERT"),
                                 std::tuple(&where.tls.key, &options.tls.key, "MUTANT_TLS_KEY"),
                                 std::tuple(&where.tls.authority, &options.tls.authority, "MUTANT_TLS_CA")}) {
    auto chosen = given->empty() ? from_environment(name) : result<std::string>(*given);
    if (!chosen)
      return fail(chosen.error());
    *to = std::move(*chosen);
  }
  if (options.passphrase_file.empty())
    if (auto secret = secret_from_environment("MUTANT_PASSPHRASE"); !secret)  // before anything is made
      return fail(secret.error());
  if (where.home.empty()) {
    auto home = default_home();
    if (!home)
      return fail(home.error());
    where.home = std::move(*home);
  }
  where.identity = where.home + "/identity";
  where.store_given = !url.empty();
  auto store = parse_store_url(where.store_given ? url : "local:" + where.home + "/store");
  if (!store)
    return fail(errc::invalid_argument, "the store " + in_quotes(url) + ": " + store.error().message);
  where.store = std::move(*store);
  if (!options.threads.empty()) {
    auto threads = parse_number(options.threads, "--threads");
    if (!threads)
      return fail(threads.error());
    if (*threads == 0 || *threads > max_threads)
      return fail(errc::invalid_argument, "--threads takes a number from 1 to " + std::to_string(max_threads));
    where.threads = *threads;
  }
  if (!options.connect_timeout.empty()) {
    auto seconds = parse_number(options.connect_timeout, "--connect-timeout");
    if (!seconds)
      return fail(seconds.error());
    if (*seconds == 0 || *seconds > max_connect_timeout_s)
      return fail(errc::invalid_argument, "--connect-timeout takes a number of seconds from 1 to "
                                              + std::to_string(max_connect_timeout_s));
    where.connect_timeout = std::chrono::seconds(*seconds);
  }
  return where;
}

bool is_exposed(const store_url& store) {
  const auto is_here = [](const host_port& at) {
    in_addr v4{};
    in6_addr v6{};
    if (::inet_pton(AF_INET, at.host.c_str(), &v4) == 1)
      return (ntohl(v4.s_addr) >> 24) == 127;
    if (::inet_pton(AF_INET6, at.host.c_str(), &v6) == 1)
      return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
    return at.host == "localhost" || at.host.ends_with(".localhost");
  };
  return store.scheme == "caf" && !std::ranges::all_of(store.hosts, is_here);
}

bool identity_exists(const places& where) {
  struct stat info {};
  return ::lstat(where.identity.c_str(), &info) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

bool local_store_exists(const places& where) {
  std::error_code ignored;
  return where.store.scheme == "local" && fs::exists(fs::path(where.store.path) / store_format::data_file, ignored);
}

result<void> prepare_places(const places& where) {
  if (where.store_given && where.store.scheme == "local") {
    auto parent = fs::path(where.store.path).lexically_normal();
    if (!parent.has_filename())  // "a/b/" is a/b
      parent = parent.parent_path();
    parent = parent.has_parent_path() ? parent.parent_path() : fs::path(".");
    std::error_code code;
    if (!fs::is_directory(parent, code))
      return fail(errc::unreachable, "the store " + where.store.path + " cannot be made: " + parent.string()
                                         + " is no directory. Is a disk not mounted? Otherwise make it first: mkdir -p "
                                         + parent.string());
  }
  return make_directories(where.home);
}

}  // namespace mutant::cli
