#include "apps/mutant/folders.hpp"

#include <fstream>
#include <iterator>

namespace mutant::cli {

namespace {

// With --json; what is beyond is counted.
constexpr std::size_t max_listed_failures = 1000;
constexpr std::size_t max_pattern_bytes = 16u << 20;

result<exclude_list> read_excludes(const folder_arguments& given) {
  exclude_list all;
  for (const auto& pattern : given.excludes)
    if (auto added = all.add(pattern); !added)
      return fail(errc::invalid_argument, "--exclude: " + added.error().message);
  for (const auto& name : given.exclude_files) {
    std::ifstream file(name, std::ios::binary);
    if (!file)
      return fail(errno_error(errno, "opening " + name));
    std::string text(max_pattern_bytes, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (file.bad() || !file.eof())
      return fail(errc::invalid_argument, "--exclude-from " + name + ": it cannot be read, or has more than "
                                              + human_bytes(max_pattern_bytes));
    text.resize(static_cast<std::size_t>(file.gcount()));
    if (auto added = all.add_lines(text, name); !added)
      return fail(added.error());
  }
  return all;
}

result<folder_options> options_of(const folder_arguments& given) {
  auto excludes = read_excludes(given);
  if (!excludes)
    return fail(excludes.error());
  folder_options out;
  out.owners = given.owners;
  out.checksum = given.checksum;
  out.remove_others = given.remove_others;
  out.one_file_system = given.one_file_system;
  out.dry_run = given.dry_run;
  out.excludes = std::move(*excludes);
  return out;
}

result<key_selection> selection_of(const std::string& what, const folder_arguments& given) {
  if (given.by_glob && given.recursive)
    return fail(errc::invalid_argument, "--glob and -r exclude each other; '**' in a pattern is for any folders");
  return given.by_glob ? key_selection::matching(what) : key_selection::folder(what);
}

// One run of a command: says what happens, and how it ended.
class folder_session {
 public:
  // `name`: of the command; `place`: what paths are relative to, for people.
  folder_session(context& c, std::string name, std::string place)
      : c_(c), name_(std::move(name)), place_(std::move(place)) {}

  template <class Run>
  int run(const folder_options& options, const char* done, Run call) {
    folder_report report;
    auto out = [&] {
      auto bar = bar_for(c_, name_);
      const auto events = listen(options, bar);
      return cancellable(c_, [&] { return call(events, report); });
    }();
    return end(options, done, report, out);
  }
  int failed(const error& e) { return c_.out.failed(name_ + " " + in_quotes(place_), e); }

 private:
  std::string shown(const std::string& path) const {
    return place_.empty() || place_.ends_with('/') || path.empty() ? place_ + path : place_ + "/" + path;
  }

  folder_events listen(const folder_options& options, const progress_bar& bar) {
    folder_events events;
    if (options.dry_run && !c_.out.use_json)
      events.step = [this](std::string_view what, const std::string& path) {
        c_.out.print("would " + std::string(what) + " " + printable(shown(path)) + "\n");
      };
    events.failed = [this](const std::string& path, const error& e) { note_failure(path, e); };
    events.left_out = [this](const std::string& path, std::string_view why) {
      c_.out.note(in_quotes(shown(path)) + " is left out: it is " + std::string(why));
    };
    events.on_progress = bar.callback();
    events.stopped = was_interrupted;
    return events;
  }

  void note_failure(const std::string& path, const error& e) {
    progress_bar::erase();
    const auto use_json = std::exchange(c_.out.use_json, false);   // one document, at the end
    static_cast<void>(c_.out.failed(name_ + " " + in_quotes(shown(path)), e));
    c_.out.use_json = use_json;
    if (failures_.size() >= max_listed_failures)
      return;
    json item;
    add_key(item, "path", path);
    item["code"] = name_of(e.code);
    item["message"] = e.message;
    failures_.push_back(std::move(item));
  }

  int end(const folder_options& options, const char* done, const folder_report& r, const result<void>& out) {
    c_.out.summary((options.dry_run ? "would have " : "") + summary_of(done, r));
    auto document = to_json(options, r);
    if (!out)
      return c_.out.failed(name_ + " " + in_quotes(place_), out.error(), std::move(document));
    if (c_.out.use_json)
      c_.out.document(document);
    return r.failed == 0 ? 0 : exit_code(r.damaged ? errc::corrupt_record : errc::io_error);
  }

  static std::string summary_of(const std::string& done, const folder_report& r) {
    std::string text;
    if (done != "removed") {
      text = done + " " + counted(r.files, "file") + " (" + human_bytes(r.bytes) + "), " + counted(r.links, "link") + ", "
             + counted(r.folders, "folder") + "; " + std::to_string(r.unchanged) + " unchanged";
      if (r.removed != 0)
        text += "; " + std::to_string(r.removed) + " removed";
    } else {
      text = done + " " + counted(r.removed, "key");
    }
    if (r.left_out != 0)
      text += "; " + std::to_string(r.left_out) + " left out";
    if (r.failed != 0)
      text += "; " + std::to_string(r.failed) + " failed";
    return text;
  }

  json to_json(const folder_options& options, const folder_report& r) {
    json out;
    out["dry_run"] = options.dry_run;
    out["files"] = r.files;
    out["links"] = r.links;
    out["folders"] = r.folders;
    out["bytes"] = r.bytes;
    out["unchanged"] = r.unchanged;
    out["removed"] = r.removed;
    out["left_out"] = r.left_out;
    out["failed"] = r.failed;
    if (!failures_.empty())
      out["failures"] = std::move(failures_);
    return out;
  }

  context& c_;
  std::string name_;
  std::string place_;
  json failures_ = json::array();
};

error not_there(const std::string& what, const folder_arguments& given) {
  if (given.by_glob)
    return {errc::key_not_found, "no key matches"};
  return {errc::key_not_found, "there is no key that begins with " + in_quotes(folder_prefix(what))};
}

}  // namespace

std::string_view folder_arguments::only_for_folders() const {
  return owners             ? "--owner"
         : checksum         ? "--checksum"
         : remove_others    ? "--delete"
         : one_file_system  ? "--one-file-system"
         : dry_run          ? "--dry-run"
         : !excludes.empty() ? "--exclude"
         : !exclude_files.empty() ? "--exclude-from"
                                  : "";
}

folder_arguments folder_arguments::resolved(const arguments& words) const {
  auto out = *this;
  for (auto* texts : {&out.excludes, &out.exclude_files})
    for (auto& text : *texts)
      text = words.resolve(text);
  return out;
}

std::shared_ptr<folder_arguments> add_folder_options(CLI::App& parser, folder_command of) {
  auto given = std::make_shared<folder_arguments>();
  auto* g = given.get();
  if (of == folder_command::put) {
    parser.add_flag("-r,--recursive", g->recursive,
                    "A folder: put -r DIR PREFIX; what is unchanged by size and time is not read");
    parser.add_flag("--one-file-system", g->one_file_system, "With -r: what is mounted in the folder is not entered");
  } else {
    parser.add_flag("-r,--recursive", g->recursive,
                    of == folder_command::get ? "A folder: get -r PREFIX DIR; what is unchanged by size and time is not fetched"
                                              : "Folders: all keys that begin with PREFIX/");
    parser.add_flag("--glob", g->by_glob, "KEY is a pattern: * and ? within a name, ** across folders, [a-z]");
  }
  if (of != folder_command::rm) {
    parser.add_flag("--owner", g->owners, "With -r: with the files' user and group");
    parser.add_flag("--checksum", g->checksum, "With -r: look at contents, also where size and time are the same");
    parser.add_flag("--delete", g->remove_others, "With -r: the target has nothing else in the end; what is excluded stays");
  }
  parser.add_flag("--dry-run", g->dry_run, "With -r or --glob: only tell");
  parser.add_option("--exclude", g->excludes, "With -r: leave out names (or paths, with a /) that match; may be repeated")
      ->type_name("GLOB")
      ->take_all();
  parser.add_option("--exclude-from", g->exclude_files, "With -r: a file of such patterns, one a line")
      ->type_name("FILE")
      ->take_all();
  return given;
}

int put_folder(context& c, const std::string& folder, const std::string& prefix, const folder_arguments& given) {
  folder_session session(c, "put", folder);
  auto options = options_of(given);
  if (!options)
    return session.failed(options.error());
  if (prefix.empty() && given.remove_others)
    return session.failed({errc::invalid_argument,
                           "--delete with an empty PREFIX would empty the store of all else; give one"});
  if (auto good = prefix.empty() ? result<void>() : check_key(folder_prefix(prefix)); !good)
    return session.failed(good.error());
  if (auto opened = open_for_writing(c); !opened)
    return session.failed(opened.error());
  return session.run(*options, "stored", [&](const folder_events& events, folder_report& report) {
    return mutant::put_folder(*c.store, folder, key_selection::folder(prefix), *options, events, report);
  });
}

int get_folder(context& c, const std::string& what, const std::string& folder, const folder_arguments& given) {
  folder_session session(c, "get", what);
  auto options = options_of(given);
  auto which = selection_of(what, given);
  if (!options || !which)
    return session.failed(!options ? options.error() : which.error());
  if (folder == "-")
    return session.failed({errc::invalid_argument, "where to? get -r PREFIX DIR, get --glob PATTERN DIR"});
  if (given.by_glob && given.remove_others)
    return session.failed({errc::invalid_argument, "--delete goes with -r, not with --glob"});
  auto opened = open_for_reading(c);
  if (!opened)
    return session.failed(opened.error());
  if (!*opened)
    return session.failed({errc::key_not_found, nothing_stored_yet(c)});
  return folder_session(c, "get", which->prefix())
      .run(*options, "fetched", [&](const folder_events& events, folder_report& report) {
        auto out = mutant::get_folder(*c.store, *which, folder, *options, events, report);
        return !out && out.error().code == errc::key_not_found ? fail(not_there(what, given)) : out;
      });
}

int remove_folder(context& c, const std::string& what, const folder_arguments& given, bool wipe) {
  folder_session session(c, "rm", what);
  auto options = options_of(given);
  auto which = selection_of(what, given);
  if (!options || !which)
    return session.failed(!options ? options.error() : which.error());
  if (what.empty())
    return session.failed({errc::invalid_argument,
                           "an empty PREFIX would remove all in the store; if that is meant: rm --glob '**'"});
  auto opened = c.store ? result<bool>(true) : open_for_changing(c);   // one of several prefixes
  if (!opened)
    return session.failed(opened.error());
  if (!*opened)
    return session.failed({errc::key_not_found, nothing_stored_yet(c)});
  return folder_session(c, "rm", which->prefix())
      .run(*options, "removed", [&](const folder_events& events, folder_report& report) {
        auto out = mutant::remove_keys(*c.store, *which, *options, wipe, events, report);
        return !out && out.error().code == errc::key_not_found ? fail(not_there(what, given)) : out;
      });
}

}  // namespace mutant::cli
