// mutant rm KEY… | --stdin0: removes values. Each key is removed on its own; one that fails does not stop the others.
// mutant rm -r PREFIX…, mutant rm --glob PATTERN…: removes many (folders.cpp).
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "apps/mutant/commands.hpp"
#include "apps/mutant/folders.hpp"

namespace mutant::cli {

namespace {

result<std::optional<std::uint64_t>> check(const std::vector<std::string>& keys, const std::string& version) {
  for (const auto& key : keys)
    if (auto good = check_key(key); !good)
      return fail(good.error());
  auto sorted = keys;
  std::ranges::sort(sorted);
  if (auto twice = std::ranges::adjacent_find(sorted); twice != sorted.end())
    return fail(errc::invalid_argument, "the key " + in_quotes(*twice) + " is given twice; nothing was removed");
  if (version.empty())
    return std::optional<std::uint64_t>();
  if (keys.size() != 1)
    return fail(errc::invalid_argument, "--if-version goes with one key");
  auto number = parse_number(version, "--if-version");
  if (!number)
    return fail(number.error());
  if (*number == 0)
    return fail(errc::invalid_argument, "a version is 1 or higher");
  return std::optional(*number);
}

// Names from standard input, each with a NUL behind it, as `ls -0` and `find -print0` give them.
result<std::vector<std::string>> read_names() {
  constexpr std::size_t max_bytes = std::size_t{256} << 20;
  std::string text;
  std::array<char, 65536> piece;
  while (true) {
    const auto n = ::read(STDIN_FILENO, piece.data(), piece.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return fail(errno_error(errno, "reading the keys from standard input"));
    if (n == 0)
      break;
    text.append(piece.data(), static_cast<std::size_t>(n));
    if (text.size() > max_bytes)
      return fail(errc::too_large, "more than 256 MiB of keys came from standard input; nothing was removed");
  }
  // What is cut off may be the name of something else.
  if (!text.empty() && text.back() != '\0')
    return fail(errc::invalid_argument, "the last key from standard input has no NUL behind it, as if it was cut off; nothing "
                                        "was removed");
  std::vector<std::string> names;
  for (std::size_t at = 0; at < text.size(); at = text.find('\0', at) + 1)
    names.emplace_back(text.c_str() + at);
  return names;
}

int run_rm(context& c, const std::vector<std::string>& keys, const std::string& version, bool wipe) {
  const auto subject = keys.size() == 1 ? "rm " + in_quotes(keys.front()) : std::string("rm");
  auto if_version = check(keys, version);
  if (!if_version)
    return c.out.failed(subject, if_version.error());
  auto opened = open_for_changing(c);  // it makes no store
  if (!opened)
    return c.out.failed(subject, opened.error());
  if (!*opened)
    return c.out.failed(subject, {errc::key_not_found, nothing_stored_yet(c)});
  json removed = json::array();
  json failures = json::array();
  auto code = 0;
  const auto use_json = std::exchange(c.out.use_json, false);  // one document, at the end
  for (const auto& key : keys) {
    auto done = was_interrupted() ? fail(errc::cancelled, "interrupted; the key is still there")
                                  : uninterrupted([&] { return c.store->remove(key, *if_version, wipe); });
    json item;
    add_key(item, "key", key);
    if (done) {
      removed.push_back(item);
      c.out.use_json = use_json;
      c.out.summary("removed " + printable(key));
      c.out.use_json = false;
      continue;
    }
    const auto failed = c.out.failed("rm " + in_quotes(key), done.error());
    code = code == 0 || done.error().code == errc::cancelled ? failed : code;
    item["code"] = name_of(done.error().code);
    item["message"] = "rm " + in_quotes(key) + ": " + done.error().message;
    failures.push_back(item);
  }
  c.out.use_json = use_json;
  if (use_json) {
    json document;
    document["removed"] = std::move(removed);
    if (!failures.empty()) {
      document["error"] = failures.front();
      document["failed"] = std::move(failures);
    }
    c.out.document(document);
  }
  return code;
}

// One or more prefixes, or patterns.
int run_rm_folders(context& c, const std::vector<std::string>& which, const folder_arguments& how, bool wipe) {
  if (c.out.use_json && which.size() > 1)
    return c.out.failed("rm", {errc::invalid_argument, "--json goes with one PREFIX or PATTERN"});
  auto code = 0;
  for (const auto& each : which) {
    const auto one = remove_folder(c, each, how, wipe);
    code = code == 0 || one == exit_interrupted ? one : code;
    if (was_interrupted())
      break;
  }
  return code;
}

}  // namespace

command add_rm(CLI::App& root, const arguments& words) {
  auto* parser = root.add_subcommand("rm", "Remove values");
  auto keys = std::make_shared<std::vector<std::string>>();
  auto version = std::make_shared<std::string>();
  auto wipe = std::make_shared<bool>(false);
  parser->add_option("KEY", *keys, "The keys")->type_name("");
  parser->add_option("--if-version", *version, "Only if the key, a single one, has this version")->type_name("N");
  auto from_input = std::make_shared<bool>(false);
  parser->add_flag("--wipe", *wipe, "Blank the ciphertext, too");
  parser->add_flag("--stdin0", *from_input, "The keys come on standard input, each ended by a NUL, as ls -0 prints them");
  auto folder = add_folder_options(*parser, folder_command::rm);
  return {parser, [keys, version, wipe, from_input, folder, &words](context& c) {
            if (*from_input != keys->empty())
              return c.out.failed("rm", {errc::invalid_argument, *from_input ? "--stdin0 and KEY exclude each other"
                                                                             : "which keys? (see mutant rm --help)"});
            std::vector<std::string> resolved;
            for (const auto& key : *keys)
              resolved.push_back(words.resolve(key));
            if (*from_input) {
              auto names = read_names();
              if (!names)
                return c.out.failed("rm", names.error());
              resolved = std::move(*names);
            }
            const auto many = folder->recursive || folder->by_glob;
            const auto option = folder->only_for_folders();
            if (many ? !version->empty() || *from_input : !option.empty())
              return c.out.failed("rm", {errc::invalid_argument,
                                         many ? "--if-version and --stdin0 are for keys, not for -r and --glob"
                                              : std::string(option) + " goes with -r or --glob"});
            if (many)
              return run_rm_folders(c, resolved, folder->resolved(words), *wipe);
            return run_rm(c, resolved, words.resolve(*version), *wipe);
          }};
}

}  // namespace mutant::cli
