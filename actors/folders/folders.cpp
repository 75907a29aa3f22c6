#include "actors/folders/folders.hpp"

#include "actors/folders/folder_walk.hpp"

namespace mutant {

namespace {

constexpr std::uint32_t page_keys = 1000;

// No other file will fare better then.
bool is_of_store(errc code) {
  switch (code) {
    case errc::store_full:
    case errc::overloaded:
    case errc::timeout:
    case errc::unreachable:
    case errc::rollback_detected:
    case errc::index_corrupt:
    case errc::store_damaged:
    case errc::cancelled: return true;
    default: return false;
  }
}

bool is_damage(errc code) {
  return code == errc::corrupt_record || code == errc::decrypt_failed || code == errc::bad_signature
         || code == errc::pad_not_found;
}

}  // namespace

result<key_selection> key_selection::matching(std::string_view pattern) {
  auto parsed = glob::parse(pattern);
  if (!parsed)
    return fail(parsed.error());
  auto beginning = parsed->literal_prefix();
  auto prefix = beginning.substr(0, beginning.rfind('/') + 1);
  return key_selection(std::move(prefix), std::move(beginning), std::move(*parsed));
}

result<store_walk> store_walk::open(client& store, const key_selection& which) {
  store_walk out(store, which);
  auto page = store.list(which.beginning(), {}, page_keys);
  if (!page)
    return fail(page.error());
  out.page_ = std::move(*page);
  if (auto settled = out.settle(); !settled)
    return fail(settled.error());
  return out;
}

result<void> store_walk::next() {
  ++at_;
  return settle();
}

// At the first item from here on that is one.
result<void> store_walk::settle() {
  while (!page_.empty()) {
    for (; at_ < page_.size(); ++at_) {
      const auto& found = page_[at_];
      if (found.version == 0 || !which_.has(found.key))
        continue;
      item_ = item_of(found.key.substr(which_.prefix().size()), found.size, found.attributes);
      return {};
    }
    auto page = store_->list(which_.beginning(), page_.back().key, page_keys);
    if (!page)
      return fail(page.error());
    page_ = std::move(*page);
    at_ = 0;
  }
  return {};
}

bool folder_run::goes_on() {
  if (!ended && events.stopped && events.stopped())
    ended = error{errc::cancelled, "interrupted; what was done before stays"};
  return !ended;
}

void folder_run::step(std::string_view what, const std::string& path) const {
  if (events.step)
    events.step(what, path);
}

void folder_run::fail_item(const std::string& path, const error& e) {
  if (is_of_store(e.code)) {
    if (!ended)
      ended = e;
    return;
  }
  ++report.failed;
  report.damaged = report.damaged || is_damage(e.code);
  if (events.failed)
    events.failed(path, e);
}

void folder_run::leave_out(const std::string& path, std::string_view why) {
  ++report.left_out;
  if (events.left_out)
    events.left_out(path, why);
}

void folder_run::did(const folder_item& item, std::uint64_t bytes) {
  switch (item.kind) {
    case item_kind::file: ++report.files; break;
    case item_kind::link: ++report.links; break;
    case item_kind::folder: ++report.folders; break;
  }
  if (item.kind != item_kind::file)
    return;
  report.bytes += bytes;
  if (events.on_progress)
    events.on_progress({report.bytes, std::nullopt, 0});
}

result<void> remove_keys(client& store, const key_selection& which, const folder_options& options, bool wipe,
                         const folder_events& events, folder_report& report) {
  folder_run run(options, events, report);
  auto keys = store_walk::open(store, which);
  if (!keys)
    return fail(keys.error());
  if (keys->item() == nullptr)
    return fail(errc::key_not_found, "no such key");
  {
    pipeline calls(store);
    while (keys->item() != nullptr && run.goes_on()) {
      if (const auto path = keys->item()->path; !options.excludes.covers(path)) {
        run.step("remove", path);
        if (options.dry_run)
          ++report.removed;
        else
          calls.remove({keys->key(), std::nullopt, wipe}, [&run, path](result<done>& out) {
            if (out)
              ++run.report.removed;
            else if (out.error().code != errc::key_not_found)   // somebody else did
              run.fail_item(path, out.error());
          });
      }
      if (auto moved = keys->next(); !moved)
        run.ended = moved.error();
    }
  }
  return run.outcome();
}

}  // namespace mutant
