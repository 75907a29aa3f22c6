// The embedded store, everything in LMDB: see store_format.hpp and lmdb_env.hpp.
//
// A batch is one LMDB write transaction, from its first put to its commit: puts are checked against exactly what the commit
// will replace, and other processes wait meanwhile. The thread that puts must commit. When an operation breaks the batch the
// transaction is aborted at once, so that others may go on, and commit reports why.
#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "core/engine/engine.hpp"
#include "core/engine/lmdb_env.hpp"
#include "core/engine/store_directory.hpp"
#include "core/engine/write_rule.hpp"
#include "core/record.hpp"

namespace mutant {
namespace {

using store_format::store_meta;

// A record as it lies in the map: valid until its transaction ends or writes.
struct stored_record {
  record_header header;
  byte_view whole;
};

class lmdb_engine final : public pad_engine {
 public:
  explicit lmdb_engine(std::shared_ptr<lmdb_env> env) : env_(std::move(env)) {}

  result<void> put(const bytes& record) override;
  result<void> erase(const bytes& blank) override;
  result<void> commit() override;
  result<bytes> get(const pad_address& address) override;
  result<bytes> head(const pad_address& address) override;
  result<engine_stats> stats() override;

 private:
  struct open_batch {
    write_txn txn;
    store_meta meta;
  };

  result<void> begin();
  result<void> broken(error cause);
  result<std::optional<stored_record>> find(MDB_txn* txn, const pad_address& address) const;

  std::shared_ptr<lmdb_env> env_;
  std::optional<open_batch> batch_;
  std::optional<error> failure_;  // of the batch, until commit has reported it
};

std::string pad_of(const lmdb_env& env, const pad_address& address) {
  return "pad " + short_name(address) + " in the store " + env.directory();
}

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
  if (!meta || !*meta)
    return broken(meta ? error{errc::io_error, "the store " + env_->directory() + " has lost its meta record"} : meta.error());
  batch_.emplace(open_batch{std::move(*txn), **meta});
  return {};
}

result<void> lmdb_engine::broken(error cause) {
  batch_.reset();
  failure_ = cause;
  return fail(std::move(cause));
}

result<std::optional<stored_record>> lmdb_engine::find(MDB_txn* txn, const pad_address& address) const {
  auto key = to_val(address);
  MDB_val value{};
  auto code = mdb_get(txn, env_->pads_database(), &key, &value);
  if (code == MDB_NOTFOUND)
    return std::nullopt;
  if (code != 0)
    return fail(lmdb_error(code, "looking up " + pad_of(*env_, address)));
  auto header = parse_record(to_view(value));
  if (!header)
    return fail(errc::corrupt_record, pad_of(*env_, address) + " is damaged on disk");
  return stored_record{*header, to_view(value)};
}

result<void> lmdb_engine::put(const bytes& record) {
  auto header = parse_record(record);
  if (!header)
    return fail(header.error());
  if (auto begun = begin(); !begun)
    return begun;
  auto stored = find(batch_->txn.handle(), header->address);
  if (!stored)
    return broken(stored.error());
  if (*stored) {
    auto same = [&] { return std::ranges::equal((*stored)->whole, record.view()); };
    auto verdict = check_write((*stored)->header, header->counter, same);
    if (!verdict || *verdict == write_verdict::already_there)
      return verdict ? result<void>() : fail(verdict.error());
  }
  auto replaced_bytes = *stored ? (*stored)->whole.size() : 0;
  auto key = to_val(header->address);
  auto value = to_val(record);
  if (auto code = mdb_put(batch_->txn.handle(), env_->pads_database(), &key, &value, 0); code != 0)
    return broken(lmdb_error(code, "writing " + pad_of(*env_, header->address)));
  batch_->meta.pads += *stored ? 0 : 1;
  batch_->meta.record_bytes += record.size() - replaced_bytes;
  return {};
}

result<void> lmdb_engine::erase(const bytes& blank) {
  auto header = parse_blank(blank);
  if (!header)
    return fail(header.error());
  if (auto begun = begin(); !begun)
    return begun;
  auto stored = find(batch_->txn.handle(), header->address);
  if (!stored)
    return broken(stored.error());
  if (!*stored)
    return {};
  if (auto allowed = check_erase((*stored)->header, header->counter); !allowed)
    return allowed;
  batch_->meta.pads -= 1;
  batch_->meta.record_bytes -= (*stored)->whole.size();
  auto key = to_val(header->address);
  if (auto code = mdb_del(batch_->txn.handle(), env_->pads_database(), &key, nullptr); code != 0)
    return broken(lmdb_error(code, "erasing " + pad_of(*env_, header->address)));
  return {};
}

result<void> lmdb_engine::commit() {
  if (failure_)
    return fail(*std::exchange(failure_, std::nullopt));
  if (!batch_)
    return {};
  auto batch = std::move(*batch_);
  batch_.reset();
  if (auto saved = env_->save_meta(batch.txn.handle(), batch.meta); !saved)
    return saved;
  return batch.txn.commit();
}

result<bytes> lmdb_engine::get(const pad_address& address) {
  auto txn = env_->read();
  if (!txn)
    return fail(txn.error());
  auto stored = find(txn->handle(), address);
  if (!stored)
    return fail(stored.error());
  if (!*stored)
    return fail(errc::pad_not_found, "there is no " + pad_of(*env_, address));
  auto record = buffer::for_record((*stored)->whole.size());
  std::memcpy(record.data(), (*stored)->whole.data(), record.size());
  return std::move(record).freeze();
}

result<bytes> lmdb_engine::head(const pad_address& address) {
  auto txn = env_->read();
  if (!txn)
    return fail(txn.error());
  auto stored = find(txn->handle(), address);
  if (!stored)
    return fail(stored.error());
  if (!*stored)
    return fail(errc::pad_not_found, "there is no " + pad_of(*env_, address));
  return bytes::copy_of((*stored)->whole.first(record_header_bytes));
}

result<engine_stats> lmdb_engine::stats() {
  auto txn = env_->read();
  if (!txn)
    return fail(txn.error());
  auto meta = env_->load_meta(txn->handle());
  if (!meta)
    return fail(meta.error());
  engine_stats stats;
  if (*meta) {
    stats.pads = (*meta)->pads;
    stats.record_bytes = (*meta)->record_bytes;
  }
  stats.disk_bytes = directory_disk_bytes(env_->directory());
  return stats;
}

}  // namespace

result<std::unique_ptr<pad_engine>> open_lmdb_engine(const lmdb_options& options) {
  auto env = lmdb_env::open(options);
  if (!env)
    return fail(env.error());
  return std::make_unique<lmdb_engine>(std::move(*env));
}

}  // namespace mutant
