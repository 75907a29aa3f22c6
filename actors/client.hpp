// The store for code without actors: a blocking facade that owns an actor system and one store in it.
//
//   auto client = mutant::client::open({.owner = seed, .url = "local:/var/lib/pads"});
//   client->put("greeting", mutant::bytes::copy_of("hello"));
//   auto value = client->get("greeting");                      // result<get_result>
//
// One call at a time per client; cancel() alone may come from any thread. Errors are those of core/error.hpp. The destructor
// ends the store; what was answered is durable.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "actors/store.hpp"

namespace mutant {

// All calls of a client carry this cancellation id, and those of its pipelines: cancel() ends them all.
constexpr std::uint64_t client_cancellation_id = 1;

struct client_options {
  store_config store;
  std::size_t threads = 0;    // scheduler threads; 0: one per core, two at least
  std::chrono::milliseconds timeout{std::chrono::hours(24 * 365)};  // for one call
};

// Called from another thread, a few times a second at most per chunk.
using progress_callback = std::function<void(const progress&)>;

struct put_settings {
  std::optional<std::uint64_t> if_version;   // 0: only if absent
  progress_callback on_progress;             // not of values of up to store_config::small_bytes: they are put in one step
  bool verify = false;        // read what would be kept of the value that is there, instead of looking at headers
  bool may_grow = false;      // of a file: as long as it is when the put begins, whatever is appended meanwhile
  // Of a descriptor: called with the number of bytes that came, when there are no more. Its error fails the put, and the key
  // is as it was. In another thread; it may wait.
  std::function<result<void>(std::uint64_t)> at_end = nullptr;
  attribute_set attributes = {};             // put_file adds the file's mode and mtime
  bool in_pads = false;                      // even if it is small
};

struct get_settings {
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> length;
  progress_callback on_progress;
  bool preserve = false;                     // get_file: a new file gets the mode and mtime that the value has as attributes
};

class client {
 public:
  static result<client> open(client_options options);
  client(client&&) noexcept;
  client& operator=(client&&) noexcept;
  ~client();

  result<put_result> put(std::string key, bytes value, const put_settings& settings = {});
  // A regular file is read at offsets by the crypto workers, and its mode and time become attributes; anything else, and a
  // file that does not say how long it is, is streamed.
  result<put_result> put_file(std::string key, const std::string& path, const put_settings& settings = {});
  // Until the end of the descriptor's input; `name` is for messages.
  result<put_result> put_descriptor(std::string key, int descriptor, std::string name, const put_settings& settings = {});

  result<get_result> get(std::string key, const get_settings& settings = {});
  // Into a temporary file beside the file that `path` leads to, which it replaces when everything is written and synced. What
  // is no regular file (a device, a pipe), and what is reached through /proc (/dev/stdout), is written to directly.
  result<get_result> get_file(std::string key, const std::string& path, const get_settings& settings = {});
  result<get_result> get_descriptor(std::string key, int descriptor, std::string name, const get_settings& settings = {});

  // What is wrong with the value; with a file, where that differs from it.
  result<check_result> check(std::string key, const std::string& against = {});
  // The file's bytes in place of what is damaged of the value, which stays all else that it is. invalid_argument: the file is
  // not the same value. Nothing is written if nothing is damaged.
  result<put_result> repair(std::string key, const std::string& from, const put_settings& settings = {});

  // Also drops an unfinished upload. wipe: the pads that became free are blanked.
  result<void> remove(std::string key, std::optional<std::uint64_t> if_version = std::nullopt, bool wipe = false);
  result<void> rename(std::string from, std::string to);
  result<commit_result> assemble(assemble_request request);
  // One page; go on with the last key as `after` until a page is empty.
  result<list_page> list(std::string prefix, std::string after = {}, std::uint32_t limit = 1000);
  result<list_item> find(std::string key);
  result<sync_report> sync();
  // Also looks whether the store's history goes through this position.
  result<sync_report> sync(position expected);
  result<store_stats> stats();
  result<purge_result> purge(purge_request request);
  // Brings this machine's memory of the index up to date (store_config::cache_directory); the destructor does not.
  result<void> flush();

  // Ends the call that is running with `cancelled`; a put keeps its progress for the next attempt.
  void cancel() noexcept;

  caf::actor_system& system() noexcept;
  const store_actor& store() const noexcept;

 private:
  struct parts;
  explicit client(std::unique_ptr<parts> p);
  std::unique_ptr<parts> parts_;
};

}  // namespace mutant
