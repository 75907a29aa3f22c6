// Where a passphrase comes from: --passphrase-file, then $MUTANT_PASSPHRASE, then the terminal.
#pragma once

#include <optional>
#include <string>

#include "core/crypto.hpp"
#include "core/error.hpp"

namespace mutant::cli {

// Wiped when it goes.
struct passphrase {
  std::string text;

  passphrase() = default;
  explicit passphrase(std::string t) : text(std::move(t)) {}
  passphrase(passphrase&&) = default;
  passphrase& operator=(passphrase&&) = default;
  ~passphrase() { wipe(std::as_writable_bytes(std::span(text))); }
};

// What was given without asking; nullopt: nothing was. The file's first line counts. invalid_argument: it is empty.
result<std::optional<passphrase>> given_passphrase(const std::string& file);

// Asks on the terminal, without echo. access_denied: there is no terminal.
result<passphrase> ask_passphrase(const std::string& prompt);
// Asks twice. An empty answer is an empty passphrase.
result<passphrase> ask_new_passphrase();

// Puts the echo back if a question is open. For the signal thread.
void restore_terminal() noexcept;

}  // namespace mutant::cli
