// Chunks as zstd frames: what is compressed comes back, what does not pay is left, what lies is refused.
#include <boost/test/unit_test.hpp>

#include <random>
#include <string>
#include <vector>

#include "core/compression.hpp"

using namespace mutant;

namespace {

using raw = std::vector<std::byte>;

raw random_bytes(std::mt19937_64& engine, std::size_t size) {
  raw out(size);
  for (auto& b : out)
    b = static_cast<std::byte>(engine());
  return out;
}

// Words of a small language.
raw text_bytes(std::mt19937_64& engine, std::size_t size) {
  constexpr std::string_view words[] = {"the ", "pad ", "holds ", "a ", "chunk ", "of ", "some ", "value\n", "int ", "{ ret "};
  std::string out;
  while (out.size() < size)
    out += words[engine() % std::size(words)];
  const auto bytes = as_byte_view(std::string_view(out).substr(0, size));
  return {bytes.begin(), bytes.end()};
}

std::optional<raw> frame_of(byte_view chunk, int level = 1) {
  raw out(frame_room(chunk.size()));
  const auto size = compress_chunk(level, chunk, out);
  if (!size)
    return std::nullopt;
  out.resize(*size);
  return out;
}

bool comes_back(const raw& frame, const raw& chunk) {
  raw out(chunk.size());
  return decompress_chunk(frame, out) && out == chunk;
}

errc refusal(const raw& frame, std::size_t length) {
  raw out(length);
  const auto done = decompress_chunk(frame, out);
  return done ? errc{} : done.error().code;
}

// The head of a frame that promises so many bytes: magic, descriptor (8-byte size, one segment), the size. Then one block.
raw promising(std::uint64_t size, std::uint32_t block_head, byte_view block = {}) {
  raw frame;
  const auto put = [&](std::uint64_t number, int bytes) {
    for (int i = 0; i < bytes; ++i)
      frame.push_back(static_cast<std::byte>(number >> (8 * i)));
  };
  put(0xFD2FB528, 4);
  put(0xE0, 1);
  put(size, 8);
  put(block_head, 3);
  frame.insert(frame.end(), block.begin(), block.end());
  return frame;
}

// Last block, of so many times one byte.
constexpr std::uint32_t repeated(std::uint32_t count) { return 1u | 1u << 1 | count << 3; }

}  // namespace

BOOST_AUTO_TEST_SUITE(compression_test)

BOOST_AUTO_TEST_CASE(what_is_compressed_comes_back) {
  std::mt19937_64 engine(1);
  for (std::size_t size : {512u, 1000u, 4096u, 65'535u, 65'536u, 1'000'000u, 4'190'208u})
    for (int level : {1, 3, 19}) {
      if (level == 19 && size > 100'000)
        continue;
      const auto chunk = text_bytes(engine, size);
      BOOST_TEST(is_worth_compressing({}, chunk));
      const auto frame = frame_of(chunk, level);
      BOOST_REQUIRE(frame.has_value());
      BOOST_TEST(frame->size() < chunk.size() / 2);
      BOOST_TEST(comes_back(*frame, chunk));
    }
}

BOOST_AUTO_TEST_CASE(random_bytes_are_left_as_they_are) {
  std::mt19937_64 engine(2);
  std::size_t tried = 0;
  for (int round = 0; round < 300; ++round) {
    const auto chunk = random_bytes(engine, 600 + engine() % 20'000);
    tried += is_worth_compressing({}, chunk);
    BOOST_TEST(!frame_of(chunk).has_value());
  }
  BOOST_TEST(tried == 0u);
  const auto large = random_bytes(engine, 1'000'000);
  BOOST_TEST(!is_worth_compressing({}, large));
  BOOST_TEST(!frame_of(large).has_value());
}

BOOST_AUTO_TEST_CASE(a_choice_is_kept_to) {
  std::mt19937_64 engine(3);
  const auto text = text_bytes(engine, 10'000);
  const auto noise = random_bytes(engine, 10'000);
  BOOST_TEST(!is_worth_compressing({compression::choice::off}, text));
  BOOST_TEST(is_worth_compressing({compression::choice::always, 3}, noise));
  BOOST_TEST(!is_worth_compressing({}, byte_view(text).first(100)));
  BOOST_TEST((parse_compression("auto").value() == compression{}));
  BOOST_TEST((parse_compression("off").value() == compression{compression::choice::off}));
  BOOST_TEST((parse_compression("19").value() == compression{compression::choice::always, 19}));
  for (auto bad : {"", "on", "0", "20", "-1", "3 ", "03x"})
    BOOST_TEST(!parse_compression(bad).has_value(), bad);
}

BOOST_AUTO_TEST_CASE(a_frame_that_promises_or_holds_another_length_is_refused) {
  std::mt19937_64 engine(4);
  const auto chunk = text_bytes(engine, 5000);
  const auto frame = *frame_of(chunk);
  BOOST_TEST((refusal(frame, 4999) == errc::corrupt_record));
  BOOST_TEST((refusal(frame, 5001) == errc::corrupt_record));
  BOOST_TEST((refusal(promising(std::uint64_t{1} << 60, repeated(100)), 100) == errc::corrupt_record));
  // The promise is right, the content is not.
  const raw one(1, std::byte{7});
  BOOST_TEST((refusal(promising(100, repeated(100), one), 100) == errc{}));
  BOOST_TEST((refusal(promising(100, repeated(99), one), 100) == errc::corrupt_record));
  BOOST_TEST((refusal(promising(100, repeated(101), one), 100) == errc::corrupt_record));
  BOOST_TEST((refusal(promising(100, repeated(100'000), one), 100) == errc::corrupt_record));
}

BOOST_AUTO_TEST_CASE(what_is_not_one_frame_is_refused) {
  std::mt19937_64 engine(5);
  const auto chunk = text_bytes(engine, 3000);
  const auto frame = *frame_of(chunk);
  auto twice = frame;
  twice.insert(twice.end(), frame.begin(), frame.end());
  auto longer = frame;
  longer.push_back(std::byte{0});
  BOOST_TEST((refusal(twice, 3000) == errc::corrupt_record));
  BOOST_TEST((refusal(twice, 6000) == errc::corrupt_record));
  BOOST_TEST((refusal(longer, 3000) == errc::corrupt_record));
  BOOST_TEST((refusal({}, 3000) == errc::corrupt_record));
  for (std::size_t size = 0; size < frame.size(); ++size)
    BOOST_TEST((refusal(raw(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(size)), 3000) == errc::corrupt_record));
}

BOOST_AUTO_TEST_CASE(damage_is_refused_or_gives_the_right_number_of_bytes) {
  std::mt19937_64 engine(6);
  for (int round = 0; round < 2000; ++round) {
    const auto chunk = text_bytes(engine, 600 + engine() % 3000);
    auto frame = *frame_of(chunk);
    frame[engine() % frame.size()] ^= static_cast<std::byte>(1 + engine() % 255);
    const auto code = refusal(frame, chunk.size());
    BOOST_TEST((code == errc{} || code == errc::corrupt_record));
  }
}

BOOST_AUTO_TEST_SUITE_END()
