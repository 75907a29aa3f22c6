// Folders: patterns, excludes, paths, and that a walk and a writer stay in their folder, whatever names and links there are.
#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>

#include "core/folders/excludes.hpp"
#include "core/folders/glob.hpp"
#include "core/folders/item.hpp"
#include "core/folders/tree_reader.hpp"
#include "core/folders/tree_writer.hpp"
#include "core/folders/usage.hpp"
#include "core/limits.hpp"
#include "tests/temporary_directory.hpp"

using namespace mutant;
namespace fs = std::filesystem;

namespace {

bool matches(std::string_view pattern, std::string_view text) {
  auto parsed = glob::parse(pattern);
  BOOST_REQUIRE_MESSAGE(parsed, pattern);
  return parsed->matches(text);
}

// The definition, by trying everything; for the letters a, b and '/' alone.
bool matches_by_trial(std::string_view pattern, std::string_view text, bool begins_name = true) {
  if (pattern.empty())
    return text.empty();
  if (pattern.starts_with("**")) {
    auto rest = pattern.substr(std::min(pattern.find_first_not_of('*'), pattern.size()));
    if (begins_name && rest.starts_with('/') && matches_by_trial(rest.substr(1), text, true))
      return true;
    for (std::size_t n = 0; n <= text.size(); ++n)
      if (matches_by_trial(rest, text.substr(n), false))
        return true;
    return false;
  }
  if (pattern.front() == '*') {
    for (std::size_t n = 0; n <= text.size() && (n == 0 || text[n - 1] != '/'); ++n)
      if (matches_by_trial(pattern.substr(1), text.substr(n), false))
        return true;
    return false;
  }
  const auto fits = !text.empty() && (pattern.front() == '?' ? text.front() != '/' : pattern.front() == text.front());
  return fits && matches_by_trial(pattern.substr(1), text.substr(1), pattern.front() == '/');
}

std::string random_text(std::mt19937_64& random, std::string_view letters, std::size_t max) {
  std::string text(random() % (max + 1), '\0');
  for (auto& letter : text)
    letter = letters[random() % letters.size()];
  return text;
}

struct temporary_folder {
  const testing::temporary_directory directory;
  const fs::path path = directory.path();
  std::string write(const std::string& name, const std::string& content) const {
    fs::create_directories((path / name).parent_path());
    std::ofstream(path / name) << content;
    return (path / name).string();
  }
};

// All that is under a folder: path to content, links as "-> target".
std::map<std::string, std::string> contents_of(const fs::path& folder) {
  std::map<std::string, std::string> all;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const auto name = entry.path().string().substr(folder.string().size() + 1);
    if (entry.is_symlink()) {
      all[name] = "-> " + fs::read_symlink(entry.path()).string();
    } else if (entry.is_directory()) {
      all[name + "/"] = "";
    } else {
      std::ifstream file(entry.path());
      all[name] = std::string(std::istreambuf_iterator<char>(file), {});
    }
  }
  return all;
}

folder_item file_item(std::string path) {
  folder_item item;
  item.path = std::move(path);
  item.mode = 0640;
  item.mtime_ns = 1'234'567'890'123'456'789;
  return item;
}

result<void> write_file(tree_writer& into, const std::string& path, const std::string& content) {
  auto file = into.create(path);
  if (!file)
    return fail(file.error());
  if (auto written = write_all_at(file->descriptor(), 0, as_byte_view(content), path); !written)
    return written;
  return into.commit(*file, content.size(), file_item(path));
}

