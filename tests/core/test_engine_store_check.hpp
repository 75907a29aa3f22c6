// Looks into a closed store from outside, as a tool of another make would: raw LMDB, no code of the engine.
//
// check_store: every block of every segment is free, released, or part of exactly one pad; free neighbours are merged; the
// totals are right; no segment is shorter than its tables say.
#pragma once

#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <lmdb.h>

#include "core/engine/store_format.hpp"
#include "core/record.hpp"

namespace mutant::engine_test {

class raw_store {
 public:
  explicit raw_store(std::string directory) : directory_(std::move(directory)) {
    ok_ = mdb_env_create(&env_) == 0 && mdb_env_set_maxdbs(env_, 8) == 0
          && mdb_env_set_mapsize(env_, std::size_t{1} << 32) == 0
          && mdb_env_open(env_, directory_.c_str(), MDB_RDONLY, 0600) == 0
          && mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn_) == 0;
  }
  raw_store(const raw_store&) = delete;
  raw_store& operator=(const raw_store&) = delete;
  ~raw_store() {
    if (txn_ != nullptr)
      mdb_txn_abort(txn_);
    mdb_env_close(env_);
  }
  bool ok() const { return ok_; }

  store_format::store_meta meta() {
    store_format::store_meta meta{};
    for_each(nullptr, [&](std::string key, std::string value) {
      if (key == store_format::meta_key && value.size() == sizeof meta)
        std::memcpy(&meta, value.data(), sizeof meta);
    });
    return meta;
  }

  template <class Visit>
  void for_each(const char* database, Visit&& visit) {
    MDB_dbi dbi = 0;
    MDB_cursor* cursor = nullptr;
    if (mdb_dbi_open(txn_, database, 0, &dbi) != 0 || mdb_cursor_open(txn_, dbi, &cursor) != 0)
      return;
    MDB_val key{}, value{};
    while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0)
      visit(text(key), text(value));
    mdb_cursor_close(cursor);
  }

  static std::uint32_t number(const std::string& key, std::size_t at) {
    std::uint32_t n = 0;
    for (std::size_t i = 0; i < 4; ++i)
      n = n << 8 | static_cast<unsigned char>(key.at(at + i));
    return n;
  }

 private:
  static std::string text(const MDB_val& value) { return {static_cast<const char*>(value.mv_data), value.mv_size}; }

  std::string directory_;
  MDB_env* env_ = nullptr;
  MDB_txn* txn_ = nullptr;
  bool ok_ = false;
};

// What is wrong; empty: nothing.
inline std::string check_store(const std::string& directory) {
  using namespace store_format;
  raw_store store(directory);
  if (!store.ok())
    return "cannot be opened";
  constexpr char unknown = 0, in_use = 1, is_free = 2, is_released = 3;
  std::string wrong;
  std::map<std::uint32_t, segment_info> infos;
  std::map<std::uint32_t, std::vector<char>> blocks;
  auto mark = [&](std::uint32_t segment, std::uint32_t first, std::uint32_t count, char as) {
    for (auto block = first; block < first + count; ++block) {
      if (block >= blocks[segment].size() || blocks[segment][block] != unknown)
        wrong += "block " + std::to_string(block) + " of segment " + std::to_string(segment) + " used twice; ";
      else
        blocks[segment][block] = as;
    }
  };
  store.for_each(segments_database, [&](const std::string& key, const std::string& value) {
    auto segment = raw_store::number(key, 0);
    std::memcpy(&infos[segment], value.data(), sizeof(segment_info));
    blocks[segment].resize(infos[segment].blocks, unknown);
    std::error_code code;
    auto size = std::filesystem::file_size(directory + '/' + segment_file_name(segment), code);
    if (code || size < std::uint64_t{infos[segment].blocks} * block_bytes)
      wrong += "segment " + std::to_string(segment) + " is too short; ";
  });
  std::map<std::uint32_t, std::uint32_t> free_blocks;
  store.for_each(free_database, [&](const std::string& key, const std::string& value) {
    std::uint32_t count = 0;
    std::memcpy(&count, value.data(), sizeof count);
    auto segment = raw_store::number(key, 0), first = raw_store::number(key, 4);
    if (first != 0 && first - 1 < blocks[segment].size() && blocks[segment][first - 1] == is_free)
      wrong += "free neighbours at block " + std::to_string(first) + " are not merged; ";
    mark(segment, first, count, is_free);
    free_blocks[segment] += count;
  });
  store.for_each(released_database, [&](const std::string& key, const std::string& value) {
    released_info info;
    std::memcpy(&info, value.data(), sizeof info);
    mark(raw_store::number(key, 0), raw_store::number(key, 4), info.blocks, is_released);
  });
  store_meta counted;
  store.for_each(pads_database, [&](const std::string& key, const std::string& value) {
    auto header = parse_header(as_byte_view(value));
    if (!header || std::memcmp(header->address.data(), key.data(), 32) != 0) {
      wrong += "a pad is not what its key says; ";
      return;
    }
    counted.pads += 1;
    counted.record_bytes += record_header_bytes + header->payload_bytes;
    if (value.size() == record_header_bytes + header->payload_bytes)
      return;
    extent where;
    std::memcpy(&where, value.data() + record_header_bytes, sizeof where);
    mark(where.segment, where.block, blocks_of(header->payload_bytes), in_use);
  });
  for (auto& [segment, map] : blocks)
    for (std::size_t block = 0; block < map.size(); ++block)
      if (map[block] == unknown)
        wrong += "block " + std::to_string(block) + " of segment " + std::to_string(segment) + " is lost; ";
  for (auto& [segment, info] : infos)
    if (info.free_blocks != free_blocks[segment])
      wrong += "segment " + std::to_string(segment) + " counts its free blocks wrong; ";
  auto meta = store.meta();
  if (meta.pads != counted.pads || meta.record_bytes != counted.record_bytes)
    wrong += "the totals are wrong; ";
  if (!infos.empty() && (meta.last_segment < infos.rbegin()->first || meta.version != version_with_segments))
    wrong += "the meta record does not know of its segments; ";
  return wrong.substr(0, 1000);
}

}  // namespace mutant::engine_test
