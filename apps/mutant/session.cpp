#include "apps/mutant/session.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "actors/folders/folders.hpp"
#include "core/identity.hpp"
#include "core/seed_words.hpp"

namespace mutant::cli {

namespace {

std::string cache_directory(const context& c) {
  return c.where.home + "/cache";
}

bool may_write_directory(const std::string& directory) {
  return (::mkdir(directory.c_str(), 0700) == 0 || errno == EEXIST) && ::access(directory.c_str(), W_OK | X_OK) == 0;
}

}  // namespace

result<identity_keys> open_identity(const std::string& text, const std::string& path, const std::string& passphrase_file) {
  auto explained = [&](error e) {
    e.message += " (" + path + ")";
    if (e.code == errc::corrupt_record)
      e.message += "; restore it from a copy: without it the values cannot be read";
    return fail(std::move(e));
  };
  auto kind = inspect_identity(text);
  if (!kind)
    return explained(kind.error());
  passphrase word;
  if (kind->needs_passphrase) {
    auto given = given_passphrase(passphrase_file);
    if (!given)
      return fail(given.error());
    if (!*given) {
      auto answer = ask_passphrase("Passphrase for " + path + ": ");
      if (!answer)
        return fail(answer.error());
      *given = std::move(*answer);
    }
    word = std::move(**given);
  }
  auto keys = decode_identity(text, word.text());
  return keys ? keys : explained(keys.error());
}

result<identity_keys> load_identity(const context& c) {
  auto text = read_identity_file(c.where.identity);
  if (!text)
    return fail(text.error());
  auto keys = open_identity(*text, c.where.identity, c.options.passphrase_file);
  wipe(std::as_writable_bytes(std::span(*text)));
  return keys;
}

result<void> refuse_reader(const context& c) {
  auto text = read_identity_file(c.where.identity);
  const auto is_reader = text && inspect_identity(*text).value_or(identity_text{}).is_reader;
  if (text)
    wipe(std::as_writable_bytes(std::span(*text)));
  if (is_reader)
    return fail(errc::access_denied, "the identity at " + c.where.identity + " is a reader's: it can read what the owner "
                                         "stores, and change nothing. This takes the owner's identity (--home, $MUTANT_HOME)");
  return {};
}

result<seed> load_owner(const context& c) {
  if (auto owners = refuse_reader(c); !owners)
    return fail(owners.error());
  auto keys = load_identity(c);
  if (!keys)
    return fail(keys.error());
  if (const auto* owner = std::get_if<seed>(&*keys))
    return *owner;
  return fail(errc::access_denied, "the identity at " + c.where.identity + " has just become a reader's");
}

result<seed> read_seed_words(const context& c) {
  if (::isatty(STDIN_FILENO) == 1)
    c.out.note("the 24 words, please; end them with Ctrl-D on a line of its own");
  std::string text(4096, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const auto got = ::read(STDIN_FILENO, text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return fail(errno_error(errno, "reading the words from standard input"));
    if (got == 0)
      break;
    size += static_cast<std::size_t>(got);
  }
  auto owner = seed_of_words(std::string_view(text).substr(0, size));
  wipe(std::as_writable_bytes(std::span(text)));
  return owner;
}

result<passphrase> new_passphrase(const std::string& file) {
  auto given = given_passphrase(file);
  if (!given)
    return fail(given.error());
  if (*given)
    return std::move(**given);
  return ::isatty(STDIN_FILENO) == 1 ? ask_new_passphrase() : passphrase();
}

void warn_of_plain_nodes(const console& out, const store_url& store) {
  static bool said = false;
  if (is_exposed(store) && !std::exchange(said, true))
    out.note("warning: " + to_string(store) + " goes over the network without TLS: whoever is on the way sees which pads are "
             "used and when, and can drop or withhold them. Use cafs:// with certificates (mutant node --make-certs)");
}

result<void> open_store(context& c, const identity_keys& keys, bool create) {
  forget_given_passphrase();
  warn_of_plain_nodes(c.out, c.where.store);
  client_options options;
  if (const auto* reader = std::get_if<reader_key>(&keys))
    options.store.reader = *reader;
  else
    options.store.owner = std::get<seed>(keys);
  options.store.url = to_string(c.where.store);
  options.store.create = create;
  options.store.accept_rollback = c.accept_rollback;
  options.store.compress = c.compress;
  options.store.small_bytes = small_file_bytes;
  if (!c.anew)
    options.store.cache_directory = cache_directory(c);
  options.store.index.salvage = c.salvage;
  options.store.any_file_system = c.options.any_file_system;
  options.store.crypto_workers = c.where.threads;
  options.threads = c.where.threads;
  if (c.where.store.scheme == "cafs")   // the environment may name certificates that this store has no use for
    options.store.tls = c.where.tls;
  options.store.remote.unreachable_after = c.where.connect_timeout;
  auto opened = client::open(std::move(options));
  if (!opened)
    return fail(opened.error());
  c.store = std::make_unique<client>(std::move(*opened));
  return {};
}

void remember(context& c) {
  // Where nothing can be written, what is remembered is looked at all the same, and there is no point in saying it each time.
  if (!c.store || !may_write_directory(cache_directory(c)))
    return;
  if (auto flushed = c.store->flush(); !flushed && flushed.error().code != errc::cancelled)
    c.out.note("remembering the index in " + c.where.home + "/cache: " + flushed.error().message);
}

namespace {

// Where nothing can be read the command itself will say why.
void tell_what_is_lost(context& c) {
  auto synced = c.store->sync();
  if (!synced && c.store->list({}, {}, 1))
    c.out.note("salvaging: " + synced.error().message);
}

}  // namespace

result<bool> open_for_reading(context& c) {
  auto keys = load_identity(c);
  if (!keys && keys.error().code == errc::key_not_found)
    return false;
  if (!keys)
    return fail(keys.error());
  if (auto opened = open_store(c, *keys, false); !opened)
    return fail(opened.error());
  if (c.salvage)
    tell_what_is_lost(c);
  return true;
}

result<bool> open_for_changing(context& c) {
  if (auto owners = refuse_reader(c); !owners)
    return fail(owners.error());
  return open_for_reading(c);
}

std::string nothing_stored_yet(const context& c) {
  return "nothing is stored yet: there is no identity at " + c.where.identity;
}

result<seed> make_identity(context& c, std::string_view given) {
  auto owner = generate_seed();
  if (auto made = create_identity_file(c.where.identity, owner, given); !made)
    return fail(made.error());
  c.out.note("made a new identity" + std::string(given.empty() ? "" : ", under the passphrase given") + ": "
             + c.where.identity + " (keep a copy of it: without it nothing can be read)");
  return owner;
}

result<void> open_for_writing(context& c) {
  if (auto owners = refuse_reader(c); !owners)
    return owners;
  if (auto ready = prepare_places(c.where); !ready)
    return ready;
  auto owner = load_owner(c);
  if (!owner && owner.error().code == errc::key_not_found) {
    // Someone else's store, or our own whose identity is lost: not to be decided in passing. Another process may have made
    // both since we looked.
    if (local_store_exists(c.where) && !identity_exists(c.where))
      return fail(errc::key_not_found, "there is a store at " + c.where.store.path + ", but no identity at "
                                           + c.where.identity + ": put the identity back, or run 'mutant init' to use this "
                                           + "store with a new one");
    auto given = given_passphrase(c.options.passphrase_file);
    if (!given)
      return fail(given.error());
    owner = make_identity(c, *given ? (*given)->text() : std::string_view());
    if (owner)
      c.out.note("values are kept in " + to_string(c.where.store));
    else if (owner.error().code == errc::key_exists)
      owner = load_owner(c);
  }
  if (!owner)
    return fail(owner.error());
  return open_store(c, *owner, true);
}

}  // namespace mutant::cli
