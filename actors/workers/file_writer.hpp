// Writes plaintext into the files of gets. Detached, and a few of them, so that a disk has several writes at a time.
#pragma once

#include "actors/interfaces.hpp"

namespace mutant {

file_writer_actor::behavior_type file_writer(file_writer_actor::pointer self);

// A pool of so many.
file_writer_actor spawn_file_writers(caf::actor_system& system, std::size_t count, bool detached);

}  // namespace mutant
