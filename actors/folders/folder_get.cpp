// get_folder: what a store has in a folder and the disk has not, or not any more.
#include <unistd.h>

#include "actors/folders/folder_walk.hpp"
#include "core/folders/tree_reader.hpp"
#include "core/folders/tree_writer.hpp"

namespace mutant {

namespace {

// Values up to small_file_bytes come in the answer and are written here; longer ones are written by the file writers.
constexpr std::uint64_t min_large_cost = 512u << 10;
constexpr std::uint64_t max_link_bytes = 4095;

class folder_get {
 public:
  // `into`: null for a dry run.
  folder_get(client& store, const key_selection& from, tree_writer* into, folder_run& run)
      : from_(from), into_(into), run_(run), calls_(store) {}

  // `to`: null: there is nothing yet.
  result<void> walk(store_walk& from, tree_reader* to);

 private:
  void take(const store_walk& from, const folder_item* there);
  void fetch(const folder_item& item);
  void fetch_small(const folder_item& item, get_request request);
  void fetch_large(const folder_item& item, get_request request);
  void write_small(const folder_item& item, const bytes& value);
  void remove(const folder_item& there);
  void tell(const folder_item& item, const result<void>& out, std::uint64_t bytes);

  const key_selection& from_;
  tree_writer* into_;
  folder_run& run_;
  name_conflicts conflicts_;
  pipeline calls_;
};

// A full disk is that of the files: a get fills no store.
error of_disk(error e) {
  if (e.code == errc::store_full)
    e.code = errc::io_error;
  return e;
}

result<void> folder_get::walk(store_walk& from, tree_reader* to) {
  while ((from.item() != nullptr || (to != nullptr && to->item() != nullptr)) && run_.goes_on()) {
    const auto* there = to != nullptr ? to->item() : nullptr;
    if (from.item() == nullptr && !run_.options.remove_others)
      break;
    const auto order = compare_sides(from.item(), there);
    if (order > 0) {
      // A folder whose own item the store does not have may still have something in it.
      const auto is_shared = there->kind == item_kind::folder
                             && (there->path.empty() || (from.item() != nullptr && from.item()->path.starts_with(there->path)));
      if (!is_shared && run_.options.remove_others && !run_.options.excludes.covers(there->path))
        remove(*there);
      is_shared ? to->next() : to->next_behind();
      continue;
    }
    if (!run_.options.excludes.covers(from.item()->path))
      take(from, order == 0 ? there : nullptr);
    if (order == 0)
      to->next();
    if (auto moved = from.next(); !moved)
      run_.ended = moved.error();
  }
  calls_.finish();
  if (into_ != nullptr)
    into_->finish([this](const std::string& path, const error& e) { run_.fail_item(path, of_disk(e)); });
  return run_.outcome();
}

void folder_get::take(const store_walk& from, const folder_item* there) {
  const auto& item = *from.item();
  if (!item.path.empty())
    if (auto good = check_item_path(item.path); !good)
      return run_.fail_item(item.path, good.error());
  if (item.kind == item_kind::file && (item.path.empty() || item.path.ends_with('/')))
    return run_.fail_item(item.path, {errc::invalid_argument, "it is a value, but its key ends with '/' as a folder's"});
  if (conflicts_.is_inside_file(item.path))
    return run_.fail_item(item.path, {errc::key_exists, "a part of its path is the key of a value, too, which is a file here"});
  const auto as_before = there != nullptr && is_unchanged(item, *there);
  if (item.kind == item_kind::folder) {
    // Also one that is as it was: what is written into it changes its time.
    if (as_before && has_same_rights(item, *there))
      ++run_.report.unchanged;
    else
      run_.step("fetch", item.path);
    auto made = into_ != nullptr ? into_->make_folder(item) : result<void>();
    if (!made || !(as_before && has_same_rights(item, *there)))
      tell(item, made, 0);
    return;
  }
  if (as_before && !run_.options.checksum) {
    ++run_.report.unchanged;
    if (into_ != nullptr && !has_same_rights(item, *there))
      if (auto set = into_->restore_rights(item); !set)
        run_.fail_item(item.path, of_disk(set.error()));
    return;
  }
  run_.step("fetch", item.path);
  return into_ != nullptr ? fetch(item) : run_.did(item, item.size);
}

void folder_get::tell(const folder_item& item, const result<void>& out, std::uint64_t bytes) {
  if (out)
    run_.did(item, bytes);
  else
    run_.fail_item(item.path, of_disk(out.error()));
}

void folder_get::fetch(const folder_item& item) {
  get_request request;
  request.key = from_.prefix() + item.path;
  if (item.kind == item_kind::link && item.size > max_link_bytes)
    return run_.fail_item(item.path,
                          {errc::too_large, "a link cannot lead to a name of " + std::to_string(item.size) + " bytes"});
  if (item.size <= small_file_bytes)
    fetch_small(item, std::move(request));
  else
    fetch_large(item, std::move(request));
}

void folder_get::fetch_small(const folder_item& item, get_request request) {
  request.max_bytes = 2 * small_file_bytes;   // it may have grown since it was listed
  calls_.get(std::move(request), item.size, [this, item](result<get_result>& out) {
    if (!out)
      return run_.fail_item(item.path, of_disk(out.error()));
    const auto now = item_of(item.path, out->size, out->attributes);
    if (now.kind == item_kind::link)
      tell(now, into_->make_link(now, std::string(as_text(out->value))), 0);
    else
      write_small(now, out->value);
  });
}

void folder_get::write_small(const folder_item& item, const bytes& value) {
  auto file = into_->create(item.path);
  if (!file)
    return tell(item, fail(file.error()), 0);
  auto written = write_all_at(file->descriptor(), 0, value, item.path);
  tell(item, written ? into_->commit(*file, value.size(), item) : written, value.size());
}

void folder_get::fetch_large(const folder_item& item, get_request request) {
  auto made = into_->create(item.path);
  if (!made)
    return tell(item, fail(made.error()), 0);
  auto target = std::make_shared<tree_writer::target>(std::move(*made));
  request.sink = file_sink{std::make_shared<const open_file>(::dup(target->descriptor()), open_direct(target->descriptor())),
                           item.path, true};
  calls_.get(std::move(request), std::max(item.size, min_large_cost), [this, item, target](result<get_result>& out) {
    if (!out)
      return run_.fail_item(item.path, of_disk(out.error()));
    auto now = item_of(item.path, out->size, out->attributes);
    now.kind = item_kind::file;
    tell(now, into_->commit(*target, out->bytes_read, now), out->bytes_read);
  });
}

void folder_get::remove(const folder_item& there) {
  run_.step("remove", there.path);
  auto removed = into_ != nullptr ? into_->remove(there.path) : result<void>();
  if (removed)
    ++run_.report.removed;
  else
    run_.fail_item(there.path, of_disk(removed.error()));
}

}  // namespace

result<void> get_folder(client& store, const key_selection& from, const std::string& folder, const folder_options& options,
                        const folder_events& events, folder_report& report) {
  folder_run run(options, events, report);
  auto keys = store_walk::open(store, from);
  if (!keys)
    return fail(keys.error());
  if (keys->item() == nullptr)
    return fail(errc::key_not_found, "no such key");
  std::optional<tree_writer> into;
  if (!options.dry_run) {
    auto opened = tree_writer::open(folder, {options.owners, options.remove_others});
    if (!opened)
      return fail(of_disk(opened.error()));
    into.emplace(std::move(*opened));
  }
  tree_reader_options how;
  how.owners = options.owners;
  how.failed = [&](const std::string& path, const error& e) { run.fail_item(path, of_disk(e)); };
  auto there = tree_reader::open(folder, std::move(how));
  if (!there && !(options.dry_run && there.error().code == errc::key_not_found))
    return fail(there.error());
  folder_get get(store, from, into ? &*into : nullptr, run);
  return get.walk(*keys, there ? &*there : nullptr);
}

}  // namespace mutant
