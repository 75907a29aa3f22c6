// mutant put KEY [FILE|-]: stores a file, or what comes in on standard input.
// mutant put KEY --from-command -- COMMAND…: stores what a command prints, if it succeeds.
// mutant put -r DIR PREFIX: stores a folder (folders.cpp).
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "apps/mutant/commands.hpp"
#include "apps/mutant/folders.hpp"
#include "apps/mutant/producer.hpp"
#include "apps/mutant/signals.hpp"

namespace mutant::cli {

namespace {

struct put_arguments {
  std::string key;
  std::vector<std::string> words;   // a file, or none; or the command
  bool if_absent = false;
  std::string if_version;
  bool from_command = false;
  bool allow_empty = false;
  bool snapshot = false;
  bool verify = false;

  std::string file() const { return words.empty() || from_command ? "-" : words.front(); }
  std::string type;
  std::vector<std::string> attributes;
  std::string compress;
};

result<void> check(const put_arguments& given) {
  if (given.from_command && given.words.empty())
    return fail(errc::invalid_argument, "--from-command wants a command: mutant put KEY --from-command -- tar c FOLDER");
  if (!given.from_command && given.words.size() > 1)
    return fail(errc::invalid_argument, "this was not expected: " + in_quotes(given.words[1]) + " (one FILE; a command goes "
                                            "behind --from-command --)");
  if (given.snapshot && given.file() == "-")
    return fail(errc::invalid_argument, "--snapshot goes with a FILE: what a pipe gives has no size at the start");
  return check_key(given.key);
}

result<std::optional<std::uint64_t>> condition(const put_arguments& given) {
  if (given.if_absent && !given.if_version.empty())
    return fail(errc::invalid_argument, "--if-absent and --if-version exclude each other");
  if (given.if_absent)
    return std::optional<std::uint64_t>(0);
  if (given.if_version.empty())
    return std::optional<std::uint64_t>();
  auto version = parse_number(given.if_version, "--if-version");
  if (!version)
    return fail(version.error());
  return std::optional(*version);
}

result<attribute_set> attributes_of(const put_arguments& given) {
  attribute_map values;
  if (!given.type.empty())
    values.emplace(attribute_name::type, given.type);
  for (const auto& pair : given.attributes) {
    const auto equals = pair.find('=');
    if (equals == std::string::npos)
      return fail(errc::invalid_argument, "--attribute " + in_quotes(pair) + ": give it as NAME=VALUE");
    const auto name = pair.substr(0, equals);
    if (!name.starts_with(attribute_name::of_user))
      return fail(errc::invalid_argument, "--attribute " + in_quotes(name) + ": names of your own begin with 'x-'"
                                              + (name == attribute_name::type ? "; the media type is --type" : ""));
    if (!values.emplace(name, pair.substr(equals + 1)).second)
      return fail(errc::invalid_argument, "--attribute " + in_quotes(name) + " is given twice");
  }
  attribute_set all(std::move(values));
  if (auto good = check_given_attributes(all); !good)
    return fail(good.error());
  return all;
}

// Where the value comes from. A pipe is opened here, where waiting for its other end can be interrupted.
struct source {
  int descriptor = -1;
  std::string name;
  bool owned = false;

