// The index as a state machine: against a plain model, over random operations; snapshots out and in; hostile snapshots.
#include <boost/test/unit_test.hpp>

#include <functional>

#include "core/index/codec.hpp"
#include "core/index/rules.hpp"
#include "core/index/state.hpp"
#include "tests/core/index_model.hpp"

using namespace mutant;
using mutant::testing::index_model;
using mutant::testing::operation_source;

namespace {

upload as_upload(const index_model::flat_upload& flat) {
  auto u = flat.head;
  if (!flat.chunks.empty())
    u.pieces.push_back(std::make_shared<const chunk_list>(flat.chunks));
  return u;
}

template <class T>
std::string why(const result<T>& r) {
  return r ? "ok" : to_string(r.error());
}

template <class View>
bool same_values(const View& view, const index_model& model) {
  for (std::uint64_t n = 0; n < operation_source::keys; ++n) {
    auto key = operation_source::key(n);
    const auto* e = view.find(key);
    auto expected = model.entries.find(key);
    if ((e != nullptr) != (expected != model.entries.end()) || (e != nullptr && !(*e == expected->second)))
      return false;
    const auto* u = view.find_upload(key);
    auto pending = model.uploads.find(key);
    if ((u != nullptr) != (pending != model.uploads.end()) || (u != nullptr && !(*u == as_upload(pending->second))))
      return false;
  }
  return view.next_pad() == model.next_pad;
}

template <class View>
bool same_pads(const View& view, const index_model& model) {
  auto used = model.used();
  for (std::uint64_t n = 0; n < model.next_pad + 70; ++n) {
    auto freed = model.free_pads.find(n);
    auto expected = freed != model.free_pads.end() ? std::optional(freed->second) : std::nullopt;
    if (view.in_use(n) != used.contains(n) || view.free_counter(n) != expected || (view.in_use(n) && expected))
      return false;
  }
  return used.size() + model.free_pads.size() + model.gaps.size() == model.next_pad;
}

index_totals totals_of(const index_model& model) {
  index_totals t{model.entries.size(), model.uploads.size(), 0, model.used().size(), model.free_pads.size()};
  for (const auto& [key, e] : model.entries)
    t.value_bytes += e.size;
  return t;
}

bool same(const index_state& state, const index_model& model) {
  return same_values(state, model) && same_pads(state, model) && state.totals() == totals_of(model);
}

// A state and its model, moved on together.
struct world {
  index_state state;
  index_model model;
  operation_source source;
  std::size_t taken = 0;

  explicit world(std::uint64_t seed) : source(seed) {}

