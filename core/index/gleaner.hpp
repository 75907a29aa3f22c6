// What records behind a gap tell of single keys, on top of a state that has none. For recover_index alone; see recover.hpp.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/index/recover.hpp"

namespace mutant {

class gleaner {
 public:
  // `out.state` is whole until out.whole_until, and `out.sequence` is the last commit known. Keeps the reference.
  explicit gleaner(recovered_index& out);

  // In any order; finish() goes by their sequence. Parts: null where they are lost. Both are kept by reference.
  void use_parts(const root& named, const std::vector<const snapshot_part*>& parts);
  void use_commit(std::uint64_t sequence, const commit& what);
  // Fills in the state, at out.sequence, and what is lost.
  result<void> finish(std::uint64_t next_pad);

 private:
  template <class Value>
  struct known {
    Value value;
    std::uint64_t as_of = 0;           // the value was the key's after this commit
  };
  struct freed_pad {
    std::uint64_t counter = 0;
    std::uint64_t as_of = 0;
  };
  // Consecutive parts of one sequence: the base, or one delta.
  struct part_group {
    std::uint64_t sequence = 0;
    std::uint64_t before = 0;          // it says all that changed since this commit
    bool is_base = false;
    bool is_whole = true;
    std::vector<const snapshot_part*> parts;
  };
  using upload_ptr = std::shared_ptr<const upload>;

  void start_from(const index_state& state);
  void apply(const part_group& group);
  void apply(std::uint64_t sequence, const commit& what);
  void take_entries(const snapshot_part& part, std::uint64_t sequence);
  void take_uploads(const snapshot_part& part, std::uint64_t sequence);
  void find_lost_keys(const part_group& base);
  void gap_until(std::uint64_t sequence);
  bool is_fresh(std::uint64_t as_of) const { return as_of >= gap_end_; }
  void set(const std::string& key, entry value, std::uint64_t version);
  void lose(const std::string& key, std::uint64_t version, std::string why);
  void free_pad(const pad_ref& pad, std::uint64_t as_of);

  void apply(const put_op& op, std::uint64_t sequence);
  void apply(const remove_op& op, std::uint64_t sequence);
  void apply(const rename_op& op, std::uint64_t sequence);
  void apply(const begin_upload_op& op, std::uint64_t sequence);
  void apply(const extend_upload_op& op, std::uint64_t sequence);
  void apply(const complete_upload_op& op, std::uint64_t sequence);
  void apply(const drop_upload_op& op, std::uint64_t sequence);
  void apply(const free_pads_op& op, std::uint64_t sequence);
  void apply(const adopt_upload_op& op, std::uint64_t sequence);
  void apply(const assemble_op& op, std::uint64_t sequence);

  void drop_what_pads_refute();
  snapshot_part whole_part() const;

  recovered_index& out_;
  std::map<std::string, known<entry>> entries_;
  std::map<std::string, known<upload_ptr>> uploads_;
  std::map<std::uint64_t, freed_pad> freed_;
  std::map<std::uint64_t, part_group> groups_;            // by sequence
  std::map<std::uint64_t, const commit*> commits_;
  std::optional<unfinished<entry>> long_entry_;           // its chunks go on in the next part
  std::optional<unfinished<upload>> long_upload_;
  std::map<std::string, recovered_index::lost_value> lost_;
  std::uint64_t covered_ = 0;                             // all is known up to here, or named as lost
  std::uint64_t gap_end_ = 0;                             // the last commit of the last gap
};

}  // namespace mutant