  source(int d, std::string n, bool o) : descriptor(d), name(std::move(n)), owned(o) {}
  source(const source&) = delete;
  source& operator=(const source&) = delete;
  source(source&& other) noexcept
      : descriptor(other.descriptor), name(std::move(other.name)), owned(std::exchange(other.owned, false)) {}
  ~source() {
    if (owned)
      ::close(descriptor);
  }
  mode_t type() const {
    struct stat info {};
    return ::fstat(descriptor, &info) == 0 ? info.st_mode & S_IFMT : 0;
  }
  // Regular files are left to the client, which reads them in parallel.
  bool is_regular() const { return owned && type() == S_IFREG; }
  // One that somebody named is taken at its word; so is an empty file that was redirected.
  bool may_be_empty() const { return type() == S_IFREG || (owned && type() == S_IFCHR); }
};

// Most likely a producer that failed, or none at all: a script whose first command was not found.
error nothing_came(const std::string& from) {
  return {errc::invalid_argument, "nothing at all came from " + from + "; nothing was stored, the key is as it was "
                                  "(--allow-empty stores an empty value)"};
}

result<source> open_source(const context& c, const std::string& file) {
  if (file == "-") {
    if (::isatty(STDIN_FILENO) == 1)
      c.out.note("reading the value from the terminal; end it with Ctrl-D");
    return source(STDIN_FILENO, "standard input", false);
  }
  source from(::open(file.c_str(), O_RDONLY | O_CLOEXEC), file, true);
  if (from.descriptor < 0) {
    from.owned = false;
    return fail(errno_error(errno, "opening " + file));
  }
  struct stat info {};
  if (::fstat(from.descriptor, &info) == 0 && S_ISDIR(info.st_mode))
    return fail(errc::invalid_argument, file + " is a directory: mutant put -r DIR PREFIX stores it");
  return from;
}

json to_json(const std::string& key, const put_result& r) {
  json out;
  add_key(out, "key", key);
  out["size"] = r.size;
  out["version"] = r.version;
  out["chunks_written"] = r.chunks_written;
  out["chunks_kept"] = r.chunks_kept;
  out["bytes_written"] = r.bytes_written;
  out["bytes_kept"] = r.bytes_kept;
  out["resumed"] = r.resumed;
  return out;
}

std::string summary_of(const std::string& key, const put_result& r) {
  auto text = "stored " + printable(key) + ": " + human_bytes(r.size) + ", version " + std::to_string(r.version);
  if (r.chunks_written + r.chunks_kept != 0)
    text += " (" + counted(r.chunks_written, "chunk") + " written, " + std::to_string(r.chunks_kept) + " kept"
            + (r.resumed ? ", resumed" : "") + ")";
  return text;
}

// From a pipe, a terminal, a command. The command runs only where a signal cancels, and does not end us: it would outlive us.
result<put_result> put_stream(context& c, const put_arguments& given, const source& from, put_settings settings) {
  auto stored = cancellable(c, [&]() -> result<put_result> {
    std::shared_ptr<const producer> command;
    if (given.from_command) {
      auto started = producer::start(given.words);
      if (!started)
        return fail(started.error());
      command = std::move(*started);
    }
    const auto name = command ? in_quotes(given.words.front()) : from.name;
    const auto allow_empty = given.allow_empty || (!command && from.may_be_empty());
    settings.at_end = [command, name, allow_empty](std::uint64_t size_bytes) -> result<void> {
      if (command)
        if (auto good = command->succeeded(); !good)
          return good;
      return size_bytes == 0 && !allow_empty ? fail(nothing_came(name)) : result<void>();
    };
    auto put = c.store->put_descriptor(given.key, command ? command->output() : from.descriptor, name, settings);
    if (command)
      command->stop();
    return put;
  });
  if (!stored && given.from_command && was_interrupted())   // Ctrl-C ends the command, too, and it may be the first to say so
    return fail(errc::cancelled, "interrupted; the key is as it was before");
  return stored;
}

result<put_result> store(context& c, const put_arguments& given, const source& from, std::optional<std::uint64_t> when,
                         const attribute_set& attributes) {
  auto bar = bar_for(c, printable(given.key));
  put_settings settings;
  settings.if_version = when;
  settings.on_progress = bar.callback();
  settings.verify = given.verify;
  settings.may_grow = given.snapshot;
  settings.attributes = attributes;
  if (from.is_regular())
    return cancellable(c, [&] { return c.store->put_file(given.key, given.file(), settings); });
  if (given.snapshot)
    return fail(errc::invalid_argument, "--snapshot goes with a regular file; " + from.name + " is not one");
  return put_stream(c, given, from, std::move(settings));
}

// --compress, before the store is opened.
result<void> take_compression(context& c, const put_arguments& given) {
  if (given.compress.empty())
    return {};
  auto compress = parse_compression(given.compress);
  if (!compress)
    return fail(compress.error().code, "--compress: " + compress.error().message);
  c.compress = *compress;
  return {};
}

int run_put_folder(context& c, const put_arguments& given, const folder_arguments& how) {
  auto failed = [&](std::string message) { return c.out.failed("put -r", {errc::invalid_argument, std::move(message)}); };
  if (given.words.size() != 1)
    return failed("which folder, and where to? mutant put -r DIR PREFIX");
  for (const auto& [is_given, name] : {std::pair(given.if_absent, "--if-absent"), {!given.if_version.empty(), "--if-version"},
                                       {given.from_command, "--from-command"}, {given.allow_empty, "--allow-empty"},
                                       {given.snapshot, "--snapshot"}, {given.verify, "--verify"},
                                       {!given.type.empty(), "--type"}, {!given.attributes.empty(), "--attribute"}})
    if (is_given)
      return failed(std::string(name) + " does not go with -r");
  if (auto taken = take_compression(c, given); !taken)
    return failed(taken.error().message);
  return put_folder(c, given.key, given.words.front(), how);
}

int run_put(context& c, const put_arguments& given) {
  auto failed = [&](const error& e) { return c.out.failed("put " + in_quotes(given.key), e); };
  auto when = condition(given);
  if (!when)
    return failed(when.error());
  if (auto good = check(given); !good)
    return failed(good.error());
  auto attributes = attributes_of(given);
  if (!attributes)
    return failed(attributes.error());
  if (auto taken = take_compression(c, given); !taken)
    return failed(taken.error());
  auto from = given.from_command ? result<source>(source(-1, {}, false)) : open_source(c, given.file());
  if (!from)
    return failed(from.error());
  if (auto opened = open_for_writing(c); !opened)
    return failed(opened.error());
  auto stored = store(c, given, *from, *when, *attributes);
  if (!stored)
    return failed(stored.error());
  c.out.summary(summary_of(given.key, *stored));
  if (c.out.use_json)
    c.out.document(to_json(given.key, *stored));
  return 0;
}

}  // namespace

command add_put(CLI::App& root, const arguments& words) {
  auto* parser = root.add_subcommand("put", "Store a file, or standard input, under a key; or a folder");
  auto given = std::make_shared<put_arguments>();
  parser->add_option("KEY", given->key, "The key: 1 to 4096 bytes. With -r: the folder")->required()->type_name("");
  parser->add_option("FILE", given->words, "What to store; - or nothing: standard input. With -r: the PREFIX of the keys")
      ->type_name("");
  parser->add_flag("--if-absent", given->if_absent, "Only if the key is not there yet");
  parser->add_option("--if-version", given->if_version, "Only if the key has this version")->type_name("N");
  parser->add_flag("--from-command", given->from_command,
                   "Store what the command behind it prints, if that ends with exit code 0: --from-command -- COMMAND…");
  parser->add_flag("--allow-empty", given->allow_empty, "Also if nothing at all comes from the pipe or command");
  parser->add_flag("--snapshot", given->snapshot, "Of a FILE that grows: as long as it is at the start");
  parser->add_flag("--verify", given->verify, "Read what would be kept of the value that is there, and write anew what is bad");
  parser->add_option("--type", given->type, "The value's media type, as text/plain")->type_name("TYPE");
  parser->add_option("--attribute", given->attributes, "Something more about the value; NAME begins with x-. May be repeated")
      ->type_name("NAME=VALUE")
      ->take_all();
  parser->add_option("--compress", given->compress, "auto (the default): what a sample says; off; or a level of zstd, 1 to 19")
      ->type_name("auto|off|LEVEL");
  auto folder = add_folder_options(*parser, folder_command::put);
  return {parser, [given, folder, &words](context& c) {
            auto resolved = *given;
            resolved.key = words.resolve(given->key);
            for (auto& word : resolved.words)
              word = words.resolve(word);
            resolved.if_version = words.resolve(given->if_version);
            resolved.type = words.resolve(given->type);
            resolved.compress = words.resolve(given->compress);
            for (auto& attribute : resolved.attributes)
              attribute = words.resolve(attribute);
            if (folder->recursive)
              return run_put_folder(c, resolved, folder->resolved(words));
            if (const auto option = folder->only_for_folders(); !option.empty())
              return c.out.failed("put", {errc::invalid_argument, std::string(option) + " goes with -r"});
            return run_put(c, resolved);
          }};
}

}  // namespace mutant::cli
