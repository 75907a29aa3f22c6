// Recovering a store of which one record of the index is gone, whichever it is: with a small ring, so that there are snapshots
// of several parts, and the log has been written over.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "actors/copy/recover_index.hpp"
#include "core/engine/engine.hpp"
#include "core/index/codec.hpp"
#include "core/record.hpp"
#include "tests/temporary_directory.hpp"

using namespace mutant;

namespace {

constexpr std::uint64_t ring_slots = 8;

client_options options_for(const std::string& directory, const std::string& cache) {
  client_options out;
  out.store.owner.value[0] = std::byte{7};
  out.store.url = "local:" + directory;
  out.store.cache_directory = cache;
  out.store.index.ring_slots = ring_slots;
  out.store.index.max_part_bytes = 2000;
  out.store.crypto_workers = 1;
  return out;
}

using values = std::map<std::string, std::string>;

values fill(const std::string& directory, const std::string& cache) {
  values truth;
  auto store = client::open(options_for(directory, cache));
  BOOST_REQUIRE(store);
  for (int n = 0; n < 60; ++n) {
    const auto key = "key " + std::to_string(n * 7 % 23);
    const auto size = n % 5 == 0 ? 20'000u : 100u;
    const std::string value(size, static_cast<char>('a' + n % 26));
    BOOST_REQUIRE(store->put(key, bytes::copy_of(value)));
    truth[key] = value;
    if (n % 9 == 8) {
      BOOST_REQUIRE(store->remove(key));
      truth.erase(key);
    }
  }
  BOOST_REQUIRE(store->flush());
  return truth;
}

// The pads of the index: its root, the ring, and the parts that the root names.
std::vector<pad_keys> index_pads(pad_engine& engine, const keyring& keys) {
  std::vector<pad_keys> out{keys.root()};
  for (std::uint64_t slot = 0; slot < ring_slots; ++slot)
    out.push_back(keys.log(slot));
  auto record = engine.get(keys.root().address);
  BOOST_REQUIRE(record);
  auto plain = open_private(keys.root(), parse_header(*record)->counter, *record);
  BOOST_REQUIRE(plain);
  auto what = decode_root(*plain);
  BOOST_REQUIRE(what);
  BOOST_TEST(what->parts.size() > 1u);
  for (const auto& part : what->parts)
    out.push_back(keys.part(part.pad.number));
  return out;
}

void lose(const std::string& directory, std::size_t which) {
  auto engine = open_lmdb_engine({directory});
  BOOST_REQUIRE(engine);
  const auto pads = index_pads(**engine, keyring(options_for(directory, {}).store.owner));
  auto there = (*engine)->head(pads[which].address);
  BOOST_REQUIRE(there);
  BOOST_REQUIRE((*engine)->erase(seal_blank(pads[which], parse_header(*there)->counter + 1)));
  BOOST_REQUIRE((*engine)->commit());
}

std::size_t count_pads(const std::string& directory) {
  auto engine = open_lmdb_engine({directory});
  BOOST_REQUIRE(engine);
  return index_pads(**engine, keyring(options_for(directory, {}).store.owner)).size();
}

void copy(const std::string& from, const std::string& to) {
  std::filesystem::remove_all(to);
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
}

bool is_named(const recovered_index& r, const std::string& key) {
  return !r.lost_commits.empty()
         && (std::ranges::any_of(r.lost_values, [&](const auto& v) { return v.key == key; }) || !r.lost_keys.empty()
             || !r.uncertain.empty() || r.whole_until < r.sequence);
}

// What is recovered to `to` is the truth, but for what is named.
void check(const values& truth, const index_recovery_report& report, const std::string& to) {
  auto options = options_for(to, {});
  options.store.create = false;
  auto store = client::open(std::move(options));
  BOOST_REQUIRE(store);
  const std::set<std::string> uncertain(report.index.uncertain.begin(), report.index.uncertain.end());
  std::set<std::string> there;
  auto page = store->list({});
  BOOST_REQUIRE(page);
  for (const auto& item : *page) {
    there.insert(item.key);
    if (uncertain.contains(item.key))
      continue;
    auto value = store->get(item.key);
    BOOST_REQUIRE(value);
    BOOST_REQUIRE(truth.contains(item.key));
    BOOST_TEST(as_text(value->value) == truth.at(item.key));
  }
  for (const auto& [key, value] : truth)
    BOOST_TEST((there.contains(key) || is_named(report.index, key)), key << " is missing without a word");
  if (report.index.is_complete())
    BOOST_TEST(there.size() == truth.size());
  // It is a store that goes on, past the end of its ring.
  for (std::uint64_t n = 0; n < 2 * ring_slots; ++n)
    BOOST_REQUIRE(store->put("new", bytes::copy_of(std::to_string(n))));
}

result<index_recovery_report> recover(const std::string& from, const std::string& to, const std::string& cache) {
  index_recovery_options options;
  options.owner = options_for(from, {}).store.owner;
  options.from = "local:" + from;
  options.to = "local:" + to;
  if (!cache.empty())
    options.memory_path = index_memory_path(options_for(from, cache).store);
  auto work = index_recovery::open(std::move(options));
  if (!work)
    return fail(work.error());
  auto report = work->look();
  if (!report)
    return report;
  auto written = work->write(*report);
  return written ? std::move(report) : fail(written.error());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(index_recovery_of_a_store)

BOOST_AUTO_TEST_CASE(whichever_record_is_gone_the_rest_is_recovered) {
  const testing::temporary_directory place;
  const auto whole = place.file("whole");
  const auto cache = place.file("cache");
  const auto truth = fill(whole, cache);
  const auto pads = count_pads(whole);
  for (std::size_t which = 0; which < pads; ++which)
    for (const auto remembers : {true, false})
      BOOST_TEST_CONTEXT("record " << which << (remembers ? ", with what the machine remembers" : "")) {
        const auto damaged = place.file("damaged");
        const auto to = place.file("new");
        copy(whole, damaged);
        std::filesystem::remove_all(to);
        lose(damaged, which);
        // The memory goes by the store's name.
        const auto its_cache = place.file("its cache");
        std::filesystem::remove_all(its_cache);
        if (remembers) {
          std::filesystem::create_directories(its_cache);
          const auto mine = index_memory_path(options_for(whole, cache).store);
          const auto its = index_memory_path(options_for(damaged, its_cache).store);
          for (const auto* end : {".seen", ".cache"})
            if (std::filesystem::exists(mine + end))
              std::filesystem::copy_file(mine + end, its + end);
        }
        auto report = recover(damaged, to, remembers ? its_cache : std::string());
        if (!report) {   // without the root, and without a memory, a log that was written over proves nothing
          BOOST_TEST((report.error().code == errc::index_corrupt), to_string(report.error()));
          BOOST_TEST((which == 0 && !remembers));
          continue;
        }
        check(truth, *report, to);
      }
}

BOOST_AUTO_TEST_SUITE_END()
