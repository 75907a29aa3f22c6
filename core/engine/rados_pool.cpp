#include "core/engine/rados_pool.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <list>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <rados/librados.hpp>
#include <shared_mutex>
#include <vector>

#include "core/limits.hpp"

namespace mutant {
namespace {

using librados::bufferlist;

constexpr const char* counter_attribute = "counter";

std::string object_name(const pad_address& pad) { return to_hex(pad); }

// Texts of equal length: OSDs compare attributes as texts, and numbers only up to 2^63.
bufferlist counter_text(std::uint64_t counter) {
  auto digits = std::to_string(counter);
  bufferlist out;
  out.append(std::string(20 - digits.size(), '0') + digits);
  return out;
}

// Whether callbacks are still wanted. close() waits for those that are running.
struct gate {
  std::shared_mutex mutex;
  bool open = true;
};

struct operation {
  std::shared_ptr<gate> door;
  librados::AioCompletion* completion = nullptr;
  bufferlist read;
  std::function<void(int, operation&)> finish;
};

void completed(rados_completion_t, void* argument) {
  std::unique_ptr<operation> op(static_cast<operation*>(argument));
  const auto code = op->completion->get_return_value();
  op->completion->release();
  std::shared_lock lock(op->door->mutex);
  if (op->door->open)
    op->finish(code, *op);
}

class librados_pool final : public rados_pool {
 public:
  explicit librados_pool(std::string name) : name_(std::move(name)) {}
  ~librados_pool() override {
    close();
    pool_.close();
    if (connected_)
      cluster_.shutdown();
  }
  result<void> open(const rados_options& options);

  void replace(const pad_address& pad, std::uint64_t counter, const bytes& record, callback<rados_outcome> done) override;
  void create(const pad_address& pad, std::uint64_t counter, const bytes& record, callback<rados_outcome> done) override;
  void remove(const pad_address& pad, std::uint64_t counter, callback<rados_outcome> done) override;
  void read(const pad_address& pad, std::size_t max_bytes, callback<bytes> done) override;
  result<rados_usage> usage() override;
  result<std::string> ailment(const pad_address& pad) override;
  void close() noexcept override {
    std::unique_lock lock(door_->mutex);
    door_->open = false;
  }

 private:
  void write(const pad_address& pad, librados::ObjectWriteOperation& what, const char* doing, callback<rados_outcome> done);
  template <class Submit>
  void submit(std::function<void(int, operation&)> finish, Submit send);
  error explain(int code, const char* doing, const pad_address& pad);
  // ENOENT is what librados answers for a pool that is gone, too. Looks at the map that this client has; never waits.
  bool pool_is_gone() {
    uint64_t alignment = 0;
    return pool_.pool_required_alignment2(&alignment) == -ENOENT;
  }
  result<nlohmann::json> ask_monitors(const nlohmann::json& command);
  result<rados_usage> count_objects();

