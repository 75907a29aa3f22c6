// A Ceph pool under mutant against a bare librados loop: the same objects, as many under way, on the same cluster, in turn.
//
//   bench_rados [--smoke] [--store URL] [--size-mib N] [--depth N] [--window N] [--rounds N]   throughput
//   bench_rados --load SECONDS [--store URL] [--depth N]                          pauses, while somebody kills an OSD
//
// The store is $MUTANT_TEST_RADOS unless given; benchmarks/rados_job.py starts a cluster and runs both. Throughput, in every
// round and in this order: write and read with librados alone; the rados store with records that are sealed already; put of a
// file and get to /dev/null, which seals and opens as well (--window chunks at a time, unless the store's own number will do).
// Ratios are taken within a round. --load puts and gets values of one chunk from `depth` actors and prints the longest
// operation, the longest time without any answer, and what failed.
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <random>
#include <rados/librados.hpp>
#include <semaphore>

#include "actors/client.hpp"
#include "actors/pads/open_store.hpp"
#include "benchmarks/support.hpp"

using namespace mutant;
using namespace mutant::bench;

namespace {

struct settings {
  std::string url;
  std::uint64_t size_mib = 1024;
  std::size_t depth = 16;
  std::size_t window = 0;   // chunks under way in one put or get; 0: what a store has by itself
  std::size_t rounds = 5;
  double load_seconds = 0;
};

std::string with_namespace(const std::string& url, const std::string& name) {
  return url + (url.find('?') == std::string::npos ? "?" : "&") + "namespace=" + name;
}

// -- librados alone ---------------------------------------------------------------------------------------------------

class bare_pool {
 public:
  bare_pool(const std::string& text, std::string name_space) {
    const auto url = must(parse_store_url(text), "the store");
    const auto option = [&](const char* name) { return url.options.contains(name) ? url.options.at(name) : std::string(); };
    check(cluster_.init(option("id").empty() ? nullptr : option("id").c_str()), "init");
    check(cluster_.conf_read_file(option("conf").empty() ? nullptr : option("conf").c_str()), "the configuration");
    check(cluster_.connect(), "connect");
    check(cluster_.ioctx_create(url.path.c_str(), pool_), "the pool");
    pool_.set_namespace(name_space);
  }

  // Seconds for `count` operations, `depth` at a time.
  template <class Start>
  double run(std::size_t count, std::size_t depth, Start start) {
    std::counting_semaphore<> room(static_cast<std::ptrdiff_t>(depth));
    const auto begin = steady::now();
    for (std::size_t i = 0; i < count; ++i) {
      room.acquire();
      auto* completion = librados::Rados::aio_create_completion(&room, [](rados_completion_t, void* r) {
        static_cast<std::counting_semaphore<>*>(r)->release();
      });
      check(start(i, completion), "an operation");
      completion->release();
    }
    for (std::size_t i = 0; i < depth; ++i)
      room.acquire();
    return seconds_since(begin);
  }

  double write(std::size_t count, std::size_t depth, const bytes& content) {
    librados::bufferlist data;
    data.append(reinterpret_cast<const char*>(content.data()), static_cast<unsigned>(content.size()));
    return run(count, depth, [&](std::size_t i, librados::AioCompletion* c) {
      return pool_.aio_write_full(std::to_string(i), c, data);
    });
  }
  double read(std::size_t count, std::size_t depth, std::size_t size) {
    std::vector<librados::bufferlist> into(count);
    return run(count, depth, [&](std::size_t i, librados::AioCompletion* c) {
      if (i >= depth)
        into[i - depth].clear();
      return pool_.aio_read(std::to_string(i), c, &into[i], size, 0);
    });
  }
  // Every object of the namespace, so that the next round finds the room of this one.
  void clear() {
    std::vector<std::string> names;
    for (auto object = pool_.nobjects_begin(); object != pool_.nobjects_end(); ++object)
      names.push_back(object->get_oid());
    run(names.size(), 32, [&](std::size_t i, librados::AioCompletion* c) { return pool_.aio_remove(names[i], c); });
  }

