// Sources and sinks over file descriptors that have no size or no seek: pipes, terminals, sockets. Detached; one reader each.
#pragma once

#include <functional>

#include "actors/messages.hpp"

namespace mutant {

// Told how many bytes came when there are no more; an error of it is the source's answer then. It may wait.
using source_end = std::function<result<void>(std::uint64_t size_bytes)>;

// Reads up to the wanted number of bytes, less only at the end. The descriptor stays the caller's.
chunk_source_actor spawn_descriptor_source(caf::actor_system& system, int descriptor, std::string name, source_end at_end = {});
// Writes everything before it answers. A closed reader is io_error (have SIGPIPE ignored).
chunk_sink_actor spawn_descriptor_sink(caf::actor_system& system, int descriptor, std::string name);

}  // namespace mutant
