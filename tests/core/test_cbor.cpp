#include <boost/test/unit_test.hpp>

#include <limits>
#include <random>

#include "core/cbor.hpp"
#include "core/crypto.hpp"

using namespace mutant;

namespace {

std::vector<std::byte> unhex(std::string_view hex) {
  std::vector<std::byte> out(hex.size() / 2);
  BOOST_REQUIRE(from_hex(hex, out));
  return out;
}

template <class F>
std::string written(F&& write) {
  cbor_writer w(1);
  write(w);
  return to_hex(std::move(w).finish());
}

// Reads one item with `read` from hex; the message of the refusal, or "".
template <class F>
std::string refusal(std::string_view hex, F&& read) {
  auto input = unhex(hex);
  cbor_reader r(input, errc::index_corrupt, "a test");
  read(r);
  auto done = r.finish();
  if (done)
    return {};
  BOOST_TEST((done.error().code == errc::index_corrupt));
  return done.error().message;
}

auto read_uint = [](cbor_reader& r) { return r.uint("number"); };
auto read_integer = [](cbor_reader& r) { return r.integer("number"); };
auto read_bytes = [](cbor_reader& r) { return r.byte_string("string", 100); };
auto read_text = [](cbor_reader& r) { return r.text("string", 100); };

bool says(const std::string& message, std::string_view part) {
  return message.find(part) != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cbor)

// RFC 8949, appendix A.
BOOST_AUTO_TEST_CASE(the_examples_of_the_rfc_are_written_as_there) {
  auto uint = [](std::uint64_t n) { return written([n](auto& w) { w.uint(n); }); };
  BOOST_TEST(uint(0) == "00");
  BOOST_TEST(uint(23) == "17");
  BOOST_TEST(uint(24) == "1818");
  BOOST_TEST(uint(255) == "18ff");
  BOOST_TEST(uint(256) == "190100");
  BOOST_TEST(uint(65535) == "19ffff");
  BOOST_TEST(uint(65536) == "1a00010000");
  BOOST_TEST(uint(4294967295) == "1affffffff");
  BOOST_TEST(uint(4294967296) == "1b0000000100000000");
  BOOST_TEST(uint(18446744073709551615u) == "1bffffffffffffffff");
  auto integer = [](std::int64_t n) { return written([n](auto& w) { w.integer(n); }); };
  BOOST_TEST(integer(-1) == "20");
  BOOST_TEST(integer(-10) == "29");
  BOOST_TEST(integer(-100) == "3863");
  BOOST_TEST(integer(-1000) == "3903e7");
  BOOST_TEST(integer(1000000000000) == "1b000000e8d4a51000");
  BOOST_TEST(integer(std::numeric_limits<std::int64_t>::min()) == "3b7fffffffffffffff");
  BOOST_TEST(written([](auto& w) { w.byte_string(unhex("01020304")); }) == "4401020304");
  BOOST_TEST(written([](auto& w) { w.byte_string({}); }) == "40");
  BOOST_TEST(written([](auto& w) { w.text("IETF"); }) == "6449455446");
  BOOST_TEST(written([](auto& w) { w.array(25); }) == "9819");
  BOOST_TEST(written([](auto& w) { w.map(2); }) == "a2");
  BOOST_TEST(written([](auto& w) { w.boolean(true); }) == "f5");
  BOOST_TEST(written([](auto& w) { w.boolean(false); }) == "f4");
  BOOST_TEST(written([](auto& w) { w.null(); }) == "f6");
  BOOST_TEST(written([](auto& w) { w.optional_uint({}); }) == "f6");
}

BOOST_AUTO_TEST_CASE(what_is_written_is_read) {
  std::mt19937_64 engine(1);
  for (int round = 0; round < 2000; ++round) {
    auto n = engine() >> (engine() % 64);
    auto i = static_cast<std::int64_t>(engine()) >> (engine() % 64);
    std::string s(engine() % 70000 >> (engine() % 17), 'x');
    cbor_writer w(1);
    w.map(1);
    w.uint(7);
    w.array(6);
    w.uint(n);
    w.integer(i);
    w.byte_string(as_byte_view(s));
    w.text(s);
    w.optional_uint(std::nullopt);
    w.boolean((n & 1) != 0);
    auto encoded = std::move(w).finish();
    cbor_reader r(encoded, errc::index_corrupt, "a test");
    r.map_of(1, "map");
    r.key(7, "field");
    BOOST_TEST(r.array("array") == 6u);
    BOOST_TEST(r.uint("number") == n);
    BOOST_TEST(r.integer("number") == i);
    BOOST_TEST(as_text(r.byte_string("string", s.size())) == s);
    BOOST_TEST(r.text("string", s.size()) == s);
    BOOST_TEST(!r.optional_uint("size").has_value());
    BOOST_TEST(r.boolean("mark") == ((n & 1) != 0));
    BOOST_TEST(r.finish().has_value());
  }
}

BOOST_AUTO_TEST_CASE(strings_are_views_into_the_input) {
  auto input = unhex("43010203");
  cbor_reader r(input, errc::index_corrupt, "a test");
  auto view = r.byte_string("string", 3);
  BOOST_TEST(view.data() == input.data() + 1);
}

BOOST_AUTO_TEST_CASE(numbers_and_lengths_longer_than_needed_are_refused) {
  for (auto hex : {"1817", "190017", "1900ff", "1a0000ffff", "1b00000000ffffffff", "1b0000000000000000"})
    BOOST_TEST(says(refusal(hex, read_uint), "longer than needed"), hex);
  for (auto hex : {"3817", "390017", "3900ff", "3a0000ffff", "3b00000000ffffffff"})
    BOOST_TEST(says(refusal(hex, read_integer), "longer than needed"), hex);
  for (auto hex : {"580101", "59000101", "5a0000000101", "5b000000000000000101", "5800"})
    BOOST_TEST(says(refusal(hex, read_bytes), "longer than needed"), hex);
  for (auto hex : {"780161", "79000161"})
    BOOST_TEST(says(refusal(hex, read_text), "longer than needed"), hex);
  for (auto hex : {"980100", "99000100", "9800"})
    BOOST_TEST(says(refusal(hex, [](auto& r) { r.array("list"); }), "longer than needed"), hex);
  for (auto hex : {"b8010000", "b800"})
    BOOST_TEST(says(refusal(hex, [](auto& r) { r.map("map"); }), "longer than needed"), hex);
}

BOOST_AUTO_TEST_CASE(indefinite_lengths_tags_floats_and_undefined_are_refused) {
  for (auto hex : {"5f4101ff", "7f6161ff", "9f00ff", "bf0000ff", "ff", "c000", "c11a514b67b0", "d82001", "f90000",
                   "fa00000000", "fb0000000000000000", "f7", "f0", "f820", "1c", "fc"}) {
    BOOST_TEST(!refusal(hex, read_uint).empty(), hex);
    BOOST_TEST(!refusal(hex, read_bytes).empty(), hex);
    BOOST_TEST(!refusal(hex, [](auto& r) { r.array("list"); }).empty(), hex);
    BOOST_TEST(!refusal(hex, [](auto& r) { r.map("map"); }).empty(), hex);
    BOOST_TEST(!refusal(hex, [](auto& r) { r.null("nothing"); }).empty(), hex);
    BOOST_TEST(!refusal(hex, [](auto& r) { r.boolean("mark"); }).empty(), hex);
  }
}

BOOST_AUTO_TEST_CASE(every_truncation_is_refused) {
  for (auto hex : {"1818", "1bffffffffffffffff", "3903e7", "4401020304", "6449455446",
                   "5818000102030405060708090a0b0c0d0e0f1011121314151617"}) {
    auto whole = unhex(hex);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      cbor_reader r(byte_view(whole).first(size), errc::index_corrupt, "a test");
      auto major = std::to_integer<unsigned>(whole[0]) >> 5;
      if (major <= 1)
        r.integer("item");
      else if (major == 2)
        r.byte_string("item", 100);
      else
        r.text("item", 100);
      BOOST_TEST(!r.finish().has_value());
    }
  }
}

