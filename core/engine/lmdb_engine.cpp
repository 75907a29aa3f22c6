// Writing to the embedded store: records in LMDB, long payloads in segment files. store_format.hpp has the shape,
// segment_writer.hpp the argument for why nothing is lost or torn; store_reader.hpp reads.
//
// A batch is one LMDB write transaction, from its first put to its commit: puts are checked against exactly what the commit
// will replace, and other processes wait meanwhile. The thread that puts must commit. When an operation breaks the batch the
// transaction is aborted at once, so that others may go on, and commit reports why.
#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "core/engine/disk_reserve.hpp"
#include "core/engine/engine.hpp"
#include "core/engine/lmdb_env.hpp"
#include "core/engine/lmdb_writer.hpp"
#include "core/engine/segment_reader.hpp"
#include "core/engine/segment_writer.hpp"
#include "core/engine/write_rule.hpp"
#include "core/record.hpp"

namespace mutant {
namespace {

using store_format::extent;
using store_format::extent_value_bytes;
using store_format::store_meta;

// A pad's value as it lies in the map: valid until its transaction ends or writes.
struct stored_pad {
  record_header header;
  byte_view value;
  std::optional<extent> where;  // nullopt: the value is the whole record

  std::size_t record_bytes() const noexcept { return record_header_bytes + header.payload_bytes; }
};

class lmdb_engine final : public lmdb_writer {
 public:
  lmdb_engine(std::shared_ptr<lmdb_env> env, const lmdb_options& options);
  ~lmdb_engine() override { abandon(); }

  result<void> put(const bytes& record) override { return put(record, false); }
  result<void> put_making_room(const bytes& record) override { return put(record, true); }
  result<void> erase(const bytes& blank) override;
  result<void> commit() override;
  result<void> tidy() override;
  result<std::uint64_t> trim() override;

 private:
  struct open_batch {
    write_txn txn;
    store_meta meta;
    bool changed = false;
    bool adds = false;  // something that may not use the reserve
  };

  result<void> put(const bytes& record, bool makes_room);
  result<void> begin();
  result<void> between_batches() const;
  result<void> begin_adding(std::size_t record_bytes);
  result<void> put_into_batch(const record_header& header, const bytes& record, bool makes_room);
  result<void> erase_from_batch(const record_header& blank);
  result<void> end_if_unchanged(result<void> outcome);
  void abandon();
  result<void> broken(error cause);
  void ended_without_room(bool adds);
  result<std::optional<stored_pad>> find(MDB_txn* txn, const pad_address& address) const;
  result<bool> holds(const stored_pad& stored, const bytes& record);
  result<void> store(const record_header& header, const bytes& record);
  result<void> release(const stored_pad& stored, bool wipe);
  std::string name_of_pad(const pad_address& address) const;

