#include <boost/test/unit_test.hpp>

#include <cctype>
#include <filesystem>
#include <fstream>
#include <tuple>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

#include "core/identity.hpp"
#include "tests/temporary_directory.hpp"

using namespace mutant;

namespace {

constexpr passphrase_cost cheap{64, 1};

struct identities {
  identities() {
    BOOST_REQUIRE(init_crypto().has_value());
    owner.value.fill(std::byte{5});
    reader = keyring(owner).for_readers();
  }

  void write(std::string_view text, mode_t mode = 0600) const {
    std::ofstream(path) << text;
    BOOST_REQUIRE(::chmod(path.c_str(), mode) == 0);
  }
  bool is_owners(const result<identity_keys>& keys) const {
    return keys && std::holds_alternative<seed>(*keys) && std::get<seed>(*keys).value == owner.value;
  }
  bool is_readers(const result<identity_keys>& keys) const {
    if (!keys || !std::holds_alternative<reader_key>(*keys))
      return false;
    const auto& got = std::get<reader_key>(*keys);
    return got.reading.value == reader.reading.value && got.root == reader.root;
  }
  // A file of either kind, in the clear and under the passphrase `words`.
  std::vector<std::string> all_texts() const {
    std::vector<std::string> texts;
    for (const auto& keys : {identity_keys(owner), identity_keys(reader)})
      for (auto word : {"", "words"})
        texts.push_back(encode_identity(keys, word, cheap).value());
    return texts;
  }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(directory), {}));
  }

  seed owner;
  reader_key reader;
  const testing::temporary_directory folder;
  const std::filesystem::path directory = folder.path(), path = directory / "identity";
};

