// The reading half of the embedded store: needs no right to write, takes no lock and leaves no trace. Everything it reads of
// LMDB's file is checked on the way (lmdb_file.hpp), so that damage anywhere is an error.
//
// Errors: store_damaged (LMDB's file is damaged where this pad lies or should lie), corrupt_record (the pad alone is),
// pad_not_found, unsupported (a later format), invalid_argument (another program's LMDB file), io_error, access_denied.
// Thread-safe.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "core/engine/engine.hpp"
#include "core/engine/lmdb_file.hpp"
#include "core/engine/segment_reader.hpp"
#include "core/engine/store_format.hpp"
#include "core/record.hpp"

namespace mutant {

// The meta record of a store in a state of its file; nullopt: the file holds nothing at all yet.
result<std::optional<store_format::store_meta>> find_store_meta(const lmdb_file& file, const lmdb_file::state& now,
                                                                const std::string& directory);
// The same record as LMDB gives it. invalid_argument: it is none; store_damaged; unsupported.
result<store_format::store_meta> parse_store_meta(byte_view value, const std::string& directory);

class store_reader {
 public:
  // There must be a store: the directory was prepared.
  static result<std::unique_ptr<store_reader>> open(const std::string& directory);

  result<bytes> get(const pad_address& address);
  result<bytes> head(const pad_address& address);
  result<engine_stats> stats();
  // Whether blocks wait to become free, and to be wiped first if they were to be: what tidy does is not done.
  result<bool> is_untidy();

 private:
  struct found_pad {
    record_header header;
    lmdb_file::stored_value value;
    std::array<std::byte, store_format::extent_value_bytes> front{};  // of the value
    std::optional<store_format::extent> where;                        // nullopt: the value is the whole record
    byte_view stored_header() const noexcept { return byte_view(front).first(record_header_bytes); }
  };

  store_reader(std::string directory, lmdb_file file)
      : directory_(std::move(directory)), file_(std::move(file)), payloads_(directory_) {}
  result<lmdb_pages::database> pads(const lmdb_file::state& now);
  result<std::optional<found_pad>> find(const lmdb_file::state& now, const pad_address& address);
  std::string name_of_pad(const pad_address& address) const;

  const std::string directory_;
  lmdb_file file_;
  segment_reader payloads_;
  std::mutex mutex_;
  std::array<std::byte, lmdb_pages::meta_bytes> known_head_{};  // of the state that has known_pads_
  std::optional<lmdb_pages::database> known_pads_;
};

}  // namespace mutant