  std::shared_ptr<lmdb_env> env_;
  std::size_t segment_from_bytes_;
  segment_writer segments_;
  segment_reader payloads_;
  disk_reserve reserve_;
  std::optional<open_batch> batch_;
  std::optional<error> failure_;  // of the batch, until commit has reported it
};

lmdb_engine::lmdb_engine(std::shared_ptr<lmdb_env> env, const lmdb_options& options)
    : env_(std::move(env)),
      segment_from_bytes_(options.segment_from_bytes == 0
                              ? max_record_bytes
                              : std::max<std::size_t>(options.segment_from_bytes, store_format::min_segment_payload_bytes)),
      segments_(*env_), payloads_(env_->directory()), reserve_(env_->directory()) {}

std::string lmdb_engine::name_of_pad(const pad_address& address) const {
  return "pad " + short_name(address) + " in the store " + env_->directory();
}

result<std::optional<stored_pad>> lmdb_engine::find(MDB_txn* txn, const pad_address& address) const {
  if (auto sound = env_->check_pad(address); !sound)
    return fail(sound.error());
  auto key = to_val(address);
  MDB_val value{};
  auto code = mdb_get(txn, env_->pads_database(), &key, &value);
  if (code == MDB_NOTFOUND)
    return std::nullopt;
  if (code != 0)
    return fail(lmdb_error(code, "looking up " + name_of_pad(address)));
  auto view = to_view(value);
  auto header = parse_header(view);
  if (!header && header.error().code == errc::unsupported)
    return fail(errc::unsupported, name_of_pad(address) + ": " + header.error().message);
  stored_pad found{header.value_or(record_header{}), view, std::nullopt};
  if (header && header->address == address && view.size() == found.record_bytes())
    return found;
  if (!header || header->address != address || view.size() != extent_value_bytes
      || header->payload_bytes < store_format::min_segment_payload_bytes)
    return fail(errc::corrupt_record, name_of_pad(address) + " is damaged on disk");
  std::memcpy(&found.where.emplace(), view.data() + record_header_bytes, sizeof(extent));
  return found;
}

// -- writing -----------------------------------------------------------------------------------------------------------

// Opens the batch if none is open. An error breaks the batch.
result<void> lmdb_engine::begin() {
  if (failure_)
    return fail(failure_->code, "this batch has failed already; commit ends it: " + failure_->message);
  if (batch_)
    return {};
  auto txn = env_->write();
  if (!txn)
    return broken(txn.error());
  auto meta = env_->load_meta(txn->handle());
  if (!meta)
    return broken(meta.error());
  if (!*meta)
    return broken({errc::store_damaged, "the store " + env_->directory() + " has lost its meta record"});
  batch_.emplace(open_batch{std::move(*txn), **meta});
  return {};
}

void lmdb_engine::abandon() {
  if (!batch_)
    return;
  segments_.aborted(false);
  batch_.reset();
}

// A batch that only makes room finds some when it is tried again.
void lmdb_engine::ended_without_room(bool adds) {
  if (!adds)
    reserve_.give_up();
}

// Adding keeps the reserve whole. Pages that LMDB has to spare are as good, if they are enough for what is added, too.
result<void> lmdb_engine::begin_adding(std::size_t record_bytes) {
  constexpr std::uint64_t pages_of_a_transaction_bytes = 64 * 1024;
  if (std::exchange(batch_->adds, true))
    return {};
  auto whole = reserve_.make_whole();
  if (whole || whole.error().code != errc::store_full)
    return whole;
  auto spare = env_->free_bytes();
  if (!spare)
    return fail(spare.error());
  return *spare >= reserve_.size_bytes() + record_bytes + pages_of_a_transaction_bytes ? result<void>() : whole;
}

result<void> lmdb_engine::broken(error cause) {
  // To who writes, corrupt_record says that the new record is malformed; here it is the stored one that is damaged.
  if (cause.code == errc::corrupt_record)
    cause.code = errc::store_damaged;
  const auto without_room = batch_ && cause.code == errc::store_full;
  const auto adds = batch_ && batch_->adds;
  abandon();
  if (without_room)
    ended_without_room(adds);
  failure_ = cause;
  return fail(std::move(cause));
}

result<bool> lmdb_engine::holds(const stored_pad& stored, const bytes& record) {
  if (!stored.where)
    return std::ranges::equal(stored.value, record.view());
  auto header = stored.value.first(record_header_bytes);
  if (record.size() != stored.record_bytes() || !std::ranges::equal(header, record.view().first(record_header_bytes)))
    return false;
  if (auto settled = segments_.settle(); !settled)  // it may be of this batch
    return fail(settled.error());
  auto whole = payloads_.read(*stored.where, header, stored.header.payload_bytes);
  if (!whole)
    return fail(whole.error());
  return *whole == record;
}

result<void> lmdb_engine::store(const record_header& header, const bytes& record) {
  batch_->changed = true;
  auto key = to_val(header.address);
  auto value = to_val(record);
  std::array<std::byte, extent_value_bytes> with_extent;
  if (header.payload_bytes >= segment_from_bytes_) {
    auto where = segments_.write(batch_->txn, batch_->meta, record);
    if (!where)
      return fail(where.error());
    std::memcpy(with_extent.data(), record.data(), record_header_bytes);
    std::memcpy(with_extent.data() + record_header_bytes, &*where, sizeof *where);
    value = to_val(with_extent);
  }
  if (auto code = mdb_put(batch_->txn.handle(), env_->pads_database(), &key, &value, 0); code != 0)
    return fail(env_->failure(code, "writing " + name_of_pad(header.address)));
  batch_->meta.pads += 1;
  batch_->meta.record_bytes += record.size();
  return {};
}

// Takes the pad out of the totals and frees its extent. wipe: what lies there is to go from the disk, too.
result<void> lmdb_engine::release(const stored_pad& stored, bool wipe) {
  batch_->changed = true;
  batch_->meta.pads -= 1;
  batch_->meta.record_bytes -= stored.record_bytes();
  return stored.where ? segments_.free(batch_->txn, *stored.where, stored.header.payload_bytes, wipe) : result<void>();
}

result<void> lmdb_engine::put(const bytes& record, bool makes_room) {
  auto header = parse_record(record);
  if (!header)
    return fail(header.error());
  if (auto begun = begin(); !begun)
    return begun;
  const auto first = !batch_->changed;
  auto outcome = put_into_batch(*header, record, makes_room || header->blank);
  if (first && !outcome && outcome.error().code == errc::store_full && failure_) {
    // What the last transactions freed is not free yet: two more make it so.
    failure_.reset();
    static_cast<void>(segments_.tidy());
    if (auto begun = begin(); !begun)
      return begun;
    outcome = put_into_batch(*header, record, makes_room || header->blank);
  }
  return end_if_unchanged(std::move(outcome));
}

result<void> lmdb_engine::erase(const bytes& blank) {
  auto header = parse_blank(blank);
  if (!header)
    return fail(header.error());
  if (auto begun = begin(); !begun)
    return begun;
  return end_if_unchanged(erase_from_batch(*header));
}

// A refused write, or one that was there already, is no reason to keep other processes waiting.
result<void> lmdb_engine::end_if_unchanged(result<void> outcome) {
  if (batch_ && !batch_->changed)
    abandon();
  return outcome;
}

result<void> lmdb_engine::put_into_batch(const record_header& header, const bytes& record, bool makes_room) {
  auto stored = find(batch_->txn.handle(), header.address);
  if (!stored && stored.error().code == errc::corrupt_record)  // this pad's trouble, not that of others in the batch
    return fail(stored.error());
  if (!stored)
    return broken(stored.error());
  if (*stored) {
    result<bool> same(true);
    auto verdict = check_write((*stored)->header, header.counter, [&] {
      same = holds(**stored, record);
      return same.value_or(false);
    });
    if (!same)
      return broken(same.error());
    if (!verdict || *verdict == write_verdict::already_there)
      return verdict ? result<void>() : fail(verdict.error());
  }
  if (auto room = makes_room ? result<void>() : begin_adding(record.size()); !room)
    return broken(room.error());
  if (*stored)
    if (auto released = release(**stored, header.blank); !released)
      return broken(released.error());
  if (auto done = store(header, record); !done)
    return broken(done.error());
  return {};
}

result<void> lmdb_engine::erase_from_batch(const record_header& blank) {
  auto stored = find(batch_->txn.handle(), blank.address);
  if (!stored)
    return broken(stored.error());
  if (!*stored)
    return {};
  if (auto allowed = check_erase((*stored)->header, blank.counter); !allowed)
    return allowed;
  if (auto released = release(**stored, false); !released)
    return broken(released.error());
  auto key = to_val(blank.address);
  if (auto code = mdb_del(batch_->txn.handle(), env_->pads_database(), &key, nullptr); code != 0)
    return broken(env_->failure(code, "erasing " + name_of_pad(blank.address)));
  return {};
}

result<void> lmdb_engine::commit() {
  if (failure_)
    return fail(*std::exchange(failure_, std::nullopt));
  if (!batch_)
    return {};
  auto outcome = segments_.sync();
  if (outcome)
    outcome = segments_.reclaim(batch_->txn);
  if (outcome)
    outcome = env_->save_meta(batch_->txn.handle(), batch_->meta);
  auto in_doubt = false;
  if (outcome) {
    outcome = batch_->txn.commit();
    in_doubt = !outcome && outcome.error().code == errc::io_error;
  }
  if (outcome)
    segments_.committed();
  else
    segments_.aborted(in_doubt);
  const auto adds = batch_->adds;
  batch_.reset();
  if (!outcome && outcome.error().code == errc::store_full)
    ended_without_room(adds);
  return outcome;
}

result<void> lmdb_engine::between_batches() const {
  if (batch_ || failure_)
    return fail(errc::invalid_argument, "the store " + env_->directory() + " is tidied between batches; commit first");
  return {};
}

result<void> lmdb_engine::tidy() {
  auto free = between_batches();
  return free ? segments_.tidy() : free;
}

result<std::uint64_t> lmdb_engine::trim() {
  auto free = between_batches();
  return free ? segments_.trim() : fail(free.error());
}

}  // namespace

result<std::unique_ptr<lmdb_writer>> open_lmdb_writer(const lmdb_options& options) {
  auto env = lmdb_env::open(options);
  if (!env)
    return fail(env.error());
  return std::make_unique<lmdb_engine>(std::move(*env), options);
}

}  // namespace mutant
