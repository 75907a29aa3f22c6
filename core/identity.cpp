#include "core/identity.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>

#include "core/files.hpp"

namespace mutant {

namespace {

constexpr std::string_view first_line = "mutant-identity 2\n";
constexpr std::string_view first_line_of_format_1 = "mutant-identity 1\n";
constexpr std::string_view clear_line = "kdf none\n";
constexpr std::string_view argon_word = "kdf argon2id ";
constexpr std::string_view kind_word = "kind ", reader_line = "kind reader\n";

constexpr std::uint32_t min_memory_kib = 8, max_memory_kib = 1024 * 1024, max_passes = 64;
constexpr std::size_t salt_bytes = 16, check_bytes = 8;
constexpr std::size_t seed_bytes = 32, reader_bytes = 64;   // what is kept: the seed; or reading secret and root address
constexpr std::size_t max_body_bytes = nonce_bytes + reader_bytes + tag_bytes;
constexpr std::size_t max_file_bytes = 4096;

using salt_value = std::array<std::byte, salt_bytes>;
using check_value = std::array<std::byte, check_bytes>;

constexpr std::size_t bytes_of_kind(bool is_reader) {
  return is_reader ? reader_bytes : seed_bytes;
}

// What begins the last line.
constexpr std::string_view word_of_kind(bool is_reader) {
  return is_reader ? "keys " : "seed ";
}

// Text that is wiped when it goes.
struct secret_text {
  std::string value;
  explicit secret_text(std::string text) : value(std::move(text)) {}
  secret_text(const secret_text&) = delete;
  secret_text& operator=(const secret_text&) = delete;
  ~secret_text() { wipe(std::as_writable_bytes(std::span(value))); }
};

// Tells damage from a wrong passphrase: the first bytes of SHA-256 over the header lines and what the last one
// holds.
check_value check_of(std::string_view header, byte_view body) {
  std::string all(header);
  all.reserve(header.size() + body.size());  // one allocation: nothing is left behind unwiped
  all += as_text(body);
  secret_text covered(std::move(all));
  auto hash = hash_of(as_byte_view(covered.value));
  check_value check;
  std::copy_n(hash.begin(), check.size(), check.begin());
  return check;
}

std::string with_last_line(std::string header, bool is_reader, byte_view body) {
  auto check = check_of(header, body);
  secret_text body_hex(to_hex(body));
  const auto word = word_of_kind(is_reader);
  header.reserve(header.size() + word.size() + body_hex.value.size() + 2 * check_bytes + 1);
  header += word;
  header += body_hex.value;
  header += to_hex(check);
  header += '\n';
  return header;
}

tl::unexpected<error> corrupt(std::string_view what) {
  return fail(errc::corrupt_record, "the identity file " + std::string(what));
}

bool lower_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// Takes a line, its end included, off the front of the text; empty if there is no whole line.
std::string_view take_line(std::string_view& text) {
  auto end = text.find('\n');
  auto length = end == std::string_view::npos ? 0 : end + 1;
  auto line = text.substr(0, length);
  text.remove_prefix(length);
  return line;
}

// Takes a decimal number in its shortest form and the space behind it off the front.
bool take_number(std::string_view& text, std::uint32_t& number) {
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  auto digits = static_cast<std::size_t>(end - text.data());
  if (failed != std::errc() || (digits > 1 && text.front() == '0') || digits == text.size() || *end != ' ')
    return false;
  text.remove_prefix(digits + 1);
  return true;
}

bool in_bounds(passphrase_cost cost) {
  return cost.memory_kib >= min_memory_kib && cost.memory_kib <= max_memory_kib && cost.passes >= 1
         && cost.passes <= max_passes;
}

struct parsed_identity {
  std::string_view header;  // all lines but the last
  bool is_reader = false;
  bool encrypted = false;
  passphrase_cost cost;
  salt_value salt{};
  secret<max_body_bytes> body;  // its front: what is kept alone, or nonce, ciphertext and tag

