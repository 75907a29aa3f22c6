// A Ceph pool as a place for pads, one object each: the few asynchronous operations that a pad store over RADOS is made of.
// The only place that knows librados; what becomes of the write rule out of them is in actors/pads/rados_store.
//
// Shape of an object (docs/format.md, "RADOS objects"): its name is the address in hex, its content the whole record, its
// attribute `counter` the record's counter as 20 decimal digits: of equal length, so that the order of the texts, which is
// what the OSDs compare, is that of the numbers. Every write is one atomic object operation: all of it or nothing.
//
// The asynchronous calls return at once and never wait: they must be bounded by the caller. `done` is called once, by a
// thread of librados (or within the call, when it cannot even be sent), and must be short; after close() it is not called
// any more. Errors: timeout (sent, not answered in time: it may have happened, or may still), store_full (cluster, pool or
// quota), access_denied, unreachable (the pool is gone, or this client was shut out), io_error.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "core/bytes.hpp"
#include "core/crypto.hpp"
#include "core/error.hpp"

namespace mutant {

enum class rados_outcome : std::uint8_t {
  done,
  absent,    // there is no such object; nothing was written
  present,   // there is one already; nothing was written
  refused,   // it has this counter or a higher one; nothing was written
};

struct rados_usage {
  std::uint64_t objects = 0;
  std::uint64_t object_bytes = 0;
  std::uint64_t raw_bytes = 0;     // on the disks, all copies
};

class rados_pool {
 public:
  template <class T>
  using callback = std::function<void(result<T>)>;

  virtual ~rados_pool() = default;

  // Replaces the object if its counter is lower. done, absent, refused
  virtual void replace(const pad_address& pad, std::uint64_t counter, const bytes& record, callback<rados_outcome> done) = 0;
  // Makes the object. done, present
  virtual void create(const pad_address& pad, std::uint64_t counter, const bytes& record, callback<rados_outcome> done) = 0;
  // Removes the object if its counter is lower. done, absent, refused
  virtual void remove(const pad_address& pad, std::uint64_t counter, callback<rados_outcome> done) = 0;
  // The first bytes of the object, at most so many. pad_not_found
  virtual void read(const pad_address& pad, std::size_t max_bytes, callback<bytes> done) = 0;

  // These two ask the monitors and wait for them: not for a thread that others need.
  // As far as the cluster knows by now: some seconds old. Counted object by object when nobody in it keeps count.
  virtual result<rados_usage> usage() = 0;
  // Why the pad's object may not answer, in words: too few of its OSDs are up. Empty: nothing is known to be wrong with them.
  virtual result<std::string> ailment(const pad_address& pad) = 0;

  // Outstanding operations are forgotten: they may happen or not, and nobody is told.
  virtual void close() noexcept = 0;
};

struct rados_options {
  std::string pool;
  std::string configuration_file;   // empty: $CEPH_CONF, /etc/ceph/ceph.conf, or what Ceph looks for next
  std::string client_id;            // empty: Ceph's default, admin
  std::string name_space;           // empty: the pool's default one
  // Where the configuration does not say otherwise (rados_osd_op_timeout, client_mount_timeout and rados_mon_op_timeout).
  std::chrono::seconds operation_timeout{15};
  std::chrono::seconds connect_timeout{10};
};

// Connects; waits for the monitors at most connect_timeout. unreachable: no configuration, no monitor, no such pool;
// access_denied: the monitors do not take this client or its key.
result<std::shared_ptr<rados_pool>> open_rados_pool(const rados_options& options);

}  // namespace mutant