  void commit() {
    index_batch batch(state);
    for (auto count = source.below(6); count > 0; --count) {
      auto op = source.next(model);
      auto refused = model.apply(op, state.sequence() + 1);
      auto ok = batch.add(op);
      BOOST_REQUIRE_MESSAGE(ok.has_value() == !refused && (ok || ok.error().code == *refused),
                            "operation " << op.index() << ": " << why(ok) << ", expected "
                                         << (refused ? name_of(*refused) : "ok"));
      BOOST_REQUIRE(same_values(batch, model));
      taken += ok.has_value();
    }
    BOOST_REQUIRE(same_pads(batch, model));
    state.apply(std::move(batch));
  }
};

std::vector<snapshot_part> cut(index_state& state, std::size_t max_part_bytes) {
  std::vector<snapshot_part> parts;
  part_cutter cutter(state.freeze(), max_part_bytes);
  while (auto part = cutter.next())
    parts.push_back(std::move(*part));
  return parts;
}

result<void> load(index_state& state, const std::vector<snapshot_part>& parts, std::uint64_t sequence,
                  std::uint64_t next_pad) {
  for (const auto& part : parts)
    if (auto ok = state.load(part); !ok)
      return ok;
  return state.finish_load(sequence, next_pad);
}

chunk chunk_at(std::uint64_t number, std::uint64_t counter = 1, std::uint32_t length = 8) {
  return {{number, counter}, length, {}};
}

entry value_of(chunk_list chunks, std::uint64_t version = 0) {
  entry e;
  e.version = version;
  for (const auto& c : chunks)
    e.size += c.length;
  e.chunks = std::make_shared<const chunk_list>(std::move(chunks));
  return e;
}

entry inline_value_of(std::string_view text) {
  entry e;
  e.size = text.size();
  e.inline_value = bytes::copy_of(text);
  return e;
}

// The code of a refusal; nothing when all are taken.
std::optional<errc> do_commit(index_state& state, std::vector<operation> operations) {
  index_batch batch(state);
  for (auto& op : operations)
    if (auto ok = batch.add(std::move(op)); !ok)
      return ok.error().code;
  state.apply(std::move(batch));
  return std::nullopt;
}

snapshot_part::entry_item item(std::string key, entry value) {
  snapshot_part::entry_item i;
  i.key = std::move(key);
  i.chunk_total = value.chunk_count();
  i.value = std::move(value);
  return i;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(index_state_test)

BOOST_AUTO_TEST_CASE(random_commits_give_what_the_model_gives) {
  std::size_t taken = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    world w(seed);
    for (std::uint64_t n = 1; n <= 150; ++n) {
      w.commit();
      BOOST_REQUIRE(w.state.sequence() == n);
      BOOST_REQUIRE(same(w.state, w.model));
    }
    taken += w.taken;
  }
  BOOST_TEST_MESSAGE(taken << " operations taken");
  BOOST_TEST(taken > 10'000u);
}

BOOST_AUTO_TEST_CASE(a_batch_does_what_its_operations_do_one_by_one) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    operation_source source(seed);
    index_model model;
    index_state together, apart;
    index_batch batch(together);
    for (int n = 0; n < 60; ++n) {
      auto op = source.next(model, false);
      auto refused = model.apply(op, 1);
      BOOST_REQUIRE(batch.add(op).has_value() == !refused);
      BOOST_REQUIRE(do_commit(apart, {op}) == refused);
    }
    together.apply(std::move(batch));
    BOOST_REQUIRE(same(together, model));
    for (auto& [key, value] : model.entries)
      value.version = apart.find(key)->version;
    BOOST_REQUIRE(same(apart, model));
  }
}

BOOST_AUTO_TEST_CASE(a_log_replayed_elsewhere_gives_the_same_state) {
  world w(5);
  index_state other;
  for (int n = 0; n < 200; ++n) {
    index_batch batch(w.state);
    for (int i = 0; i < 4; ++i) {
      auto op = w.source.next(w.model);
      if (batch.add(op))
        BOOST_REQUIRE(!w.model.apply(op, w.state.sequence() + 1));
    }
    auto decoded = decode_commit(encode(commit{w.state.sequence() + 1, {}, batch.operations()}));
    BOOST_REQUIRE(decoded.has_value());
    w.state.apply(std::move(batch));
    BOOST_REQUIRE(!do_commit(other, decoded->operations));
    BOOST_REQUIRE(same(other, w.model));
  }
}

BOOST_AUTO_TEST_CASE(a_snapshot_loaded_again_is_the_same_state) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    world w(seed);
    for (int n = 0; n < 100; ++n)
      w.commit();
    for (std::size_t max_part_bytes : std::vector<std::size_t>{1, 200, 500, 5000, max_plaintext_bytes}) {
      index_state copy;
      for (const auto& part : cut(w.state, max_part_bytes)) {
        auto encoded = encode(part);
        if (max_part_bytes >= 500)
          BOOST_REQUIRE(encoded.size() <= max_part_bytes);
        auto decoded = decode_snapshot_part(encoded);
        BOOST_REQUIRE_MESSAGE(decoded.has_value(), why(decoded));
        BOOST_REQUIRE(copy.load(*decoded));
      }
      auto loaded = copy.finish_load(w.state.sequence(), w.state.next_pad());
      BOOST_REQUIRE_MESSAGE(loaded.has_value(), why(loaded));
      BOOST_REQUIRE(same(copy, w.model));
      BOOST_TEST(copy.changes().empty());
    }
  }
}

