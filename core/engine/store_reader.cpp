#include "core/engine/store_reader.hpp"

#include <algorithm>
#include <cstring>

#include "core/engine/store_directory.hpp"

namespace mutant {

using store_format::extent;
using store_format::extent_value_bytes;
using store_format::store_meta;

namespace {

// Beyond this a version is taken for damage.
constexpr std::uint32_t max_future_version = 255;
constexpr std::size_t address_offset = 32;  // docs/format.md, "Records"

error lost(const std::string& directory, const char* what) {
  return {errc::store_damaged, "the store " + directory + " is damaged: " + what
                                   + "; nothing was written. Restore the store from a copy"};
}

}  // namespace

// -- the meta record ---------------------------------------------------------------------------------------------------

result<store_meta> parse_store_meta(byte_view value, const std::string& directory) {
  store_meta meta;
  auto known = value.size() == sizeof meta;
  if (known) {
    std::memcpy(&meta, value.data(), sizeof meta);
    known = meta.magic == store_format::magic;
  }
  if (!known)
    return fail(errc::invalid_argument, "the LMDB environment in " + directory
                                            + " belongs to another program; give another directory");
  if (meta.version > store_format::version_with_segments && meta.version <= max_future_version)
    return fail(errc::unsupported, "the store " + directory + " has format version " + std::to_string(meta.version)
                                       + ", and this program knows no later one than "
                                       + std::to_string(store_format::version_with_segments) + "; use a newer program");
  if (meta.version < store_format::version_without_segments || meta.version > max_future_version || meta.zero != 0
      || meta.zero_too != 0 || meta.reserved != store_meta{}.reserved)
    return fail(lost(directory, "its meta record makes no sense"));
  return meta;
}

result<std::optional<store_meta>> find_store_meta(const lmdb_file& file, const lmdb_file::state& now,
                                                  const std::string& directory) {
  if (now.meta.main.depth == 0)
    return std::nullopt;
  auto found = file.find(now, now.meta.main, as_byte_view(store_format::meta_key));
  if (!found)
    return fail(found.error());
  auto ours = false;  // a store whose meta record is damaged still has its databases
  for (const auto* name : {store_format::pads_database, store_format::segments_database, store_format::free_database}) {
    auto named = file.find_database(now, name);
    if (!named)
      return fail(named.error());
    ours |= named->has_value();
  }
  auto meta = parse_store_meta(*found ? byte_view((*found)->inside) : byte_view(), directory);
  if (meta)
    return *meta;
  return fail(ours && meta.error().code == errc::invalid_argument ? lost(directory, "its meta record is gone")
                                                                  : meta.error());
}

// -- pads --------------------------------------------------------------------------------------------------------------

result<std::unique_ptr<store_reader>> store_reader::open(const std::string& directory) {
  auto file = lmdb_file::open(directory + '/' + std::string(store_format::data_file));
  if (!file)
    return fail(file.error());
  auto good = file->read([&](const lmdb_file::state& now) -> result<void> {
    if (auto whole = file->check_size(now); !whole)
      return whole;
    auto meta = find_store_meta(*file, now, directory);
    return meta ? result<void>() : fail(meta.error());
  });
  if (!good)
    return fail(good.error());
  return std::unique_ptr<store_reader>(new store_reader(directory, std::move(*file)));
}

std::string store_reader::name_of_pad(const pad_address& address) const {
  return "pad " + short_name(address) + " in the store " + directory_;
}

// The same for all look-ups between two commits.
result<lmdb_pages::database> store_reader::pads(const lmdb_file::state& now) {
  {
    std::lock_guard lock(mutex_);
    if (known_pads_ && known_head_ == now.head)
      return *known_pads_;
  }
  auto found = file_.find_database(now, store_format::pads_database);
  if (!found)
    return fail(found.error());
  if (!*found)
    return now.meta.main.depth == 0 ? result<lmdb_pages::database>(lmdb_pages::database{})
                                    : fail(lost(directory_, "it has lost its table of pads"));
  std::lock_guard lock(mutex_);
  known_head_ = now.head;
  known_pads_ = **found;
  return **found;
}

result<std::optional<store_reader::found_pad>> store_reader::find(const lmdb_file::state& now, const pad_address& address) {
  auto table = pads(now);
  // A record knows its address, so that a damaged key is noticed by whoever looks for the old one in vain.
  const auto knows_its_key = [&](byte_view key, const lmdb_file::stored_value& value) -> result<void> {
    std::array<std::byte, record_header_bytes> front{};
    if (value.size >= front.size())
      if (auto there = file_.read_value(now, value, 0, front); !there)
        return there;
    if (!std::ranges::equal(byte_view(front).subspan(address_offset, sizeof(pad_address)), key))
      return fail(lost(directory_, "it has an entry in its table of pads whose record is another pad's"));
    return {};
  };
  auto stored = table ? file_.find(now, *table, address, knows_its_key) : fail(table.error());
  if (!stored || !*stored)
    return stored ? result<std::optional<found_pad>>(std::nullopt) : fail(stored.error());
  found_pad pad;
  pad.value = std::move(**stored);
  const auto size = pad.value.size;
  auto front = byte_span(pad.front).first(std::min(size, pad.front.size()));
  if (auto there = file_.read_value(now, pad.value, 0, front); !there)
    return fail(there.error());
  auto header = parse_header(front.first(std::min(size, record_header_bytes)));
  if (!header && header.error().code == errc::unsupported)
    return fail(errc::unsupported, name_of_pad(address) + ": " + header.error().message);
  if (!header || header->address != address)
    return fail(errc::corrupt_record, name_of_pad(address) + " is damaged on disk: "
                                          + (header ? "another pad's record is in its place" : header.error().message));
  pad.header = *header;
  if (size == record_header_bytes + header->payload_bytes)
    return pad;
  if (size != extent_value_bytes || header->payload_bytes < store_format::min_segment_payload_bytes)
    return fail(errc::corrupt_record, name_of_pad(address) + " is damaged on disk: it has another size than it says");
  std::memcpy(&pad.where.emplace(), pad.front.data() + record_header_bytes, sizeof(extent));
  return pad;
}

result<bytes> store_reader::get(const pad_address& address) {
  // Payloads in segments are read without holding on to anything; afterwards the pad must still lie where it did. Otherwise
  // its blocks may have been used again under our eyes. Each new round means that somebody has durably replaced the pad.
  constexpr int max_rounds = 100;
  std::array<std::byte, extent_value_bytes> seen{};
  std::optional<result<bytes>> record;
  for (int round = 0; round < max_rounds; ++round) {
    std::optional<result<bytes>> in_file;
    auto found = file_.read([&](const lmdb_file::state& now) {
      in_file.reset();
      auto pad = find(now, address);
      if (pad && *pad && !(*pad)->where) {
        auto whole = buffer::for_record((*pad)->value.size);
        auto there = file_.read_value(now, (*pad)->value, 0, whole.span());
        in_file = there ? result<bytes>(std::move(whole).freeze()) : fail(there.error());
      }
      return pad;
    });
    if (!found)
      return fail(found.error());
    if (!*found)
      return fail(errc::pad_not_found, "there is no " + name_of_pad(address));
    if (in_file)
      return std::move(*in_file);
    const auto& pad = **found;
    if (record && pad.front == seen)
      return std::move(*record);
    seen = pad.front;
    record = payloads_.read(*pad.where, pad.stored_header(), pad.header.payload_bytes);
  }
  return fail(errc::overloaded, name_of_pad(address) + " is replaced faster than it can be read; try again");
}

result<bytes> store_reader::head(const pad_address& address) {
  auto found = file_.read([&](const lmdb_file::state& now) { return find(now, address); });
  if (!found)
    return fail(found.error());
  if (!*found)
    return fail(errc::pad_not_found, "there is no " + name_of_pad(address));
  return bytes::copy_of((*found)->stored_header());
}

result<bool> store_reader::is_untidy() {
  return file_.read([&](const lmdb_file::state& now) -> result<bool> {
    auto released = file_.find_database(now, store_format::released_database);
    if (!released)
      return fail(released.error());
    return *released && (*released)->depth > 0;
  });
}

result<engine_stats> store_reader::stats() {
  auto meta = file_.read([&](const lmdb_file::state& now) { return find_store_meta(file_, now, directory_); });
  if (!meta)
    return fail(meta.error());
  engine_stats stats;
  if (*meta) {
    stats.pads = (*meta)->pads;
    stats.record_bytes = (*meta)->record_bytes;
  }
  stats.disk_bytes = directory_disk_bytes(directory_);
  return stats;
}

}  // namespace mutant
