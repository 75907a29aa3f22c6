#include "core/s3/credentials.hpp"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/s3/http.hpp"
#include "core/s3/time.hpp"

extern char** environ;

namespace mutant::s3 {

namespace {

constexpr std::size_t max_text_bytes = 1u << 20;
constexpr auto process_time_limit = std::chrono::seconds(30);
constexpr auto metadata_time_limit = std::chrono::seconds(2);

void wipe(std::string& text) noexcept {
  OPENSSL_cleanse(text.data(), text.size());
  text.clear();
}

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && blank(text.front()))
    text.remove_prefix(1);
  while (!text.empty() && blank(text.back()))
    text.remove_suffix(1);
  return text;
}

// "" for a file that is not there.
result<std::string> read_small_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in)
    return errno == ENOENT || errno == ENOTDIR ? result<std::string>(std::string())
                                               : fail(errno_error(errno, "opening " + path));
  std::string text(max_text_bytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad())
    return fail(errc::io_error, "reading " + path + " failed");
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > max_text_bytes)
    return fail(errc::too_large, path + " has more than 1 MiB: that is not a file of credentials");
  return text;
}

// What the command prints, within the time limit. Its words go through the shell, as the AWS tools do it.
result<std::string> output_of(const std::string& command) {
  int pipe_ends[2];
  if (::pipe2(pipe_ends, O_CLOEXEC) != 0)
    return fail(errno_error(errno, "making a pipe for credential_process"));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  const char* words[] = {"/bin/sh", "-c", command.c_str(), nullptr};
  pid_t child = 0;
  const auto failed = ::posix_spawn(&child, words[0], &actions, nullptr, const_cast<char**>(words), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(pipe_ends[1]);
  std::string text;
  std::string trouble;
  if (failed != 0) {
    ::close(pipe_ends[0]);
    return fail(errno_error(failed, "starting credential_process"));
  }
  const auto end = std::chrono::steady_clock::now() + process_time_limit;
  for (char part[4096]; trouble.empty();) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
    pollfd wanted{pipe_ends[0], POLLIN, 0};
    const auto ready = left <= 0 ? 0 : ::poll(&wanted, 1, static_cast<int>(left));
    if (ready < 0 && errno == EINTR)
      continue;
    if (ready <= 0) {
      trouble = "it did not end within 30 seconds";
      break;
    }
    const auto got = ::read(pipe_ends[0], part, sizeof part);
    if (got <= 0)
      break;
    text.append(part, static_cast<std::size_t>(got));
    OPENSSL_cleanse(part, sizeof part);
    if (text.size() > max_text_bytes)
      trouble = "it printed more than 1 MiB";
  }
  ::close(pipe_ends[0]);
  if (!trouble.empty())
    ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (trouble.empty() && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
    trouble = "it failed";
  if (!trouble.empty()) {
    wipe(text);
    return fail(errc::access_denied, "credential_process gave no credentials: " + trouble);
  }
  return text;
}

result<credentials_ptr> shared(result<credentials> found) {
  if (!found)
    return fail(found.error());
  return std::make_shared<const credentials>(std::move(*found));
}

// Null: the profile says nothing.
result<credentials_ptr> from_profile(const std::string& profile, const environment& env) {
  const auto home = env("HOME");
  auto keys_path = env("AWS_SHARED_CREDENTIALS_FILE"), config_path = env("AWS_CONFIG_FILE");
  if (keys_path.empty() && !home.empty())
    keys_path = home + "/.aws/credentials";
  if (config_path.empty() && !home.empty())
    config_path = home + "/.aws/config";
  std::string process;
  for (const auto& [path, is_config] : {std::pair(keys_path, false), std::pair(config_path, true)}) {
    if (path.empty())
      continue;
    auto text = read_small_file(path);
    if (!text)
      return fail(text.error());
    auto found = find_profile(*text, profile, is_config);
    wipe(*text);
    if (!found.access_key.empty() && !found.secret.empty())
      return std::make_shared<const credentials>(std::move(found.access_key), std::move(found.secret), std::move(found.token));
    if (process.empty())
      process = found.process;
  }
  if (process.empty())
    return credentials_ptr();
  auto text = output_of(process);
  if (!text)
    return fail(text.error());
  auto found = shared(credentials_from_json(*text));
  wipe(*text);
  return found;
}

bool is_ec2_instance() {
  for (const auto* path : {"/sys/devices/virtual/dmi/id/sys_vendor", "/sys/devices/virtual/dmi/id/board_vendor"}) {
    std::ifstream in(path);
    std::string vendor;
    if (std::getline(in, vendor) && vendor == "Amazon EC2")
      return true;
  }
  return false;
}

// Null: this is not a container with credentials.
result<credentials_ptr> from_container(const environment& env) {
  auto address = env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (const auto relative = env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); !relative.empty())
    address = "http://169.254.170.2" + relative;
  if (address.empty())
    return credentials_ptr();
  auto token = env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
  if (const auto path = env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); !path.empty()) {
    auto text = read_small_file(path);
    if (!text)
      return fail(text.error());
    token = trimmed(std::string_view(*text).substr(0, text->find('\n')));
  }
  header_list headers;
  if (!token.empty())
    headers.emplace_back("Authorization", token);
  auto text = fetch("GET", address, headers, metadata_time_limit);
  if (!text)
    return fail(errc::access_denied, "the container's credentials were not given: " + text.error().message);
  return shared(credentials_from_json(*text));
}