BOOST_AUTO_TEST_CASE(deltas_bring_an_older_state_up_to_date) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    world w(seed);
    index_state follower;
    for (int round = 0; round < 20; ++round) {
      for (auto n = w.source.below(6); n > 0; --n)
        w.commit();
      auto changes = w.state.take_changes();
      if (round % 3 == 1) {  // the root did not come to be
        w.commit();
        w.state.restore_changes(std::move(changes));
        w.commit();
        changes = w.state.take_changes();
      }
      auto max_part_bytes = w.source.below(2) == 0 ? std::size_t{1} : 300 + w.source.below(2000);
      auto parts = delta_parts(changes, max_part_bytes);
      BOOST_TEST(parts.empty() == changes.empty());
      if (max_part_bytes >= 300)
        for (const auto& part : parts)
          BOOST_TEST(encode(part).size() <= max_part_bytes);
      auto loaded = load(follower, parts, w.state.sequence(), w.state.next_pad());
      BOOST_REQUIRE_MESSAGE(loaded.has_value(), why(loaded));
      BOOST_REQUIRE(same(follower, w.model));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_base_and_its_deltas_load_in_one_go) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    world w(seed);
    std::vector<snapshot_part> parts;
    for (int round = 0; round < 8; ++round) {
      for (int n = 0; n < 10; ++n)
        w.commit();
      auto changes = w.state.take_changes();
      for (auto& part : round == 0 ? cut(w.state, 400) : delta_parts(changes, 400))
        parts.push_back(std::move(part));
    }
    index_state copy;
    auto loaded = load(copy, parts, w.state.sequence(), w.state.next_pad());
    BOOST_REQUIRE_MESSAGE(loaded.has_value(), why(loaded));
    BOOST_REQUIRE(same(copy, w.model));
  }
}

BOOST_AUTO_TEST_CASE(a_frozen_index_is_cut_as_it_was) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    world w(seed);
    for (int n = 0; n < 60; ++n)
      w.commit();
    auto then = w.model;
    auto frozen = w.state.freeze();
    part_cutter cutter(frozen, 150);
    index_state copy;
    while (auto part = cutter.next()) {
      BOOST_REQUIRE(copy.load(*part));
      w.commit();
    }
    BOOST_REQUIRE(copy.finish_load(frozen.sequence, frozen.next_pad));
    BOOST_REQUIRE(same(copy, then));
  }
}

BOOST_AUTO_TEST_CASE(an_empty_index_has_no_parts) {
  index_state state;
  BOOST_TEST(cut(state, max_plaintext_bytes).empty());
  BOOST_TEST(delta_parts({}, max_plaintext_bytes).empty());
}

