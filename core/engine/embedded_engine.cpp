// The embedded store as one engine: reads go past LMDB (store_reader.hpp), writes through it (lmdb_writer.hpp). What is only
// read is never opened for writing, so that a store can be read from a medium or a directory that cannot be written to.
#include <optional>
#include <utility>

#include "core/engine/engine.hpp"
#include "core/engine/lmdb_writer.hpp"
#include "core/engine/store_directory.hpp"
#include "core/engine/store_reader.hpp"

namespace mutant {
namespace {

class embedded_engine final : public pad_engine {
 public:
  embedded_engine(lmdb_options options, std::unique_ptr<lmdb_writer> writer, std::unique_ptr<store_reader> reader)
      : options_(std::move(options)), writer_(std::move(writer)), reader_(std::move(reader)) {}

  result<void> put(const bytes& record) override {
    auto ready = ready_to_write();
    return ready ? writer_->put(record) : ready;
  }
  result<void> put_making_room(const bytes& record) override {
    auto ready = ready_to_write();
    return ready ? writer_->put_making_room(record) : ready;
  }
  result<void> erase(const bytes& blank) override {
    auto ready = ready_to_write();
    return ready ? writer_->erase(blank) : ready;
  }
  result<void> commit() override {
    if (failure_)
      return fail(*std::exchange(failure_, std::nullopt));
    return writer_ ? writer_->commit() : result<void>();
  }
  // What another process left behind is as good a reason to open the store for writing as a write.
  result<void> tidy() override {
    if (!writer_) {
      auto untidy = reader_->is_untidy();
      if (!untidy || !*untidy)
        return untidy ? result<void>() : fail(untidy.error());
      if (auto open = open_writer(); !open)
        return open;
    }
    return writer_->tidy();
  }
  result<std::uint64_t> trim() override {
    auto open = open_writer();
    return open ? writer_->trim() : fail(open.error());
  }

  result<bytes> get(const pad_address& address) override { return reader_->get(address); }
  result<bytes> head(const pad_address& address) override { return reader_->head(address); }
  result<engine_stats> stats() override { return reader_->stats(); }

 private:
  // A batch that could not even begin is broken like any other: its commit fails.
  result<void> ready_to_write() {
    if (failure_)
      return fail(failure_->code, "this batch has failed already; commit ends it: " + failure_->message);
    auto open = open_writer();
    if (!open)
      failure_ = open.error();
    return open;
  }

  result<void> open_writer() {
    if (writer_)
      return {};
    auto opened = open_lmdb_writer(options_);
    if (!opened)
      return fail(opened.error());
    writer_ = std::move(*opened);
    return {};
  }

  const lmdb_options options_;
  std::unique_ptr<lmdb_writer> writer_;  // opened by the first write, unless the store was to be created
  std::unique_ptr<store_reader> reader_;
  std::optional<error> failure_;         // of a batch that could not be begun, until commit has reported it
};

}  // namespace

result<std::unique_ptr<pad_engine>> open_lmdb_engine(const lmdb_options& options) {
  if (auto prepared = prepare_store_directory(options); !prepared)
    return fail(prepared.error());
  std::unique_ptr<lmdb_writer> writer;
  if (options.create) {
    auto opened = open_lmdb_writer(options);
    if (!opened)
      return fail(opened.error());
    writer = std::move(*opened);
  }
  auto reader = store_reader::open(options.directory);
  if (!reader)
    return fail(reader.error());
  return std::make_unique<embedded_engine>(options, std::move(writer), std::move(*reader));
}

}  // namespace mutant
