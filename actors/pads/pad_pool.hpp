// The pad workers in front of a pad store, behind one handle, with the patience that its kind of store wants.
#pragma once

#include "actors/pads/pad_worker.hpp"
#include "actors/pads/remote_store.hpp"
#include "core/store_url.hpp"

namespace mutant {

// Remote stores and clusters try again themselves, and take longer.
pad_worker_options apply_backend_timeouts(pad_worker_options options, const store_url& url, const remote_store_options& remote);

// A pool of so many workers; the handle has the pad store's interface. options.store is set, and validated.
pad_store_actor spawn_pad_pool(caf::actor_system& system, const pad_worker_options& options, std::size_t workers);

}  // namespace mutant