BOOST_AUTO_TEST_CASE(a_list_gives_the_keys_of_a_prefix_in_order) {
  world w(3);
  for (int n = 0; n < 120; ++n)
    w.commit();
  std::set<std::string> keys;
  for (const auto& [key, value] : w.model.entries)
    keys.insert(key);
  for (const auto& [key, value] : w.model.uploads)
    keys.insert(key);
  for (std::string prefix : {"", "a/", "b/", "b/k", "c", "a/kkk9"}) {
    for (std::string after : {"", "a", "a/kkk9", "b/", "b/kk2", "z"}) {
      std::vector<std::string> expected, listed;
      for (const auto& key : keys)
        if (key.starts_with(prefix) && key > after)
          expected.push_back(key);
      for (std::size_t limit : {0, 1, 3, 100}) {
        listed.clear();
        for (const auto& i : w.state.list(prefix, after, limit)) {
          listed.push_back(i.key);
          BOOST_TEST(i.complete == w.state.find(i.key));
          BOOST_TEST(i.pending == w.state.find_upload(i.key));
        }
        auto part = expected;
        part.resize(std::min(limit, expected.size()));
        BOOST_TEST(listed == part, boost::test_tools::per_element());
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(free_pads_are_found_in_order) {
  index_state state;
  BOOST_TEST(!do_commit(state, {free_pads_op{{{5, 0}, {2, 7}, {900, 1}}}}));
  BOOST_TEST((state.next_free(0) == pad_ref{2, 7}));
  BOOST_TEST((state.next_free(3) == pad_ref{5, 0}));
  BOOST_TEST((state.next_free(6) == pad_ref{900, 1}));
  BOOST_TEST(!state.next_free(901));
  BOOST_TEST(state.next_pad() == 901u);
}

BOOST_AUTO_TEST_CASE(a_pad_freed_in_a_batch_may_be_taken_later_in_it) {
  index_state state;
  BOOST_TEST(!do_commit(state, {put_op{"a", value_of({chunk_at(0, 4)})}}));
  BOOST_TEST((do_commit(state, {remove_op{"a"}, put_op{"b", value_of({chunk_at(0, 4)})}}) == errc::pad_conflict));
  BOOST_TEST(!do_commit(state, {remove_op{"a"}, put_op{"b", value_of({chunk_at(0, 5)})}}));
  BOOST_TEST(state.in_use(0));
  BOOST_TEST(!state.free_counter(0));
}

BOOST_AUTO_TEST_CASE(a_refused_pad_comes_with_its_free_counter) {
  index_state state;
  BOOST_TEST(!do_commit(state, {free_pads_op{{{3, 9}}}}));
  index_batch batch(state);
  auto refused = batch.add(put_op{"a", value_of({chunk_at(3, 9)})});
  BOOST_REQUIRE(!refused);
  BOOST_TEST((refused.error().code == errc::pad_conflict));
  BOOST_TEST(refused.error().detail == 9u);
  BOOST_TEST(batch.empty());
}

BOOST_AUTO_TEST_CASE(kept_chunks_need_the_version_they_were_kept_from) {
  auto kept = chunk_at(0, 0);
  auto upload_over = [&](index_state& state, std::uint64_t base, std::uint64_t tail = 7) {
    return do_commit(state, {begin_upload_op{"a", 1, std::nullopt, 8, 0, base}, extend_upload_op{"a", 1, 0, {kept}},
                          complete_upload_op{"a", 1, 16, 0, {}, {chunk_at(tail)}}});
  };
  index_state state;
  BOOST_TEST((upload_over(state, 0) == errc::invalid_argument));
  BOOST_TEST((upload_over(state, 1) == errc::version_mismatch));
  BOOST_TEST(!do_commit(state, {put_op{"a", value_of({chunk_at(0), chunk_at(1)})}}));
  BOOST_TEST((upload_over(state, 2) == errc::version_mismatch));
  BOOST_TEST(!upload_over(state, 1));
  BOOST_TEST((*state.find("a")->chunks == chunk_list{chunk_at(0), chunk_at(7)}));
  BOOST_TEST((state.free_counter(1) == 1u));
  BOOST_TEST((upload_over(state, 1, 8) == errc::version_mismatch));
  BOOST_TEST(!upload_over(state, 2, 8));
}

BOOST_AUTO_TEST_CASE(a_long_upload_grows_in_few_pieces) {
  index_state state;
  BOOST_TEST(!do_commit(state, {begin_upload_op{"a", 1, 8 * 20'000, 8, 0, 0}}));
  chunk_list all;
  for (std::uint64_t n = 0; n < 20'000; n += 4) {
    chunk_list four;
    for (std::uint64_t i = n; i < n + 4; ++i)
      four.push_back(chunk_at(i));
    all.insert(all.end(), four.begin(), four.end());
    BOOST_REQUIRE(!do_commit(state, {extend_upload_op{"a", 1, n, std::move(four)}}));
  }
  BOOST_TEST(state.find_upload("a")->pieces.size() < 30u);
  BOOST_TEST(!do_commit(state, {complete_upload_op{"a", 1, 8 * 20'000, 0, {}, {}}}));
  BOOST_TEST((*state.find("a")->chunks == all));
}

BOOST_AUTO_TEST_CASE(malformed_operations_are_invalid) {
  auto with = [](entry e, auto change) {
    change(e);
    return e;
  };
  auto good = value_of({chunk_at(0), chunk_at(1), chunk_at(2, 1, 3)});
  const std::string long_content(max_attribute_bytes - 2, 'v');
  std::vector<operation> bad{
      put_op{"", inline_value_of("x")},
      put_op{std::string(max_key_bytes + 1, 'k'), inline_value_of("x")},
      put_op{"k", inline_value_of(std::string(max_inline_bytes + 1, 'x'))},
      put_op{"k", with(inline_value_of("x"), [](entry& e) { e.size = 2; })},
      put_op{"k", with(good, [](entry& e) { e.inline_value = bytes::copy_of("x"); })},
      put_op{"k", with(good, [](entry& e) { ++e.size; })},
      put_op{"k", with(good, [](entry& e) { e.attributes = attribute_map{{"", "x"}}; })},
      put_op{"k", with(good, [](entry& e) { e.attributes = attribute_map{{"\xff", "x"}}; })},
      put_op{"k", with(good, [&](entry& e) { e.attributes = attribute_map{{"x-a", long_content}}; })},
      put_op{"k", value_of({chunk_at(0, 1, max_chunk_bytes + 1)})},
      put_op{"k", value_of({chunk_at(0, 1, 0)})},
      put_op{"k", value_of({chunk_at(0, 0)})},
      put_op{"k", value_of({chunk_at(max_number)})},
      put_op{"k", value_of({chunk_at(0, max_number)})},
      put_op{"k", value_of({chunk_at(0), chunk_at(1), chunk_at(0, 2)})},
      remove_op{""},
      rename_op{"k", ""},
      begin_upload_op{"k", 1, std::nullopt, 0, 0, 0},
      begin_upload_op{"k", 1, max_number, 8, 0, 0},
      begin_upload_op{"k", 1, std::nullopt, 8, 0, max_number},
      extend_upload_op{"u", 1, 1, {chunk_at(0)}},
      extend_upload_op{"u", 1, 0, {chunk_at(0), chunk_at(1), chunk_at(2)}},
      extend_upload_op{"u", 1, 0, {chunk_at(0, 0)}},
      complete_upload_op{"u", 1, 8, 0, {}, {chunk_at(0)}},
      complete_upload_op{"u", 1, 15, 0, {}, {chunk_at(0), chunk_at(1)}},
      complete_upload_op{"u", 1, 16, 0, attribute_map{{"", "x"}}, {chunk_at(0), chunk_at(1)}},
      assemble_op{"k", 0, {}, {}},
      assemble_op{"", 0, {}, {"k"}},
      assemble_op{"k", 0, {}, {""}},
      adopt_upload_op{"u", 1, 2, 1},
      free_pads_op{{{1, 1}, {1, 2}}},
      free_pads_op{{{max_number, 1}}},
      free_pads_op{{{1, max_number}}},
  };
  index_state state;
  BOOST_TEST(!do_commit(state, {begin_upload_op{"u", 1, 16, 8, 0, 0}}));
  index_batch batch(state);
  for (std::size_t i = 0; i < bad.size(); ++i) {
    auto refused = batch.add(bad[i]);
    BOOST_TEST_CONTEXT("operation " << i) {
      BOOST_TEST((!refused && refused.error().code == errc::invalid_argument));
    }
  }
  BOOST_TEST(batch.empty());
  BOOST_TEST(batch.next_pad() == 0u);
}

BOOST_AUTO_TEST_CASE(chunks_whose_lengths_come_to_too_much_are_refused) {
  const chunk_list one{chunk_at(0, 1, max_chunk_bytes)};
  BOOST_TEST(rules::check_run(0, max_number - max_chunk_bytes - 1, one, false).value() == max_number - 1);
  for (auto before : {max_number - max_chunk_bytes, max_number - 1}) {
    const auto refused = rules::check_run(7, before, one, false);
    BOOST_TEST((!refused && refused.error().code == errc::invalid_argument));
  }
  // Of a snapshot, where nothing was added up by ourselves.
  snapshot_part part;
  part.entries = {item("a", value_of(one, 1))};
  part.entries[0].value.size += std::uint64_t{1} << 32;
  index_state state;
  const auto refused = load(state, {part}, 1, 1);
  BOOST_TEST((!refused && refused.error().code == errc::index_corrupt));
}

BOOST_AUTO_TEST_CASE(a_value_is_assembled_of_parts_that_go) {
  index_state state;
  const attribute_set type(attribute_map{{"type", "text/plain"}});
  BOOST_TEST(!do_commit(state, {put_op{"p1", value_of({chunk_at(0), chunk_at(1, 1, 3)})}, put_op{"p2", inline_value_of("")},
                                put_op{"p3", value_of({chunk_at(2, 1, 5)})}, put_op{"a", value_of({chunk_at(3)})},
                                put_op{"i", inline_value_of("x")}}));
  const auto assemble = [](std::vector<std::string> parts) { return assemble_op{"a", 7, {}, std::move(parts)}; };
  BOOST_TEST((do_commit(state, {assemble({"p1", "gone"})}) == errc::key_not_found));
  BOOST_TEST((do_commit(state, {assemble({"p1", "i"})}) == errc::invalid_argument));
  BOOST_TEST((do_commit(state, {assemble({"p1", "p1"})}) == errc::invalid_argument));
  BOOST_TEST((do_commit(state, {assemble({"p1", "a"})}) == errc::invalid_argument));
  BOOST_TEST((do_commit(state, {remove_op{"p1"}, assemble({"p1"})}) == errc::key_not_found));
  BOOST_TEST(state.sequence() == 1u);
  BOOST_TEST(!do_commit(state, {assemble_op{"a", 7, type, {"p3", "p2", "p1"}}}));
  const auto* whole = state.find("a");
  BOOST_REQUIRE(whole != nullptr);
  BOOST_TEST(whole->size == 16u);
  BOOST_TEST(whole->version == 2u);
  BOOST_TEST(whole->modified_ms == 7);
  BOOST_TEST((whole->attributes == type));
  BOOST_TEST((*whole->chunks == chunk_list{chunk_at(2, 1, 5), chunk_at(0), chunk_at(1, 1, 3)}));
  for (auto part : {"p1", "p2", "p3"})
    BOOST_TEST(state.find(part) == nullptr);
  BOOST_TEST((state.free_counter(3) == 1u));   // of the value that was replaced
  BOOST_TEST(state.totals().pads_in_use == 3u);
}

BOOST_AUTO_TEST_CASE(a_small_inline_value_does_not_hold_on_to_a_large_block) {
  auto large = bytes::copy_of(std::string(100'000, 'x'));
  entry e;
  e.inline_value = large.slice(50'000, 10);
  e.size = 10;
  index_state state;
  BOOST_TEST(!do_commit(state, {put_op{"a", e}}));
  BOOST_TEST((state.find("a")->inline_value.data() != e.inline_value.data()));
  BOOST_TEST(state.find("a")->inline_value.slack() == 0u);
  BOOST_TEST(state.find("a")->inline_value.is_compact());
}

BOOST_AUTO_TEST_CASE(contradictory_parts_are_corrupt) {
  using parts = std::vector<snapshot_part>;
  auto one = [](auto change) {
    parts p(1);
    change(p[0]);
    return p;
  };
  auto long_start = item("a", value_of({chunk_at(0), chunk_at(1)}, 1));
  long_start.value.size = 24;
  long_start.chunk_total = 3;
  snapshot_part::entry_item long_end;
  long_end.key = "a";
  long_end.first = 2;
  long_end.value.chunks = std::make_shared<const chunk_list>(chunk_list{chunk_at(2)});
  auto two = [&](auto change) {
    parts p(2);
    p[0].entries = {long_start};
    p[1].entries = {long_end};
    change(p);
    return p;
  };
  auto upload_item = [](chunk_list chunks, std::uint64_t bytes_done) {
    snapshot_part::upload_item i;
    i.key = "u";
    i.value.chunk_size = 8;
    i.value.chunks_done = chunks.size();
    i.value.bytes_done = bytes_done;
    i.value.pieces = {std::make_shared<const chunk_list>(std::move(chunks))};
    return i;
  };
  auto a = item("a", value_of({chunk_at(0)}, 1));
  auto b = item("b", value_of({chunk_at(1)}, 1));
  std::vector<parts> bad{
      one([&](auto& p) { p.entries = {b, a}; }),
      one([&](auto& p) { p.entries = {a, a}; }),
      one([&](auto& p) { p.entries = {a}, p.removed_entries = {"a"}; }),
      one([&](auto& p) { p.entries = {a, item("b", value_of({chunk_at(0)}, 1))}; }),
      one([&](auto& p) { p.entries = {a}, p.uploads = {upload_item({chunk_at(0)}, 8)}; }),
      one([&](auto& p) { p.entries = {item("a", value_of({chunk_at(0), chunk_at(0, 2)}, 1))}; }),
      one([&](auto& p) { p.entries = {item("a", value_of({chunk_at(0)}, 0))}; }),
      one([&](auto& p) { p.entries = {item("a", value_of({chunk_at(0)}, 11))}; }),
      one([&](auto& p) { p.entries = {item("a", value_of({chunk_at(10)}, 1))}; }),
      one([&](auto& p) { p.entries = {item("a", value_of({chunk_at(1, 0)}, 1))}; }),
      one([&](auto& p) { p.entries = {item("", value_of({chunk_at(0)}, 1))}; }),
      one([&](auto& p) { p.entries = {a}, p.free_pads = {{0, 3}}; }),
      one([&](auto& p) { p.free_pads = {{10, 3}}; }),
      one([&](auto& p) { p.free_pads = {{1, max_number}}; }),
      one([&](auto& p) { p.free_pads = {{2, 1}, {1, 1}}; }),
      one([&](auto& p) { p.free_pads = {{2, 1}}, p.taken_pads = {2}; }),
      one([&](auto& p) { p.uploads = {upload_item({chunk_at(0)}, 7)}; }),
      one([&](auto& p) { p.uploads = {upload_item({chunk_at(0, 0)}, 8)}; }),
      one([&](auto& p) { p.entries = {long_start}; }),
      one([&](auto& p) { p.entries = {long_end}; }),
      two([&](auto& p) { p[1].entries[0].key = "b"; }),
      two([&](auto& p) { p[1].entries[0].first = 1; }),
      two([&](auto& p) { p[1].entries[0].value.chunks = nullptr; }),
      two([&](auto& p) { p[1].entries = {b}; }),
      two([&](auto& p) { p[0].entries[0].chunk_total = max_number, p[0].entries[0].value.size = 8 * max_number; }),
      two([&](auto& p) { p.push_back(p[1]); }),
  };
  for (std::size_t i = 0; i < bad.size(); ++i) {
    index_state state;
    auto refused = load(state, bad[i], 10, 10);
    BOOST_TEST_CONTEXT("parts " << i) {
      BOOST_TEST((!refused && refused.error().code == errc::index_corrupt && refused.error().message.size() > 12));
    }
  }
  index_state state;
  BOOST_TEST(load(state, two([](auto&) {}), 10, 10).has_value());
  BOOST_TEST(state.find("a")->chunk_count() == 3u);
  BOOST_TEST(!state.finish_load(9, 10));
}

BOOST_AUTO_TEST_CASE(a_pad_used_twice_is_reported_with_both_keys) {
  index_state state;
  snapshot_part part;
  part.entries = {item("first", value_of({chunk_at(4)}, 1)), item("second", value_of({chunk_at(4)}, 1))};
  auto refused = load(state, {part}, 1, 5);
  BOOST_REQUIRE(!refused);
  BOOST_TEST(refused.error().message.find("pad 4") != std::string::npos);
  BOOST_TEST(refused.error().message.find("'first'") != std::string::npos);
  BOOST_TEST(refused.error().message.find("'second'") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(damaged_parts_are_corrupt_or_a_sound_state) {
  std::size_t refusals = 0;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    world w(seed % 20);
    for (std::uint64_t n = 0; n < 20 + seed % 50; ++n)
      w.commit();
    auto parts = cut(w.state, 300);
    std::mt19937_64 random(seed);
    auto& part = parts[random() % parts.size()];
    switch (random() % 6) {
      case 0: parts.erase(parts.begin() + (&part - parts.data())); break;
      case 1: std::swap(part, parts[random() % parts.size()]); break;
      case 2: part.free_pads.insert(part.free_pads.begin(), pad_ref{random() % 30, 1}); break;
      case 3:
        if (!part.entries.empty())
          part.entries[random() % part.entries.size()].first = random() % 4;
        break;
      case 4:
        if (!part.entries.empty())
          part.entries[random() % part.entries.size()].chunk_total = random() % 4;
        break;
      default:
        for (auto& e : part.entries)
          if (e.value.chunks) {
            auto chunks = *e.value.chunks;
            chunks[random() % chunks.size()].pad.number = random() % 40;
            e.value.chunks = std::make_shared<const chunk_list>(std::move(chunks));
          }
    }
    index_state state;
    auto loaded = load(state, parts, w.state.sequence(), w.state.next_pad());
    if (!loaded) {
      BOOST_TEST((loaded.error().code == errc::index_corrupt));
      ++refusals;
      continue;
    }
    auto t = state.totals();
    std::uint64_t in_use = 0, free = 0;
    for (std::uint64_t n = 0; n < state.next_pad(); ++n) {
      BOOST_TEST(!(state.in_use(n) && state.free_counter(n)));
      in_use += state.in_use(n);
      free += state.free_counter(n).has_value();
    }
    BOOST_TEST(in_use == t.pads_in_use);
    BOOST_TEST(free == t.pads_free);
  }
  BOOST_TEST(refusals > 50u);
}

BOOST_AUTO_TEST_SUITE_END()
