// What every pad store promises (docs/format.md, "What a pad store promises"), whatever is behind the actor. A further
// one joins with a line in every_kind().
#include <future>

#include "tests/actors/network.hpp"

namespace mutant::testing {

namespace {

// A pad store and a second handle to the same pads, as another client would have it.
struct instance {
  virtual ~instance() = default;
  pad_store_actor first, second;
};

struct kind {
  std::string name;
  bool durable = false;     // outlives its process
  bool verifies = false;    // refuses what the owner has not signed
  std::function<std::unique_ptr<instance>(networked_system&, const std::string& directory)> open;
};

struct plain_instance : instance {
  networked_system& system;
  pad_store_actor store;
  plain_instance(networked_system& s, pad_store_actor a) : system(s), store(std::move(a)) { first = second = store; }
  ~plain_instance() override { system.end(caf::actor_cast<caf::actor>(store)); }
};

std::shared_ptr<pad_engine> lmdb(const std::string& directory) {
  lmdb_options o;
  o.directory = directory;
  auto engine = open_lmdb_engine(o);
  BOOST_REQUIRE(engine);
  return std::move(*engine);
}

kind engine_kind(std::string name, bool durable, std::function<std::shared_ptr<pad_engine>(const std::string&)> open) {
  return {std::move(name), durable, false, [open](networked_system& s, const std::string& directory) {
            return std::make_unique<plain_instance>(s, s.local(open(directory)));
          }};
}

// A node in a system of its own, and two clients.
struct remote_instance : instance {
  networked_system& system;
  std::unique_ptr<networked_system> other = std::make_unique<networked_system>();
  std::optional<certificates> certs;
  std::optional<node_server> server;

  remote_instance(networked_system& s, const std::string& directory, bool tls) : system(s) {
    auto options = node_options_for(other->local(lmdb(directory)));
    tls_context_ptr context;
    if (tls) {
      certs.emplace();
      options.tls = certs->files("node");
      context = certs->client();
    }
    server = start_node(*other, std::move(options));
    first = system.remote({server->port()}, context);
    second = system.remote({server->port()}, context);
  }
  ~remote_instance() override {
    for (const auto& client : {first, second})
      system.end(caf::actor_cast<caf::actor>(client));
    BOOST_CHECK(server->stop(patience));
  }
};

kind remote_kind(std::string name, bool tls) {
  return {std::move(name), true, true, [tls](networked_system& s, const std::string& directory) {
            return std::make_unique<remote_instance>(s, directory, tls);
          }};
}

// Two clients of a cluster that the caller of the program has started, each with a connection of its own.
struct cluster_instance : instance {
  networked_system& system;

  cluster_instance(networked_system& s, const std::string& url) : system(s) {
    for (auto* client : {&first, &second}) {
      auto opened = open_pad_store(s.system(), *parse_store_url(url), {});
      REQUIRE_OK(opened);
      *client = s.keep(*opened);
    }
  }
  ~cluster_instance() override {
    for (const auto& client : {first, second})
      system.end(caf::actor_cast<caf::actor>(client));
  }
};

kind cluster_kind(const std::string& url) {
  return {"a Ceph pool", true, false, [url](networked_system& s, const std::string& directory) {
            auto name = directory;
            std::ranges::replace(name, '/', '-');
            return std::make_unique<cluster_instance>(s, url + "&namespace=" + name);
          }};
}

kind bucket_kind(const std::string& url) {
  return {"a bucket", true, false, [url](networked_system& s, const std::string& directory) {
            auto name = directory;
            std::ranges::replace(name, '/', '-');
            auto where = *parse_store_url(url);
            where.path += "/" + name;
            return std::make_unique<cluster_instance>(s, to_string(where));
          }};
}

const std::vector<kind>& every_kind() {
  // ceph_cluster.py and ceph_gateway.py start a cluster and name it; the others need none.
  static const auto* cluster = std::getenv("MUTANT_TEST_RADOS");
  static const auto* bucket = std::getenv("MUTANT_TEST_S3");
  static const std::vector<kind> kinds = cluster != nullptr  ? std::vector<kind>{cluster_kind(cluster)}
                                         : bucket != nullptr ? std::vector<kind>{bucket_kind(bucket)}
                                                             : std::vector<kind>{
      engine_kind("memory", false, [](const std::string&) { return make_memory_engine(std::uint64_t{1} << 32); }),
      engine_kind("lmdb", true, lmdb),
      remote_kind("a node over TCP", false),
      remote_kind("a node over TLS", true),
  };
  return kinds;
}

struct fixture : owner_keys {
  networked_system& system;
  const kind& what;
  temporary_directory folder;
  std::unique_ptr<instance> store;

