// From the options to an open store.
#pragma once

#include <memory>
#include <optional>

#include "actors/client.hpp"
#include "apps/mutant/console.hpp"
#include "apps/mutant/home.hpp"
#include "apps/mutant/passphrase.hpp"
#include "apps/mutant/progress_bar.hpp"
#include "apps/mutant/signals.hpp"
#include "core/identity.hpp"

namespace mutant::cli {

// What every command gets.
struct context {
  console out;
  global_options options;
  places where;
  bool accept_rollback = false;     // before it is opened
  bool anew = false;                // likewise: what is remembered of the index is left aside
  bool salvage = false;             // likewise: only for commands that look
  compression compress;             // before it is opened
  std::unique_ptr<client> store;    // once it is open
};

// Opens the store for a command that only looks. False: there is no identity, so nothing was ever stored; nothing is made.
result<bool> open_for_reading(context& c);
// What to tell someone who looks for something then.
std::string nothing_stored_yet(const context& c);
// The same for a command that changes what is there, and makes nothing. access_denied: the identity is a reader's; the store
// was not asked.
result<bool> open_for_changing(context& c);

// Opens the store for a command that writes; makes identity and store if there are none, and says where. access_denied: as
// above.
result<void> open_for_writing(context& c);

// access_denied if the identity is a reader's, which only reads. No passphrase is asked for.
result<void> refuse_reader(const context& c);
// The identity, asking for its passphrase if it has one. key_not_found: there is none.
result<identity_keys> load_identity(const context& c);
// Of those, the owner's alone. access_denied: it is a reader's.
result<seed> load_owner(const context& c);
// Another one's text, with its passphrase from `passphrase_file`, the environment or the terminal. `path` is for messages.
result<identity_keys> open_identity(const std::string& text, const std::string& path, const std::string& passphrase_file);
// A new identity, in its file. `given`: its passphrase; empty: none. key_exists: there is one already.
result<seed> make_identity(context& c, std::string_view given);
// 24 words from standard input; asked for, at a terminal.
result<seed> read_seed_words(const context& c);
// The passphrase for something new: given, or asked for at a terminal; otherwise none.
result<passphrase> new_passphrase(const std::string& file);
// Opens the store with this identity. `create`: make a local store that is not there.
result<void> open_store(context& c, const identity_keys& keys, bool create);

// Says so, once, when a store is_exposed.
void warn_of_plain_nodes(const console& out, const store_url& store);

// Lets this machine remember how far the store has come; a failure is only noted.
void remember(context& c);

// Runs a call of the client that a signal cancels.
template <class Call>
auto cancellable(context& c, Call call) {
  signal_scope scope(on_signal::cancel, [store = c.store.get()] { store->cancel(); });
  return call();
}

// Runs a call that changes the store in one step; a first signal waits for it.
template <class Call>
auto uninterrupted(Call call) {
  signal_scope scope(on_signal::finish);
  return call();
}

inline progress_bar bar_for(const context& c, const std::string& label) {
  return progress_bar(progress_bar::possible() && !c.out.quiet && !c.out.use_json, label);
}

}  // namespace mutant::cli
