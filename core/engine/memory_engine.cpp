// Pads in memory: the reference for what an engine does, and the store behind `memory:`.
//
// Shape: committed records in a hash table under a shared mutex; the open batch beside it, seen by the writer alone. Records
// are shared, never copied. capacity_bytes bounds the records' sizes as they would be after the commit.
#include <cstring>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <unordered_map>
#include <utility>

#include "core/engine/engine.hpp"
#include "core/engine/write_rule.hpp"
#include "core/record.hpp"

namespace mutant {
namespace {

// An address is a public key: its first bytes are as good as random. A stranger who grinds keys gains a slow bucket at most.
struct address_hash {
  std::size_t operator()(const pad_address& address) const noexcept {
    std::size_t value;
    std::memcpy(&value, address.data(), sizeof value);
    return value;
  }
};

class memory_engine final : public pad_engine {
 public:
  explicit memory_engine(std::uint64_t capacity_bytes) : capacity_bytes_(capacity_bytes) {}

  result<void> put(const bytes& record) override;
  result<void> erase(const bytes& blank) override;
  result<void> commit() override;
  result<bytes> get(const pad_address& address) override;
  result<bytes> head(const pad_address& address) override;
  result<engine_stats> stats() override;

 private:
  using table = std::unordered_map<pad_address, bytes, address_hash>;

  bytes find(const pad_address& address) const;
  void stage(const pad_address& address, bytes record, std::size_t replaced_bytes);
  result<void> refuse_if_broken() const;

  const std::uint64_t capacity_bytes_;
  std::shared_mutex mutex_;           // guards the next two; the writer reads them without it, as only it writes
  table pads_;
  std::uint64_t record_bytes_ = 0;
  table batch_;                       // empty bytes: the pad goes
  std::uint64_t batch_record_bytes_ = 0;  // what record_bytes_ becomes
  std::optional<error> failure_;
};

// What the batch would leave at the address; empty: nothing.
bytes memory_engine::find(const pad_address& address) const {
  if (auto at = batch_.find(address); at != batch_.end())
    return at->second;
  auto at = pads_.find(address);
  return at == pads_.end() ? bytes() : at->second;
}

void memory_engine::stage(const pad_address& address, bytes record, std::size_t replaced_bytes) {
  if (batch_.empty())
    batch_record_bytes_ = record_bytes_;
  batch_record_bytes_ += record.size() - replaced_bytes;
  batch_[address] = std::move(record);
}

result<void> memory_engine::refuse_if_broken() const {
  if (failure_)
    return fail(failure_->code, "this batch has failed already; commit ends it: " + failure_->message);
  return {};
}

result<void> memory_engine::put(const bytes& record) {
  auto header = parse_record(record);
  if (!header)
    return fail(header.error());
  if (auto usable = refuse_if_broken(); !usable)
    return usable;
  auto stored = find(header->address);
  if (!stored.empty()) {
    auto verdict = check_write(*parse_record(stored), header->counter, [&] { return stored == record; });
    if (!verdict || *verdict == write_verdict::already_there)
      return verdict ? result<void>() : fail(verdict.error());
  }
  auto before = batch_.empty() ? record_bytes_ : batch_record_bytes_;
  if (before - stored.size() + record.size() > capacity_bytes_) {
    batch_.clear();
    failure_ = error{errc::store_full, "writing pad " + short_name(header->address) + ": the memory store holds "
                                           + std::to_string(before) + " of at most " + std::to_string(capacity_bytes_)
                                           + " bytes; remove something, or open it with more capacity"};
    return fail(*failure_);
  }
  stage(header->address, record, stored.size());
  return {};
}

result<void> memory_engine::erase(const bytes& blank) {
  auto header = parse_blank(blank);
  if (!header)
    return fail(header.error());
  if (auto usable = refuse_if_broken(); !usable)
    return usable;
  auto stored = find(header->address);
  if (stored.empty())
    return {};
  if (auto allowed = check_erase(*parse_record(stored), header->counter); !allowed)
    return allowed;
  stage(header->address, {}, stored.size());
  return {};
}

result<void> memory_engine::commit() {
  if (failure_)
    return fail(*std::exchange(failure_, std::nullopt));
  if (batch_.empty())
    return {};
  std::lock_guard lock(mutex_);
  for (auto& [address, record] : batch_) {
    if (record.empty())
      pads_.erase(address);
    else
      pads_[address] = std::move(record);
  }
  record_bytes_ = batch_record_bytes_;
  batch_.clear();
  return {};
}

result<bytes> memory_engine::get(const pad_address& address) {
  std::shared_lock lock(mutex_);
  if (auto at = pads_.find(address); at != pads_.end())
    return at->second;
  return fail(errc::pad_not_found, "there is no pad " + short_name(address) + " in the memory store");
}

result<bytes> memory_engine::head(const pad_address& address) {
  auto record = get(address);
  return record ? bytes::copy_of(record->view().first(record_header_bytes)) : record;
}

result<engine_stats> memory_engine::stats() {
  std::shared_lock lock(mutex_);
  return engine_stats{pads_.size(), record_bytes_, 0};
}

}  // namespace

std::unique_ptr<pad_engine> make_memory_engine(std::uint64_t capacity_bytes) {
  return std::make_unique<memory_engine>(capacity_bytes);
}

}  // namespace mutant
