// put_folder: what a folder of a disk has and the store has not, or not any more.
#include <sys/stat.h>

#include "actors/folders/folder_walk.hpp"
#include "core/folders/tree_reader.hpp"

namespace mutant {

namespace {

// What a file costs beside its bytes: descriptors, an operation.
constexpr std::uint64_t min_large_cost = 512u << 10;

class folder_put {
 public:
  folder_put(client& store, const key_selection& into, folder_run& run)
      : store_(store), into_(into), run_(run), calls_(store) {}

  // Nothing was seen there, which does not mean that nothing is there.
  void could_not_see(const std::string& path) { unseen_.push_back(path); }
  result<void> walk(tree_reader& from, store_walk& to);

 private:
  bool was_seen(const std::string& path);
  void new_or_changed(const tree_reader& from);
  void both_have(const tree_reader& from, const store_walk& to);
  bool holds_the_same(const tree_reader& from, const store_walk& to);
  void put_file(folder_item item, unique_fd file);
  void put_value(const folder_item& item, bytes value);
  void remove(const store_walk& to);
  result<bytes> read_small(const unique_fd& file, std::uint64_t size) const;

  client& store_;
  const key_selection& into_;
  folder_run& run_;
  pipeline calls_;
  std::deque<std::string> unseen_;
};

result<void> folder_put::walk(tree_reader& from, store_walk& to) {
  while ((from.item() != nullptr || to.item() != nullptr) && run_.goes_on()) {
    const auto order = compare_sides(from.item(), to.item());
    if (order < 0)
      new_or_changed(from);
    else if (order == 0)
      both_have(from, to);
    else if (run_.options.remove_others && !run_.options.excludes.covers(to.item()->path) && was_seen(to.item()->path))
      remove(to);
    if (order <= 0)
      from.next();
    if (order >= 0)
      if (auto moved = to.next(); !moved)
        run_.ended = moved.error();
  }
  calls_.finish();
  return run_.outcome();
}

bool folder_put::was_seen(const std::string& path) {
  while (!unseen_.empty() && unseen_.front() < path && !path.starts_with(unseen_.front()))
    unseen_.pop_front();
  return unseen_.empty() || !path.starts_with(unseen_.front());
}

void folder_put::both_have(const tree_reader& from, const store_walk& to) {
  const auto& item = *from.item();
  const auto as_before = is_unchanged(item, *to.item()) && has_same_rights(item, *to.item());
  if (as_before && (!run_.options.checksum || item.kind != item_kind::file || holds_the_same(from, to)))
    ++run_.report.unchanged;
  else
    new_or_changed(from);
}

// A value in the index costs no more than a look at it; others are compared chunk by chunk by the put.
bool folder_put::holds_the_same(const tree_reader& from, const store_walk& to) {
  if (!to.is_in_index())
    return false;
  auto file = from.open_file();
  auto stored = store_.get(to.key());
  if (!file || !stored)
    return false;
  auto here = read_small(*file, from.item()->size);
  return here && *here == stored->value;
}

void folder_put::new_or_changed(const tree_reader& from) {
  const auto& item = *from.item();
  if (into_.prefix().empty() && item.path.empty())   // the folder itself, but the store's top has no key
    return;
  if (auto size = into_.prefix().size() + item.path.size(); size > max_key_bytes)
    return run_.fail_item(item.path, {errc::too_large, "its key would have " + std::to_string(size) + " bytes, more than "
                                                           + std::to_string(max_key_bytes)});
  run_.step("store", item.path);
  if (run_.options.dry_run)
    return run_.did(item, item.size);
  if (item.kind == item_kind::folder)
    return put_value(item, {});
  if (item.kind == item_kind::link) {
    auto leads_to = from.read_link();
    return leads_to ? put_value(item, bytes::copy_of(*leads_to)) : run_.fail_item(item.path, leads_to.error());
  }
  auto file = from.open_file();
  return file ? put_file(item, std::move(*file)) : run_.fail_item(item.path, file.error());
}

result<bytes> folder_put::read_small(const unique_fd& file, std::uint64_t size) const {
  buffer content(static_cast<std::size_t>(size));
  std::byte more{};
  if (!read_all_at(file.get(), 0, content.span(), {}) || read_all_at(file.get(), size, {&more, 1}, {}))
    return fail(errc::io_error, "it changed while it was read, or its size is not what it says");
  return std::move(content).freeze();
}

void folder_put::put_file(folder_item item, unique_fd file) {
  // It may have changed since it was looked at. If it changes from here on, its time will tell the next put.
  struct stat s {};
  if (::fstat(file.get(), &s) != 0)
    return run_.fail_item(item.path, errno_error(errno, "looking at it"));
  item.size = static_cast<std::uint64_t>(s.st_size);
  item.mode = s.st_mode & 07777u;
  item.mtime_ns = std::int64_t{s.st_mtim.tv_sec} * 1'000'000'000 + s.st_mtim.tv_nsec;
  if (item.size <= small_file_bytes) {
    auto value = read_small(file, item.size);
    return value ? put_value(item, std::move(*value)) : run_.fail_item(item.path, value.error());
  }
  put_request request{into_.prefix() + item.path,
                      file_source{std::make_shared<const open_file>(file.release()), item.path},
                      std::nullopt, {}, false, attributes_of(item)};
  calls_.put(std::move(request), std::max(item.size, min_large_cost), [this, item](result<put_result>& out) {
    if (!out)
      run_.fail_item(item.path, out.error());
    else if (run_.options.checksum && out->chunks_written == 0 && out->chunks_kept != 0)
      ++run_.report.unchanged;
    else
      run_.did(item, out->size);
  });
}

void folder_put::put_value(const folder_item& item, bytes value) {
  put_request request{into_.prefix() + item.path, std::move(value), std::nullopt, {}, false, attributes_of(item)};
  const auto size = std::get<bytes>(request.source).size();
  calls_.put(std::move(request), size, [this, item, size](result<put_result>& out) {
    if (!out)
      run_.fail_item(item.path, out.error());
    else if (run_.options.checksum && out->chunks_written == 0 && out->chunks_kept != 0)
      ++run_.report.unchanged;
    else
      run_.did(item, size);
  });
}

void folder_put::remove(const store_walk& to) {
  const auto path = to.item()->path;
  run_.step("remove", path);
  if (run_.options.dry_run) {
    ++run_.report.removed;
    return;
  }
  calls_.remove({to.key(), std::nullopt, false}, [this, path](result<done>& out) {
    if (out)
      ++run_.report.removed;
    else if (out.error().code != errc::key_not_found)
      run_.fail_item(path, out.error());
  });
}

}  // namespace

result<void> put_folder(client& store, const std::string& folder, const key_selection& into, const folder_options& options,
                        const folder_events& events, folder_report& report) {
  folder_run run(options, events, report);
  folder_put put(store, into, run);
  tree_reader_options how;
  how.one_file_system = options.one_file_system;
  how.owners = options.owners;
  how.excludes = options.excludes;
  how.failed = [&](const std::string& path, const error& e) {
    put.could_not_see(path);
    run.fail_item(path, e);
  };
  how.not_entered = [&](const std::string& path) { put.could_not_see(path); };
  how.left_out = [&](const std::string& path, std::string_view why) { run.leave_out(path, why); };
  auto from = tree_reader::open(folder, std::move(how));
  if (!from)
    return fail(from.error());
  auto to = store_walk::open(store, into);
  if (!to)
    return fail(to.error());
  return put.walk(*from, *to);
}

}  // namespace mutant