  std::size_t kept_bytes() const { return bytes_of_kind(is_reader); }
  std::size_t body_bytes() const { return encrypted ? nonce_bytes + kept_bytes() + tag_bytes : kept_bytes(); }
};

// A line `kind NAME`. An owner's file has none.
result<void> parse_kind(std::string_view line, parsed_identity& to) {
  to.is_reader = line == reader_line;
  const auto name = line.substr(kind_word.size(), line.size() - kind_word.size() - 1);
  if (to.is_reader)
    return {};
  if (name.empty() || name.size() > 32 || name.find_first_not_of("abcdefghijklmnopqrstuvwxyz-") != std::string_view::npos)
    return corrupt("is damaged: its `kind` line names none");
  return fail(errc::unsupported, "the identity file is of kind `" + std::string(name)
                                     + "`, which this program does not know: a newer program wrote it. Use the newer one");
}

result<void> parse_kdf(std::string_view line, parsed_identity& to) {
  if (line == clear_line)
    return {};
  if (!line.starts_with(argon_word))
    return corrupt("names a key derivation that is not known: expected `kdf none` or `kdf argon2id`");
  to.encrypted = true;
  line.remove_prefix(argon_word.size());
  if (!take_number(line, to.cost.memory_kib) || !take_number(line, to.cost.passes) || !in_bounds(to.cost))
    return corrupt("is damaged: the cost of its passphrase is not within 8 KiB to 1 GiB and 1 to 64 passes");
  auto salt = line.substr(0, line.empty() ? 0 : line.size() - 1);  // without the line's end
  if (!lower_hex(salt) || !from_hex(salt, to.salt))
    return corrupt("is damaged: its salt is not 16 bytes in lower-case hex");
  return {};
}

result<void> parse_last_line(std::string_view line, parsed_identity& to) {
  const auto word = word_of_kind(to.is_reader);
  const auto name = "`" + std::string(word.substr(0, word.size() - 1)) + "` line";
  if (!line.starts_with(word))
    return corrupt("is truncated: it has no whole " + name);
  auto hex = line.substr(word.size(), line.size() - word.size() - 1);
  const auto body_bytes = to.body_bytes();
  if (hex.size() != 2 * (body_bytes + check_bytes) || !lower_hex(hex))
    return corrupt("is damaged: its " + name + " does not have " + std::to_string(2 * (body_bytes + check_bytes))
                   + " lower-case hex digits");
  auto body = byte_span(to.body.value).first(body_bytes);
  check_value check;
  if (!from_hex(hex.substr(0, 2 * body_bytes), body) || !from_hex(hex.substr(2 * body_bytes), check)
      || check != check_of(to.header, body))
    return corrupt("is damaged: its checksum does not match");
  return {};
}

bool is_of_a_later_format(std::string_view line) {
  constexpr auto words = first_line.substr(0, first_line.size() - 2);
  return line.size() <= words.size() + 4 && line.starts_with(words) && line != first_line && line.ends_with('\n')
         && std::ranges::all_of(line.substr(words.size(), line.size() - words.size() - 1),
                                [](char c) { return c >= '0' && c <= '9'; })
         && line.size() > words.size() + 1 && line[words.size()] != '0';
}

result<parsed_identity> parse(std::string_view text) {
  parsed_identity parsed;
  auto rest = text;
  const auto first = take_line(rest);
  if (first == first_line_of_format_1)
    return fail(errc::unsupported, "the identity file is of format 1, which an early build of mutant wrote. Only format 2 is "
                                   "read: get the values with that build, and put them with a new identity");
  if (is_of_a_later_format(first))
    return fail(errc::unsupported, "the identity file begins with `" + std::string(first.substr(0, first.size() - 1))
                                       + "`: a newer program wrote it, and this one reads format 2. Use the newer one");
  if (first != first_line)
    return corrupt("does not begin with the line `mutant-identity 2`: damaged, or not an identity");
  auto line = take_line(rest);
  if (line.starts_with(kind_word)) {
    if (auto done = parse_kind(line, parsed); !done)
      return fail(std::move(done).error());
    line = take_line(rest);
  }
  if (line.empty())
    return corrupt("is truncated: it has no whole `kdf` line");
  parsed.header = text.substr(0, text.size() - rest.size());
  if (auto done = parse_kdf(line, parsed); !done)
    return fail(std::move(done).error());
  if (auto done = parse_last_line(take_line(rest), parsed); !done)
    return fail(std::move(done).error());
  if (!rest.empty())
    return corrupt("goes on behind its last line");
  return parsed;
}

identity_keys keys_in(byte_view kept, bool is_reader) {
  if (!is_reader) {
    seed owner;
    copy_bytes(kept, owner.value);
    return owner;
  }
  reader_key reader;
  copy_bytes(kept.first<32>(), reader.reading.value);
  copy_bytes(kept.last<32>(), reader.root);
  return reader;
}

// -- files ------------------------------------------------------------------------------------------------------------

// Gives a file its name without replacing another; 0 or errno. Some file systems know only one of the two ways.
int name_file(const std::string& temporary, const std::string& path) {
  if (::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0)
    return 0;
  if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP)
    return errno;
  if (::link(temporary.c_str(), path.c_str()) != 0)
    return errno;
  ::unlink(temporary.c_str());
  return 0;
}

result<void> write_new_file(const std::string& path, std::string_view text) {
  auto temporary = path + ".new-" + std::to_string(random_u64());
  auto file = open_fd(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  if (!file)
    return fail(file.error().code, "creating the identity file " + path + ": " + file.error().message);
  auto written = write_all_at(file->get(), 0, as_byte_view(text), path);
  if (written && ::fsync(file->get()) != 0)
    written = fail(errno_error(errno, "syncing the identity file " + path));
  if (!written) {
    ::unlink(temporary.c_str());
    return written;
  }
  if (auto number = name_file(temporary, path); number != 0) {
    ::unlink(temporary.c_str());
    if (number == EEXIST)
      return fail(errc::key_exists, "there is an identity at " + path + " already; it is left as it is");
    return fail(errno_error(number, "writing the identity file " + path));
  }
  sync_directory_of(path);
  return {};
}

result<std::string> read_small_file(int fd, const std::string& path) {
  std::string text(max_file_bytes + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    auto got = ::read(fd, text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return fail(errno_error(errno, "reading the identity file " + path));
    if (got == 0)
      break;
    size += static_cast<std::size_t>(got);
  }
  if (size > max_file_bytes)
    return fail(errc::corrupt_record, path + " is larger than 4096 bytes: not an identity file");
  text.resize(size);
  return text;
}

}  // namespace

seed generate_seed() {
  seed owner;
  random_fill(owner.value);
  return owner;
}

result<std::string> encode_identity(const identity_keys& keys, std::string_view passphrase, passphrase_cost cost) {
  const auto is_reader = std::holds_alternative<reader_key>(keys);
  secret<max_body_bytes> body;
  const auto all = byte_span(body.value);
  const auto kept = all.subspan(nonce_bytes, bytes_of_kind(is_reader));
  if (const auto* reader = std::get_if<reader_key>(&keys)) {
    copy_bytes(reader->reading.value, kept.first<32>());
    copy_bytes(reader->root, kept.last<32>());
  } else {
    copy_bytes(std::get<seed>(keys).value, kept);
  }
  std::string header(first_line);
  header += is_reader ? reader_line : std::string_view();
  if (passphrase.empty())
    return with_last_line(header.append(clear_line), is_reader, kept);
  if (!in_bounds(cost))
    return fail(errc::invalid_argument, "a passphrase may cost 8 KiB to 1 GiB of memory and 1 to 64 passes");
  salt_value salt;
  random_fill(salt);
  auto key = derive_from_passphrase(passphrase, salt, cost.memory_kib, cost.passes);
  if (!key)
    return fail(std::move(key).error());
  header += argon_word;
  header += std::to_string(cost.memory_kib) + ' ' + std::to_string(cost.passes) + ' ' + to_hex(salt) + '\n';

  const auto nonce = all.first<nonce_bytes>();
  random_fill(nonce);
  const auto sealed = all.first(nonce_bytes + kept.size() + tag_bytes);
  encrypt_in_place(*key, nonce, as_byte_view(header), kept, sealed.last<tag_bytes>());
  return with_last_line(std::move(header), is_reader, sealed);
}

result<identity_text> inspect_identity(std::string_view text) {
  auto parsed = parse(text);
  if (!parsed)
    return fail(std::move(parsed).error());
  return identity_text{parsed->encrypted, parsed->is_reader};
}

result<identity_keys> decode_identity(std::string_view text, std::string_view passphrase) {
  auto parsed = parse(text);
  if (!parsed)
    return fail(std::move(parsed).error());
  const auto body = byte_span(parsed->body.value).first(parsed->body_bytes());
  if (!parsed->encrypted)
    return keys_in(body, parsed->is_reader);
  if (passphrase.empty())
    return fail(errc::access_denied, "the identity is under a passphrase, and none was given");
  auto key = derive_from_passphrase(passphrase, parsed->salt, parsed->cost.memory_kib, parsed->cost.passes);
  if (!key)
    return fail(std::move(key).error());
  const auto kept = body.subspan(nonce_bytes, parsed->kept_bytes());
  if (!decrypt(*key, body.first<nonce_bytes>(), as_byte_view(parsed->header), kept, body.last<tag_bytes>(), kept))
    return fail(errc::access_denied, "the identity does not open with this passphrase");
  return keys_in(kept, parsed->is_reader);
}

result<void> create_identity_file(const std::string& path, const identity_keys& keys, std::string_view passphrase,
                                  passphrase_cost cost) {
  auto text = encode_identity(keys, passphrase, cost);
  if (!text)
    return fail(std::move(text).error());
  secret_text content(std::move(*text));
  return write_new_file(path, content.value);
}

result<void> install_identity_file(const std::string& path, std::string_view text) {
  if (auto good = inspect_identity(text); !good)
    return fail(good.error());
  return write_new_file(path, text);
}

result<void> replace_identity_file(const std::string& path, const identity_keys& keys, std::string_view passphrase,
                                   passphrase_cost cost) {
  auto text = encode_identity(keys, passphrase, cost);
  if (!text)
    return fail(std::move(text).error());
  secret_text content(std::move(*text));
  auto file = replacement_file::create(path, 0600);
  if (!file)
    return fail(file.error());
  if (auto written = write_all_at(file->descriptor(), 0, as_byte_view(content.value), path); !written)
    return written;
  return file->commit(content.value.size());
}

result<std::string> read_identity_file(const std::string& path) {
  // Not blocking: opening a pipe would wait for its other end.
  unique_fd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd && (errno == ENOENT || errno == ENOTDIR))
    return fail(errc::key_not_found, "there is no identity at " + path);
  if (!fd)
    return fail(errno_error(errno, "opening the identity file " + path));
  struct stat about;
  if (::fstat(fd.get(), &about) != 0)
    return fail(errno_error(errno, "looking at the identity file " + path));
  if (!S_ISREG(about.st_mode))
    return fail(errc::corrupt_record, path + " is not a regular file, so not an identity");
  if (about.st_uid != ::geteuid())
    return fail(errc::access_denied, "the identity file " + path + " belongs to another user (uid "
                                         + std::to_string(about.st_uid) + "), who may change it: use it as that user, or, if "
                                         + "it is to be yours, run: chown " + std::to_string(::geteuid()) + " " + path);
  if ((about.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    return fail(errc::access_denied, "others may use the identity file " + path + "; run: chmod 600 " + path);
  return read_small_file(fd.get(), path);
}

}  // namespace mutant