  const std::string name_;
  librados::Rados cluster_;
  librados::IoCtx pool_;
  bool connected_ = false;
  std::shared_ptr<gate> door_ = std::make_shared<gate>();
};

error librados_pool::explain(int code, const char* doing, const pad_address& pad) {
  const auto what = std::string(doing) + " pad " + short_name(pad) + " in the Ceph pool " + name_;
  switch (-code) {
    case ETIMEDOUT: return {errc::timeout, what + ": the cluster did not answer in time; what became of it is not known"};
    case ENOSPC:
    case EDQUOT:
      return {errc::store_full, what + ": the cluster is full or the pool has reached its quota; add OSDs or remove values"};
    case ENOENT: return {errc::unreachable, what + ": the pool is gone"};
    case ESHUTDOWN: return {errc::unreachable, what + ": the cluster has shut this client out (blocklist)"};
    case EACCES:
    case EPERM: return {errc::access_denied, what + ": the client's key does not allow it; see 'ceph auth get'"};
    default: return errno_error(-code, what);
  }
}

template <class Submit>
void librados_pool::submit(std::function<void(int, operation&)> finish, Submit send) {
  auto op = std::make_unique<operation>();
  op->door = door_;
  op->finish = std::move(finish);
  op->completion = librados::Rados::aio_create_completion(op.get(), completed);
  if (const auto code = send(*op); code < 0) {  // not sent: completed() is not called
    op->completion->release();
    op->finish(code, *op);
    return;
  }
  static_cast<void>(op.release());
}

void librados_pool::write(const pad_address& pad, librados::ObjectWriteOperation& what, const char* doing,
                          callback<rados_outcome> done) {
  auto finish = [this, pad, doing, done](int code, operation&) {
    switch (code) {
      case 0: return done(rados_outcome::done);
      case -EEXIST: return done(rados_outcome::present);
      case -ECANCELED: return done(rados_outcome::refused);
      case -ENOENT:
        if (!pool_is_gone())
          return done(rados_outcome::absent);
        [[fallthrough]];
      default: return done(fail(explain(code, doing, pad)));
    }
  };
  // Without the flag, a write that finds the cluster full waits until it is not.
  submit(std::move(finish), [&](operation& op) {
    return pool_.aio_operate(object_name(pad), op.completion, &what, librados::OPERATION_FULL_TRY);
  });
}

// librados keeps what it sends for longer than an operation that timed out: it gets a copy.
bufferlist content_of(const bytes& record) {
  bufferlist content;
  content.append(reinterpret_cast<const char*>(record.data()), static_cast<unsigned>(record.size()));
  return content;
}

void librados_pool::replace(const pad_address& pad, std::uint64_t counter, const bytes& record,
                            callback<rados_outcome> done) {
  const auto text = counter_text(counter);
  librados::ObjectWriteOperation what;
  what.cmpxattr(counter_attribute, LIBRADOS_CMPXATTR_OP_GT, text);
  what.write_full(content_of(record));
  what.setxattr(counter_attribute, text);
  write(pad, what, "writing", std::move(done));
}

void librados_pool::create(const pad_address& pad, std::uint64_t counter, const bytes& record, callback<rados_outcome> done) {
  librados::ObjectWriteOperation what;
  what.create(true);
  what.write_full(content_of(record));
  what.setxattr(counter_attribute, counter_text(counter));
  write(pad, what, "writing", std::move(done));
}

void librados_pool::remove(const pad_address& pad, std::uint64_t counter, callback<rados_outcome> done) {
  librados::ObjectWriteOperation what;
  what.cmpxattr(counter_attribute, LIBRADOS_CMPXATTR_OP_GT, counter_text(counter));
  what.remove();
  write(pad, what, "erasing", std::move(done));
}

void librados_pool::read(const pad_address& pad, std::size_t max_bytes, callback<bytes> done) {
  auto finish = [this, pad, done](int code, operation& op) {
    if (code == -ENOENT && !pool_is_gone())
      return done(fail(errc::pad_not_found, "there is no pad " + short_name(pad) + " in the Ceph pool " + name_));
    if (code < 0)
      return done(fail(explain(code, "reading", pad)));
    auto content = std::make_shared<bufferlist>(std::move(op.read));
    const auto* first = reinterpret_cast<const std::byte*>(content->c_str());  // in one piece, as it usually came
    done(bytes::adopt(content, {first, content->length()}));
  };
  submit(std::move(finish), [&](operation& op) {
    return pool_.aio_read(object_name(pad), op.completion, &op.read, max_bytes, 0);
  });
}

// -- questions to the monitors -----------------------------------------------------------------------------------------------

result<nlohmann::json> librados_pool::ask_monitors(const nlohmann::json& command) {
  bufferlist none, out;
  std::string status;
  const auto code = cluster_.mon_command(command.dump(), none, &out, &status);
  if (code == -ETIMEDOUT)
    return fail(errc::unreachable, "the monitors of the Ceph cluster do not answer");
  if (code < 0)
    return fail(errno_error(-code, "asking the monitors of the Ceph cluster: " + status));
  auto answer = nlohmann::json::parse(out.to_str(), nullptr, false);
  if (answer.is_discarded())
    return fail(errc::io_error, "the monitors of the Ceph cluster gave an answer that is no JSON");
  return answer;
}

result<std::string> librados_pool::ailment(const pad_address& pad) {
  auto place = ask_monitors({{"prefix", "osd map"},
                             {"pool", name_},
                             {"object", object_name(pad)},
                             {"nspace", pool_.get_namespace()},
                             {"format", "json"}});
  if (!place)
    return fail(place.error());
  auto rule = ask_monitors({{"prefix", "osd pool get"}, {"pool", name_}, {"var", "min_size"}, {"format", "json"}});
  if (!rule)
    return fail(rule.error());
  constexpr std::int64_t nobody = 0x7fffffff;
  std::int64_t up = 0;
  for (const auto& osd : place->value("acting", nlohmann::json::array()))
    up += osd.is_number_integer() && osd.get<std::int64_t>() != nobody;
  const auto needed = rule->value("min_size", std::int64_t{0});
  if (up >= needed)
    return std::string();
  return "of the OSDs that keep this pad " + std::to_string(up) + " are up, and the pool wants " + std::to_string(needed)
         + " (min_size)";
}

result<rados_usage> librados_pool::usage() {
  std::list<std::string> pools{name_};
  std::map<std::string, librados::pool_stat_t> found;
  if (const auto code = cluster_.get_pool_stats(pools, found); code < 0)
    return fail(code == -ETIMEDOUT ? error{errc::unreachable, "the monitors of the Ceph cluster do not answer"}
                                   : errno_error(-code, "asking what the Ceph pool " + name_ + " holds"));
  const auto at = found.find(name_);
  if (at == found.end())  // the cluster has no manager, whose figures these are
    return count_objects();
  // Of the bytes only the sum over all copies can be relied on: num_user_bytes is 0 with some versions.
  const auto& s = at->second;
  const auto copies = s.num_objects == 0 ? 1.0 : static_cast<double>(s.num_object_copies) / static_cast<double>(s.num_objects);
  return rados_usage{s.num_objects, static_cast<std::uint64_t>(static_cast<double>(s.num_bytes) / std::max(copies, 1.0)),
                     s.num_bytes};
}

result<rados_usage> librados_pool::count_objects() {
  constexpr std::size_t at_once = 64;
  struct asked {
    librados::AioCompletion* completion;
    std::uint64_t size = 0;
    time_t changed = 0;
  };
  rados_usage sum;
  std::list<asked> waiting;
  int failed = 0;
  const auto take = [&] {
    auto& first = waiting.front();
    first.completion->wait_for_complete();
    const auto code = first.completion->get_return_value();
    first.completion->release();
    if (code == 0) {
      ++sum.objects;
      sum.object_bytes += first.size;
    } else if (code != -ENOENT) {
      failed = code;
    }
    waiting.pop_front();
  };
  try {
    for (auto object = pool_.nobjects_begin(); object != pool_.nobjects_end() && failed == 0; ++object) {
      waiting.push_back({librados::Rados::aio_create_completion()});
      auto& next = waiting.back();
      if (const auto code = pool_.aio_stat(object->get_oid(), next.completion, &next.size, &next.changed); code < 0) {
        failed = code;
        next.completion->release();
        waiting.pop_back();
      }
      if (waiting.size() == at_once)
        take();
    }
  } catch (const std::exception&) {  // the listing fails this way
    failed = -EIO;
  }
  while (!waiting.empty())
    take();
  if (failed != 0)
    return fail(failed == -ETIMEDOUT ? error{errc::timeout, "the Ceph cluster did not answer in time"}
                                     : errno_error(-failed, "counting the objects of the Ceph pool " + name_));
  return sum;
}

// -- opening ---------------------------------------------------------------------------------------------------------------

// What we set unless the configuration does: found out by comparing with what librados has without one.
class own_defaults {
 public:
  explicit own_defaults(librados::Rados& cluster) : cluster_(cluster) {}
  void note(const char* option, std::string value) {
    std::string before;
    cluster_.conf_get(option, before);
    noted_.push_back({option, std::move(before), std::move(value)});
  }
  void apply() {
    for (const auto& [option, before, value] : noted_) {
      std::string now;
      if (cluster_.conf_get(option.c_str(), now) == 0 && now == before)
        cluster_.conf_set(option.c_str(), value.c_str());
    }
  }

