// What a program embeds: a private, mutable key–value store.
//
//   auto store = mutant::spawn_store(system, config);        // store_config: identity, where the pads lie, sizes
//   self->request(*store, timeout, mutant::put_atom_v, mutant::put_request{"key", mutant::bytes::copy_of("value")})
//
// The store is its index (index.hpp), which answers what is a look into it or one change of it, and passes the rest on to the
// operations (operations.hpp). These supervise the pad workers, the crypto workers and, if spawn_store opened it, the pad
// store. When one of those is lost the store ends itself with that reason; pools replace their own workers.
//
// End it with an exit message; whoever waits is answered `unreachable`, or `timeout` where a change was on its way. A store
// that nobody holds any more ends too, but only when nothing is under way and its timers have run out.
//
// The actor system's configuration must come from mutant::system_config (or call mutant::configure on its own).
#pragma once

#include "actors/index/spawn_index.hpp"
#include "actors/interfaces.hpp"
#include "actors/operations/operation_options.hpp"
#include "actors/pads/pad_worker.hpp"
#include "actors/pads/remote_store.hpp"
#include "core/compression.hpp"

namespace mutant {

struct store_config {
  seed owner;                          // every key comes from it
  std::optional<reader_key> reader;    // instead of it: reads what the owner stores, and changes nothing
  std::string url = "memory:";         // where the pads lie; see core/store_url.hpp
  pad_store_actor pads;                // instead of url: a pad store that the caller keeps
  tls_files tls;                       // for cafs://
  remote_store_options remote;         // for caf:// and cafs://: times and bounds
  bool create = true;                  // make a local store that is not there; otherwise that is `unreachable`
  bool any_file_system = false;        // a local store also on NFS, CIFS, 9p, FUSE …, where its locks may not hold

  std::string cache_directory;         // where this machine remembers the index; empty: nowhere
  bool accept_rollback = false;        // take the store as it is, whatever was seen of it before

  std::size_t crypto_workers = 0;      // 0: one per core; one more serves small values only
  std::size_t pad_workers = 32;        // requests to the pad store at a time
  std::size_t window = 0;              // chunks under way per operation; 0: crypto workers and a few more
  std::size_t get_window = 0;          // of a get; 0: as many, and one for each file writer
  std::uint32_t chunk_bytes = default_chunk_bytes;
  std::size_t inline_bytes = default_inline_bytes;
  std::size_t small_bytes = 16u << 10; // values up to this size, given as bytes, are put many at a time (small_puts.hpp)
  compression compress = {};           // of chunks that are written
  std::size_t max_operations = 1024;   // puts and gets at a time; `overloaded` beyond

  // Finer settings. The handles in them are filled in by spawn_store.
  pad_worker_options worker;
  index_options index;
  put_options put;
  get_options get;
  bool detached = true;                // false: everything on the scheduler's threads, for deterministic tests

  result<void> validate() const;
};

// What the files that remember this store's index here begin with; config.cache_directory, which is made if it can be, is set.
std::string index_memory_path(const store_config& config);

// What this kind of store wants: who asks the pad workers waits for as long as those may try, and where each request is a round
// trip to a bucket a get has more chunks under way, unless that is chosen. spawn_store does it for a URL; whoever passes `pads`
// that stand before such a store does it before.
void adapt(store_config& config, const store_url& url);

// Checks the configuration and opens the pad store. Errors: those of validate() and of opening the store.
result<store_actor> spawn_store(caf::actor_system& system, store_config config);

// How many threads spawn_store starts for it, and a call of it.
std::size_t threads_of(const store_config& config);

// Before an actor system is made from `config`, for what takes `more_threads`: io_error if this machine does not give them, or
// has no descriptors left (core/resources.hpp). CAF would not say so: it hangs, or aborts.
result<void> check_resources(const caf::actor_system_config& config, std::size_t more_threads);

// Adds our message types and errors to a configuration; an actor system made from it can spawn stores. For a store at a
// caf:// or cafs:// URL it also loads CAF's middleman, which costs a thread and a few milliseconds. Chooses the work sharing
// scheduler with a thread per core, two at least; what is set afterwards counts.
void configure(caf::actor_system_config& config, std::string_view url = {});

struct system_config : caf::actor_system_config {
  explicit system_config(std::string_view url = {}) { configure(*this, url); }
};

}  // namespace mutant