BOOST_AUTO_TEST_CASE(a_length_beyond_the_input_is_refused) {
  for (auto hex : {"5bffffffffffffffff01", "5b7fffffffffffffff01", "5affffffff01", "4201"})
    BOOST_TEST(says(refusal(hex, read_bytes), "ends within"), hex);
}

BOOST_AUTO_TEST_CASE(a_count_that_the_rest_cannot_hold_is_refused) {
  auto array = [](auto& r) { r.array("list", 3); };
  BOOST_TEST(says(refusal("8200000000", array), "cannot be in"));
  BOOST_TEST(says(refusal("9bffffffffffffffff", array), "cannot be in"));
  BOOST_TEST(says(refusal("a2000000", [](auto& r) { r.map("map"); }), "cannot be in"));
  BOOST_TEST(says(refusal("bbffffffffffffffff", [](auto& r) { r.map("map"); }), "cannot be in"));
  auto input = unhex("82000000000000");
  cbor_reader r(input, errc::index_corrupt, "a test");
  BOOST_TEST(r.array("list", 3) == 2u);
}

BOOST_AUTO_TEST_CASE(bytes_behind_the_end_are_refused) {
  BOOST_TEST(says(refusal("0000", read_uint), "1 bytes too many"));
}

BOOST_AUTO_TEST_CASE(another_kind_than_expected_is_named_with_its_offset) {
  auto message = refusal("824100f6", [](auto& r) {
    r.array_of(2, "list");
    r.byte_string("key", 10);
    r.uint("size");
  });
  BOOST_TEST(message == "a test, offset 3, size: expected an unsigned integer, found null");
}

