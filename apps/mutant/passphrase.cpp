#include "apps/mutant/passphrase.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>

#include "apps/mutant/environment.hpp"
#include "core/crypto.hpp"

namespace mutant::cli {

namespace {

constexpr const char* variable_name = "MUTANT_PASSPHRASE";

// The terminal whose echo is off, and how it was.
termios terminal_before{};
std::atomic<int> quiet_terminal = -1;

struct descriptor {
  int number;
  ~descriptor() {
    if (number >= 0)
      ::close(number);
  }
};

result<passphrase> read_line(int from, const std::string& name) {
  passphrase line;
  for (char c = 0;;) {
    const auto got = ::read(from, &c, 1);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return fail(errno_error(errno, "reading the passphrase from " + name));
    if (got == 0 || c == '\n') {
      if (line.text().ends_with('\r'))
        line.remove_last();
      return line;
    }
    if (!line.add(c))
      return fail(errc::invalid_argument, "the passphrase in " + name + " is longer than 4096 bytes");
  }
}

void say(int terminal, const std::string& text) {
  [[maybe_unused]] auto written = ::write(terminal, text.data(), text.size());
}

}  // namespace

void passphrase::wiping::operator()(std::array<char, max_passphrase_bytes>* memory) const noexcept {
  wipe(std::as_writable_bytes(std::span(*memory)));
  delete memory;
}

bool passphrase::add(char letter) {
  if (!memory_)
    memory_.reset(new std::array<char, max_passphrase_bytes>);
  if (size_ == memory_->size())
    return false;
  (*memory_)[size_++] = letter;
  return true;
}

result<std::optional<passphrase>> given_passphrase(const std::string& file) {
  if (!file.empty()) {
    descriptor from{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
    if (from.number < 0)
      return fail(errno_error(errno, "opening the passphrase file " + file));
    struct stat about {};
    if (::fstat(from.number, &about) != 0)
      return fail(errno_error(errno, "looking at the passphrase file " + file));
    // Files and named pipes; a terminal or a socket gives it to its reader alone.
    if ((S_ISREG(about.st_mode) || S_ISFIFO(about.st_mode)) && (about.st_mode & (S_IRWXG | S_IRWXO)) != 0)
      return fail(errc::access_denied, "others may use the passphrase file " + file + "; run: chmod 600 " + file);
    auto line = read_line(from.number, file);
    if (!line)
      return fail(line.error());
    if (line->text().empty())
      return fail(errc::invalid_argument, "the first line of the passphrase file " + file + " is empty");
    return std::optional(std::move(*line));
  }
  auto variable = secret_from_environment(variable_name);
  if (!variable)
    return fail(variable.error());
  if (*variable == nullptr)
    return std::optional<passphrase>();
  passphrase word;
  for (const auto* letter = *variable; *letter != '\0'; ++letter)
    if (!word.add(*letter))
      return fail(errc::invalid_argument, "the passphrase in $MUTANT_PASSPHRASE is longer than 4096 bytes");
  return std::optional(std::move(word));
}

void forget_given_passphrase() noexcept {
  wipe_from_environment(variable_name);
}

result<passphrase> ask_passphrase(const std::string& prompt) {
  descriptor terminal{::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)};
  termios now{};
  if (terminal.number < 0 || ::tcgetattr(terminal.number, &now) != 0)
    return fail(errc::access_denied,
                "the identity is under a passphrase, and there is no terminal to ask for it; give --passphrase-file FILE or "
                "set $MUTANT_PASSPHRASE");
  terminal_before = now;
  quiet_terminal = terminal.number;
  now.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  ::tcsetattr(terminal.number, TCSAFLUSH, &now);
  say(terminal.number, prompt);
  auto line = read_line(terminal.number, "the terminal");
  restore_terminal();
  say(terminal.number, "\n");
  return line;
}

result<passphrase> ask_new_passphrase() {
  auto first = ask_passphrase("Passphrase for the new identity (empty for none): ");
  if (!first || first->text().empty())
    return first;
  auto second = ask_passphrase("The same again: ");
  if (!second)
    return second;
  if (first->text() != second->text())
    return fail(errc::invalid_argument, "the two passphrases are not the same; nothing was made, try again");
  return first;
}

void restore_terminal() noexcept {
  if (const auto terminal = quiet_terminal.exchange(-1); terminal >= 0)
    ::tcsetattr(terminal, TCSAFLUSH, &terminal_before);
}

}  // namespace mutant::cli
