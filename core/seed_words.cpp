#include "core/seed_words.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/printable.hpp"

namespace mutant {

namespace {

constexpr std::size_t bits_per_word = 11;
constexpr std::size_t seed_bytes = 32;
constexpr std::size_t max_words_text = 64 * seed_word_count;

// The seed and the first byte of its SHA-256: 24 times 11 bits.
using checked_seed = secret<seed_bytes + 1>;

unsigned checksum(byte_view seed_part) {
  return std::to_integer<unsigned>(hash_of(seed_part)[0]);
}

std::string_view nearest(std::string_view word) {
  return *std::ranges::min_element(english_seed_words, {}, [&](std::string_view w) { return letters_apart(w, word); });
}

// Small letters; what is no letter stays.
void to_small(std::string& text) {
  for (auto& c : text)
    if (c >= 'A' && c <= 'Z')
      c = static_cast<char>(c - 'A' + 'a');
}

result<std::size_t> index_of(const std::string& word, std::size_t number) {
  const auto at = std::ranges::lower_bound(english_seed_words, std::string_view(word));
  if (at == english_seed_words.end() || *at != word)
    return fail(errc::invalid_argument, "word " + std::to_string(number) + " of the 24, '"
                                            + printable(shortened(word, 32)) + "', is not in the list; did you mean '"
                                            + std::string(nearest(shortened(word, 32))) + "'?");
  return static_cast<std::size_t>(at - english_seed_words.begin());
}

}  // namespace

std::size_t letters_apart(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t i = 0; i < row.size(); ++i)
    row[i] = i;
  for (std::size_t i = 0; i < a.size(); ++i) {
    auto diagonal = std::exchange(row[0], i + 1);
    for (std::size_t k = 0; k < b.size(); ++k) {
      const auto changed = diagonal + (a[i] == b[k] ? 0 : 1);
      diagonal = row[k + 1];
      row[k + 1] = std::min({changed, row[k] + 1, diagonal + 1});
    }
  }
  return row.back();
}

std::string words_of_seed(const seed& owner) {
  checked_seed all;
  copy_bytes(owner.value, byte_span(all.value));
  all.value[seed_bytes] = static_cast<std::byte>(checksum(owner.value));
  std::string text;
  text.reserve(seed_word_count * 9);   // one allocation: nothing is left behind unwiped
  for (std::size_t word = 0; word < seed_word_count; ++word) {
    std::size_t index = 0;
    for (auto bit = word * bits_per_word; bit < (word + 1) * bits_per_word; ++bit)
      index = index << 1 | (std::to_integer<unsigned>(all.value[bit / 8]) >> (7 - bit % 8) & 1);
    text += word == 0 ? "" : " ";
    text += english_seed_words[index];
  }
  return text;
}

result<seed> seed_of_words(std::string_view text) {
  constexpr std::string_view white = " \t\r\n";
  const auto wrong_count = [](const std::string& count) {
    return fail(errc::invalid_argument, "a seed is 24 words, these are " + count);
  };
  if (text.size() > max_words_text)
    return wrong_count("more");
  checked_seed all;
  std::size_t count = 0;
  std::string word;
  word.reserve(max_words_text);
  for (auto rest = text;; ++count) {
    rest.remove_prefix(std::min(rest.size(), rest.find_first_not_of(white)));
    if (rest.empty())
      break;
    const auto length = std::min(rest.size(), rest.find_first_of(white));
    if (count < seed_word_count) {
      word.assign(rest.substr(0, length));
      to_small(word);
      const auto index = index_of(word, count + 1);
      if (!index)
        return fail(index.error());
      for (std::size_t i = 0; i < bits_per_word; ++i)
        if ((*index >> (bits_per_word - 1 - i) & 1) != 0)
          all.value[(count * bits_per_word + i) / 8] |= static_cast<std::byte>(0x80u >> (count * bits_per_word + i) % 8);
    }
    rest.remove_prefix(length);
  }
  wipe(std::as_writable_bytes(std::span(word)));
  if (count != seed_word_count)
    return wrong_count(std::to_string(count));
  seed owner;
  std::copy_n(all.value.begin(), seed_bytes, owner.value.begin());
  if (std::to_integer<unsigned>(all.value[seed_bytes]) != checksum(owner.value))
    return fail(errc::invalid_argument,
                "the 24 words do not fit together: two are exchanged, or one is another word of the list");
  return owner;
}

}  // namespace mutant
