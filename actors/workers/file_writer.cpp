#include "actors/workers/file_writer.hpp"

#include "actors/caf/spawn.hpp"
#include "actors/caf/worker_pool.hpp"
#include "core/files.hpp"

namespace mutant {

file_writer_actor::behavior_type file_writer(file_writer_actor::pointer) {
  return {[](push_atom, const write_job& job) -> caf::result<done> {
    const auto& file = *job.to.file;
    const std::string name = "the output file";
    auto written = job.fresh ? write_sparse_at(file.descriptor(), file.direct(), job.to.offset, job.plaintext, name)
                             : write_all_at(file.descriptor(), file.direct(), job.to.offset, job.plaintext, name);
    if (!written)
      return to_caf(written.error());
    return done{};
  }};
}

file_writer_actor spawn_file_writers(caf::actor_system& system, std::size_t count, bool detached) {
  worker_pool_options<file_writer_actor> pool;
  pool.name = "the file writers";
  pool.workers = count;
  pool.spawn = [&system, detached]() -> file_writer_actor {
    return detached ? start<caf::detached>(system, file_writer) : start(system, file_writer);
  };
  return start(system, worker_pool<file_writer_actor>, std::move(pool));
}

}  // namespace mutant
