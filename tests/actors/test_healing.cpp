// After a put that went well, a get of the key gives those bytes: whatever of it was damaged or missing before.
#include "tests/actors/fixture.hpp"

#include <random>

namespace mutant::testing {

namespace {

enum class source_kind { memory, stream };

chunk_source_actor::behavior_type text_source(chunk_source_actor::pointer, const std::shared_ptr<std::string>& rest) {
  return {[rest](pull_atom, std::uint32_t wanted) {
    auto piece = bytes::copy_of(std::string_view(*rest).substr(0, wanted));
    rest->erase(0, wanted);
    return piece;
  }};
}

struct healing_fixture : fixture {
  healing_fixture() {
    writes_heal = true;
    auto config = small_store();
    config.put.checkpoint_chunks = 2;
    auto made = spawn_store(det.system(), config);
    BOOST_REQUIRE(made.has_value());
    whole = *made;
    for (std::uint64_t number = 0; number < 1500; ++number)
      data_pads.insert(data_pad(number));
  }

  std::string text(std::size_t length) {
    std::string out(length, ' ');
    for (auto& c : out)
      c = static_cast<char>('a' + random() % 26);
    return out;
  }

  answer_ptr<put_result> ask_put_of(const std::string& key, const std::string& value, source_kind kind, bool verify) {
    auto request = put_of(key, value);
    if (kind == source_kind::stream)
      request.source = det.system().spawn(text_source, std::make_shared<std::string>(value));
    request.verify = verify;
    return ask<put_result>(whole, put_atom_v, request);
  }
  put_result put_again(const std::string& key, const std::string& value, source_kind kind, bool verify = false) {
    auto a = ask_put_of(key, value, kind, verify);
    det.run_until([&] { return !a->pending(); });
    BOOST_REQUIRE_MESSAGE(a->value, (a->failure ? to_string(*a->failure) : std::string("no answer")));
    return *a->value;
  }
  std::optional<std::string> read(const std::string& key) {
    auto a = ask<get_result>(whole, get_atom_v, get_of(key));
    det.run_until([&] { return !a->pending(); });
    return a->value ? std::optional(std::string(as_text(a->value->value))) : std::nullopt;
  }

  std::vector<std::uint64_t> pads_of(const std::string& key) {
    const auto there = get<found>(caf::actor_cast<index_actor>(whole), find_atom_v, find_request{key, false});
    std::vector<std::uint64_t> pads;
    auto collect = [&](const chunk_list& chunks) {
      for (const auto& c : chunks)
        if (!c.inherited())
          pads.push_back(c.pad.number);
    };
    if (there.complete && there.complete->chunks)
      collect(*there.complete->chunks);
    if (there.pending)
      for (const auto& piece : there.pending->pieces)
        collect(*piece);
    return pads;
  }
  // Some of the key's chunks, one at least. in_payload: what their headers do not show.
  void break_some(const std::string& key, bool in_payload) {
    auto pads = pads_of(key);
    std::ranges::shuffle(pads, random);
    BOOST_REQUIRE(!pads.empty());
    pads.resize(1 + random() % pads.size());
    for (auto number : pads) {
      const auto address = data_pad(number);
      if (in_payload)
        damage(address, record_header_bytes + random() % private_overhead_bytes);
      else if (random() % 2 == 0)
        missing.insert(address);
      else
        damage(address, std::array<std::size_t, 6>{0, 5, 8, 16, 24, 32}[random() % 6]);
    }
  }
  std::string changed(std::string value) {
    auto& c = value[random() % value.size()];
    c = static_cast<char>(c ^ 1);
    return value;
  }

  std::mt19937_64 random{7};
  std::set<pad_address> data_pads;
  store_actor whole;
};

constexpr std::array lengths = {std::size_t{6}, std::size_t{10}, std::size_t{60}, std::size_t{333}};   // of 10 bytes a chunk

}  // namespace

BOOST_FIXTURE_TEST_SUITE(healing, healing_fixture)

BOOST_AUTO_TEST_CASE(what_a_get_found_bad_is_written_anew_by_a_put) {
  for (unsigned round = 0; round < 60; ++round) {
    const auto key = "key " + std::to_string(round % 9);
    const auto kind = round % 2 == 0 ? source_kind::memory : source_kind::stream;
    auto value = text(lengths[random() % lengths.size()]);
    put_again(key, value, kind);
    break_some(key, round % 3 != 0);
    BOOST_TEST(!read(key).has_value());
    if (round % 4 == 3)
      value = changed(value);   // other chunks are unchanged, and may be bad
    BOOST_TEST(put_again(key, value, kind).chunks_written > 0u);
    BOOST_TEST((read(key) == value));
    const auto again = put_again(key, value, kind);
    BOOST_TEST(again.chunks_written == 0u);
    BOOST_TEST((read(key) == value));
  }
}

BOOST_AUTO_TEST_CASE(what_a_header_shows_needs_no_get_before_and_what_verifying_finds_neither) {
  for (unsigned round = 0; round < 60; ++round) {
    const auto key = "key " + std::to_string(round % 9);
    const auto kind = round % 2 == 0 ? source_kind::memory : source_kind::stream;
    auto value = text(lengths[random() % lengths.size()]);
    put_again(key, value, kind);
    const auto verify = round % 3 == 0;
    break_some(key, verify);
    if (round % 4 == 3)
      value = changed(value);
    BOOST_TEST(put_again(key, value, kind, verify).chunks_written > 0u);
    BOOST_TEST((read(key) == value));
  }
}

BOOST_AUTO_TEST_CASE(a_resumed_upload_is_believed_no_more_than_a_value) {
  for (unsigned round = 0; round < 40; ++round) {
    const auto key = "key " + std::to_string(round);
    const auto kind = round % 2 == 0 ? source_kind::memory : source_kind::stream;
    const auto verify = round % 3 == 0;
    const auto value = text(200);
    if (round % 4 == 3)
      put_again(key, changed(value), kind);   // then the upload has kept chunks, too
    auto left = 9 + static_cast<int>(random() % 6);
    door->refuse = [this, &left](pad_op op, const pad_address& a) {
      const auto is_full = op == pad_op::put && data_pads.contains(a) && --left < 0;
      return is_full ? std::optional(error{errc::store_full, "full"}) : std::nullopt;
    };
    const auto cut_off = ask_put_of(key, value, kind, false);
    det.run_until([&] { return !cut_off->pending(); });
    door->refuse = nullptr;
    if (pads_of(key).empty())
      continue;
    break_some(key, verify);
    const auto result = put_again(key, value, kind, verify);
    BOOST_TEST((read(key) == value));
    BOOST_TEST(result.size == value.size());
  }
}

BOOST_AUTO_TEST_CASE(a_store_that_cannot_be_asked_is_an_error_and_nothing_is_written) {
  const auto value = text(60);
  put_again("key", value, source_kind::memory);
  door->refuse = [](pad_op op, const pad_address&) {
    return op == pad_op::head ? std::optional(error{errc::access_denied, "no"}) : std::nullopt;
  };
  const auto a = ask_put_of("key", value, source_kind::memory, false);
  det.run_until([&] { return !a->pending(); });
  BOOST_TEST((a->code() == errc::access_denied));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