// Null: this is not an instance of EC2, or it has no role.
result<credentials_ptr> from_instance(const environment& env) {
  auto endpoint = env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  if (env("AWS_EC2_METADATA_DISABLED") == "true" || (endpoint.empty() && !is_ec2_instance()))
    return credentials_ptr();
  if (endpoint.empty())
    endpoint = "http://169.254.169.254";
  while (endpoint.ends_with('/'))
    endpoint.pop_back();
  auto token =
      fetch("PUT", endpoint + "/latest/api/token", {{"X-aws-ec2-metadata-token-ttl-seconds", "300"}}, metadata_time_limit);
  if (!token)
    return fail(errc::access_denied, "the instance's metadata gave no token: " + token.error().message);
  const header_list headers{{"X-aws-ec2-metadata-token", *token}};
  const auto roles = endpoint + "/latest/meta-data/iam/security-credentials/";
  auto role = fetch("GET", roles, headers, metadata_time_limit);
  if (!role)
    return fail(errc::access_denied, "the instance has no role: " + role.error().message);
  const auto name = trimmed(std::string_view(*role).substr(0, role->find('\n')));
  auto text = fetch("GET", roles + percent_encoded(name, false), headers, metadata_time_limit);
  if (!text)
    return fail(errc::access_denied, "the instance's role gave no credentials: " + text.error().message);
  return shared(credentials_from_json(*text));
}

}  // namespace

credentials::credentials(std::string access_key, std::string secret, std::string token)
    : access_key_(std::move(access_key)), secret_(std::move(secret)), token_(std::move(token)) {}

credentials::~credentials() {
  wipe(secret_);
  wipe(token_);
}

profile_settings find_profile(std::string_view text, std::string_view profile, bool config) {
  profile_settings out;
  bool inside = false;
  while (!text.empty()) {
    const auto line = trimmed(text.substr(0, text.find('\n')));
    text.remove_prefix(std::min(text.size(), text.find('\n') == std::string_view::npos ? text.size() : text.find('\n') + 1));
    if (line.empty() || line.front() == '#' || line.front() == ';')
      continue;
    if (line.front() == '[') {
      auto name = trimmed(line.substr(1, line.find(']') == std::string_view::npos ? line.size() : line.find(']') - 1));
      if (config && name.starts_with("profile "))
        name = trimmed(name.substr(8));
      else if (config && name != "default")
        name = {};
      inside = !name.empty() && name == profile;
      continue;
    }
    const auto equals = line.find('=');
    if (!inside || equals == std::string_view::npos)
      continue;
    const auto name = trimmed(line.substr(0, equals));
    const std::string value(trimmed(line.substr(equals + 1)));
    if (name == "aws_access_key_id")
      out.access_key = value;
    else if (name == "aws_secret_access_key")
      out.secret = value;
    else if (name == "aws_session_token")
      out.token = value;
    else if (name == "credential_process")
      out.process = value;
  }
  return out;
}

result<credentials> credentials_from_json(std::string_view text) {
  const auto parsed = nlohmann::json::parse(text, nullptr, false);
  const auto field = [&](const char* name) {
    const auto at = parsed.is_object() ? parsed.find(name) : parsed.end();
    return at != parsed.end() && at->is_string() ? at->get<std::string>() : std::string();
  };
  if (!parsed.is_object() || field("AccessKeyId").empty() || field("SecretAccessKey").empty())
    return fail(errc::access_denied, "the credentials that were given are not JSON with AccessKeyId and SecretAccessKey");
  auto token = field("SessionToken");
  if (token.empty())
    token = field("Token");
  credentials out(field("AccessKeyId"), field("SecretAccessKey"), std::move(token));
  if (const auto expires = field("Expiration"); !expires.empty()) {
    out.expires = parse_time(expires);
    if (!out.expires)
      return fail(errc::access_denied,
                  "the credentials that were given expire at a time that is not like 2026-01-31T12:00:00Z");
  }
  return out;
}

result<credentials_ptr> load_credentials(const std::string& profile, const environment& env) {
  const auto wanted = profile.empty() ? env("AWS_PROFILE") : profile;
  if (profile.empty() && (!env("AWS_ACCESS_KEY_ID").empty() || !env("AWS_SECRET_ACCESS_KEY").empty())) {
    if (env("AWS_ACCESS_KEY_ID").empty() || env("AWS_SECRET_ACCESS_KEY").empty())
      return fail(errc::access_denied, "of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only one is set");
    return std::make_shared<const credentials>(env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY"),
                                               env("AWS_SESSION_TOKEN"));
  }
  auto found = from_profile(wanted.empty() ? "default" : wanted, env);
  if (!found || *found)
    return found;
  if (!wanted.empty())
    return fail(errc::access_denied, "the profile '" + wanted + "' has no credentials in ~/.aws/credentials or ~/.aws/config");
  for (auto* source : {&from_container, &from_instance})
    if (found = source(env); !found || *found)
      return found;
  return fail(errc::access_denied,
              "there are no credentials for the bucket: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
              "write them to ~/.aws/credentials");
}

}  // namespace mutant::s3
