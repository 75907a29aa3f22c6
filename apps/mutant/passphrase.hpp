// Where a passphrase comes from: --passphrase-file, then $MUTANT_PASSPHRASE, then the terminal.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.hpp"

namespace mutant::cli {

constexpr std::size_t max_passphrase_bytes = 4096;

// Stays in one place, which is wiped when it goes: a moved std::string may leave its letters behind.
class passphrase {
 public:
  std::string_view text() const noexcept { return memory_ ? std::string_view(memory_->data(), size_) : std::string_view(); }
  // False: it is as long as it may be.
  bool add(char letter);
  void remove_last() noexcept { --size_; }

 private:
  struct wiping {
    void operator()(std::array<char, max_passphrase_bytes>* memory) const noexcept;
  };
  std::unique_ptr<std::array<char, max_passphrase_bytes>, wiping> memory_;
  std::size_t size_ = 0;
};

// What was given without asking; nullopt: nothing was. The file's first line counts. invalid_argument: what is given is empty;
// access_denied: others may read the file (says the chmod to run).
result<std::optional<passphrase>> given_passphrase(const std::string& file);

// Takes it out of this process's environment, once the identity is open.
void forget_given_passphrase() noexcept;

// Asks on the terminal, without echo. access_denied: there is no terminal.
result<passphrase> ask_passphrase(const std::string& prompt);
// Asks twice. An empty answer is an empty passphrase.
result<passphrase> ask_new_passphrase();

// Puts the echo back if a question is open. For the signal thread.
void restore_terminal() noexcept;

}  // namespace mutant::cli
