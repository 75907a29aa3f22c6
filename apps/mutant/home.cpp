#include "apps/mutant/home.hpp"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

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
  // The XDG base directory specification: a relative path there counts as none.
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

}  // namespace

result<places> find_places(const global_options& options) {
  places where;
  where.home = !options.home.empty() ? options.home : variable("MUTANT_HOME");
  if (where.home.empty()) {
    auto home = default_home();
    if (!home)
      return fail(home.error());
    where.home = std::move(*home);
  }
  where.identity = where.home + "/identity";
  auto url = !options.store.empty() ? options.store : variable("MUTANT_STORE");
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
  const auto file = [](const std::string& given, const char* name) { return given.empty() ? variable(name) : given; };
  where.tls.certificate = file(options.tls.certificate, "MUTANT_TLS_CERT");
  where.tls.key = file(options.tls.key, "MUTANT_TLS_KEY");
  where.tls.authority = file(options.tls.authority, "MUTANT_TLS_CA");
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
