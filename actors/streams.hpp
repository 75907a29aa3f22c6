// Sources and sinks over file descriptors that have no size or no seek: pipes, terminals, sockets. Detached; one reader each.
#pragma once

#include "actors/messages.hpp"

namespace mutant {

// Reads up to the wanted number of bytes, less only at the end. The descriptor stays the caller's.
chunk_source_actor spawn_descriptor_source(caf::actor_system& system, int descriptor, std::string name);
// Writes everything before it answers. A closed reader is io_error (have SIGPIPE ignored).
chunk_sink_actor spawn_descriptor_sink(caf::actor_system& system, int descriptor, std::string name);

}  // namespace mutant