 private:
  static void check(int code, const char* doing) {
    if (code < 0) {
      std::fprintf(stderr, "librados, %s: %s\n", doing, std::strerror(-code));
      std::exit(1);
    }
  }
  librados::Rados cluster_;
  librados::IoCtx pool_;
};

// -- requests in a window ---------------------------------------------------------------------------------------------

// Sends count requests, depth at a time: make(i) is one, sent by `self`; it calls its argument when it is answered.
template <class Send>
caf::behavior pump(caf::event_based_actor* self, std::size_t count, std::size_t depth, Send send) {
  struct state {
    std::size_t next = 0, done = 0;
    std::function<void()> more;
  };
  auto s = std::make_shared<state>();
  s->more = [=] {
    if (s->next < count)
      send(self, s->next++, [=] {
        if (++s->done == count) {
          s->more = nullptr;
          self->quit();
        } else {
          s->more();
        }
      });
  };
  for (std::size_t i = 0; i < depth; ++i)
    s->more();
  return {};
}

template <class Send>
double pumped(caf::actor_system& system, std::size_t count, std::size_t depth, Send send) {
  caf::scoped_actor waiting{system};
  const auto begin = steady::now();
  waiting->wait_for(system.spawn(pump<Send>, count, depth, send));
  return seconds_since(begin);
}

[[noreturn]] void give_up(const caf::error& e) {
  std::fprintf(stderr, "%s\n", to_string(from_caf(e)).c_str());
  std::exit(1);
}

// -- throughput -------------------------------------------------------------------------------------------------------

struct rates {
  std::vector<double> write, read;
  void add(double bytes, double write_seconds, double read_seconds) {
    write.push_back(bytes / write_seconds / 1e6);
    read.push_back(bytes / read_seconds / 1e6);
  }
};

void measure_pads(const settings& s, const std::string& url, const std::vector<bytes>& records,
                  const std::vector<pad_address>& pads, rates& out) {
  system_config config(url);
  caf::actor_system system(config);
  auto store = must(open_pad_store(system, must(parse_store_url(url), "the store"), {}), "open");
  const auto put = [&](caf::event_based_actor* self, std::size_t i, auto next) {
    self->request(store, std::chrono::minutes(2), put_atom_v, records[i]).then([next](done) { next(); }, give_up);
  };
  const auto get = [&](caf::event_based_actor* self, std::size_t i, auto next) {
    self->request(store, std::chrono::minutes(2), get_atom_v, pad_query{pads[i]}).then([next](bytes&) { next(); }, give_up);
  };
  const auto written = pumped(system, records.size(), s.depth, put);
  const auto read = pumped(system, records.size(), s.depth, get);
  out.add(static_cast<double>(records.size() * records.front().size()), written, read);
  caf::anon_send_exit(store, caf::exit_reason::user_shutdown);
}

void measure_values(const settings& s, const std::string& url, const std::string& file, rates& out) {
  client_options options;
  options.store.owner.value[0] = std::byte{9};
  options.store.url = url;
  options.store.pad_workers = s.depth;
  options.store.window = s.window;
  auto client = must(client::open(std::move(options)), "open");
  auto begin = steady::now();
  const auto stored = must(client.put_file("file", file), "put");
  const auto written = seconds_since(begin);
  begin = steady::now();
  must(client.get_file("file", "/dev/null"), "get");
  out.add(static_cast<double>(stored.size), written, seconds_since(begin));
}

std::string random_file(std::uint64_t size) {
  auto path = "/tmp/bench-rados-" + std::to_string(::getpid());
  std::ofstream file(path, std::ios::binary);
  std::mt19937_64 random(1);
  std::vector<std::uint64_t> block(1u << 17);
  for (std::uint64_t at = 0; at < size; at += block.size() * 8) {
    for (auto& word : block)
      word = random();
    const auto part = std::min<std::uint64_t>(size - at, block.size() * 8);
    file.write(reinterpret_cast<const char*>(block.data()), static_cast<std::streamsize>(part));
  }
  return path;
}

void throughput(const settings& s) {
  const auto count = std::max<std::size_t>(1, (s.size_mib << 20) / max_record_bytes);
  seed owner;
  owner.value[0] = std::byte{8};
  const keyring keys(owner);
  std::vector<bytes> records;
  std::vector<pad_address> pads;
  const std::vector<std::byte> plain(max_plaintext_bytes, std::byte{1});
  for (std::size_t i = 0; i < count; ++i) {
    records.push_back(seal_private(keys.data(i), 1, plain));
    pads.push_back(keys.data(i).address);
  }
  const auto file = random_file(s.size_mib << 20);
  std::printf("%zu objects of %zu bytes, %zu under way, %zu rounds; %s\n", count, records.front().size(), s.depth, s.rounds,
              s.url.c_str());
  rates bare, actor, values;
  for (std::size_t round = 0; round < s.rounds; ++round) {
    const auto tag = "bench-" + std::to_string(::getpid()) + "-" + std::to_string(round);
    bare_pool alone(s.url, tag + "-bare");
    const auto written = alone.write(count, s.depth, records.front());
    const auto read = alone.read(count, s.depth, records.front().size());
    bare.add(static_cast<double>(count * records.front().size()), written, read);
    alone.clear();
    measure_pads(s, with_namespace(s.url, tag + "-pads"), records, pads, actor);
    bare_pool(s.url, tag + "-pads").clear();
    measure_values(s, with_namespace(s.url, tag + "-values"), file, values);
    bare_pool(s.url, tag + "-values").clear();
  }
  ::unlink(file.c_str());
  const auto ratio = [](std::vector<double> a, const std::vector<double>& b) {
    for (std::size_t i = 0; i < a.size(); ++i)
      a[i] /= b[i];
    return a;
  };
  show("librados alone, write", bare.write, "MB/s");
  show("librados alone, read", bare.read, "MB/s");
  show("rados store, put of sealed records", actor.write, "MB/s");
  show("rados store, get of records", actor.read, "MB/s");
  show("put of a file", values.write, "MB/s");
  show("get to /dev/null", values.read, "MB/s");
  show("rados store put against librados", ratio(actor.write, bare.write), "x");
  show("rados store get against librados", ratio(actor.read, bare.read), "x");
  show("put of a file against librados", ratio(values.write, bare.write), "x");
  show("get to /dev/null against librados", ratio(values.read, bare.read), "x");
}

// -- pauses -----------------------------------------------------------------------------------------------------------

struct load_report {
  std::uint64_t puts = 0, gets = 0, failed = 0;
  double max_operation_time = 0, max_silence = 0;
  steady::time_point last = steady::now();
  std::string first_failure;

