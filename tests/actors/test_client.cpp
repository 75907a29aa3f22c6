// The blocking client, over real stores and real threads.
#include "actors/client.hpp"
#include "tests/temporary_directory.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <thread>

namespace mutant {

namespace {

namespace fs = std::filesystem;

struct folder : testing::temporary_directory {
  std::string local() const { return "local:" + file("store"); }
};

seed test_seed() {
  seed owner;
  for (std::size_t i = 0; i < owner.value.size(); ++i)
    owner.value[i] = static_cast<std::byte>(i * 7);
  return owner;
}

client open(const std::string& url, std::uint32_t chunk_bytes = max_chunk_bytes) {
  client_options options;
  options.store.owner = test_seed();
  options.store.url = url;
  options.store.crypto_workers = 2;
  options.store.chunk_bytes = chunk_bytes;
  options.threads = 2;
  auto opened = client::open(std::move(options));
  BOOST_REQUIRE_MESSAGE(opened, (opened ? std::string() : to_string(opened.error())));
  return std::move(*opened);
}

std::string noise(std::mt19937_64& random, std::size_t size_bytes) {
  std::string out(size_bytes, '\0');
  for (auto& c : out)
    c = static_cast<char>(random());
  return out;
}

template <class T>
void check_ok(const result<T>& r) {
  BOOST_REQUIRE_MESSAGE(r, (r ? std::string() : to_string(r.error())));
}

template <class T>
void check_error(const result<T>& r, errc code) {
  BOOST_REQUIRE(!r);
  BOOST_TEST(name_of(r.error().code) == name_of(code), r.error().message);
}

std::string value_of(client& c, const std::string& key) {
  auto got = c.get(key);
  check_ok(got);
  return std::string(as_text(got->value));
}

void compare_all(client& c, const std::map<std::string, std::string>& model) {
  std::string after;
  auto expected = model.begin();
  while (true) {
    auto page = c.list("", after, 777);
    check_ok(page);
    if (page->empty())
      break;
    for (const auto& item : *page) {
      BOOST_REQUIRE(expected != model.end());
      BOOST_REQUIRE_EQUAL(item.key, expected->first);
      BOOST_REQUIRE_EQUAL(item.size, expected->second.size());
      BOOST_REQUIRE(value_of(c, item.key) == expected->second);
      ++expected;
    }
    after = page->back().key;
  }
  BOOST_TEST((expected == model.end()));
}

std::map<std::string, std::string> put_many(client& c, std::size_t count) {
  std::mt19937_64 random(7);
  std::map<std::string, std::string> model;
  for (std::size_t i = 0; i < count; ++i) {
    auto key = "key " + std::to_string(random() % (2 * count));  // some are put twice
    auto value = noise(random, random() % 100);
    check_ok(c.put(key, bytes::copy_of(value)));
    model[key] = std::move(value);
  }
  return model;
}

std::string content_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

std::size_t write_some(int descriptor, std::string_view text) {
  const auto written = ::write(descriptor, text.data(), text.size());
  return written < 0 ? 0 : static_cast<std::size_t>(written);
}

struct pipe_pair {
  int read_end = -1, write_end = -1;
  pipe_pair() {
    int ends[2];
    BOOST_REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    read_end = ends[0];
    write_end = ends[1];
  }
  ~pipe_pair() {
    close_reading();
    close_writing();
  }
  void close_reading() {
    if (read_end >= 0)
      ::close(std::exchange(read_end, -1));
  }
  void close_writing() {
    if (write_end >= 0)
      ::close(std::exchange(write_end, -1));
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(client_suite)

BOOST_AUTO_TEST_CASE(ten_thousand_small_values_in_memory) {
  auto c = open("memory:");
  compare_all(c, put_many(c, 10'000));
}

BOOST_AUTO_TEST_CASE(ten_thousand_small_values_survive_reopening) {
  folder f;
  std::map<std::string, std::string> model;
  {
    auto c = open(f.local());
    model = put_many(c, 10'000);
    auto stats = c.stats();
    check_ok(stats);
    BOOST_TEST(stats->index.totals.keys == model.size());
    BOOST_TEST(stats->index.snapshots > 0u);
  }
  auto c = open(f.local());
  compare_all(c, model);
  // And removing: every third, then once more from the start.
  std::size_t n = 0;
  for (auto i = model.begin(); i != model.end();) {
    if (n++ % 3 != 0) {
      ++i;
      continue;
    }
    check_ok(c.remove(i->first));
    i = model.erase(i);
  }
  c = open(f.local());
  compare_all(c, model);
}

BOOST_AUTO_TEST_CASE(a_range_is_a_part_of_the_value) {
  auto c = open("memory:", 1000);
  std::mt19937_64 random(1);
  const auto value = noise(random, 10'500);
  check_ok(c.put("x", bytes::copy_of(value)));
  check_ok(c.put("inline", bytes::copy_of(value.substr(0, 500))));
  for (int i = 0; i < 200; ++i) {
    for (const std::string key : {"x", "inline"}) {
      const auto size = key == "x" ? value.size() : 500;
      get_settings range;
      range.offset = random() % (size + 1);
      range.length = random() % (size - range.offset + 1);
      auto got = c.get(key, range);
      check_ok(got);
      BOOST_REQUIRE(as_text(got->value) == value.substr(range.offset, *range.length));
      BOOST_TEST(got->size == size);
    }
  }
  get_settings beyond;
  beyond.offset = 10'501;
  check_error(c.get("x", beyond), errc::invalid_argument);
  beyond.offset = 10'000;
  beyond.length = 501;
  check_error(c.get("x", beyond), errc::invalid_argument);
}

BOOST_AUTO_TEST_CASE(values_stream_through_pipes) {
  folder f;
  auto c = open(f.local(), 100'000);
  std::mt19937_64 random(2);
  for (const auto size_bytes : {0u, 1u, 1024u, 1025u, 99'999u, 100'000u, 100'001u, 5'000'000u}) {
    const auto value = noise(random, size_bytes);
    pipe_pair in;
    std::thread writer([&] {
      std::size_t at = 0;
      while (at < value.size())
        at += write_some(in.write_end, std::string_view(value).substr(at, 7777));
      in.close_writing();
    });
    auto stored = c.put_descriptor("x", in.read_end, "the pipe");
    writer.join();
    check_ok(stored);
    BOOST_TEST(stored->size == size_bytes);

    pipe_pair out;
    std::string read;
    std::thread reader([&] {
      std::array<char, 5000> piece;
      for (ssize_t n; (n = ::read(out.read_end, piece.data(), piece.size())) > 0;)
        read.append(piece.data(), static_cast<std::size_t>(n));
    });
    auto fetched = c.get_descriptor("x", out.write_end, "the pipe");
    out.close_writing();
    reader.join();
    check_ok(fetched);
    BOOST_TEST(fetched->bytes_read == size_bytes);
    BOOST_TEST((read == value));
  }
}

BOOST_AUTO_TEST_CASE(files_go_in_and_out_whole) {
  folder f;
  auto c = open(f.local(), 100'000);
  std::mt19937_64 random(3);
  const auto value = noise(random, 1'234'567);
  write_file(f.file("in"), value);
  std::uint64_t last = 0;
  put_settings watched;
  watched.on_progress = [&](const progress& p) { last = std::max(last, p.bytes_done); };
  check_ok(c.put_file("x", f.file("in"), watched));
  write_file(f.file("out"), "old");
  BOOST_REQUIRE(::chmod(f.file("out").c_str(), 0640) == 0);
  check_ok(c.get_file("x", f.file("out")));
  BOOST_TEST((content_of(f.file("out")) == value));
  struct stat info {};
  BOOST_REQUIRE(::stat(f.file("out").c_str(), &info) == 0);
  BOOST_TEST((info.st_mode & 07777u) == 0640u);
  // What fails leaves the file as it was, and nothing beside it.
  check_error(c.get_file("none", f.file("out")), errc::key_not_found);
  BOOST_TEST((content_of(f.file("out")) == value));
  check_error(c.get_file("x", f.file("none/out")), errc::io_error);
  check_error(c.put_file("x", f.file("none")), errc::io_error);
  std::size_t names = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(f.path()))
    ++names;
  BOOST_TEST(names == 3u);  // in, out, store
  // Files that do not say how long they are.
  check_ok(c.put_file("proc", "/proc/version"));
  BOOST_TEST(value_of(c, "proc") == content_of("/proc/version"));
  check_error(c.put_file("x", "/proc/self/mem"), errc::io_error);
  BOOST_TEST((value_of(c, "x") == value));
}

BOOST_AUTO_TEST_CASE(a_cancelled_put_goes_on_where_it_stopped) {
  folder f;
  std::mt19937_64 random(4);
  const auto value = noise(random, 4'000'000);
  constexpr std::size_t fed_bytes = 3'000'000;
  {
    auto c = open(f.local(), 50'000);
    check_ok(c.put("x", bytes::copy_of("old")));
    // The pipe stays open with a quarter missing: the put cannot end by itself.
    pipe_pair in;
    std::atomic<std::uint64_t> done = 0;
    std::thread feeder([&] {
      std::size_t at = 0;
      while (at < fed_bytes)
        at += write_some(in.write_end, std::string_view(value).substr(at, fed_bytes - at));
      for (int i = 0; i < 6000 && done < 2'000'000; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      c.cancel();
    });
    put_settings watched;
    watched.on_progress = [&](const progress& p) { done = p.bytes_done; };
    auto stored = c.put_descriptor("x", in.read_end, "the pipe", watched);
    feeder.join();
    check_error(stored, errc::cancelled);
    BOOST_TEST(value_of(c, "x") == "old");
  }
  auto c = open(f.local(), 50'000);
  auto item = c.find("x");
  check_ok(item);
  BOOST_TEST(item->pending);
  BOOST_TEST(item->pending_done >= 2'000'000u);
  BOOST_TEST(value_of(c, "x") == "old");
  auto stored = c.put("x", bytes::copy_of(value));
  check_ok(stored);
  BOOST_TEST(stored->resumed);
  BOOST_TEST(stored->bytes_kept >= 2'000'000u);
  BOOST_TEST(stored->bytes_written + stored->bytes_kept == value.size());
  BOOST_TEST((value_of(c, "x") == value));
  BOOST_TEST(!c.find("x")->pending);
}

BOOST_AUTO_TEST_CASE(an_unfinished_put_of_something_else_is_not_mixed_in) {
  folder f;
  std::mt19937_64 random(5);
  const auto first = noise(random, 3'000'000);
  auto second = first;
  second[1'230'000] = static_cast<char>(second[1'230'000] ^ 1);
  auto c = open(f.local(), 50'000);
  pipe_pair in;
  std::thread feeder([&] {
    std::size_t at = 0;
    while (at < 2'500'000)
      at += write_some(in.write_end, std::string_view(first).substr(at, 2'500'000 - at));
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    c.cancel();
  });
  check_error(c.put_descriptor("x", in.read_end, "the pipe"), errc::cancelled);
  feeder.join();
  check_error(c.get("x"), errc::key_not_found);
  check_ok(c.put("x", bytes::copy_of(second)));
  BOOST_TEST((value_of(c, "x") == second));
}

BOOST_AUTO_TEST_CASE(cancelling_nothing_changes_nothing) {
  auto c = open("memory:");
  c.cancel();
  check_ok(c.put("x", bytes::copy_of("1")));
  c.cancel();
  BOOST_TEST(value_of(c, "x") == "1");
}

BOOST_AUTO_TEST_CASE(errors_come_back_as_they_are) {
  auto c = open("memory:");
  check_error(c.put("", bytes::copy_of("1")), errc::invalid_argument);
  check_error(c.put(std::string(4097, 'k'), bytes::copy_of("1")), errc::invalid_argument);
  check_error(c.get("none"), errc::key_not_found);
  check_error(c.find("none"), errc::key_not_found);
  check_error(c.remove("none"), errc::key_not_found);
  check_error(c.rename("none", "other"), errc::key_not_found);
  auto first = c.put("x", bytes::copy_of("1"));
  check_ok(first);
  check_error(c.put("x", bytes::copy_of("2"), {0, {}}), errc::key_exists);
  check_error(c.put("x", bytes::copy_of("2"), {first->version + 1, {}}), errc::version_mismatch);
  check_error(c.remove("x", first->version + 1), errc::version_mismatch);
  check_ok(c.put("x", bytes::copy_of("2"), {first->version, {}}));
  check_ok(c.put("y", bytes::copy_of("3")));
  check_error(c.rename("x", "y"), errc::key_exists);
  BOOST_TEST(value_of(c, "x") == "2");
}

BOOST_AUTO_TEST_CASE(what_cannot_be_opened_is_an_error) {
  folder f;
  for (const auto& [url, code] : {std::pair{std::string("nonsense"), errc::invalid_argument}, {"ftp:x", errc::unsupported},
                                  {"local:/proc/none/store", errc::io_error}}) {
    client_options options;
    options.store.owner = test_seed();
    options.store.url = url;
    auto opened = client::open(std::move(options));
    BOOST_REQUIRE(!opened);
    BOOST_TEST(name_of(opened.error().code) == name_of(code), opened.error().message);
  }
  client_options options;
  options.store.owner = test_seed();
  options.store.url = f.local();
  options.store.create = false;
  check_error(client::open(std::move(options)), errc::unreachable);
  BOOST_TEST(!fs::exists(f.path() / "store"));
}

BOOST_AUTO_TEST_CASE(two_owners_in_one_store_see_only_their_own) {
  folder f;
  auto mine = open(f.local());
  client_options options;
  options.store.owner = test_seed();
  options.store.owner.value[0] = std::byte{99};
  options.store.url = f.local();
  auto theirs = client::open(std::move(options));
  check_ok(theirs);
  check_ok(mine.put("x", bytes::copy_of("mine")));
  check_ok(theirs->put("x", bytes::copy_of("theirs")));
  BOOST_TEST(value_of(mine, "x") == "mine");
  BOOST_TEST(value_of(*theirs, "x") == "theirs");
  check_ok(theirs->remove("x"));
  BOOST_TEST(value_of(mine, "x") == "mine");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant
