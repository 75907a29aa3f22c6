#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

#include "core/bytes.hpp"
#include "core/limits.hpp"

using namespace mutant;

namespace {

constexpr std::size_t page_bytes = 4096;

bool aligned(const std::byte* at) { return reinterpret_cast<std::uintptr_t>(at) % page_bytes == 0; }

buffer filled(std::size_t size, std::byte value) {
  buffer b(size);
  std::ranges::fill(b.span(), value);
  return b;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(byte_buffers)

BOOST_AUTO_TEST_CASE(a_frozen_buffer_keeps_its_memory) {
  auto b = filled(100, std::byte{1});
  auto* memory = b.data();
  auto frozen = std::move(b).freeze();
  BOOST_TEST(frozen.data() == memory);
  BOOST_TEST(frozen.size() == 100u);
}

BOOST_AUTO_TEST_CASE(copies_and_slices_share_memory_and_outlive_the_original) {
  bytes slice;
  {
    auto whole = bytes::copy_of("hello world");
    auto copy = whole;
    BOOST_TEST(copy.data() == whole.data());
    slice = copy.slice(6, 5);
    BOOST_TEST(slice.data() == whole.data() + 6);
  }
  BOOST_TEST(as_text(slice) == "world");
}

BOOST_AUTO_TEST_CASE(slices_are_clamped) {
  auto whole = bytes::copy_of("hello");
  BOOST_TEST(as_text(whole.slice(3, 100)) == "lo");
  BOOST_TEST(whole.slice(5, 1).empty());
  BOOST_TEST(whole.slice(100, 1).empty());
  BOOST_TEST(as_text(whole.slice(1, static_cast<std::size_t>(-1))) == "ello");
  BOOST_TEST(bytes().slice(0, 10).empty());
}

BOOST_AUTO_TEST_CASE(equality_is_of_content) {
  BOOST_TEST((bytes::copy_of("a") == bytes::copy_of("a")));
  BOOST_TEST(!(bytes::copy_of("a") == bytes::copy_of("b")));
  BOOST_TEST(!(bytes::copy_of("a") == bytes::copy_of("aa")));
  BOOST_TEST((bytes() == bytes::copy_of("")));
}

BOOST_AUTO_TEST_CASE(assignment_to_itself_and_moves_keep_the_content) {
  auto a = bytes::copy_of("text");
  auto& same = a;
  a = same;
  BOOST_TEST(as_text(a) == "text");
  auto b = std::move(a);
  BOOST_TEST(as_text(b) == "text");
  b = bytes::copy_of("other");
  BOOST_TEST(as_text(b) == "other");
  b = bytes();
  BOOST_TEST(b.empty());
}

BOOST_AUTO_TEST_CASE(who_keeps_only_what_he_shows_is_compact) {
  const auto whole = bytes::copy_of("a value");
  BOOST_TEST(whole.is_compact());
  BOOST_TEST(whole.slice(0, whole.size()).is_compact());
  BOOST_TEST(!whole.slice(0, 3).is_compact());
  BOOST_TEST(!whole.slice(3, 4).is_compact());
  BOOST_TEST(bytes().is_compact());
}

BOOST_AUTO_TEST_CASE(shrinking_never_grows) {
  buffer b(10);
  b.shrink(20);
  BOOST_TEST(b.size() == 10u);
  b.shrink(4);
  BOOST_TEST(b.size() == 4u);
  const auto frozen = std::move(b).freeze();
  BOOST_TEST(frozen.slack() == 6u);
  BOOST_TEST(!frozen.is_compact());
}

BOOST_AUTO_TEST_CASE(a_large_record_lies_ready_for_direct_io) {
  for (std::size_t size : {std::size_t{300'000}, max_record_bytes - 1, max_record_bytes}) {
    auto record = buffer::for_record(size);
    BOOST_TEST(record.size() == size);
    BOOST_TEST(aligned(record.data() + record_header_bytes));
    auto frozen = std::move(record).freeze();
    auto payload = size - record_header_bytes;
    auto padding = (page_bytes - payload % page_bytes) % page_bytes;
    BOOST_TEST(frozen.slack() >= padding);
    BOOST_TEST(!frozen.is_compact());
  }
}

BOOST_AUTO_TEST_CASE(records_of_every_small_size_have_their_size) {
  for (auto size : std::initializer_list<std::size_t>{0, 1, record_header_bytes, 5000, 262'000}) {
    auto record = buffer::for_record(size);
    BOOST_TEST(record.size() == size);
    std::ranges::fill(record.span(), std::byte{1});
  }
}

BOOST_AUTO_TEST_CASE(large_blocks_can_be_written_to_the_last_byte_again_and_again) {
  for (int round = 0; round < 3; ++round) {
    std::vector<bytes> held;
    for (int i = 0; i < 4; ++i)
      held.push_back(filled(max_record_bytes, static_cast<std::byte>(i)).freeze());
    for (int i = 0; i < 4; ++i)
      BOOST_TEST((held[static_cast<std::size_t>(i)].view().back() == static_cast<std::byte>(i)));
  }
}

BOOST_AUTO_TEST_CASE(the_block_cache_can_be_limited_at_any_time) {
  set_large_block_cache_bytes(0);
  { auto b = filled(max_record_bytes, std::byte{1}); }
  set_large_block_cache_bytes(64u << 20);
  { auto b = filled(max_record_bytes, std::byte{1}); }
  set_large_block_cache_bytes(0);
  set_large_block_cache_bytes(64u << 20);
}

BOOST_AUTO_TEST_CASE(adopted_memory_is_kept_as_long_as_any_part_of_it_is_used) {
  auto owner = std::make_shared<std::string>(300, 'x');
  std::weak_ptr<std::string> alive = owner;
  const auto view = as_byte_view(*owner);
  auto whole = bytes::adopt(std::move(owner), view);
  BOOST_TEST((whole.data() == view.data()));
  BOOST_TEST(whole.slack() == 0u);
  BOOST_TEST(!whole.is_compact());   // the owner may hold more
  auto part = whole.slice(100, 50);
  BOOST_TEST(part.slack() == 150u);
  whole = {};
  BOOST_TEST(!alive.expired());
  BOOST_TEST((as_text(part) == std::string(50, 'x')));
  part = {};
  BOOST_TEST(alive.expired());
}

BOOST_AUTO_TEST_CASE(bytes_may_be_shared_between_threads) {
  auto shared = filled(300'000, std::byte{3}).freeze();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([shared] {
      for (int i = 0; i < 1000; ++i) {
        auto copy = shared.slice(static_cast<std::size_t>(i), 10);
        auto again = copy;
      }
    });
  for (auto& t : threads)
    t.join();
  BOOST_TEST((shared.view().front() == std::byte{3}));
}

BOOST_AUTO_TEST_SUITE_END()
