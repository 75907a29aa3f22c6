#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstring>
#include <random>

#include "core/record.hpp"

using namespace mutant;

namespace {

struct owner {
  owner() {
    BOOST_REQUIRE(init_crypto().has_value());
    seed s;
    s.value.fill(std::byte{7});
    pad = keyring(s).data(1);
    other = keyring(s).data(2);
  }
  pad_keys pad;
  pad_keys other;
};

std::vector<std::byte> copy(byte_view v) { return {v.begin(), v.end()}; }

errc code_of(const auto& outcome) {
  BOOST_REQUIRE(!outcome.has_value());
  return outcome.error().code;
}

bool in_hash_or_signature(std::size_t at) { return at >= 64 && at < record_header_bytes; }

// Signs a changed header anew, so that only its structure can be refused.
template <class T>
std::vector<std::byte> forged(const pad_keys& keys, byte_view record, std::size_t at, T value) {
  auto changed = copy(record);
  std::memcpy(changed.data() + at, &value, sizeof value);
  auto message = copy(as_byte_view("mutant/pad/2"));
  message.insert(message.end(), changed.begin(), changed.begin() + 96);
  auto s = sign(keys, message);
  std::copy(s.begin(), s.end(), changed.begin() + 96);
  return changed;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(record, owner)

BOOST_AUTO_TEST_CASE(what_is_sealed_opens) {
  std::mt19937_64 engine(1);
  for (auto size : std::initializer_list<std::size_t>{0, 1, 4095, 70000, max_plaintext_bytes}) {
    std::string text(size, '\0');
    for (auto& c : text)
      c = static_cast<char>(engine());
    auto counter = engine() | 1;
    auto sealed = seal_private(pad, counter, as_byte_view(text));
    BOOST_TEST(sealed.size() == record_header_bytes + private_overhead_bytes + size);
    BOOST_TEST(plaintext_bytes_of(sealed) == size);
    auto header = verify_record(sealed);
    BOOST_REQUIRE(header.has_value());
    BOOST_TEST(header->counter == counter);
    BOOST_TEST((header->address == pad.address));
    BOOST_TEST(!header->blank);
    auto opened = open_private(pad, counter, sealed);
    BOOST_REQUIRE(opened.has_value());
    BOOST_TEST((as_text(*opened) == text));
  }
}

BOOST_AUTO_TEST_CASE(a_record_shrunk_before_sealing_holds_what_is_left) {
  private_record r(1000);
  std::ranges::fill(r.plaintext(), std::byte{'x'});
  r.shrink(10);
  BOOST_TEST(r.plaintext().size() == 10u);
  auto sealed = std::move(r).seal(pad, 1);
  BOOST_TEST(as_text(open_private(pad, 1, sealed).value()) == "xxxxxxxxxx");
}

BOOST_AUTO_TEST_CASE(the_same_plaintext_is_never_sealed_to_the_same_bytes) {
  BOOST_TEST(!(seal_private(pad, 1, as_byte_view("text")) == seal_private(pad, 1, as_byte_view("text"))));
}

BOOST_AUTO_TEST_CASE(a_flipped_bit_anywhere_is_refused) {
  for (const auto& sealed : {seal_private(pad, 3, as_byte_view("some text")), seal_blank(pad, 3),
                             seal_public(pad, 3, encoding::public_data, as_byte_view("some text"))}) {
    auto changed = copy(sealed);
    for (std::size_t bit = 0; bit < changed.size() * 8; ++bit) {
      auto flip = static_cast<std::byte>(1u << (bit % 8));
      changed[bit / 8] ^= flip;
      BOOST_TEST(!verify_record(changed).has_value(), "bit " << bit);
      // The tag covers neither hash nor signature: the owner needs neither.
      auto whole = sealed.size() > record_header_bytes && !in_hash_or_signature(bit / 8);
      if (whole)
        BOOST_TEST(!open_private(pad, 3, changed).has_value(), "bit " << bit);
      changed[bit / 8] ^= flip;
    }
    BOOST_TEST(verify_record(changed).has_value());
  }
}

BOOST_AUTO_TEST_CASE(every_truncation_and_extension_is_corrupt) {
  auto sealed = seal_private(pad, 3, as_byte_view("some text"));
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    BOOST_TEST((code_of(verify_record(sealed.view().first(size))) == errc::corrupt_record));
    BOOST_TEST((code_of(open_private(pad, 3, sealed.view().first(size))) == errc::corrupt_record));
  }
  auto longer = copy(sealed);
  longer.push_back(std::byte{0});
  BOOST_TEST((code_of(parse_record(longer)) == errc::corrupt_record));
  BOOST_TEST(parse_header(longer).has_value());
}

BOOST_AUTO_TEST_CASE(a_well_signed_record_of_bad_structure_is_corrupt) {
  auto sealed = seal_public(pad, 3, encoding::public_data, as_byte_view("text"));
  auto refused = [&](const std::vector<std::byte>& r) { return code_of(verify_record(r)) == errc::corrupt_record; };
  BOOST_TEST(verify_record(forged(pad, sealed, 8, std::uint64_t{4})).has_value());
  BOOST_TEST(refused(forged(pad, sealed, 0, 'm')));
  BOOST_TEST(refused(forged(pad, sealed, 4, std::uint8_t{0})));
  BOOST_TEST(refused(forged(pad, sealed, 4, std::uint8_t{3})));
  BOOST_TEST(refused(forged(pad, sealed, 5, std::uint8_t{2})));
  BOOST_TEST(refused(forged(pad, sealed, 5, blank_flag)));  // blank with a payload
  BOOST_TEST(refused(forged(pad, sealed, 6, std::uint16_t{1})));
  BOOST_TEST(refused(forged(pad, sealed, 8, std::uint64_t{0})));
  BOOST_TEST(refused(forged(pad, sealed, 16, std::uint64_t{3})));
  BOOST_TEST(refused(forged(pad, sealed, 24, std::uint32_t{5})));
  BOOST_TEST(refused(forged(pad, sealed, 24, std::uint32_t{max_payload_bytes + 1})));
  BOOST_TEST(refused(forged(pad, sealed, 28, std::uint32_t{1})));
}

BOOST_AUTO_TEST_CASE(a_record_of_format_1_is_unsupported_in_words) {
  const auto old = forged(pad, seal_private(pad, 3, as_byte_view("text")), 4, std::uint8_t{1});
  for (const auto& outcome : {parse_header(old), parse_record(old), verify_record(old)}) {
    BOOST_TEST((code_of(outcome) == errc::unsupported));
    BOOST_TEST(outcome.error().message.find("format 1") != std::string::npos);
  }
  BOOST_TEST((code_of(open_private(pad, 3, old)) == errc::unsupported));
}

BOOST_AUTO_TEST_CASE(a_record_signed_by_another_has_a_bad_signature) {
  auto sealed = copy(seal_public(pad, 3, encoding::public_data, as_byte_view("text")));
  auto theirs = forged(other, sealed, 8, std::uint64_t{3});
  BOOST_TEST((code_of(verify_record(theirs)) == errc::bad_signature));
}

BOOST_AUTO_TEST_CASE(another_counter_or_pad_than_expected_is_a_conflict_with_the_counter_found) {
  auto sealed = seal_private(pad, 9, as_byte_view("text"));
  for (std::uint64_t expected : {8, 10}) {
    auto opened = open_private(pad, expected, sealed);
    BOOST_TEST((code_of(opened) == errc::pad_conflict));
    BOOST_TEST(opened.error().detail == 9u);
  }
  BOOST_TEST((code_of(open_private(other, 9, sealed)) == errc::pad_conflict));
  BOOST_TEST((code_of(open_private(pad, 9, seal_blank(pad, 9))) == errc::pad_conflict));
}

BOOST_AUTO_TEST_CASE(a_payload_moved_to_another_counter_does_not_open) {
  auto sealed = seal_private(pad, 9, as_byte_view("text"));
  auto moved = forged(pad, sealed, 8, std::uint64_t{10});
  BOOST_TEST(verify_record(moved).has_value());  // well signed, yet
  BOOST_TEST((code_of(open_private(pad, 10, moved)) == errc::decrypt_failed));
}

BOOST_AUTO_TEST_CASE(a_payload_of_another_key_does_not_open) {
  auto mixed = pad;
  mixed.encryption = other.encryption;
  auto sealed = seal_private(mixed, 1, as_byte_view("text"));
  BOOST_TEST((code_of(open_private(pad, 1, sealed)) == errc::decrypt_failed));
}

BOOST_AUTO_TEST_CASE(nothing_is_left_in_the_output_of_a_failed_opening) {
  auto sealed = copy(seal_private(pad, 1, as_byte_view("secret text")));
  sealed.back() ^= std::byte{1};
  std::vector<std::byte> out(plaintext_bytes_of(sealed), std::byte{0});
  BOOST_TEST(!open_private_into(pad, 1, sealed, out).has_value());
  BOOST_TEST(as_text(out).find("secret") == std::string_view::npos);
}

BOOST_AUTO_TEST_CASE(an_output_of_another_size_is_refused) {
  auto sealed = seal_private(pad, 1, as_byte_view("text"));
  std::vector<std::byte> out(5);
  BOOST_TEST((code_of(open_private_into(pad, 1, sealed, out)) == errc::invalid_argument));
}

BOOST_AUTO_TEST_CASE(public_and_blank_records_do_not_open_as_private) {
  auto open = seal_public(pad, 1, encoding::public_index, std::vector<std::byte>(100));
  BOOST_TEST((code_of(open_private(pad, 1, open)) == errc::corrupt_record));
}

BOOST_AUTO_TEST_SUITE_END()