BOOST_AUTO_TEST_CASE(limits_on_values_hold) {
  BOOST_TEST(says(refusal("1818", [](auto& r) { r.uint("n", 23); }), "over the limit"));
  BOOST_TEST(refusal("17", [](auto& r) { r.uint("n", 23); }).empty());
  BOOST_TEST(says(refusal("420102", [](auto& r) { r.byte_string("s", 1); }), "over the limit"));
  BOOST_TEST(says(refusal("1b8000000000000000", read_integer), "does not fit"));
  BOOST_TEST(says(refusal("3b8000000000000000", read_integer), "does not fit"));
  BOOST_TEST(refusal("3b7fffffffffffffff", read_integer).empty());
}

BOOST_AUTO_TEST_CASE(text_that_is_not_utf8_is_refused) {
  for (auto hex : {"61ff", "62c080", "61c3", "63e08080", "63eda080", "64f4908080", "64f0808080", "64f5808080", "6180"})
    BOOST_TEST(says(refusal(hex, read_text), "not UTF-8"), hex);
  for (auto hex : {"62c3bc", "63e6b0b4", "64f0908591", "6161", "60"})
    BOOST_TEST(refusal(hex, read_text).empty(), hex);
}

BOOST_AUTO_TEST_CASE(the_first_refusal_sticks_and_later_reads_give_nothing) {
  auto input = unhex("0001020304");
  cbor_reader r(input, errc::corrupt_record, "a test");
  r.byte_string("first", 10);
  BOOST_TEST(!r.ok());
  BOOST_TEST(r.uint("second") == 0u);
  BOOST_TEST(r.array("third") == 0u);
  BOOST_TEST(r.text("fourth", 1).empty());
  r.refuse("fifth", "no");
  auto done = r.finish();
  BOOST_REQUIRE(!done.has_value());
  BOOST_TEST((done.error().code == errc::corrupt_record));
  BOOST_TEST(says(done.error().message, "offset 0, first"));
}

BOOST_AUTO_TEST_SUITE_END()