void expect_no_failure(const std::string& path, const error& e) {
  BOOST_ERROR("'" << path << "': " << to_string(e));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(folders)

BOOST_AUTO_TEST_CASE(patterns_match_what_they_say) {
  BOOST_TEST(matches("*.txt", "a.txt"));
  BOOST_TEST(!matches("*.txt", "b/a.txt"));
  BOOST_TEST(matches("**.txt", "b/a.txt"));
  BOOST_TEST(matches("b/**", "b/a/c"));
  BOOST_TEST(matches("**/a", "a"));
  BOOST_TEST(matches("**/a", "x/y/a"));
  BOOST_TEST(!matches("**/a", "x/ya"));
  BOOST_TEST(matches("a/**/b", "a/b"));
  BOOST_TEST(matches("[a-c]?", "b\xc3\xa4"));        // one character, two bytes
  BOOST_TEST(matches("[\xc3\xa0-\xc3\xbc]", "\xc3\xa4"));
  BOOST_TEST(matches("[!a]", "\xff"));
  BOOST_TEST(!matches("[!a]", "/"));
  BOOST_TEST(matches("[]-]", "-"));
  BOOST_TEST(matches("\\*", "*"));
  BOOST_TEST(!matches("\\*", "a"));
  for (const auto* bad : {"", "[a", "[]", "a\\"})
    BOOST_TEST(!glob::parse(bad).has_value(), bad);
}

BOOST_AUTO_TEST_CASE(patterns_match_as_their_definition_says) {
  std::mt19937_64 random(20260101);
  for (auto round = 0; round < 20'000; ++round) {
    const auto pattern = random_text(random, "ab/**?", 8) + "a";
    const auto text = random_text(random, "ab/", 10);
    BOOST_REQUIRE_MESSAGE(matches(pattern, text) == matches_by_trial(pattern, text), pattern << " and " << text);
    const auto parsed = glob::parse(pattern);
    if (parsed->matches(text))
      BOOST_REQUIRE(text.starts_with(parsed->literal_prefix()));
  }
}

BOOST_AUTO_TEST_CASE(a_hostile_pattern_takes_no_time_to_speak_of) {
  std::string pattern, text(4096, 'a');
  for (auto i = 0; i < 500; ++i)
    pattern += "*a**";
  BOOST_TEST(!matches(pattern + "b", text));
}

BOOST_AUTO_TEST_CASE(excludes_are_for_names_paths_or_folders) {
  exclude_list list;
  BOOST_REQUIRE(list.add_lines("# objects\n*.o\n\nbuild/\r\n/top\nsrc/*.tmp\n", "patterns"));
  for (const auto* path : {"a.o", "deep/er/a.o", "build/", "deep/build/", "top", "top/", "src/a.tmp"})
    BOOST_TEST(list.excludes(path), path);
  for (const auto* path : {"", "a.c", "build", "deep/top", "deep/src/a.tmp", "src/deep/a.tmp"})
    BOOST_TEST(!list.excludes(path), path);
  BOOST_TEST(list.covers("deep/build/any/thing"));
  BOOST_TEST(!list.covers("deep/buildings/any"));
  for (const auto* bad : {"!keep", "[a", "a\n[b"})
    BOOST_TEST(!list.add_lines(bad, "patterns").has_value(), bad);
  const auto refused = list.add_lines("a\n[b\n", "patterns");
  BOOST_TEST(refused.error().message.find("patterns, line 2") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(items_come_back_from_their_attributes) {
  std::mt19937_64 random(1);
  for (auto round = 0; round < 1000; ++round) {
    folder_item item;
    item.kind = static_cast<item_kind>(random() % 3);
    item.path = item.kind == item_kind::folder ? "a/" : "a";
    item.size = item.kind == item_kind::folder ? 0 : random() % 1000;
    if (random() % 2 != 0)
      item.mode = static_cast<std::uint32_t>(random() % 010000);
    if (random() % 2 != 0)
      item.mtime_ns = static_cast<std::int64_t>(random());
    if (random() % 2 != 0)
      item.owner = file_owner{static_cast<std::uint32_t>(random()), static_cast<std::uint32_t>(random())};
    const auto attributes = attributes_of(item);
    BOOST_REQUIRE(check_given_attributes(attributes));
    const auto back = item_of(item.path, item.size, attributes);
    BOOST_REQUIRE((back.kind == item.kind && back.mode == item.mode && back.mtime_ns == item.mtime_ns
                   && back.owner == item.owner && back.size == item.size));
    BOOST_REQUIRE(is_unchanged(item, back) == item.mtime_ns.has_value());
    BOOST_REQUIRE(has_same_rights(item, back));
  }
}

BOOST_AUTO_TEST_CASE(a_path_has_names_and_nothing_else) {
  for (const std::string_view good : {"a", "a/", "a/b", "...", ".a", "a..", " ", "\xff", "a\nb"})
    BOOST_TEST(check_item_path(good).has_value(), good);
  for (const std::string_view bad : {"", "/", "/a", "a//b", "a//", ".", "./", "..", "../a", "a/..", "a/../b", "a/.", "a/./b"})
    BOOST_TEST(!check_item_path(bad).has_value(), bad);
  BOOST_TEST(!check_item_path(std::string_view("a\0b", 3)).has_value());
}

BOOST_AUTO_TEST_CASE(names_of_values_and_of_folders_conflict) {
  std::mt19937_64 random(7);
  for (auto round = 0; round < 2000; ++round) {
    std::set<std::string> paths;
    for (auto i = 0; i < 12; ++i)
      paths.insert(random_text(random, "ab/-0", 6));
    name_conflicts conflicts;
    std::set<std::string> taken;
    for (const auto& path : paths) {
      auto inside = false;
      for (std::size_t n = 1; n < path.size(); ++n)
        inside = inside || (path[n] == '/' && taken.contains(path.substr(0, n)));
      BOOST_REQUIRE_MESSAGE(conflicts.is_inside_file(path) == inside, path);
      if (!inside && !path.ends_with('/'))
        taken.insert(path);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_walk_is_in_the_order_of_paths_and_follows_no_link) {
  const temporary_folder outside;
  outside.write("secret", "not to be read");
  std::mt19937_64 random(11);
  for (auto round = 0; round < 30; ++round) {
    const temporary_folder top;
    for (auto i = 0; i < 25; ++i) {
      auto path = random_text(random, "ab-./0\xff", 9) + "z";
      std::replace(path.begin(), path.end(), '.', ',');
      std::error_code ignored;
      const auto place = top.path / fs::path(path).relative_path();
      fs::create_directories(place.parent_path(), ignored);
      switch (random() % 4) {
        case 0: fs::create_directories(place, ignored); break;
        case 1: fs::create_symlink(random() % 2 != 0 ? outside.path : fs::path("."), place, ignored); break;
        default: std::ofstream(place) << "x";
      }
    }
    std::vector<std::string> seen;
    tree_reader_options options;
    options.failed = expect_no_failure;
    auto walk = tree_reader::open(top.path.string(), std::move(options));
    BOOST_REQUIRE(walk);
    BOOST_TEST(walk->item()->path.empty());
    for (walk->next(); walk->item() != nullptr; walk->next()) {
      seen.push_back(walk->item()->path);
      if (walk->item()->kind == item_kind::file)
        BOOST_REQUIRE(walk->open_file());
      if (walk->item()->kind == item_kind::link)
        BOOST_REQUIRE(walk->read_link());
    }
    std::vector<std::string> all;
    for (const auto& [path, content] : contents_of(top.path))
      all.push_back(path);
    BOOST_TEST(seen == all, boost::test_tools::per_element());   // a map's order is that of bytes, too
  }
}

BOOST_AUTO_TEST_CASE(a_walk_leaves_out_what_is_excluded_or_skipped_and_tells_of_what_is_special) {
  const temporary_folder top;
  top.write("a/x", "1");
  top.write("b/x", "1");
  top.write("c/x.o", "1");
  BOOST_REQUIRE(::mkfifo((top.path / "pipe").c_str(), 0600) == 0);
  std::vector<std::string> seen, special;
  tree_reader_options options;
  BOOST_REQUIRE(options.excludes.add("*.o"));
  options.left_out = [&](const std::string& path, std::string_view what) {
    special.push_back(path + ": " + std::string(what));
  };
  auto walk = tree_reader::open(top.path.string(), std::move(options));
  BOOST_REQUIRE(walk);
  for (walk->next(); walk->item() != nullptr;) {
    seen.push_back(walk->item()->path);
    if (walk->item()->path == "a/")
      walk->next_behind();
    else
      walk->next();
  }
  BOOST_TEST((seen == std::vector<std::string>{"a/", "b/", "b/x", "c/"}));
  BOOST_TEST((special == std::vector<std::string>{"pipe: a pipe"}));
}

// The property that matters most: whatever is written, what lies outside stays as it was.
BOOST_AUTO_TEST_CASE(nothing_is_ever_written_outside) {
  std::mt19937_64 random(13);
  const std::vector<std::string> names = {"a", "b", "..", ".", "", "link", "out", "c/d", std::string("z\0z", 3), "x\ny"};
  for (auto round = 0; round < 300; ++round) {
    const temporary_folder around;
    around.write("outside/kept", "as it was");
    fs::create_directories(around.path / "in/out");
    const auto before = contents_of(around.path / "outside");
    // Links that are there already, and lead out.
    fs::create_symlink("../outside", around.path / "in/link");
    fs::create_symlink(around.path / "outside", around.path / "in/out/link");
    auto into = tree_writer::open((around.path / "in").string(), {false, random() % 2 == 0});
    BOOST_REQUIRE(into);
    for (auto step = 0; step < 12; ++step) {
      auto path = names[random() % names.size()];
      for (auto more = random() % 4; more != 0; --more)
        path += "/" + names[random() % names.size()];
      if (random() % 8 == 0)
        path = (around.path / "outside" / path).string();
      auto item = file_item(path);
      switch (random() % 6) {
        case 0:
          item.kind = item_kind::folder;
          item.path += "/";
          item.mode = 0755;
          static_cast<void>(into->make_folder(item));
          break;
        case 1:   // a link that this very run makes
          item.kind = item_kind::link;
          static_cast<void>(into->make_link(item, random() % 2 != 0 ? "../outside" : (around.path / "outside").string()));
          break;
        case 2: static_cast<void>(into->remove(path + (random() % 2 != 0 ? "/" : ""))); break;
        case 3: static_cast<void>(into->restore_rights(item)); break;
        default: static_cast<void>(write_file(*into, path, "hostile"));
      }
    }
    into->finish([](const std::string&, const error&) {});
    BOOST_REQUIRE((contents_of(around.path / "outside") == before));
    BOOST_REQUIRE(fs::status(around.path / "outside/kept").permissions()
                  == fs::status(around.write("outside/other", "")).permissions());
    std::set<std::string> beside;
    for (const auto& entry : fs::directory_iterator(around.path))
      beside.insert(entry.path().filename().string());
    BOOST_REQUIRE((beside == std::set<std::string>{"in", "outside"}));
  }
}

BOOST_AUTO_TEST_CASE(what_is_written_has_content_time_and_mode) {
  const temporary_folder top;
  const auto in = (top.path / "new/folder").string();
  auto into = tree_writer::open(in);
  BOOST_REQUIRE(into);
  auto folder = file_item("a/");
  folder.kind = item_kind::folder;
  folder.mode = 0500;
  auto link = file_item("a/link");
  link.kind = item_kind::link;
  BOOST_REQUIRE(into->make_folder(folder));
  BOOST_REQUIRE(write_file(*into, "a/b/file", "content"));
  BOOST_REQUIRE(write_file(*into, "a/b/file", "shorter"));
  BOOST_REQUIRE(into->make_link(link, "nowhere"));
  {
    auto dropped = into->create("a/dropped");   // without a commit
    BOOST_REQUIRE(dropped);
  }
  into->finish(expect_no_failure);
  BOOST_TEST((contents_of(in) == std::map<std::string, std::string>{
                                     {"a/", ""}, {"a/b/", ""}, {"a/b/file", "shorter"}, {"a/link", "-> nowhere"}}));
  for (const auto& [path, mode] : {std::pair("a", 0500u), {"a/b/file", 0640u}, {"a/link", 0777u}}) {
    struct stat s {};
    BOOST_REQUIRE(::lstat((fs::path(in) / path).c_str(), &s) == 0);
    BOOST_TEST((s.st_mode & 07777u) == mode, path);
    BOOST_TEST(std::int64_t{s.st_mtim.tv_sec} * 1'000'000'000 + s.st_mtim.tv_nsec == *folder.mtime_ns, path);
  }
  // A folder that was made read-only can be written to once more.
  auto again = tree_writer::open(in);
  BOOST_REQUIRE((again && again->make_folder(folder)));
  BOOST_TEST(write_file(*again, "a/more", "more").has_value());
  again->finish(expect_no_failure);
  fs::permissions(fs::path(in) / "a", fs::perms::owner_all);
}

BOOST_AUTO_TEST_CASE(a_folder_gives_way_only_where_that_is_meant) {
  const temporary_folder top;
  top.write("a/b/c", "1");
  auto careful = tree_writer::open(top.path.string());
  BOOST_REQUIRE(careful);
  const auto refused = write_file(*careful, "a", "file");
  BOOST_REQUIRE(!refused);
  BOOST_TEST((refused.error().code == errc::key_exists));
  BOOST_TEST(fs::exists(top.path / "a/b/c"));
  auto replacing = tree_writer::open(top.path.string(), {false, true});
  BOOST_REQUIRE((replacing && write_file(*replacing, "a", "file")));
  BOOST_TEST((contents_of(top.path) == std::map<std::string, std::string>{{"a", "file"}}));
  BOOST_TEST(replacing->remove("a/").has_value());   // no folder any more
  BOOST_TEST(fs::exists(top.path / "a"));
  BOOST_TEST(replacing->remove("a").has_value());
  BOOST_TEST(!fs::exists(top.path / "a"));
}

BOOST_AUTO_TEST_CASE(usage_of_a_folder_is_that_of_all_in_it) {
  std::mt19937_64 random(17);
  for (auto round = 0; round < 500; ++round) {
    std::map<std::string, std::uint64_t> paths;
    for (auto i = random() % 15; i != 0; --i)
      paths[random_text(random, "ab/-0", 6) + (random() % 4 == 0 ? "/" : "")] = random() % 100;
    std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> expected{{"", {}}};
    for (const auto& [path, bytes] : paths)
      for (std::size_t end = 0; end <= path.size(); ++end) {
        if (end != 0 && path[end - 1] != '/')
          continue;
        auto& [values, sum] = expected[path.substr(0, end)];
        values += (path.empty() || path.ends_with('/')) && bytes == 0 ? 0 : 1;
        sum += bytes;
      }
    std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> told;
    usage_counter counter([&](const folder_usage& u) {
      BOOST_REQUIRE(static_cast<std::ptrdiff_t>(u.depth) == std::count(u.path.begin(), u.path.end(), '/'));
      for (const auto& [path, sums] : told)
        BOOST_REQUIRE(!u.path.starts_with(path));   // what holds others comes behind them
      BOOST_REQUIRE(told.emplace(u.path, std::pair(u.values, u.bytes)).second);
    });
    for (const auto& [path, bytes] : paths)
      counter.add(path, bytes);
    counter.finish();
    BOOST_REQUIRE((told == expected));
  }
}

BOOST_AUTO_TEST_SUITE_END()
