#include "benchmarks/load/value.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "benchmarks/load/draws.hpp"

namespace mutant::load {

namespace {

constexpr std::uint64_t magic = 0x31'65'75'6c'61'76'6c'6d;   // "mlvalue1"
constexpr std::uint64_t stamp_words = stamp_bytes / 8;
constexpr std::uint64_t step = 0x9e3779b97f4a7c15u;

// The words of one value.
class word_row {
 public:
  explicit word_row(const stamp& s) : first_{magic, s.run, s.key, s.nonce, s.size_bytes} {
    for (auto word : first_)
      base_ = mixed(base_ + step + word);
  }
  std::uint64_t operator[](std::uint64_t i) const noexcept {
    return i < stamp_words ? first_[i] : mixed(base_ + i * step);
  }

 private:
  std::array<std::uint64_t, stamp_words> first_;
  std::uint64_t base_ = 0;
};

// Calls visit(position in the piece, length, word, offset in the word) for `length` bytes from `offset`, until it says false.
template <class Visit>
bool walk(const stamp& s, std::uint64_t offset, std::size_t length, Visit visit) {
  const word_row words(s);
  for (std::size_t at = 0; at < length;) {
    const auto skip = static_cast<std::size_t>((offset + at) % 8);
    if (skip == 0 && length - at >= 8) {   // a size that the compiler knows: one instruction instead of a call
      if (!visit(at, std::size_t{8}, words[(offset + at) / 8], std::size_t{0}))
        return false;
      at += 8;
      continue;
    }
    const auto take = std::min<std::size_t>(8 - skip, length - at);
    if (!visit(at, take, words[(offset + at) / 8], skip))
      return false;
    at += take;
  }
  return true;
}

}  // namespace

void fill(const stamp& s, std::uint64_t offset, byte_span out) noexcept {
  walk(s, offset, out.size(), [&](std::size_t at, std::size_t take, std::uint64_t word, std::size_t skip) {
    std::memcpy(out.data() + at, reinterpret_cast<const std::byte*>(&word) + skip, take);
    return true;
  });
}

bytes make_value(const stamp& s) {
  buffer out(s.size_bytes);
  fill(s, 0, out.span());
  return std::move(out).freeze();
}

void value_check::read_stamp() {
  std::array<std::uint64_t, stamp_words> words{};
  std::memcpy(words.data(), head_, stamp_bytes);
  stamp_ = {words[1], words[2], words[3], words[4]};
  if (words[0] != magic)
    problem_ = "was not written by mutant-load: it does not begin with its magic number";
  else if (run_ != 0 && stamp_.run != run_)
    problem_ = "was written by another run of mutant-load";
  else if (stamp_.key != key_)
    problem_ = "belongs to key number " + std::to_string(stamp_.key);
}

void value_check::compare(byte_view piece) {
  std::size_t wrong = 0;
  const auto matches = [&](std::size_t at, std::size_t take, std::uint64_t word, std::size_t skip) {
    wrong = at;
    return std::memcmp(piece.data() + at, reinterpret_cast<const std::byte*>(&word) + skip, take) == 0;
  };
  if (!walk(stamp_, seen_, piece.size(), matches))
    problem_ = "differs from what was written, in the bytes from " + std::to_string(seen_ + wrong) + " of "
               + std::to_string(stamp_.size_bytes);
}

const std::optional<std::string>& value_check::take(byte_view piece) {
  if (seen_ < stamp_bytes && !problem_) {
    const auto part = std::min<std::size_t>(stamp_bytes - seen_, piece.size());
    std::memcpy(head_ + seen_, piece.data(), part);
    seen_ += part;
    piece = piece.subspan(part);
    if (seen_ == stamp_bytes)
      read_stamp();
  }
  if (!problem_ && !piece.empty())
    compare(piece);
  seen_ += piece.size();
  return problem_;
}

const std::optional<std::string>& value_check::finish() {
  if (!problem_ && seen_ < stamp_bytes)
    problem_ = "was not written by mutant-load: it has only " + std::to_string(seen_) + " bytes";
  if (!problem_ && seen_ != stamp_.size_bytes)
    problem_ = "has " + std::to_string(seen_) + " bytes, but " + std::to_string(stamp_.size_bytes) + " were written";
  return problem_;
}

}  // namespace mutant::load
