// copy_operation: whether the target may be written to. It may if it is empty, or an older copy of the source that nobody has
// written to since.
#include "actors/caf/ask.hpp"
#include "actors/copy/copy_operation.hpp"

namespace mutant {

void copy_operation_state::recall() {
  if (options.memory_path.empty())
    return look_at_target();
  ask(self, options.crypto, options.timeout, open_atom_v, open_cache_job{options.memory_path})
      .then(
          [this](opened_cache& opened) {
            memory = opened.seen;
            look_at_target();
          },
          failing());
}

void copy_operation_state::look_at_target() {
  const auto begin = [this] { remember({}, [this] { pass(); }); };
  ask(self, options.to, options.timeout, head_atom_v, pad_query{root_address})
      .then(
          [this, begin](bytes&) {
            if (memory && memory->root_counter == 0)  // a copy that was cut off
              return begin();
            target_index = options.open_target_index();
            ask(self, target_index, options.timeout, count_atom_v)
                .then([this](index_stats& there) { identify(there.sequence, there.last_commit); },
                      [this](caf::error& cause) {
                        auto e = from_caf(cause);
                        e.message = "the target has an index that cannot be read: " + e.message;
                        fail_with(std::move(e));
                      });
          },
          [this, begin](caf::error& cause) {
            auto e = from_caf(cause);
            if (e.code == errc::pad_not_found)
              return begin();
            e.message = "the target: " + e.message;
            fail_with(std::move(e));
          });
}

void copy_operation_state::identify(std::uint64_t there, const content_hash& last) {
  if (there == 0)
    return fail_with(foreign_target("has an index of its own"));
  const auto begin = [this] { remember({}, [this] { pass(); }); };
  if (memory && memory->sequence == there && memory->last_commit == last)
    return begin();
  const auto text = "stands at commit " + std::to_string(there);
  ask(self, options.from_index, options.timeout, sync_atom_v, position{there, {last.begin(), last.end()}})
      .then([begin](sync_report&) { begin(); },
            [this, text](caf::error& cause) {
              auto e = from_caf(cause);
              if (e.code == errc::unsupported)
                return fail_with(foreign_target(text + ", which is too long ago to be found in the source"));
              if (e.code == errc::rollback_detected)
                return fail_with(foreign_target(text + ", and that is not a commit of the source"));
              fail_with(std::move(e));
            });
}

error copy_operation_state::foreign_target(const std::string& why) const {
  return {errc::version_mismatch, "the target " + why + ": it is not an older copy of the source that nobody has written to "
                                      "since. Nothing was changed; copy to an empty place"};
}

// Root counter 0 says that a copy is under way: until it is done, the target need not make sense as a store.
void copy_operation_state::remember(const seen_state& what, step then) {
  if (options.memory_path.empty())
    return then();
  save_cache_job job;
  job.path = options.memory_path;
  job.seen = what;
  ask(self, options.crypto, options.timeout, seal_atom_v, std::move(job)).then([then](done) { then(); }, failing());
}

}  // namespace mutant
