#include "actors/file_writer.hpp"

#include "core/files.hpp"

namespace mutant {

file_writer_actor::behavior_type file_writer(file_writer_actor::pointer) {
  return {[](push_atom, const write_job& job) -> caf::result<done> {
    const auto& file = *job.to.file;
    auto written = write_all_at(file.descriptor(), file.direct(), job.to.offset, job.plaintext, "the output file");
    if (!written)
      return to_caf(written.error());
    return done{};
  }};
}

}  // namespace mutant
