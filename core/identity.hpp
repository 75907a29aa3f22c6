// The identity file: the owner's seed, or what a reader was given of it; in the clear or under a passphrase. docs/format.md,
// "Identity file".
//
// Text, a few lines, mode 0600, written to a temporary file, synced and named without replacing another. The reader
// refuses a file that others may read or write.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "core/crypto.hpp"
#include "core/error.hpp"

namespace mutant {

// Argon2id cost of a new passphrase; the file records it. Reading bounds both (memory to 1 GiB, passes to 64).
struct passphrase_cost {
  std::uint32_t memory_kib = 256 * 1024;
  std::uint32_t passes = 3;
};

seed generate_seed();

// What opens a store: all of it, or to read what its owner stores.
using identity_keys = std::variant<seed, reader_key>;

// Text form of the file; empty passphrase: the keys in the clear.
result<std::string> encode_identity(const identity_keys& keys, std::string_view passphrase, passphrase_cost cost);

struct identity_text {
  bool needs_passphrase = false;
  bool is_reader = false;
};
// corrupt_record: not an identity file, truncated, damaged (says which). unsupported: of another version, or of a kind that is
// not known.
result<identity_text> inspect_identity(std::string_view text);
// access_denied: the passphrase is wrong or missing.
result<identity_keys> decode_identity(std::string_view text, std::string_view passphrase);

// Files. key_exists: there is one already. key_not_found: there is none. access_denied: unreadable, of another
// user (root is no exception), or its mode lets others read it (says the chmod to run).
result<void> create_identity_file(const std::string& path, const identity_keys& keys, std::string_view passphrase,
                                  passphrase_cost cost = {});
// Another one's text, as it is: under the passphrase that it has.
result<void> install_identity_file(const std::string& path, std::string_view text);
// The file that is there gets another passphrase, in one step: whatever happens it is the old one or the new one.
result<void> replace_identity_file(const std::string& path, const identity_keys& keys, std::string_view passphrase,
                                   passphrase_cost cost = {});
result<std::string> read_identity_file(const std::string& path);

}  // namespace mutant
