// Writes plaintext into the files of gets. Detached, and a few of them, so that a disk has several writes at a time.
#pragma once

#include "actors/interfaces.hpp"

namespace mutant {

file_writer_actor::behavior_type file_writer(file_writer_actor::pointer self);

}  // namespace mutant