  void answered(steady::time_point begun) {
    max_operation_time = std::max(max_operation_time, seconds_since(begun));
    max_silence = std::max(max_silence, seconds_since(last));
    last = steady::now();
  }
};

// One actor sends all of it, so that the report is its own: `depth` values, each put and then got, over and over.
caf::behavior loader(caf::event_based_actor* self, store_actor store, std::size_t depth, steady::time_point until,
                     std::shared_ptr<load_report> report) {
  auto left = std::make_shared<std::size_t>(depth);
  auto value = std::make_shared<buffer>(default_chunk_bytes);
  std::memset(value->data(), 1, value->size());
  auto content = std::make_shared<bytes>(std::move(*value).freeze());
  auto go = std::make_shared<std::function<void(std::size_t, bool)>>();
  *go = [=](std::size_t i, bool put) {
    if (steady::now() >= until) {
      if (--*left == 0) {
        *go = nullptr;
        self->quit();
      }
      return;
    }
    const auto begun = steady::now();
    const auto failed = [=](caf::error& e) {
      report->answered(begun);
      if (report->failed++ == 0)
        report->first_failure = to_string(from_caf(e));
      (*go)(i, put);
    };
    const auto key = "load" + std::to_string(i);
    if (put)
      self->request(store, std::chrono::minutes(5), put_atom_v, put_request{key, *content, std::nullopt, {}})
          .then(
              [=](put_result&) {
                report->answered(begun);
                ++report->puts;
                (*go)(i, false);
              },
              failed);
    else
      self->request(store, std::chrono::minutes(5), get_atom_v,
                    get_request{key, std::monostate{}, 0, std::nullopt, 64u << 20, {}})
          .then(
              [=](get_result&) {
                report->answered(begun);
                ++report->gets;
                (*go)(i, true);
              },
              failed);
  };
  for (std::size_t i = 0; i < depth; ++i)
    (*go)(i, true);
  return {};
}

void load(const settings& s) {
  client_options options;
  options.store.owner.value[0] = std::byte{9};
  options.store.url = with_namespace(s.url, "bench-load-" + std::to_string(::getpid()));
  auto client = must(client::open(std::move(options)), "open");
  auto report = std::make_shared<load_report>();
  caf::scoped_actor self{client.system()};
  const auto until = steady::now() + std::chrono::milliseconds(static_cast<int>(s.load_seconds * 1000));
  self->wait_for(client.system().spawn(loader, client.store(), s.depth, until, report));
  std::printf("%llu puts and %llu gets of one chunk, %zu under way: longest operation %.2f s, longest time without any answer "
              "%.2f s, %llu failed%s%s\n",
              static_cast<unsigned long long>(report->puts), static_cast<unsigned long long>(report->gets), s.depth,
              report->max_operation_time, report->max_silence, static_cast<unsigned long long>(report->failed),
              report->failed != 0 ? ", first: " : "", report->first_failure.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  if (const auto* url = std::getenv("MUTANT_TEST_RADOS"))
    s.url = url;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const auto* value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (word == "--smoke") {
      s.size_mib = 16;
      s.rounds = 1;
    } else if (word == "--store" && value != nullptr) {
      s.url = argv[++i];
    } else if (word == "--size-mib" && value != nullptr) {
      s.size_mib = std::strtoull(argv[++i], nullptr, 10);
    } else if (word == "--depth" && value != nullptr) {
      s.depth = std::max<std::size_t>(1, std::strtoull(argv[++i], nullptr, 10));
    } else if (word == "--window" && value != nullptr) {
      s.window = std::strtoull(argv[++i], nullptr, 10);
    } else if (word == "--rounds" && value != nullptr) {
      s.rounds = std::max<std::size_t>(1, std::strtoull(argv[++i], nullptr, 10));
    } else if (word == "--load" && value != nullptr) {
      s.load_seconds = std::strtod(argv[++i], nullptr);
    } else {
      std::fprintf(stderr, "usage: bench_rados [--smoke] [--store URL] [--size-mib N] [--depth N] [--window N] [--rounds N] "
                           "[--load S]\n");
      return 2;
    }
  }
  if (s.url.empty()) {
    std::fprintf(stderr, "bench_rados: which cluster? --store rados:POOL?conf=FILE, or benchmarks/rados_job.py\n");
    return 2;
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  must(init_crypto(), "crypto");
  if (s.load_seconds > 0)
    load(s);
  else
    throughput(s);
  return 0;
}
