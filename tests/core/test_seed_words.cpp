// A seed as 24 words: the published vectors of BIP-39 that have 256 bits, and what a slip of the pen does.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <random>
#include <set>

#include "core/crypto.hpp"
#include "core/seed_words.hpp"

using namespace mutant;

namespace {

struct vector {
  std::string_view entropy;
  std::string_view words;
};

// From https://github.com/trezor/python-mnemonic/blob/master/vectors.json, which BIP-39 names.
constexpr vector published[] = {
    {"0000000000000000000000000000000000000000000000000000000000000000",
     "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon "
     "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art"},
    {"7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
     "legal winner thank year wave sausage worth useful legal winner thank year "
     "wave sausage worth useful legal winner thank year wave sausage worth title"},
    {"8080808080808080808080808080808080808080808080808080808080808080",
     "letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd "
     "amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic bless"},
    {"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
     "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo "
     "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo vote"},
    {"68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c",
     "hamster diagram private dutch cause delay private meat slide toddler razor book "
     "happy fancy gospel tennis maple dilemma loan word shrug inflict delay length"},
    {"9f6a2878b2520799a44ef18bc7df394e7061a224d2c33cd015b157d746869863",
     "panda eyebrow bullet gorilla call smoke muffin taste mesh discover soft ostrich "
     "alcohol speed nation flash devote level hobby quick inner drive ghost inside"},
    {"066dca1a2bb7e8a1db2832148ce9933eea0f3ac9548d793112d9a95c9407efad",
     "all hour make first leader extend hole alien behind guard gospel lava "
     "path output census museum junior mass reopen famous sing advance salt reform"},
    {"f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f",
     "void come effort suffer camp survey warrior heavy shoot primary clutch crush "
     "open amazing screen patrol group space point ten exist slush involve unfold"}};

seed seed_of(std::string_view hex) {
  seed out;
  BOOST_REQUIRE(from_hex(hex, out.value));
  return out;
}

seed random_seed(std::mt19937_64& random) {
  seed out;
  for (auto& b : out.value)
    b = static_cast<std::byte>(random());
  return out;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> words(1);
  for (const auto c : text)
    if (c == ' ')
      words.emplace_back();
    else
      words.back() += c;
  return words;
}

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words)
    text += (text.empty() ? "" : " ") + word;
  return text;
}

bool opens_to(const std::string& words, const seed& owner) {
  const auto back = seed_of_words(words);
  return back && back->value == owner.value;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(seed_words)

BOOST_AUTO_TEST_CASE(the_list_is_sorted_and_four_letters_tell_its_words_apart) {
  BOOST_TEST(std::ranges::is_sorted(english_seed_words));
  std::set<std::string_view> beginnings;
  for (const auto word : english_seed_words)
    beginnings.insert(word.substr(0, 4));
  BOOST_TEST(beginnings.size() == english_seed_words.size());
}

BOOST_AUTO_TEST_CASE(published_vectors) {
  for (const auto& v : published) {
    BOOST_TEST(words_of_seed(seed_of(v.entropy)) == v.words);
    BOOST_TEST(opens_to(std::string(v.words), seed_of(v.entropy)));
  }
}

BOOST_AUTO_TEST_CASE(words_come_back_however_they_are_written) {
  std::mt19937_64 random(39);
  for (auto round = 0; round < 200; ++round) {
    const auto owner = random_seed(random);
    auto text = words_of_seed(owner);
    BOOST_TEST(opens_to(text, owner));
    std::string written = " \n";
    for (const auto c : text)
      if (c == ' ')
        written += random() % 2 != 0 ? "\n" : " \t ";
      else
        written += random() % 3 == 0 ? static_cast<char>(c - 'a' + 'A') : c;
    BOOST_TEST(opens_to(written + "\r\n", owner));
  }
}

BOOST_AUTO_TEST_CASE(a_typo_is_named_with_a_near_word) {
  std::mt19937_64 random(40);
  for (auto round = 0; round < 200; ++round) {
    auto words = split(words_of_seed(random_seed(random)));
    const auto at = random() % words.size();
    const auto right = words[at];
    auto& word = words[at];
    const auto place = random() % word.size();
    switch (random() % 3) {
      case 0: word.erase(place, 1); break;
      case 1: word.insert(place, 1, 'q'); break;
      default: word[place] = 'q';
    }
    if (std::ranges::binary_search(english_seed_words, word))
      continue;   // another word: the checksum's business
    const auto refused = seed_of_words(join(words));
    BOOST_REQUIRE(!refused);
    BOOST_TEST((refused.error().code == errc::invalid_argument));
    const auto& text = refused.error().message;
    BOOST_TEST(text.find("word " + std::to_string(at + 1) + " ") != std::string::npos, text);
    // The word itself, or another one that is as near.
    const auto begin = text.find("'", text.find("mean")) + 1;
    const auto suggested = text.substr(begin, text.find("'", begin) - begin);
    BOOST_TEST(std::ranges::binary_search(english_seed_words, suggested), text);
    BOOST_TEST((suggested == right || letters_apart(suggested, word) <= letters_apart(right, word)), text);
  }
}

BOOST_AUTO_TEST_CASE(other_words_or_another_order_are_refused) {
  std::mt19937_64 random(41);
  auto taken = 0;
  for (auto round = 0; round < 2000; ++round) {
    const auto owner = random_seed(random);
    auto words = split(words_of_seed(owner));
    const auto a = random() % words.size();
    const auto b = random() % words.size();
    if (random() % 2 != 0)
      std::swap(words[a], words[b]);
    else
      words[a] = english_seed_words[random() % english_seed_words.size()];
    const auto back = seed_of_words(join(words));
    if (back && back->value != owner.value)
      ++taken;
    if (!back)
      BOOST_TEST((back.error().code == errc::invalid_argument));
  }
  BOOST_TEST(taken < 40);   // the checksum has 8 bits: 1 in 256 passes
}

BOOST_AUTO_TEST_CASE(too_few_and_too_many_are_refused) {
  auto words = split(words_of_seed(seed_of(published[4].entropy)));
  for (const auto count : {0u, 1u, 12u, 23u, 25u}) {
    auto some = words;
    some.resize(count, "zoo");
    const auto refused = seed_of_words(join(some));
    BOOST_REQUIRE(!refused);
    BOOST_TEST(refused.error().message.find("24 words") != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(letters_apart_counts_changes) {
  BOOST_TEST(letters_apart("", "") == 0u);
  BOOST_TEST(letters_apart("abandon", "abandon") == 0u);
  BOOST_TEST(letters_apart("abandon", "abandn") == 1u);
  BOOST_TEST(letters_apart("about", "abuot") == 2u);
  BOOST_TEST(letters_apart("kitten", "sitting") == 3u);
}

BOOST_AUTO_TEST_SUITE_END()
