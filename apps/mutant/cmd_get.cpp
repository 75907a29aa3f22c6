// mutant get KEY [FILE|-]: fetches a value, or a range of it, into a file or to standard output.
// mutant get -r PREFIX DIR, mutant get --glob PATTERN DIR: fetches many into a folder (folders.cpp).
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "apps/mutant/commands.hpp"
#include "apps/mutant/folders.hpp"
#include "core/output_place.hpp"

namespace mutant::cli {

namespace {

struct get_arguments {
  std::string key;
  std::string file = "-";
  std::string range;
  bool preserve = false;
};

result<get_result> fetch(context& c, const get_arguments& given, const get_settings& settings) {
  if (given.file == "-")
    return cancellable(c, [&] { return c.store->get_descriptor(given.key, STDOUT_FILENO, "standard output", settings); });
  struct stat info {};
  if (::stat(given.file.c_str(), &info) != 0 || !S_ISFIFO(info.st_mode))
    return cancellable(c, [&] { return c.store->get_file(given.key, given.file, settings); });
  // Waiting for the pipe's other end can be interrupted here.
  const auto pipe = ::open(given.file.c_str(), O_WRONLY | O_CLOEXEC);
  if (pipe < 0)
    return fail(errno_error(errno, "opening " + given.file));
  auto out = cancellable(c, [&] { return c.store->get_descriptor(given.key, pipe, given.file, settings); });
  ::close(pipe);
  return out;
}

json to_json(const get_arguments& given, const get_result& r) {
  json out;
  add_key(out, "key", given.key);
  out["size"] = r.size;
  out["version"] = r.version;
  out["modified"] = utc_time(r.modified_ms);
  out["bytes_read"] = r.bytes_read;
  out["file"] = given.file;
  return out;
}

int run_get(context& c, get_arguments given) {
  if (const auto place = find_output(given.file); place && place->own_descriptor == STDOUT_FILENO)   // /dev/stdout
    given.file = "-";
  auto failed = [&](const error& e) { return c.out.failed("get " + in_quotes(given.key), e); };
  get_settings settings;
  if (!given.range.empty()) {
    auto range = parse_range(given.range);
    if (!range)
      return failed(range.error());
    settings.offset = range->offset;
    settings.length = range->length;
  }
  if (auto good = check_key(given.key); !good)
    return failed(good.error());
  settings.preserve = given.preserve;
  struct stat info {};
  const auto there = given.file != "-" && ::stat(given.file.c_str(), &info) == 0;
  if (c.out.use_json && given.file == "-")
    return failed({errc::invalid_argument, "--json and the value cannot share standard output; give a FILE"});
  if (there && S_ISDIR(info.st_mode))
    return failed({errc::invalid_argument,
                   given.file + " is a directory; give the name of a file (get -r PREFIX DIR fetches a folder)"});
  if (given.preserve && (given.file == "-" || !given.range.empty() || (there && !S_ISREG(info.st_mode))))
    return failed({errc::invalid_argument, "--preserve is for a whole value and a regular FILE"});
  auto opened = open_for_reading(c);
  if (!opened)
    return failed(opened.error());
  if (!*opened)
    return failed({errc::key_not_found, nothing_stored_yet(c)});
  auto fetched = [&] {
    auto bar = bar_for(c, printable(given.key));
    settings.on_progress = bar.callback();
    return fetch(c, given, settings);
  }();
  if (!fetched) {
    auto e = fetched.error();
    if (e.code == errc::store_full)  // a get fills no store: it is the disk of the file
      e.code = errc::io_error;
    return failed(e);
  }
  if (given.file == "-")
    return 0;
  if (given.preserve && !mtime_of(fetched->attributes))
    c.out.note("the value has no mtime to restore: it was not put from a file");
  c.out.summary("fetched " + printable(given.key) + ": " + human_bytes(fetched->bytes_read) + ", version "
                + std::to_string(fetched->version) + ", into " + printable(given.file));
  if (c.out.use_json)
    c.out.document(to_json(given, *fetched));
  return 0;
}

}  // namespace

command add_get(CLI::App& root, const arguments& words) {
  auto* parser = root.add_subcommand("get", "Fetch a value into a file, or to standard output; or a folder");
  auto given = std::make_shared<get_arguments>();
  parser->add_option("KEY", given->key, "The key. With -r: the folder's PREFIX")->required()->type_name("");
  parser
      ->add_option("FILE", given->file,
                   "Where to; - or nothing: standard output. Replaced only when all is there. With -r: the folder")
      ->type_name("");
  parser->add_option("--range", given->range, "Only bytes A to B, both included and counted from 0; A-: from A to the end")
      ->type_name("A-B");
  parser->add_flag("--preserve", given->preserve, "Give FILE the time and mode of the file that was put");
  auto salvage = add_salvage(*parser);
  auto folder = add_folder_options(*parser, folder_command::get);
  return {parser, [given, salvage, folder, &words](context& c) {
            c.salvage = *salvage;
            const auto option = folder->only_for_folders();
            const auto many = folder->recursive || folder->by_glob;
            if (many && (given->preserve || !given->range.empty()))
              return c.out.failed("get", {errc::invalid_argument, std::string(given->preserve ? "--preserve" : "--range")
                                                                     + " is for one value; folders keep their times anyway"});
            if (many)
              return get_folder(c, words.resolve(given->key), words.resolve(given->file), folder->resolved(words));
            if (!option.empty())
              return c.out.failed("get", {errc::invalid_argument, std::string(option) + " goes with -r"});
            return run_get(c, {words.resolve(given->key), words.resolve(given->file), words.resolve(given->range),
                               given->preserve});
          }};
}

}  // namespace mutant::cli
