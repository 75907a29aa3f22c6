// The seed as 24 words that can be written down: BIP-39 (https://github.com/bitcoin/bips/blob/master/bip-0039.mediawiki), its
// English list, 256 bits and 8 bits of SHA-256. The seed is the entropy itself: no passphrase is mixed in.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "core/crypto.hpp"
#include "core/error.hpp"

namespace mutant {

constexpr std::size_t seed_word_count = 24;
extern const std::array<std::string_view, 2048> english_seed_words;   // sorted

// With a space between them. Whoever gets them wipes them.
std::string words_of_seed(const seed& owner);

// Words with any white space between them, in small letters or capitals. invalid_argument: not 24; one that is not in the list
// (says which, and a near one); the checksum does not fit: words are exchanged, or one is another word.
result<seed> seed_of_words(std::string_view text);

// How many letters must be changed, added or removed to make one of the other.
std::size_t letters_apart(std::string_view a, std::string_view b);

}  // namespace mutant
