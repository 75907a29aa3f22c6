// Values that describe themselves, so that whoever reads one can tell whether it is right, to the last byte.
//
// A value is a row of 64-bit words. The first five are the stamp: magic, run, key number, nonce (which write it was), size in
// bytes. The rest follow from the stamp by a counter-based generator. Whoever knows the run's number and the key can check
// every byte at any offset; a value of another key, another run, cut short, mixed from two writes or changed in one bit is
// found out. 40 bytes is the least a value has.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/bytes.hpp"

namespace mutant::load {

constexpr std::size_t stamp_bytes = 40;

struct stamp {
  std::uint64_t run = 0;
  std::uint64_t key = 0;
  std::uint64_t nonce = 0;
  std::uint64_t size_bytes = 0;
};

// The bytes of the value from `offset` on.
void fill(const stamp& s, std::uint64_t offset, byte_span out) noexcept;
bytes make_value(const stamp& s);

// Takes a value piece by piece, in order, and compares it with what its own stamp says.
class value_check {
 public:
  // run 0: any run's value is taken (for data that an earlier run has left).
  value_check(std::uint64_t run, std::uint64_t key) : run_(run), key_(key) {}

  // What is wrong, as words that follow "the value"; nothing as long as all is well.
  const std::optional<std::string>& take(byte_view piece);
  // The same, when there is no more.
  const std::optional<std::string>& finish();
  // What is wrong with what has come in so far.
  const std::optional<std::string>& problem() const noexcept { return problem_; }
  // Known once stamp_bytes have come in.
  const stamp& found() const noexcept { return stamp_; }

 private:
  void read_stamp();
  void compare(byte_view piece);

  std::uint64_t run_;
  std::uint64_t key_;
  stamp stamp_;
  std::byte head_[stamp_bytes];
  std::uint64_t seen_ = 0;
  std::optional<std::string> problem_;
};

}  // namespace mutant::load
