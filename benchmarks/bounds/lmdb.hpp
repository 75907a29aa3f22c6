// What LMDB alone does under a directory, opened as the engine opens it: durable puts of small and of pad-sized values, one
// or many to a transaction, and reads. Many threads with a transaction each show what a plain LMDB gives at concurrency: it
// has one writer at a time, and each waits for the disk by itself.
#pragma once

#include <lmdb.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "benchmarks/support.hpp"

namespace mutant::bench {

inline void must_lmdb(int code, const char* doing) {
  if (code == 0)
    return;
  std::fprintf(stderr, "LMDB, %s: %s\n", doing, mdb_strerror(code));
  std::exit(1);
}

class plain_lmdb {
 public:
  explicit plain_lmdb(const std::string& directory) {
    must_lmdb(mdb_env_create(&env_), "create");
    must_lmdb(mdb_env_set_mapsize(env_, std::size_t{1} << 38), "map size");
    must_lmdb(mdb_env_set_maxreaders(env_, 1024), "readers");
    must_lmdb(mdb_env_open(env_, directory.c_str(), MDB_NORDAHEAD | MDB_NOMEMINIT, 0600), "open");
    MDB_txn* txn = nullptr;
    must_lmdb(mdb_txn_begin(env_, nullptr, 0, &txn), "begin");
    must_lmdb(mdb_dbi_open(txn, nullptr, 0, &database_), "database");
    must_lmdb(mdb_txn_commit(txn), "commit");
  }
  plain_lmdb(const plain_lmdb&) = delete;
  plain_lmdb& operator=(const plain_lmdb&) = delete;
  ~plain_lmdb() { mdb_env_close(env_); }

  // `count` values under pseudo-random keys out of `keys`, in one durable transaction.
  void put(std::uint64_t first, std::size_t count, std::uint64_t keys, std::vector<unsigned char>& value) {
    MDB_txn* txn = nullptr;
    must_lmdb(mdb_txn_begin(env_, nullptr, 0, &txn), "begin");
    for (std::size_t i = 0; i < count; ++i) {
      auto number = scatter(first + i, keys);
      MDB_val key{sizeof number, &number}, data{value.size(), value.data()};
      must_lmdb(mdb_put(txn, database_, &key, &data, 0), "put");
    }
    must_lmdb(mdb_txn_commit(txn), "commit");
  }
  // Copies the value out; false: there is none.
  bool get(std::uint64_t n, std::uint64_t keys, std::vector<unsigned char>& into) {
    MDB_txn* txn = nullptr;
    must_lmdb(mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn), "begin");
    auto number = scatter(n, keys);
    MDB_val key{sizeof number, &number}, data{};
    const auto found = mdb_get(txn, database_, &key, &data) == 0;
    if (found)
      into.assign(static_cast<unsigned char*>(data.mv_data), static_cast<unsigned char*>(data.mv_data) + data.mv_size);
    mdb_txn_abort(txn);
    return found;
  }

 private:
  static std::uint64_t scatter(std::uint64_t n, std::uint64_t keys) {
    return (n * 0x9e3779b97f4a7c15u >> 20) % keys * 0x2545f4914f6cdd1du;
  }
  MDB_env* env_ = nullptr;
  MDB_dbi database_ = 0;
};

// Calls `work(number)` from so many threads for this long; calls a second.
template <class Work>
double calls_per_second(std::size_t threads, double seconds, Work work) {
  std::atomic<std::uint64_t> next{0};
  const auto start = steady::now();
  std::vector<std::thread> all;
  for (std::size_t i = 0; i < threads; ++i)
    all.emplace_back([&] {
      while (seconds_since(start) < seconds)
        work(next++);
    });
  for (auto& t : all)
    t.join();
  return static_cast<double>(next) / seconds_since(start);
}

inline void lmdb_bounds(const work_directory& work, bool smoke, std::size_t rounds, std::size_t value_bytes,
                        std::size_t clients, report& out) {
  const auto seconds = smoke ? 0.05 : 0.5;
  const std::uint64_t keys = smoke ? 200 : 100'000;
  std::vector<double> alone, many, batched, reads, large, large_reads;
  plain_lmdb small(work.make("small"));
  std::vector<unsigned char> value(value_bytes, 'v'), pad(4'194'304, 'p');
  for (std::uint64_t i = 0; i < keys; i += 1000)
    small.put(i, std::min<std::uint64_t>(1000, keys - i), keys, value);
  for (std::size_t r = 0; r < rounds; ++r) {
    alone.push_back(calls_per_second(1, seconds, [&](std::uint64_t n) { small.put(n, 1, keys, value); }));
    many.push_back(calls_per_second(clients, seconds, [&](std::uint64_t n) {
      thread_local std::vector<unsigned char> mine;
      mine.assign(value.begin(), value.end());
      small.put(n, 1, keys, mine);
    }));
    const auto batch = calls_per_second(1, seconds, [&](std::uint64_t n) { small.put(n * clients, clients, keys, value); });
    batched.push_back(batch * static_cast<double>(clients));
    reads.push_back(calls_per_second(clients, seconds, [&](std::uint64_t n) {
      thread_local std::vector<unsigned char> mine;
      small.get(n, keys, mine);
    }));
    plain_lmdb big(work.make("large"));
    const std::uint64_t transactions = smoke ? 1 : 16;
    auto start = steady::now();
    for (std::uint64_t t = 0; t < transactions; ++t)
      big.put(t * 8, 8, std::uint64_t{1} << 40, pad);
    large.push_back(static_cast<double>(transactions * 8 * pad.size()) / seconds_since(start) / 1e6);
    start = steady::now();
    std::vector<unsigned char> into;
    for (std::uint64_t n = 0; n < transactions * 8; ++n)
      big.get(n, std::uint64_t{1} << 40, into);
    large_reads.push_back(static_cast<double>(transactions * 8 * pad.size()) / seconds_since(start) / 1e6);
  }
  const auto size = std::to_string(value_bytes) + " bytes", threads = std::to_string(clients);
  out.add("lmdb_puts_one_thread_per_second", "LMDB: durable puts of " + size + ", one thread", alone, "/s");
  out.add("lmdb_puts_per_second", "LMDB: the same, " + threads + " threads", many, "/s");
  out.add("lmdb_batched_puts_per_second", "LMDB: " + threads + " puts to a transaction", batched, "/s");
  out.add("lmdb_gets_per_second", "LMDB: gets, copied out, " + threads + " threads", reads, "/s");
  out.add("lmdb_pads_mb_per_second", "LMDB: durable puts of 4 MiB, 8 to a transaction", large, "MB/s");
  out.add("lmdb_pad_reads_mb_per_second", "LMDB: gets of 4 MiB, copied out", large_reads, "MB/s");
}

}  // namespace mutant::bench
