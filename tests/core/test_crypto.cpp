#include <boost/test/unit_test.hpp>

#include <set>

#include "core/crypto.hpp"

using namespace mutant;

namespace {

struct ready {
  ready() {
    BOOST_REQUIRE(init_crypto().has_value());
    one.value.fill(std::byte{1});
    two.value.fill(std::byte{2});
  }
  seed one, two;
};

template <std::size_t N>
std::array<std::byte, N> unhex(std::string_view hex) {
  std::array<std::byte, N> out;
  BOOST_REQUIRE(from_hex(hex, out));
  return out;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(crypto, ready)

BOOST_AUTO_TEST_CASE(hex_goes_there_and_back) {
  std::array<std::byte, 256> all;
  for (std::size_t i = 0; i < all.size(); ++i)
    all[i] = static_cast<std::byte>(i);
  std::array<std::byte, 256> back{};
  BOOST_TEST(from_hex(to_hex(all), back));
  BOOST_TEST((back == all));
  BOOST_TEST(from_hex("", byte_span()));
}

BOOST_AUTO_TEST_CASE(hex_of_another_length_or_with_other_characters_is_refused) {
  std::array<std::byte, 2> out;
  for (auto text : {"", "00", "0001f", "000102", "00g1", "0 01", "00:1", "000x", "-001"})
    BOOST_TEST(!from_hex(text, out), text);
  BOOST_TEST(from_hex("00Ff", out));
}

// FIPS 180-4's examples, as NIST published them, and the hash of the empty string.
BOOST_AUTO_TEST_CASE(the_content_hash_is_sha_256) {
  BOOST_TEST(to_hex(hash_of({})) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  BOOST_TEST(to_hex(hash_of(as_byte_view("abc"))) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  BOOST_TEST(to_hex(hash_of(as_byte_view("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")))
             == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

// RFC 8032, section 7.1, test 2.
BOOST_AUTO_TEST_CASE(signatures_are_ed25519) {
  pad_keys keys;
  keys.address = unhex<32>("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  keys.signing.value = unhex<64>("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
                                 "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  auto message = unhex<1>("72");
  auto s = sign(keys, message);
  BOOST_TEST(to_hex(s) == "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                          "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
  BOOST_TEST(verify(keys.address, message, s));
  BOOST_TEST(!verify(keys.address, as_byte_view("r!"), s));
}

// draft-irtf-cfrg-xchacha-03, appendix A.3.1.
BOOST_AUTO_TEST_CASE(encryption_is_xchacha20_poly1305) {
  aead_key key;
  key.value = unhex<32>("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
  auto nonce = unhex<24>("404142434445464748494a4b4c4d4e4f5051525354555657");
  auto associated = unhex<12>("50515253c0c1c2c3c4c5c6c7");
  std::string text = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
                     "sunscreen would be it.";
  std::array<std::byte, tag_bytes> tag;
  auto span = std::as_writable_bytes(std::span(text));
  encrypt_in_place(key, nonce, associated, span, tag);
  BOOST_TEST(to_hex(byte_view(span).first(16)) == "bd6d179d3e83d43b9576579493c0e939");
  BOOST_TEST(to_hex(tag) == "c0875924c1c7987947deafd8780acf49");
  std::vector<std::byte> out(span.size());
  BOOST_TEST(decrypt(key, nonce, associated, span, tag, out));
  BOOST_TEST(as_text(out).starts_with("Ladies and Gentlemen"));
  BOOST_TEST(decrypt(key, nonce, associated, span, tag, span), "in place");
  tag[0] ^= std::byte{1};
  BOOST_TEST(!decrypt(key, nonce, associated, span, tag, out));
}

BOOST_AUTO_TEST_CASE(every_pad_has_keys_of_its_own) {
  std::set<std::string> seen;
  std::size_t pads = 0;
  for (const auto& owner : {one, two}) {
    keyring ring(owner);
    for (const auto& keys :
         {ring.root(), ring.log(0), ring.log(1), ring.data(0), ring.data(1), ring.part(0), ring.part(1)}) {
      seen.insert(to_hex(keys.address));
      seen.insert(to_hex(keys.encryption.value));
      pads += 1;
    }
    seen.insert(to_hex(ring.cache_key().value));
  }
  BOOST_TEST(seen.size() == 2 * pads + 2);
}

BOOST_AUTO_TEST_CASE(keys_depend_on_nothing_but_seed_and_number) {
  BOOST_TEST((keyring(one).data(5).address == keyring(one).data(5).address));
  BOOST_TEST((keyring(one).data(5).signing.value == keyring(one).data(5).signing.value));
}

BOOST_AUTO_TEST_CASE(an_address_that_is_known_need_not_be_derived_to_read_its_pad) {
  const keyring ring(one);
  for (std::uint64_t number : {0u, 1u, 5u, 1u << 20}) {
    const auto whole = ring.data(number);
    const auto reading = ring.data_at(whole.address, number);
    BOOST_TEST((reading.address == whole.address));
    BOOST_TEST((reading.encryption.value == whole.encryption.value));
  }
}

BOOST_AUTO_TEST_CASE(fingerprints_tell_contents_and_owners_apart) {
  keyring mine(one), theirs(two);
  auto text = as_byte_view("the same text");
  BOOST_TEST((mine.fingerprint_of(text) == mine.fingerprint_of(text)));
  BOOST_TEST((mine.fingerprint_of(text) != theirs.fingerprint_of(text)));
  BOOST_TEST((mine.fingerprint_of(text) != mine.fingerprint_of(text.first(12))));
  // Wherever the text lies in memory.
  alignas(32) std::array<std::byte, 64> memory{};
  for (std::size_t offset = 0; offset < 32; ++offset) {
    std::copy(text.begin(), text.end(), memory.begin() + static_cast<std::ptrdiff_t>(offset));
    BOOST_TEST((mine.fingerprint_of(byte_view(memory).subspan(offset, text.size())) == mine.fingerprint_of(text)));
  }
}

BOOST_AUTO_TEST_CASE(a_passphrase_gives_one_key_per_salt_and_cost) {
  std::array<std::byte, 16> salt{}, other{};
  other[0] = std::byte{1};
  auto key = [](std::string_view passphrase, std::span<const std::byte, 16> s, std::uint32_t memory,
                std::uint32_t passes) {
    return to_hex(derive_from_passphrase(passphrase, s, memory, passes).value().value);
  };
  auto base = key("word", salt, 64, 1);
  BOOST_TEST(base == key("word", salt, 64, 1));
  for (const auto& changed : {key("Word", salt, 64, 1), key("word", other, 64, 1), key("word", salt, 65, 1),
                              key("word", salt, 64, 2)})
    BOOST_TEST(changed != base);
}

BOOST_AUTO_TEST_CASE(random_numbers_differ) {
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 100; ++i)
    seen.insert(random_u64());
  BOOST_TEST(seen.size() == 100u);
}

BOOST_AUTO_TEST_CASE(wiped_memory_is_zero) {
  std::array<std::byte, 40> memory;
  random_fill(memory);
  wipe(memory);
  BOOST_TEST((memory == std::array<std::byte, 40>{}));
}

BOOST_AUTO_TEST_SUITE_END()
