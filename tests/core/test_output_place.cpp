// Where names lead that are written to, what becomes of owner and mode, and files with holes.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>

#include "core/files.hpp"
#include "core/output_place.hpp"
#include "tests/temporary_directory.hpp"

using namespace mutant;
namespace fs = std::filesystem;

namespace {

struct folder : testing::temporary_directory {
  std::string make(const std::string& name, mode_t mode = 0644) const {
    unique_fd made(::open(file(name).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    BOOST_REQUIRE(::fchmod(made.get(), mode) == 0);
    return file(name);
  }
};

output_place place_of(const std::string& name) {
  auto place = find_output(name);
  BOOST_REQUIRE_MESSAGE(place, (place ? std::string() : to_string(place.error())));
  return *place;
}

void replace(const std::string& path) {
  auto file = replacement_file::create(path);
  BOOST_REQUIRE(file.has_value());
  BOOST_REQUIRE(write_all_at(file->descriptor(), 0, as_byte_view(std::string_view("new")), path).has_value());
  BOOST_REQUIRE(file->commit(3).has_value());
}

mode_t mode_of(const std::string& path) {
  struct stat info {};
  BOOST_REQUIRE(::lstat(path.c_str(), &info) == 0);
  return info.st_mode & 07777;
}

std::uint64_t disk_bytes(int descriptor) {
  struct stat info {};
  BOOST_REQUIRE(::fstat(descriptor, &info) == 0);
  return static_cast<std::uint64_t>(info.st_blocks) * 512;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(output_places)

BOOST_AUTO_TEST_CASE(links_are_followed_to_the_file_that_is_there_or_would_be) {
  folder f;
  fs::create_directory(f.path() / "sub");
  fs::create_symlink(f.file("sub"), f.file("folder"));
  const auto real = f.make("sub/real");
  fs::create_symlink("sub/real", f.file("relative"));
  fs::create_symlink(f.file("relative"), f.file("twice"));
  fs::create_symlink("../relative", f.file("sub/up"));
  for (const auto* name : {"sub/real", "relative", "twice", "sub/up", "folder/real"}) {
    const auto place = place_of(f.file(name));
    BOOST_TEST(!place.in_place);
    BOOST_TEST(place.own_descriptor == -1);
    BOOST_TEST(fs::canonical(place.path) == fs::canonical(real));
    BOOST_TEST(!fs::is_symlink(place.path));
  }
  fs::create_symlink("sub/to be", f.file("dangling"));
  BOOST_TEST(fs::weakly_canonical(place_of(f.file("dangling")).path) == fs::weakly_canonical(f.file("sub/to be")));
  fs::create_symlink("round", f.file("round"));
  BOOST_TEST(!find_output(f.file("round")).has_value());
}

BOOST_AUTO_TEST_CASE(what_is_no_regular_file_is_written_to) {
  folder f;
  BOOST_REQUIRE(::mkfifo(f.file("pipe").c_str(), 0600) == 0);
  fs::create_symlink("pipe", f.file("to pipe"));
  fs::create_symlink("/dev/null", f.file("to null"));
  for (const auto& name : {f.file("pipe"), f.file("to pipe"), f.file("to null"), std::string("/dev/null"),
                           std::string("/proc/self/comm")}) {
    BOOST_TEST(place_of(name).in_place);
    BOOST_TEST(place_of(name).own_descriptor == -1);
  }
}

BOOST_AUTO_TEST_CASE(names_of_open_files_are_never_replaced) {
  folder f;
  const unique_fd open_one(::open(f.make("file").c_str(), O_WRONLY | O_CLOEXEC));
  const auto number = std::to_string(open_one.get());
  fs::create_symlink("/proc/self/fd/" + number, f.file("link"));
  for (const auto& name : {"/proc/self/fd/" + number, "/proc/" + std::to_string(::getpid()) + "/fd/" + number,
                           "/dev/fd/" + number, f.file("link")}) {
    BOOST_TEST(place_of(name).in_place);
    BOOST_TEST(place_of(name).own_descriptor == open_one.get());
  }
  BOOST_TEST(place_of("/dev/stdout").own_descriptor == STDOUT_FILENO);
  const auto parent = place_of("/proc/" + std::to_string(::getppid()) + "/fd/1");
  BOOST_TEST(parent.own_descriptor == -1);
}

BOOST_AUTO_TEST_CASE(a_replaced_file_keeps_its_mode_without_setuid_and_its_owner) {
  folder f;
  for (mode_t mode : {0600u, 0640u, 0444u, 0755u, 04755u, 02755u, 06711u, 01777u}) {
    const auto path = f.make("mode " + std::to_string(mode), mode);
    replace(path);
    BOOST_TEST(mode_of(path) == (mode & 0777));
  }
  if (::geteuid() != 0)
    return;
  const auto path = f.make("another's", 04640);
  BOOST_REQUIRE(::chown(path.c_str(), 12345, 23456) == 0);
  replace(path);
  struct stat info {};
  BOOST_REQUIRE(::stat(path.c_str(), &info) == 0);
  BOOST_TEST(info.st_uid == 12345u);
  BOOST_TEST(info.st_gid == 23456u);
  BOOST_TEST(mode_of(path) == 0640u);
}

// Data and holes in turn, at every kind of border.
BOOST_AUTO_TEST_CASE(zeros_come_as_holes_and_holes_are_found) {
  folder f;
  constexpr std::size_t block = 4096, size = 64 * block + 100;
  std::string text(size, '\0');
  for (auto at : {std::size_t{0}, 3 * block + 7, 20 * block - 1, 20 * block, 63 * block, size - 1})
    text[at] = 'x';
  const unique_fd file(::open(f.file("sparse").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  BOOST_REQUIRE(write_sparse_at(file.get(), -1, 0, as_byte_view(text), "a file").has_value());
  BOOST_REQUIRE(::ftruncate(file.get(), size) == 0);
  std::string back(size, '?');
  BOOST_REQUIRE(read_all_at(file.get(), 0, std::as_writable_bytes(std::span(back)), "a file").has_value());
  BOOST_TEST((back == text));
  if (disk_bytes(file.get()) >= size)
    return;   // a file system without holes
  BOOST_TEST(disk_bytes(file.get()) <= 6 * block);
  BOOST_TEST(leading_hole_bytes(file.get(), 0, size) == 0u);
  for (std::size_t at = 0; at < size; at += 1000) {
    const auto hole = leading_hole_bytes(file.get(), at, size - at);
    BOOST_TEST(text.find_first_not_of('\0', at) >= at + hole);
  }
  BOOST_TEST(leading_hole_bytes(file.get(), 5 * block, block) == block);
  // Behind the end of the file there is nothing, not zeros.
  BOOST_REQUIRE(::ftruncate(file.get(), 30 * block) == 0);
  BOOST_TEST(leading_hole_bytes(file.get(), 25 * block, 10 * block) == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
