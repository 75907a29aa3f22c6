// What a store says, as it may be believed and shown.
#include "core/store_claim.hpp"

#include <boost/test/unit_test.hpp>
#include <random>
#include <set>

#include "core/printable.hpp"

namespace mutant {

namespace {

// No byte of it, read as UTF-8 or as Latin-1's C1 by a terminal in another mode, does anything but show a character.
bool is_harmless(std::string_view text) {
  while (!text.empty()) {
    const auto length = utf8_length(text);
    if (length == 0 || is_control(text.substr(0, length)))
      return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string noise(std::mt19937_64& random, std::size_t max_bytes) {
  // Often what terminals act on.
  static constexpr std::string_view likely = "\x1b\x07\x9b\x9d\xc2\xe2\x80\xae\x7f\n\r[];m\\0";
  std::string text(random() % (max_bytes + 1), '\0');
  for (auto& c : text)
    c = random() % 2 == 0 ? likely[random() % likely.size()] : static_cast<char>(random() & 0xFF);
  return text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(store_claim_tests)

BOOST_AUTO_TEST_CASE(only_what_a_store_can_know_is_taken_from_it) {
  const std::set<errc> stores = {errc::pad_not_found, errc::stale_counter, errc::pad_conflict, errc::bad_signature,
                                 errc::corrupt_record, errc::store_full,   errc::overloaded,   errc::timeout,
                                 errc::unreachable,    errc::access_denied, errc::io_error,    errc::too_large,
                                 errc::unsupported,    errc::store_damaged};
  for (unsigned code = 0; code <= 255; ++code) {
    const auto said = static_cast<errc>(code);
    const auto taken = store_claim({said, "words", 7});
    if (stores.contains(said)) {
      BOOST_CHECK(taken == (error{said, "words", 7}));
    } else {
      BOOST_CHECK_MESSAGE(taken.code == errc::io_error && taken.detail == 0, "code " << code);
      BOOST_CHECK(taken.message.find(name_of(said)) != std::string::npos);
    }
  }
}

BOOST_AUTO_TEST_CASE(whatever_the_text_is_it_is_shown_as_text_and_short) {
  std::mt19937_64 random(20);
  for (int i = 0; i < 3000; ++i) {
    const auto code = static_cast<errc>(1 + random() % last_errc);
    const auto taken = store_claim({code, noise(random, i % 10 == 0 ? 20'000 : 60), random()});
    BOOST_REQUIRE(is_harmless(taken.message));
    BOOST_REQUIRE_LE(taken.message.size(), 4 * max_claim_text_bytes + 100);
    // It passes several hands; the second changes nothing that is short.
    if (taken.message.size() <= max_claim_text_bytes && is_store_code(code))
      BOOST_REQUIRE(store_claim(taken) == taken);
  }
}

BOOST_AUTO_TEST_CASE(what_terminals_act_on_is_escaped_and_the_rest_is_left_alone) {
  BOOST_CHECK_EQUAL(without_controls("\x1b]0;title\x07"), "\\033]0;title\\007");
  BOOST_CHECK_EQUAL(without_controls("a\nb\r\tc"), "a\\nb\\r\\tc");
  BOOST_CHECK_EQUAL(without_controls("\xc2\x9b" "31m"), "\\302\\23331m");          // CSI, one character
  BOOST_CHECK_EQUAL(without_controls("\xe2\x80\xae" "abc"), "\\342\\200\\256abc");  // right to left from here
  BOOST_CHECK_EQUAL(without_controls("\xff"), "\\377");
  BOOST_CHECK_EQUAL(without_controls("Grüße 'a\\nb' 漢字 🙂"), "Grüße 'a\\nb' 漢字 🙂");
  BOOST_CHECK_EQUAL(printable("a\\b"), "a\\\\b");
  BOOST_CHECK_EQUAL(shortened("aü", 2), "a");
  BOOST_CHECK_EQUAL(shortened("aü", 3), "aü");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant
