// mutant put KEY [FILE|-]: stores a file, or what comes in on standard input.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "apps/mutant/commands.hpp"

namespace mutant::cli {

namespace {

struct put_arguments {
  std::string key;
  std::string file = "-";
  bool if_absent = false;
  std::string if_version;
};

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
  // Regular files are left to the client, which reads them in parallel.
  bool is_regular() const {
    struct stat info {};
    return owned && ::fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode);
  }
};

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
    return fail(errc::invalid_argument, file + " is a directory; give a file, or pack it: tar c " + file + " | mutant put …");
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

int run_put(context& c, const put_arguments& given) {
  auto failed = [&](const error& e) { return c.out.failed("put " + in_quotes(given.key), e); };
  auto when = condition(given);
  if (!when)
    return failed(when.error());
  if (auto good = check_key(given.key); !good)
    return failed(good.error());
  auto from = open_source(c, given.file);
  if (!from)
    return failed(from.error());
  if (auto opened = open_for_writing(c); !opened)
    return failed(opened.error());
  auto stored = [&] {
    auto bar = bar_for(c, printable(given.key));
    const put_settings settings{*when, bar.callback()};
    return cancellable(c, [&] {
      return from->is_regular() ? c.store->put_file(given.key, given.file, settings)
                                : c.store->put_descriptor(given.key, from->descriptor, from->name, settings);
    });
  }();
  if (!stored)
    return failed(stored.error());
  c.out.summary(summary_of(given.key, *stored));
  if (c.out.use_json)
    c.out.document(to_json(given.key, *stored));
  return 0;
}

}  // namespace

command add_put(CLI::App& root, const arguments& words) {
  auto* parser = root.add_subcommand("put", "Store a file, or standard input, under a key");
  auto given = std::make_shared<put_arguments>();
  parser->add_option("KEY", given->key, "The key: 1 to 4096 bytes")->required()->type_name("");
  parser->add_option("FILE", given->file, "What to store; - or nothing: standard input")->type_name("");
  parser->add_flag("--if-absent", given->if_absent, "Only if the key is not there yet");
  parser->add_option("--if-version", given->if_version, "Only if the key has this version")->type_name("N");
  return {parser, [given, &words](context& c) {
            auto resolved = *given;
            resolved.key = words.resolve(given->key);
            resolved.file = words.resolve(given->file);
            resolved.if_version = words.resolve(given->if_version);
            return run_put(c, resolved);
          }};
}

}  // namespace mutant::cli
