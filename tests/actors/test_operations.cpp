// Puts and gets message by message: the window, taken pads, lost answers, resuming, replaced values, cancelling.
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "actors/operations/purge_operation.hpp"
#include "tests/actors/fixture.hpp"

namespace mutant::testing {

namespace {

const std::string alphabet = "abcdefghijklmnopqrstuvwxyz0123456789";   // four chunks of the fixture's ten bytes

struct operations_fixture : fixture {
  using fixture::fixture;
  index_actor index = spawn_index();

  void hold_data(pad_op op) {
    door->hold = [this, op](pad_op what, const pad_address& a) { return what == op && is_data(a); };
  }
  std::optional<found> find(const std::string& key) { return get<found>(index, find_atom_v, find_request{key, false}); }
  // Lets held requests go until nothing waits any more.
  void drain() {
    door->hold = nullptr;
    door->release_all();
    det.run_messages();
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(operations, operations_fixture)

BOOST_AUTO_TEST_CASE(values_of_every_length_come_back) {
  for (std::size_t length = 0; length <= alphabet.size(); ++length) {
    const auto value = alphabet.substr(0, length);
    auto stored = put(small_put(index), "key", value);
    BOOST_TEST(stored.size == length);
    BOOST_TEST(value_of(small_get(index), "key") == value);
  }
}

BOOST_AUTO_TEST_CASE(every_range_comes_back) {
  put(small_put(index), "key", alphabet);
  for (std::uint64_t from = 0; from <= alphabet.size(); from += 3)
    for (std::uint64_t length = 0; from + length <= alphabet.size(); length += 5) {
      get_request request;
      request.key = "key";
      request.offset = from;
      request.length = length;
      auto a = ask_get(small_get(index), request);
      det.run_until([&] { return !a->pending(); });
      BOOST_REQUIRE(a->value.has_value());
      BOOST_TEST(std::string(as_text(a->value->value)) == alphabet.substr(from, length));
    }
}

BOOST_AUTO_TEST_CASE(no_more_chunks_are_under_way_than_the_window_allows) {
  const std::string value(200, 'x');
  hold_data(pad_op::put);
  auto stored = ask_put(small_put(index), "key", value);
  det.run_messages();
  BOOST_TEST(door->held.size() == 3u);
  while (stored->pending()) {
    door->release_all();
    det.run_messages();
    BOOST_REQUIRE(door->held.size() <= 3u);
  }
  hold_data(pad_op::get);
  auto fetched = ask_get(small_get(index), "key");
  det.run_messages();
  BOOST_TEST(door->held.size() == 3u);
  while (fetched->pending()) {
    door->release_all();
    det.run_messages();
    BOOST_REQUIRE(door->held.size() <= 3u);
  }
  BOOST_REQUIRE(fetched->value.has_value());
  BOOST_TEST(std::string(as_text(fetched->value->value)) == value);
}

BOOST_AUTO_TEST_CASE(nothing_is_visible_before_all_chunks_are_durable) {
  put(small_put(index), "key", "old");
  hold_data(pad_op::put);
  auto a = ask_put(small_put(index), "key", alphabet);
  det.run_messages();
  BOOST_TEST(a->pending());
  BOOST_TEST(value_of(small_get(index), "key") == "old");
  drain();
  BOOST_TEST(a->value.has_value());
  BOOST_TEST(value_of(small_get(index), "key") == alphabet);
}

BOOST_AUTO_TEST_CASE(a_pad_of_another_writer_is_left_to_it_and_the_chunk_goes_elsewhere) {
  // Two stores that know nothing of each other's reservations write to the same pads.
  auto other_options = small_index();
  other_options.writer[0] = std::byte{2};
  auto other = spawn_index(other_options);
  hold_data(pad_op::put);
  auto a = ask_put(small_put(index), "a", alphabet), b = ask_put(small_put(other), "b", std::string(36, 'b'));
  det.run_messages();
  while (a->pending() || b->pending()) {
    BOOST_REQUIRE(!door->held.empty());
    door->release_all();
    det.run_messages();
  }
  BOOST_REQUIRE(a->value && b->value);
  door->hold = nullptr;
  get<sync_report>(index, sync_atom_v);
  BOOST_TEST(value_of(small_get(index), "a") == alphabet);
  BOOST_TEST(value_of(small_get(index), "b") == std::string(36, 'b'));
}

BOOST_AUTO_TEST_CASE(an_unchanged_value_writes_no_chunk_and_a_changed_one_only_what_differs) {
  put(small_put(index), "key", alphabet);
  auto same = put(small_put(index), "key", alphabet);
  BOOST_TEST(same.chunks_written == 0u);
  BOOST_TEST(same.bytes_kept == alphabet.size());
  auto changed = alphabet;
  changed[15] = '!';
  auto delta = put(small_put(index), "key", changed);
  BOOST_TEST(delta.chunks_written == 1u);
  BOOST_TEST(delta.chunks_kept == 3u);
  BOOST_TEST(value_of(small_get(index), "key") == changed);
}

BOOST_AUTO_TEST_CASE(a_put_whose_asker_is_gone_leaves_an_upload_that_the_next_one_goes_on_with) {
  std::size_t written = 0;
  door->hold = [&](pad_op op, const pad_address& a) { return op == pad_op::put && is_data(a) && ++written > 7; };
  const std::string value = alphabet + alphabet + alphabet;
  caf::actor asker;
  auto a = ask_as<put_result>(&asker, det.system().spawn(put_operation, small_put(index)), put_atom_v,
                              put_request{"key", bytes::copy_of(value), std::nullopt, {}});
  det.run_messages();
  BOOST_TEST(a->pending());
  caf::anon_send_exit(asker, caf::exit_reason::kill);
  det.run_messages();
  drain();
  auto there = find("key");
  BOOST_REQUIRE(there->pending);
  BOOST_TEST(!there->complete.has_value());
  BOOST_TEST(there->pending->bytes_done >= 40u);
  auto again = put(small_put(index), "key", value);
  BOOST_TEST(again.resumed);
  BOOST_TEST(again.bytes_kept >= 40u);
  BOOST_TEST(again.bytes_kept + again.bytes_written == value.size());
  BOOST_TEST(value_of(small_get(index), "key") == value);
  BOOST_TEST(!find("key")->pending);
}

// Whoever looked the upload up before, and adopts it now by the id that it saw, must not get chunks that it did not see.
BOOST_AUTO_TEST_CASE(a_record_that_is_cut_back_goes_by_another_id) {
  const std::string value = alphabet + alphabet + alphabet;
  auto hold_after = [this](std::size_t chunks) {
    door->hold = [this, chunks, written = std::size_t{0}](pad_op op, const pad_address& a) mutable {
      return op == pad_op::put && is_data(a) && ++written > chunks;
    };
  };
  hold_after(7);
  auto first = det.system().spawn(put_operation, small_put(index));
  auto a = ask<put_result>(first, put_atom_v, put_request{"key", bytes::copy_of(value), std::nullopt, {}});
  det.run_messages();
  caf::anon_send(first, cancel_atom_v);
  drain();
  BOOST_REQUIRE((a->code() == errc::cancelled));

  auto other = value;
  other[13] = '!';   // in the second chunk
  hold_after(0);
  auto b = ask_put(small_put(index), "key", other);
  det.run_messages();
  const auto seen = find("key")->pending;
  BOOST_REQUIRE(seen != nullptr);
  BOOST_REQUIRE(seen->chunks_done > 2u);
  auto held = std::exchange(door->held, {});
  hold_after(4);
  door->release(std::move(held));
  det.run_messages();
  BOOST_REQUIRE(b->pending());
  const auto now = find("key")->pending;
  BOOST_REQUIRE(now != nullptr);
  BOOST_REQUIRE(now->chunks_done > 1u);
  BOOST_TEST((now->pieces.front()->at(1) != seen->pieces.front()->at(1)));
  BOOST_TEST(now->id != seen->id);
  drain();
  BOOST_TEST(b->value.has_value());
  BOOST_TEST(value_of(small_get(index), "key") == other);
}

BOOST_AUTO_TEST_CASE(a_cancelled_put_records_what_is_finished_even_while_a_checkpoint_is_written) {
  door->hold = [this](pad_op op, const pad_address& a) { return op == pad_op::put && is_log(a); };
  auto operation = det.system().spawn(put_operation, small_put(index));
  auto a = ask<put_result>(operation, put_atom_v,
                           put_request{"key", bytes::copy_of(alphabet + alphabet), std::nullopt, {}});
  det.run_messages();
  BOOST_REQUIRE(!door->held.empty());   // the first checkpoint; chunks go on being written behind it
  caf::anon_send(operation, cancel_atom_v);
  det.run_messages();
  drain();
  BOOST_TEST((a->code() == errc::cancelled));
  BOOST_TEST(find("key")->pending->chunks_done > 2u);   // more than the checkpoint held
}

BOOST_AUTO_TEST_CASE(a_condition_that_does_not_hold_is_told_before_anything_is_written) {
  put(small_put(index), "key", "old");
  const auto before = door->counts[pad_op::put];
  for (auto [wanted, code] : {std::pair{std::uint64_t{0}, errc::key_exists}, {std::uint64_t{77}, errc::version_mismatch}}) {
    auto a = ask_put(small_put(index), put_request{"key", bytes::copy_of(alphabet), wanted, {}});
    det.run_until([&] { return !a->pending(); });
    BOOST_TEST((a->code() == code));
  }
  BOOST_TEST(door->counts[pad_op::put] == before);
}

// That version may come to be between the look-up, which found only an upload, and the change.
BOOST_AUTO_TEST_CASE(a_remove_at_a_version_takes_no_upload_for_the_value) {
  const auto whole = spawn_small_store();
  std::size_t written = 0;
  door->hold = [&](pad_op op, const pad_address& a) { return op == pad_op::put && is_data(a) && ++written > 2; };
  put_request cut_off{"key", bytes::copy_of(alphabet), std::nullopt, {}};
  cut_off.options.cancellation_id = 1;
  auto upload = ask<put_result>(whole, put_atom_v, cut_off);
  det.run_messages();
  caf::anon_send(whole, cancel_atom_v, std::uint64_t{1});
  drain();
  det.run_until([&] { return !upload->pending(); });
  BOOST_REQUIRE(get<list_item>(whole, find_atom_v, std::string("key")).pending);

  door->hold = [this](pad_op op, const pad_address& a) { return op == pad_op::put && is_log(a); };
  const auto next = get<store_stats>(whole, stats_atom_v).index.sequence + 1;
  auto value = ask<put_result>(whole, put_atom_v, put_request{"key", bytes::copy_of("v"), std::nullopt, {}});
  det.run_messages();
  remove_request request;
  request.key = "key";
  request.if_version = next;
  auto removed = ask<done>(whole, remove_atom_v, request);
  det.run_messages();
  drain();
  det.run_until([&] { return !value->pending() && !removed->pending(); });
  BOOST_REQUIRE(value->value.has_value());
  BOOST_TEST(value->value->version == next);
  BOOST_TEST((removed->code() == errc::version_mismatch));
  BOOST_TEST(get<list_item>(whole, find_atom_v, std::string("key")).version == next);
}

BOOST_AUTO_TEST_CASE(a_full_store_is_told_and_nothing_changes) {
  put(small_put(index), "key", "old");
  door->refuse = [this](pad_op op, const pad_address& a) {
    return op == pad_op::put && is_data(a) ? std::optional(error{errc::store_full, "full"}) : std::nullopt;
  };
  auto a = ask_put(small_put(index), "key", alphabet);
  det.run_until([&] { return !a->pending(); });
  BOOST_TEST((a->code() == errc::store_full));
  door->refuse = nullptr;
  BOOST_TEST(value_of(small_get(index), "key") == "old");
  put(small_put(index), "key", alphabet);
  BOOST_TEST(value_of(small_get(index), "key") == alphabet);
}

// Several chunks find no room before the first one's request for some is answered.
BOOST_AUTO_TEST_CASE(every_chunk_of_a_put_waits_for_the_room_that_is_being_made) {
  put(small_put(index), "old", alphabet + alphabet);
  get<commit_result>(index, commit_atom_v, commit_request{{remove_op{"old"}}, {}});
  auto room = false;
  door->refuse = [&](pad_op op, const pad_address& a) {
    return !room && op == pad_op::put && is_data(a) ? std::optional(error{errc::store_full, "full"}) : std::nullopt;
  };
  hold_data(pad_op::head);   // with which the search for pads to be emptied begins
  auto a = ask_put(small_put(index), "new", alphabet);
  det.run_messages();
  BOOST_TEST(a->pending());
  BOOST_TEST(door->counts[pad_op::put] >= 3u);
  BOOST_TEST(!door->held.empty());
  room = true;
  drain();
  det.run_until([&] { return !a->pending(); });
  BOOST_TEST(a->value.has_value());
  BOOST_TEST(value_of(small_get(index), "new") == alphabet);
}

BOOST_AUTO_TEST_CASE(a_get_ends_with_the_old_value_when_the_key_is_removed_or_replaced_meanwhile) {
  for (auto removed : {true, false}) {
    put(small_put(index), "key", alphabet);
    hold_data(pad_op::get);
    auto a = ask_get(small_get(index), "key");
    det.run_messages();
    BOOST_REQUIRE(!door->held.empty());
    if (removed)
      get<commit_result>(index, commit_atom_v, commit_request{{remove_op{"key"}}, {}});
    else
      put(small_put(index), "key", std::string(36, 'n'));
    // Its pads are free now; others may not have them before the get has ended.
    put(small_put(index), "other", std::string(36, 'o'));
    drain();
    BOOST_REQUIRE(a->value.has_value());
    BOOST_TEST(std::string(as_text(a->value->value)) == alphabet);
  }
}

BOOST_AUTO_TEST_CASE(a_get_of_a_value_that_another_store_replaced_begins_again_on_the_new_one) {
  auto other_options = small_index();
  other_options.writer[0] = std::byte{2};
  put(small_put(index), "key", alphabet);
  auto other = spawn_index(other_options);
  get<sync_report>(other, sync_atom_v);
  const auto file = std::make_shared<const open_file>(::memfd_create("sink", MFD_CLOEXEC));
  hold_data(pad_op::get);
  get_request request;
  request.key = "key";
  request.sink = file_sink{file, "a file", true};
  auto a = ask_get(small_get(index), request);
  det.run_messages();
  BOOST_REQUIRE(door->held.size() == 3u);
  struct stat info {};
  BOOST_REQUIRE(::fstat(file->descriptor(), &info) == 0);
  BOOST_TEST(static_cast<std::size_t>(info.st_size) == alphabet.size());  // before anything is written
  // One chunk of the old value reaches the file; then the other store, which knows nothing of our pin, uses the pads again.
  auto rest = std::move(door->held);
  door->held.clear();
  std::deque<gate::held_request> first;
  first.push_back(std::move(rest.front()));
  rest.pop_front();
  door->release(std::move(first));
  det.run_messages();
  const auto now = std::string(18, '\0') + std::string(18, 'n');  // where the old value was written this one leaves holes
  door->hold = nullptr;
  get<commit_result>(other, commit_atom_v, commit_request{{remove_op{"key"}}, {}});
  put(small_put(other), "key", now);
  put(small_put(other), "more", now);
  door->release(std::move(rest));
  door->release_all();
  det.run_until([&] { return !a->pending(); });
  BOOST_REQUIRE(a->value.has_value());
  std::string got(a->value->bytes_read, 0);
  BOOST_REQUIRE_EQUAL(::pread(file->descriptor(), got.data(), got.size(), 0), static_cast<ssize_t>(got.size()));
  BOOST_TEST((got == now || got == alphabet));
  BOOST_TEST(got == now);
}

// Whatever ends a put, and wherever: another process finds no pad that only a purge tells from one that is just being put.
BOOST_AUTO_TEST_CASE(a_put_that_ends_without_its_value_leaves_only_what_others_can_use) {
  enum class ending { full, full_once, broken_once, log_full_once, cancelled, taken_over, source_gone, count };
  for (auto how = ending::full; how != ending::count; how = static_cast<ending>(static_cast<int>(how) + 1))
    for (auto n : {1u, 2u, 3u, 4u, 5u, 7u, 9u, 11u, 12u}) {
      operations_fixture f;
      const auto value = alphabet + alphabet + alphabet;   // eleven chunks, three at a time, two to a checkpoint
      put_request request{"key", bytes::copy_of(value), 0, {}};
      if (how == ending::source_gone)
        request.source = f.det.system().spawn([=](chunk_source_actor::pointer self) -> chunk_source_actor::behavior_type {
          auto at = std::make_shared<std::size_t>(0);
          return {[=](pull_atom, std::uint32_t wanted) {
            const auto piece = value.substr(*at, wanted);
            *at += piece.size();
            if (*at >= n * wanted && *at < value.size())
              self->quit();
            return bytes::copy_of(piece);
          }};
        });
      auto operation = f.det.system().spawn(put_operation, f.small_put(f.index));
      auto data_writes = 0u, log_writes = 0u;
      f.door->refuse = [&](pad_op op, const pad_address& a) -> std::optional<error> {
        if (op != pad_op::put)
          return std::nullopt;
        const auto nth = f.is_data(a) && ++data_writes == n;
        const auto nth_log = f.is_log(a) && ++log_writes == n;
        if (nth && how == ending::cancelled)
          caf::anon_send(operation, cancel_atom_v);
        if (nth && how == ending::taken_over)
          caf::anon_send(f.index, commit_atom_v, fixture::put_inline("key", "x"));
        // Twice, so that what is tried again is refused again.
        const auto again = f.is_data(a) && (data_writes == n || data_writes == n + 1);
        if ((how == ending::full && f.is_data(a) && data_writes >= n) || (how == ending::full_once && again)
            || (how == ending::log_full_once && nth_log))
          return error{errc::store_full, "full"};
        if (how == ending::broken_once && nth)
          return error{errc::io_error, "broken"};
        return std::nullopt;
      };
      auto a = f.ask<put_result>(operation, put_atom_v, std::move(request));
      f.det.run_until([&] { return !a->pending(); });
      f.door->refuse = nullptr;
      BOOST_TEST_CONTEXT("ending " << static_cast<int>(how) << " at " << n) {
        auto elsewhere = f.small_index();
        elsewhere.writer[0] = std::byte{2};
        auto purge = f.det.system().spawn(purge_operation, purge_options{f.store, f.crypto, f.spawn_index(elsewhere)});
        purge_request look;
        look.dry_run = true;
        const auto found = f.get<purge_result>(purge, purge_atom_v, look);
        BOOST_TEST(found.leaked_pads == 0u);
        BOOST_TEST(found.stale_free == 0u);
      }
    }
}

// A purge in another process takes what is written and not committed yet for what a crashed put left.
BOOST_AUTO_TEST_CASE(a_put_whose_pads_a_purge_elsewhere_freed_writes_again) {
  auto other_options = small_index();
  other_options.writer[0] = std::byte{2};
  auto other = spawn_index(other_options);
  const auto value = alphabet + alphabet;
  for (auto from_a_stream : {false, true}) {
    put(small_put(index), "key", "old");
    // The first of the chunks under way is held back: those behind it are written, and wait for it.
    std::size_t seen = 0;
    door->hold = [&](pad_op op, const pad_address& a) { return op == pad_op::put && is_data(a) && seen++ == 0; };
    value_source source = bytes::copy_of(value);
    if (from_a_stream)
      source = det.system().spawn([value](chunk_source_actor::pointer) -> chunk_source_actor::behavior_type {
        auto at = std::make_shared<std::size_t>(0);
        return {[value, at](pull_atom, std::uint32_t wanted) {
          const auto piece = value.substr(*at, wanted);
          *at += piece.size();
          return bytes::copy_of(piece);
        }};
      });
    auto a = ask_put(small_put(index), put_request{"key", source, std::nullopt, {}});
    det.run_messages();
    BOOST_REQUIRE(a->pending());
    BOOST_REQUIRE(door->held.size() == 1u);
    auto purge = det.system().spawn(purge_operation, purge_options{store, crypto, other});
    const auto purged = get<purge_result>(purge, purge_atom_v, purge_request{});
    BOOST_TEST(purged.leaked_pads + purged.stale_free >= 1u);
    drain();
    det.run_until([&] { return !a->pending(); });
    if (from_a_stream) {  // what has gone by cannot be read again
      BOOST_TEST((a->code() == errc::pad_conflict));
      BOOST_TEST(a->failure->message.find("put it again") != std::string::npos);
      BOOST_TEST(value_of(small_get(index), "key") == "old");
    } else {
      BOOST_REQUIRE_MESSAGE(a->value, to_string(*a->failure));
      BOOST_TEST(value_of(small_get(index), "key") == value);
    }
    put(small_put(index), "key", value);
    get<sync_report>(other, sync_atom_v);
    BOOST_TEST(value_of(small_get(other), "key") == value);
  }
}

BOOST_AUTO_TEST_CASE(a_damaged_chunk_is_named) {
  put(small_put(index), "key", alphabet);
  damage(data_pad(2), record_header_bytes + 30);
  auto a = ask_get(small_get(index), "key");
  det.run_until([&] { return !a->pending(); });
  BOOST_TEST((a->code() == errc::decrypt_failed));
  BOOST_TEST(a->failure->message.find("chunk 2") != std::string::npos);
  BOOST_TEST(a->failure->message.find("pad 2") != std::string::npos);
  missing.insert(data_pad(1));
  broken.clear();
  a = ask_get(small_get(index), "key");
  det.run_until([&] { return !a->pending(); });
  BOOST_TEST((a->code() == errc::corrupt_record));
  BOOST_TEST(a->failure->message.find("chunk 1") != std::string::npos);
}

// Sealed by the owner, for this very pad and counter, and never part of the value: a put that was refused, or that was not
// answered, leaves such records with whoever keeps what he is sent.
BOOST_AUTO_TEST_CASE(a_chunk_of_another_put_is_not_taken_for_the_values) {
  put(small_put(index), "key", alphabet);
  broken[data_pad(1)] = seal_private(keys->data(1), 1, as_byte_view("KLMNOPQRST"));
  for (auto range : {std::pair(0, 36), std::pair(10, 10), std::pair(15, 1), std::pair(19, 2)}) {
    auto request = get_of("key");
    request.offset = static_cast<std::uint64_t>(range.first);
    request.length = static_cast<std::uint64_t>(range.second);
    auto a = ask_get(small_get(index), request);
    det.run_until([&] { return !a->pending(); });
    BOOST_REQUIRE(a->failure);
    BOOST_TEST((a->code() == errc::decrypt_failed));
    BOOST_TEST(a->failure->message.find("another content") != std::string::npos);
  }
  auto elsewhere = get_of("key");
  elsewhere.offset = 20;
  auto a = ask_get(small_get(index), elsewhere);
  det.run_until([&] { return !a->pending(); });
  BOOST_REQUIRE(a->value);
  BOOST_TEST(as_text(a->value->value) == alphabet.substr(20));
}

// A store with several places is asked for other answers before a chunk counts as lost.
BOOST_AUTO_TEST_CASE(a_damaged_chunk_is_asked_for_elsewhere) {
  put(small_put(index), "key", alphabet);
  damage(data_pad(1), record_header_bytes + 30);
  unsigned asked = 0;
  door->refuse = [&](pad_op op, const pad_address& a) -> std::optional<error> {
    if (op == pad_op::get && a == data_pad(1) && ++asked == 3)
      broken.erase(a);
    return std::nullopt;
  };
  BOOST_TEST(value_of(small_get(index), "key") == alphabet);
  BOOST_TEST(asked == 3u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace mutant::testing