 private:
  struct setting {
    std::string option, before, value;
  };
  librados::Rados& cluster_;
  std::vector<setting> noted_;
};

result<void> configure(librados::Rados& cluster, const rados_options& options, const std::string& who) {
  own_defaults ours(cluster);
  ours.note("rados_osd_op_timeout", std::to_string(options.operation_timeout.count()));
  ours.note("client_mount_timeout", std::to_string(options.connect_timeout.count()));
  ours.note("rados_mon_op_timeout", std::to_string(options.connect_timeout.count()));
  // After so long without an answer the client asks the monitors whether an OSD is still up: an OSD that hangs costs its
  // detection by the cluster and not as much again.
  ours.note("objecter_timeout", "1");
  ours.note("objecter_tick_interval", "0.5");
  ours.note("err_to_stderr", "false");
  ours.note("log_to_stderr", "false");
  const auto* file = options.configuration_file.empty() ? nullptr : options.configuration_file.c_str();
  if (const auto code = cluster.conf_read_file(file); code < 0)
    return fail(errc::unreachable, who + ": the configuration "
                                       + (file != nullptr ? options.configuration_file : "(/etc/ceph/ceph.conf, $CEPH_CONF)")
                                       + " cannot be read: " + std::strerror(-code));
  cluster.conf_parse_env(nullptr);
  ours.apply();
  // What is in flight is bounded above; librados would make the caller's thread wait.
  cluster.conf_set("objecter_inflight_ops", "0");
  cluster.conf_set("objecter_inflight_op_bytes", "0");
  return {};
}

error cannot_connect(int code, const std::string& who) {
  switch (-code) {
    case ETIMEDOUT: return {errc::unreachable, who + ": no monitor answered in time; is the cluster up, and mon_host right?"};
    case EACCES:
    case EPERM: return {errc::access_denied, who + ": the monitors refuse this client's key"};
    case ENOENT:
    case EINVAL:
      return {errc::access_denied, who + ": there is no usable keyring or mon_host in the configuration ("
                                       + std::strerror(-code) + ")"};
    default: return {errc::unreachable, who + ": " + std::strerror(-code)};
  }
}

result<void> librados_pool::open(const rados_options& options) {
  const auto who = "connecting to the Ceph cluster as client." + (options.client_id.empty() ? "admin" : options.client_id);
  if (const auto code = cluster_.init(options.client_id.empty() ? nullptr : options.client_id.c_str()); code < 0)
    return fail(errno_error(-code, who));
  if (auto ready = configure(cluster_, options, who); !ready)
    return ready;
  if (const auto code = cluster_.connect(); code < 0)
    return fail(cannot_connect(code, who));
  connected_ = true;
  if (const auto code = cluster_.ioctx_create(name_.c_str(), pool_); code < 0) {
    if (code == -ENOENT)
      return fail(errc::unreachable, "the Ceph cluster has no pool " + name_ + "; make it: ceph osd pool create " + name_);
    return fail(errno_error(-code, "opening the Ceph pool " + name_));
  }
  pool_.set_namespace(options.name_space);
  return {};
}

}  // namespace

result<std::shared_ptr<rados_pool>> open_rados_pool(const rados_options& options) {
  auto pool = std::make_shared<librados_pool>(options.pool);
  if (auto opened = pool->open(options); !opened)
    return fail(opened.error());
  return pool;
}

}  // namespace mutant
