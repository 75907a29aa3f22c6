// OpenSSL's results are libsodium's, byte for byte, on whatever there is.
#include <boost/test/unit_test.hpp>

#include <random>
#include <thread>

#include "core/crypto_payload.hpp"
#include "core/limits.hpp"

using namespace mutant;
using payload::library;

namespace {

using raw = std::vector<std::byte>;

struct sealed {
  raw text;
  std::array<std::byte, tag_bytes> tag{};
  friend bool operator==(const sealed&, const sealed&) = default;
};

// Random key, nonce, associated data and text; sizes around the block lengths of the cipher and its vector code, and any.
struct sample {
  explicit sample(std::mt19937_64& engine) {
    static constexpr std::size_t edges[] = {0,   1,   15,  16,  17,  63,  64,   65,   127, 128,
                                            255, 256, 257, 511, 512, 513, 1023, 1024, 4096};
    fill(engine, key.value);
    fill(engine, nonce);
    associated.resize(engine() % 4 == 0 ? engine() % 300 : 64);
    fill(engine, associated);
    text.resize(engine() % 2 == 0 ? edges[engine() % std::size(edges)] : engine() % 20000);
    fill(engine, text);
  }

  static void fill(std::mt19937_64& engine, byte_span out) {
    for (auto& b : out)
      b = static_cast<std::byte>(engine() & 0xff);
  }

  sealed seal(library with) const {
    sealed out{text, {}};
    payload::encrypt_in_place(with, key, nonce, associated, out.text, out.tag);
    return out;
  }
  bool opens(library with, const sealed& s, byte_span out) const {
    return payload::decrypt(with, key, nonce, associated, s.text, s.tag, out);
  }

  aead_key key;
  std::array<std::byte, nonce_bytes> nonce{};
  raw associated, text;
};

struct ready {
  ready() { BOOST_REQUIRE(init_crypto().has_value()); }
};

void agree_on(std::uint64_t seed, int rounds) {
  std::mt19937_64 engine(seed);
  for (int round = 0; round < rounds; ++round) {
    const sample s(engine);
    const auto ours = s.seal(library::openssl);
    BOOST_REQUIRE_MESSAGE((ours == s.seal(library::libsodium)), "sealing, seed " << seed << " round " << round);
    for (auto with : {library::openssl, library::libsodium}) {
      raw out(s.text.size());
      BOOST_REQUIRE_MESSAGE(s.opens(with, ours, out) && out == s.text, "opening, seed " << seed << " round " << round);
      auto in_place = ours;
      BOOST_REQUIRE_MESSAGE(s.opens(with, in_place, in_place.text) && in_place.text == s.text,
                            "in place, seed " << seed << " round " << round);
    }
  }
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(crypto_payload, ready)

BOOST_AUTO_TEST_CASE(both_libraries_seal_to_the_same_bytes_and_open_each_others) {
  agree_on(1, 400);
}

BOOST_AUTO_TEST_CASE(a_whole_pad_is_the_same_from_both) {
  std::mt19937_64 engine(2);
  sample s(engine);
  s.text.resize(max_plaintext_bytes);
  sample::fill(engine, s.text);
  const auto ours = s.seal(library::openssl);
  BOOST_TEST((ours == s.seal(library::libsodium)));
  raw out(s.text.size());
  BOOST_TEST(s.opens(library::openssl, ours, out));
  BOOST_TEST((out == s.text));
  BOOST_TEST((payload::sha256(library::openssl, out) == payload::sha256(library::libsodium, out)));
}

// Every thread has contexts of its own.
BOOST_AUTO_TEST_CASE(threads_do_not_disturb_each_other) {
  std::vector<std::thread> threads;
  for (std::uint64_t seed = 10; seed < 14; ++seed)
    threads.emplace_back([seed] { agree_on(seed, 50); });
  for (auto& t : threads)
    t.join();
}

BOOST_AUTO_TEST_CASE(what_was_tampered_with_is_refused_by_both_and_leaves_no_plaintext) {
  std::mt19937_64 engine(3);
  for (int round = 0; round < 200; ++round) {
    const sample s(engine);
    for (auto with : {library::openssl, library::libsodium}) {
      auto changed = s;
      auto record = s.seal(with);
      const auto flip = static_cast<std::byte>(1u << engine() % 8);
      auto one_of = [&](byte_span where) { where[engine() % where.size()] ^= flip; };
      switch (engine() % 5) {
        case 0: one_of(record.tag); break;
        case 1: one_of(record.text.empty() ? byte_span(record.tag) : byte_span(record.text)); break;
        case 2: one_of(changed.associated.empty() ? byte_span(changed.nonce) : byte_span(changed.associated)); break;
        case 3: one_of(changed.nonce); break;
        default: one_of(changed.key.value); break;
      }
      raw out(s.text.size(), std::byte{0});
      BOOST_REQUIRE_MESSAGE(!changed.opens(with, record, out), "round " << round);
      BOOST_REQUIRE_MESSAGE((out == raw(out.size(), std::byte{0})), "plaintext is left, round " << round);
    }
  }
}

BOOST_AUTO_TEST_CASE(both_libraries_hash_alike) {
  std::mt19937_64 engine(4);
  for (int round = 0; round < 500; ++round) {
    const sample s(engine);
    BOOST_REQUIRE((payload::sha256(library::openssl, s.text) == payload::sha256(library::libsodium, s.text)));
  }
}

// draft-irtf-cfrg-xchacha-03, section 2.2.1.
BOOST_AUTO_TEST_CASE(the_record_key_is_hchacha20) {
  aead_key pad;
  for (std::size_t i = 0; i < pad.value.size(); ++i)
    pad.value[i] = static_cast<std::byte>(i);
  std::array<std::byte, nonce_bytes> nonce{};
  BOOST_REQUIRE(from_hex("000000090000004a0000000031415927", byte_span(nonce).first(16)));
  const std::string expected = "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc";
  BOOST_TEST(to_hex(record_key(pad, nonce).value) == expected);
  nonce.back() = std::byte{1};  // only the first 16 bytes count
  BOOST_TEST(to_hex(record_key(pad, nonce).value) == expected);
}

BOOST_AUTO_TEST_CASE(small_texts_are_left_to_libsodium) {
  BOOST_TEST((payload::best_for(0) == library::libsodium));
  BOOST_TEST((payload::best_for(max_plaintext_bytes) == payload::best()));
}

BOOST_AUTO_TEST_SUITE_END()