errc code_of(const auto& outcome) {
  BOOST_REQUIRE(!outcome.has_value());
  return outcome.error().code;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  auto at = text.find(from);
  BOOST_REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(identity, identities)

BOOST_AUTO_TEST_CASE(a_clear_identity_comes_back) {
  auto text = encode_identity(owner, "", {}).value();
  BOOST_TEST(!inspect_identity(text).value().needs_passphrase);
  BOOST_TEST(is_owners(decode_identity(text, "")));
  BOOST_TEST(is_owners(decode_identity(text, "not needed")));
}

BOOST_AUTO_TEST_CASE(an_identity_under_a_passphrase_comes_back_and_does_not_show_the_seed) {
  auto text = encode_identity(owner, "words", cheap).value();
  BOOST_TEST(inspect_identity(text).value().needs_passphrase);
  BOOST_TEST(text.find(to_hex(owner.value)) == std::string::npos);
  BOOST_TEST(is_owners(decode_identity(text, "words")));
  BOOST_TEST(text != encode_identity(owner, "words", cheap).value());
}

BOOST_AUTO_TEST_CASE(a_wrong_or_missing_passphrase_is_denied) {
  auto text = encode_identity(owner, "words", cheap).value();
  for (auto wrong : {"", "word", "words ", "Words"})
    BOOST_TEST((code_of(decode_identity(text, wrong)) == errc::access_denied), wrong);
}

BOOST_AUTO_TEST_CASE(a_readers_identity_comes_back_and_holds_nothing_that_signs) {
  for (auto word : {"", "words"}) {
    const auto text = encode_identity(reader, word, cheap).value();
    const auto about = inspect_identity(text).value();
    BOOST_TEST(about.is_reader);
    BOOST_TEST(about.needs_passphrase == (std::string_view(word) != ""));
    BOOST_TEST(is_readers(decode_identity(text, word)));
    BOOST_TEST(text.find(to_hex(owner.value)) == std::string::npos);
    BOOST_TEST((text.find(to_hex(reader.reading.value)) == std::string::npos) == about.needs_passphrase);
  }
  BOOST_TEST(!inspect_identity(encode_identity(owner, "", {}).value()).value().is_reader);
  BOOST_REQUIRE(create_identity_file(path, reader, "words", cheap).has_value());
  BOOST_TEST(is_readers(decode_identity(read_identity_file(path).value(), "words")));
  BOOST_TEST((code_of(decode_identity(read_identity_file(path).value(), "word")) == errc::access_denied));
  BOOST_REQUIRE(replace_identity_file(path, reader, "").has_value());
  BOOST_TEST(is_readers(decode_identity(read_identity_file(path).value(), "")));
}

// What one kind's file holds does not pass for the other's, and a kind that nobody knows is not taken for one of them.
BOOST_AUTO_TEST_CASE(a_kind_is_part_of_what_is_proven) {
  for (auto word : {"", "words"}) {
    const auto owners = encode_identity(owner, word, cheap).value(), readers = encode_identity(reader, word, cheap).value();
    const std::string_view first = "mutant-identity 2\n";
    for (const auto& [text, from, to] : {std::tuple(owners, std::string(first), std::string(first) + "kind reader\n"),
                                         std::tuple(readers, std::string("kind reader\n"), std::string()),
                                         std::tuple(owners, std::string("seed "), std::string("keys ")),
                                         std::tuple(readers, std::string("keys "), std::string("seed ")),
                                         std::tuple(readers, std::string("kind reader"), std::string("kind Reader")),
                                         std::tuple(readers, std::string("kind reader"), std::string("kind ")),
                                         std::tuple(readers, std::string("\nkdf"), std::string("\nkind reader\nkdf")),
                                         std::tuple(owners, std::string("kdf"), std::string("kind \x1b[2J\nkdf"))})
      BOOST_TEST((code_of(decode_identity(replaced(text, from, to), word)) == errc::corrupt_record), to);
    for (std::string kind : {"link", "reader-of-keys", "owner"}) {
      const auto refused = inspect_identity(replaced(readers, "kind reader", "kind " + kind));
      BOOST_TEST((code_of(refused) == errc::unsupported));
      BOOST_TEST(refused.error().message.find("`" + kind + "`") != std::string::npos);
      BOOST_TEST(refused.error().message.find("newer program") != std::string::npos);
    }
  }
}

BOOST_AUTO_TEST_CASE(an_identity_of_a_later_format_asks_for_a_newer_program) {
  const auto text = encode_identity(owner, "", {}).value();
  for (std::string later : {"identity 3", "identity 10", "identity 999"}) {
    const auto refused = inspect_identity(replaced(text, "identity 2", later));
    BOOST_TEST((code_of(refused) == errc::unsupported));
    BOOST_TEST(refused.error().message.find("newer program") != std::string::npos);
    BOOST_TEST(refused.error().message.find(later) != std::string::npos);
  }
  for (std::string damaged : {"identity 0", "identity ", "identity 2x", "identity 02", "identity 1000", "identity -3"})
    BOOST_TEST((code_of(inspect_identity(replaced(text, "identity 2", damaged))) == errc::corrupt_record));
}

BOOST_AUTO_TEST_CASE(an_identity_of_format_1_is_unsupported_in_words) {
  const auto old = replaced(encode_identity(owner, "", {}).value(), "identity 2", "identity 1");
  const auto refused = inspect_identity(old);
  BOOST_TEST((code_of(refused) == errc::unsupported));
  BOOST_TEST(refused.error().message.find("format 1") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(every_truncation_is_corrupt) {
  for (const auto& text : all_texts())
    for (std::size_t size = 0; size < text.size(); ++size)
      BOOST_TEST((code_of(inspect_identity(std::string_view(text).substr(0, size))) == errc::corrupt_record), size);
}

BOOST_AUTO_TEST_CASE(every_changed_character_is_corrupt) {
  for (auto text : all_texts()) {
    // Another kind's name may be that of a newer program.
    const auto word = text.find("kind ");
    const auto kind = word == std::string::npos ? text.end() : text.begin() + static_cast<std::ptrdiff_t>(word + 4);
    for (auto c = text.begin(); c != text.end(); ++c) {
      const auto original = *c;
      for (char other : {'0', 'f', 'A', ' ', '\n', '\0', '\xff'}) {
        *c = other;
        if (other == original)
          continue;
        const auto code = code_of(decode_identity(text, "words"));
        const auto names_a_kind = c >= kind && c - kind < std::ssize(" reader");
        BOOST_TEST((code == errc::corrupt_record || (names_a_kind && code == errc::unsupported)));
      }
      *c = original;
    }
  }
}

BOOST_AUTO_TEST_CASE(another_form_of_the_same_content_is_corrupt) {
  auto text = encode_identity(owner, "words", cheap).value();
  auto refused = [](const std::string& t) { return code_of(inspect_identity(t)) == errc::corrupt_record; };
  BOOST_TEST(refused(text + "\n"));
  BOOST_TEST(refused("\n" + text));
  BOOST_TEST(refused(replaced(text, "argon2id 64", "argon2id 064")));
  BOOST_TEST(refused(replaced(text, "argon2id 64", "argon2id +64")));
  BOOST_TEST(refused(replaced(text, "argon2id 64", "argon2id  64")));
  BOOST_TEST(refused(replaced(text, "identity 2\n", "identity 2\r\n")));
  auto upper = text;
  for (auto at = text.find("seed ") + 5; at < upper.size(); ++at)
    upper[at] = static_cast<char>(std::toupper(static_cast<unsigned char>(upper[at])));
  BOOST_TEST(refused(upper));
}

BOOST_AUTO_TEST_CASE(a_cost_out_of_bounds_is_refused_both_ways) {
  for (auto cost : std::initializer_list<passphrase_cost>{{7, 1}, {1024 * 1024 + 1, 1}, {64, 0}, {64, 65}})
    BOOST_TEST((code_of(encode_identity(owner, "words", cost)) == errc::invalid_argument));
  auto text = encode_identity(owner, "words", cheap).value();
  for (auto cost : {"7 1", "1048577 1", "64 0", "64 65", "99999999999 1"})
    BOOST_TEST((code_of(inspect_identity(replaced(text, "64 1", cost))) == errc::corrupt_record), cost);
}

BOOST_AUTO_TEST_CASE(seeds_are_random) {
  BOOST_TEST((generate_seed().value != generate_seed().value));
}

BOOST_AUTO_TEST_CASE(a_created_file_is_private_and_can_be_read) {
  BOOST_REQUIRE(create_identity_file(path, owner, "words", cheap).has_value());
  struct stat about;
  BOOST_REQUIRE(::stat(path.c_str(), &about) == 0);
  BOOST_TEST((about.st_mode & 0777) == 0600u);
  BOOST_TEST(files() == 1u);
  auto text = read_identity_file(path).value();
  BOOST_TEST(is_owners(decode_identity(text, "words")));
}

BOOST_AUTO_TEST_CASE(an_existing_file_is_never_replaced) {
  write("precious");
  BOOST_TEST((code_of(create_identity_file(path, owner, "", {})) == errc::key_exists));
  BOOST_TEST(read_identity_file(path).value() == "precious");
  BOOST_TEST(files() == 1u);
  std::filesystem::remove(path);
  std::filesystem::create_symlink("nowhere", path);
  BOOST_TEST((code_of(create_identity_file(path, owner, "", {})) == errc::key_exists));
}

BOOST_AUTO_TEST_CASE(a_missing_directory_is_an_error_and_a_missing_file_is_not_found) {
  BOOST_TEST((code_of(create_identity_file(directory / "none" / "identity", owner, "", {})) == errc::io_error));
  BOOST_TEST((code_of(read_identity_file(path)) == errc::key_not_found));
  BOOST_TEST((code_of(read_identity_file(directory / "none" / "identity")) == errc::key_not_found));
}

BOOST_AUTO_TEST_CASE(a_file_that_others_may_use_is_denied_with_the_remedy) {
  for (mode_t mode : {0640, 0620, 0604, 0602, 0601, 0610, 0660, 0777}) {
    write("text", mode);
    auto read = read_identity_file(path);
    BOOST_TEST((code_of(read) == errc::access_denied), mode);
    BOOST_TEST(read.error().message.find("chmod 600") != std::string::npos);
  }
  for (mode_t mode : {0600, 0400}) {
    write("text", mode);
    if (mode == 0600)
      BOOST_TEST(read_identity_file(path).has_value());
  }
}

BOOST_AUTO_TEST_CASE(what_is_not_a_regular_small_file_is_refused) {
  BOOST_TEST((code_of(read_identity_file(directory)) == errc::corrupt_record));
  BOOST_REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  BOOST_TEST((code_of(read_identity_file(path)) == errc::corrupt_record));
  std::filesystem::remove(path);
  write(std::string(4096, 'x'));
  BOOST_TEST(read_identity_file(path).value().size() == 4096u);
  write(std::string(4097, 'x'));
  BOOST_TEST((code_of(read_identity_file(path)) == errc::corrupt_record));
}

BOOST_AUTO_TEST_SUITE_END()
