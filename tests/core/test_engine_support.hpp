// What the engine tests share: records made from numbers (engines do not check signatures), directories that go away.
#pragma once

#include <cstring>
#include <filesystem>
#include <random>
#include <string>

#include <unistd.h>

#include "core/engine/engine.hpp"
#include "core/record.hpp"
#include "tests/temporary_directory.hpp"

namespace mutant::engine_test {

using testing::temporary_directory;

inline pad_address address_of(std::uint64_t pad) {
  pad_address address{};
  auto spread = pad * 0x9E3779B97F4A7C15u;  // so that pads are not neighbours
  std::memcpy(address.data(), &spread, sizeof spread);
  std::memcpy(address.data() + 8, &pad, sizeof pad);
  return address;
}

// A well-formed record of exactly size_bytes whose content depends on all four.
inline bytes make_record(std::uint64_t pad, std::uint64_t counter, std::size_t size_bytes, std::uint64_t content = 0) {
  auto record = buffer::for_record(size_bytes);
  auto put = [&](std::size_t at, const auto& value) { std::memcpy(record.data() + at, &value, sizeof value); };
  std::memset(record.data(), 0, record_header_bytes);
  std::memcpy(record.data(), "MPAD\2", 5);
  put(8, counter);
  put(24, static_cast<std::uint32_t>(size_bytes - record_header_bytes));
  put(32, address_of(pad));
  std::mt19937_64 random(pad * 1'000'003 + counter * 31 + content);
  for (std::size_t at = 64; at < record_header_bytes; at += 8)
    put(at, random());
  auto at = record_header_bytes;
  for (; at + 8 <= size_bytes; at += 8)
    put(at, random());
  for (; at < size_bytes; ++at)
    record.data()[at] = static_cast<std::byte>(random());
  return std::move(record).freeze();
}

inline bytes make_blank(std::uint64_t pad, std::uint64_t counter) {
  auto plain = make_record(pad, counter, record_header_bytes);
  buffer record(plain.size());
  std::memcpy(record.data(), plain.data(), plain.size());
  record.data()[5] = std::byte{blank_flag};
  return std::move(record).freeze();
}

// errc of a failure, 0 for success: prints well.
template <class T>
int code_of(const result<T>& outcome) {
  return outcome ? 0 : static_cast<int>(outcome.error().code);
}
template <class T>
std::string message_of(const result<T>& outcome) {
  return outcome ? std::string("ok") : to_string(outcome.error());
}
constexpr int code(errc value) { return static_cast<int>(value); }

}  // namespace mutant::engine_test

// Expectations that print the error.
#define REQUIRE_OK(expression)                                                                            \
  do {                                                                                                    \
    auto&& outcome_ = (expression);                                                                       \
    BOOST_REQUIRE_MESSAGE(outcome_, #expression << ": " << ::mutant::engine_test::message_of(outcome_)); \
  } while (false)
#define CHECK_FAILS(expression, expected)                                                                     \
  BOOST_CHECK_MESSAGE(::mutant::engine_test::code_of(expression) == ::mutant::engine_test::code(expected), \
                      #expression << " should fail with " << name_of(expected))