  fixture(networked_system& s, const kind& k) : system(s), what(k) { reopen(); }
  void reopen() {
    store.reset();
    store = what.open(system, folder.file("store"));
  }
  result<done> put(bytes record) { return system.put(store->first, std::move(record)); }
  result<bytes> get(std::uint64_t pad) { return system.get(store->first, address(pad)); }
  result<bytes> head(std::uint64_t pad) { return system.head(store->first, address(pad)); }
  result<done> erase(bytes blank) { return system.erase(store->first, std::move(blank)); }
};

template <class Test>
void for_every_kind(Test test) {
  for (const auto& k : every_kind())
    BOOST_TEST_CONTEXT(k.name) {
      networked_system system;
      fixture f(system, k);
      test(f);
    }
}

template <class T>
void check_fails(const result<T>& outcome, errc code, std::uint64_t detail = 0) {
  BOOST_REQUIRE_MESSAGE(!outcome, "it should fail with " << name_of(code));
  BOOST_CHECK_EQUAL(name_of(outcome.error().code), name_of(code));
  if (detail != 0)
    BOOST_CHECK_EQUAL(outcome.error().detail, detail);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(pad_store_conformance)

BOOST_AUTO_TEST_CASE(records_of_all_sizes_come_back_whole) {
  for_every_kind([](fixture& f) {
    std::uint64_t pad = 0;
    for (std::size_t size : {std::size_t{200}, std::size_t{201}, std::size_t{4'000}, std::size_t{65'536}, std::size_t{70'001},
                             std::size_t{1'000'000}, max_record_bytes - 1, max_record_bytes}) {
      const auto record = f.record(++pad, 1, size);
      REQUIRE_OK(f.put(record));
      auto back = f.get(pad);
      REQUIRE_OK(back);
      BOOST_CHECK(*back == record);
      auto head = f.head(pad);
      REQUIRE_OK(head);
      BOOST_CHECK(*head == record.slice(0, record_header_bytes));
    }
  });
}

BOOST_AUTO_TEST_CASE(a_pad_that_was_never_written_is_not_found) {
  for_every_kind([](fixture& f) {
    check_fails(f.get(1), errc::pad_not_found);
    check_fails(f.head(1), errc::pad_not_found);
    REQUIRE_OK(f.erase(f.blank(1, 1)));
  });
}

BOOST_AUTO_TEST_CASE(a_higher_counter_replaces_and_a_lower_one_is_stale) {
  for_every_kind([](fixture& f) {
    REQUIRE_OK(f.put(f.record(1, 5, 1000)));
    REQUIRE_OK(f.put(f.record(1, 9, 100'000)));
    check_fails(f.put(f.record(1, 8, 1000)), errc::stale_counter, 9);
    BOOST_CHECK_EQUAL(f.get(1)->size(), 100'000u);
    REQUIRE_OK(f.put(f.record(1, 10, 300)));
    BOOST_CHECK_EQUAL(f.get(1)->size(), 300u);
  });
}

BOOST_AUTO_TEST_CASE(the_same_write_again_is_done_and_other_content_is_a_conflict) {
  for_every_kind([](fixture& f) {
    for (std::size_t size : {300u, 200'000u}) {
      const auto record = f.record(size, 7, size);
      REQUIRE_OK(f.put(record));
      REQUIRE_OK(f.put(record));
      check_fails(f.put(f.record(size, 7, size, 1)), errc::pad_conflict, 7);
      BOOST_CHECK(*f.get(size) == record);
    }
  });
}

BOOST_AUTO_TEST_CASE(only_the_owners_blank_record_with_a_higher_counter_erases) {
  for_every_kind([](fixture& f) {
    const auto record = f.record(1, 5, 50'000);
    REQUIRE_OK(f.put(record));
    check_fails(f.erase(f.blank(1, 5)), errc::stale_counter, 5);
    check_fails(f.erase(f.record(1, 6, 1000)), errc::invalid_argument);
    if (f.what.verifies)
      check_fails(f.erase(with_flipped_bit(f.blank(1, 6), 100)), errc::bad_signature);
    BOOST_CHECK(*f.get(1) == record);
    REQUIRE_OK(f.erase(f.blank(1, 6)));
    REQUIRE_OK(f.erase(f.blank(1, 6)));
    check_fails(f.get(1), errc::pad_not_found);
    REQUIRE_OK(f.put(f.blank(2, 1)));
    BOOST_CHECK(*f.get(2) == f.blank(2, 1));
  });
}

BOOST_AUTO_TEST_CASE(what_is_no_record_is_refused) {
  for_every_kind([](fixture& f) {
    check_fails(f.put({}), errc::corrupt_record);
    check_fails(f.put(bytes::copy_of("hello")), errc::corrupt_record);
    check_fails(f.put(f.record(1, 1, 1000).slice(0, 999)), errc::corrupt_record);
    check_fails(f.erase(f.blank(1, 1).slice(0, 159)), errc::corrupt_record);
    check_fails(f.put(with_flipped_bit(f.record(1, 1, 1000), 0)), errc::corrupt_record);
    check_fails(f.get(1), errc::pad_not_found);
    if (!f.what.verifies)
      return;
    const auto record = f.record(1, 2, 70'000);
    for (std::size_t at : {std::size_t{8}, std::size_t{40}, std::size_t{100}, std::size_t{150}})
      check_fails(f.put(with_flipped_bit(record, at)), errc::bad_signature);
    for (std::size_t at : {std::size_t{70}, std::size_t{160}, std::size_t{69'999}})
      check_fails(f.put(with_flipped_bit(record, at)), errc::corrupt_record);
    BOOST_CHECK_EQUAL(f.system.stats(f.store->first)->pads, 0u);
  });
}

BOOST_AUTO_TEST_CASE(totals_follow_what_is_kept) {
  for_every_kind([](fixture& f) {
    REQUIRE_OK(f.put(f.record(1, 1, 1000)));
    REQUIRE_OK(f.put(f.record(2, 1, 2000)));
    REQUIRE_OK(f.put(f.record(2, 2, 5000)));
    auto stats = f.system.stats(f.store->first);
    REQUIRE_OK(stats);
    BOOST_CHECK_EQUAL(stats->pads, 2u);
    BOOST_CHECK_EQUAL(stats->record_bytes, 6000u);
    REQUIRE_OK(f.erase(f.blank(1, 2)));
    BOOST_CHECK_EQUAL(f.system.stats(f.store->first)->pads, 1u);
  });
}

BOOST_AUTO_TEST_CASE(of_writers_that_race_for_a_pad_one_wins_and_all_the_others_are_told) {
  for_every_kind([](fixture& f) {
    constexpr unsigned writers = 8;
    for (std::uint64_t round = 1; round <= 10; ++round) {
      std::vector<std::future<result<done>>> outcomes;
      for (unsigned i = 0; i < writers; ++i)
        outcomes.push_back(std::async(std::launch::async, [&f, round, i] {
          const auto& through = i % 2 == 0 ? f.store->first : f.store->second;
          return f.system.put(through, f.record(1, round, 20'000, i));
        }));
      unsigned won = 0;
      std::optional<bytes> winner;
      for (auto& outcome : outcomes) {
        auto o = outcome.get();
        if (o)
          ++won;
        else
          check_fails(o, errc::pad_conflict, round);
      }
      BOOST_CHECK_EQUAL(won, 1u);
      auto stored = f.get(1);
      REQUIRE_OK(stored);
      BOOST_CHECK_EQUAL(parse_record(*stored)->counter, round);
    }
  });
}

BOOST_AUTO_TEST_CASE(many_writes_at_once_are_all_there_for_everybody) {
  for_every_kind([](fixture& f) {
    constexpr std::uint64_t writers = 6, pads_each = 25;
    std::vector<std::future<unsigned>> done_by;
    for (std::uint64_t w = 0; w < writers; ++w)
      done_by.push_back(std::async(std::launch::async, [&f, w] {
        unsigned stored = 0;
        for (std::uint64_t i = 0; i < pads_each; ++i)
          if (f.system.put(f.store->first, f.record(w * 100 + i, 1, 300 + i * 5'000)))
            ++stored;
        return stored;
      }));
    for (auto& d : done_by)
      BOOST_CHECK_EQUAL(d.get(), pads_each);
    for (std::uint64_t w = 0; w < writers; ++w)
      for (std::uint64_t i = 0; i < pads_each; ++i) {
        auto back = f.system.get(f.store->second, f.address(w * 100 + i));
        REQUIRE_OK(back);
        BOOST_CHECK_EQUAL(back->size(), 300 + i * 5'000);
      }
  });
}

BOOST_AUTO_TEST_CASE(a_reader_sees_whole_records_that_never_go_back) {
  for_every_kind([](fixture& f) {
    REQUIRE_OK(f.put(f.record(1, 1, 400)));
    std::atomic<bool> stop = false;
    auto reading = std::async(std::launch::async, [&] {
      unsigned torn = 0;
      for (std::uint64_t last = 0; !stop;) {
        auto record = f.system.get(f.store->second, f.address(1));
        auto header = record ? verify_record(*record) : fail(record.error());
        if (!header || header->counter < last)
          ++torn;
        else
          last = header->counter;
      }
      return torn;
    });
    for (std::uint64_t counter = 2; counter <= 60; ++counter)
      REQUIRE_OK(f.put(f.record(1, counter, 400 + (counter * 37'813) % 900'000)));
    stop = true;
    BOOST_CHECK_EQUAL(reading.get(), 0u);
  });
}

BOOST_AUTO_TEST_CASE(what_was_acknowledged_is_there_after_opening_again) {
  for_every_kind([](fixture& f) {
    if (!f.what.durable)
      return;
    for (std::uint64_t pad = 1; pad <= 30; ++pad)
      REQUIRE_OK(f.put(f.record(pad, pad, 200 + pad * 9'001)));
    REQUIRE_OK(f.erase(f.blank(7, 8)));
    f.reopen();
    for (std::uint64_t pad = 1; pad <= 30; ++pad) {
      auto back = f.get(pad);
      if (pad == 7) {
        check_fails(back, errc::pad_not_found);
        continue;
      }
      REQUIRE_OK(back);
      BOOST_CHECK_EQUAL(back->size(), 200 + pad * 9'001);
      BOOST_CHECK_EQUAL(verify_record(*back)->counter, pad);
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
