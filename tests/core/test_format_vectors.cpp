// docs/format.md is the authority: its vectors were computed without this library (scripts/make-vectors.py).
#include <boost/test/unit_test.hpp>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "core/compression.hpp"
#include "core/crypto_payload.hpp"
#include "core/identity.hpp"
#include "core/index/cache_file.hpp"
#include "core/index/part_table.hpp"
#include "core/record.hpp"

using namespace mutant;

namespace {

using raw = std::vector<std::byte>;

// The fenced blocks whose language is "vectors": lines of `name = hex`.
class document {
 public:
  document() {
    BOOST_REQUIRE(init_crypto().has_value());
    std::ifstream file(MUTANT_SOURCE_DIR "/docs/format.md");
    BOOST_REQUIRE(file.good());
    bool inside = false;
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with("```"))
        inside = line.starts_with("```vectors");
      else if (inside)
        add(line);
    }
  }

  const raw& operator[](const std::string& name) {
    auto found = vectors_.find(name);
    BOOST_REQUIRE_MESSAGE(found != vectors_.end(), "docs/format.md has no vector " << name);
    return found->second;
  }
  std::string text(const std::string& name) { return std::string(as_text((*this)[name])); }
  keyring keys() {
    seed s;
    const auto& value = (*this)["seed"];
    BOOST_REQUIRE(value.size() == s.value.size());
    std::copy(value.begin(), value.end(), s.value.begin());
    return keyring(s);
  }
  // Vectors whose names begin so, without that beginning.
  std::set<std::string> below(const std::string& prefix) const {
    std::set<std::string> names;
    for (const auto& [name, value] : vectors_)
      if (name.starts_with(prefix))
        names.insert(name.substr(prefix.size()));
    return names;
  }

 private:
  void add(const std::string& line) {
    auto equals = line.find(" = ");
    BOOST_REQUIRE_MESSAGE(equals != std::string::npos, "not a vector: " << line);
    auto hex = std::string_view(line).substr(equals + 3);
    raw value(hex.size() / 2);
    BOOST_REQUIRE_MESSAGE(from_hex(hex, value), "not a vector: " << line);
    BOOST_REQUIRE_MESSAGE(vectors_.emplace(line.substr(0, equals), value).second, "twice: " << line);
  }

  std::map<std::string, raw> vectors_;
};

std::uint64_t number_in(const std::string& text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

chunk chunk_of(std::uint64_t number, std::uint64_t counter, std::uint32_t length, unsigned fill) {
  chunk c{{number, counter}, length, {}};
  c.print.fill(static_cast<std::byte>(fill));
  if (!c.inherited()) {
    c.address.fill(static_cast<std::byte>(fill + 0x80));
    c.encoding = fill % 2 == 0 ? chunk_encoding::zstd : chunk_encoding::plain;
  }
  return c;
}

std::shared_ptr<const chunk_list> shared(chunk_list chunks) {
  return std::make_shared<const chunk_list>(std::move(chunks));
}

entry inline_entry(std::string_view value, std::int64_t modified) {
  entry e;
  e.inline_value = bytes::copy_of(value);
  e.size = value.size();
  e.modified_ms = modified;
  return e;
}

entry film() {
  entry e;
  e.size = 1500;
  e.modified_ms = -1;
  e.chunks = shared({chunk_of(5, 1, 1000, 0x11), chunk_of(6, 2, 500, 0x22)});
  e.attributes = attribute_map{{"mode", "644"}, {"mtime", "1700000000123456789"}, {"type", "video/x-film"}};
  return e;
}

std::string md5() {
  std::string value(16, '\0');
  for (std::size_t i = 0; i < value.size(); ++i)
    value[i] = static_cast<char>(0xd0 + i);
  return value;
}

writer_id writer() {
  writer_id id;
  for (std::size_t i = 0; i < id.size(); ++i)
    id[i] = static_cast<std::byte>(0xa0 + i);
  return id;
}

commit every_operation() {
  constexpr auto id = ~std::uint64_t{0};
  commit c;
  c.sequence = 1025;
  c.writer = writer();
  c.operations = {
      put_op{"note", inline_entry("hello", 1700000000000)},
      put_op{"film", film()},
      remove_op{"old"},
      rename_op{"from", "to"},
      begin_upload_op{"big", id, {}, 1000, 1700000000001, 12},
      begin_upload_op{"bigger", 77, 5000, 1000, 1700000000002, 0},
      extend_upload_op{"big", id, 0, {chunk_of(0, 0, 1000, 0x33), chunk_of(300, 70000, 1000, 0x44)}},
      complete_upload_op{"big", id, 2001, 1700000000003, attribute_map{{"x-a", ""}},
                         {chunk_of(std::uint64_t{1} << 32, 1, 1, 0x55)}},
      drop_upload_op{"bigger", 77},
      free_pads_op{{{9, 3}, {max_number - 1, 0}}},
      adopt_upload_op{"big", id, 77, 1000000},
      assemble_op{"whole", 1700000000004, attribute_map{{"md5", md5()}}, {"part 1", "part 2"}},
  };
  c.previous.fill(std::byte{0x5a});
  return c;
}

snapshot_part every_item() {
  snapshot_part p;
  p.entries.resize(3);
  p.entries[0] = {"empty", 0, inline_entry("", 1700000000000), 0};
  p.entries[0].value.version = 2;
  p.entries[1] = {"film", 0, film(), 2};
  p.entries[1].value.version = 3;
  p.entries[2].key = "long";
  p.entries[2].first = 4000;
  p.entries[2].value.chunks = shared({chunk_of(8, 1, max_chunk_bytes, 0x66)});
  p.removed_entries = {"gone", "old"};
  p.uploads.resize(2);
  p.uploads[0] = {"big", 0, {77, {}, 1000, 1700000000001, 12, 1000, 1, {shared({chunk_of(0, 0, 1000, 0x33)})}}};
  p.uploads[1].key = "bigger";
  p.uploads[1].first = 5;
  p.uploads[1].value.pieces = {shared({chunk_of(10, 1, 1000, 0x77)})};
  p.removed_uploads = {"dropped"};
  p.free_pads = {{1, 1}, {9, 3}};
  p.taken_pads = {2, 24, 65536};
  return p;
}

pad_address repeated(unsigned char byte) {
  pad_address out;
  out.fill(std::byte{byte});
  return out;
}

root some_root() {
  root r;
  r.sequence = 2048;
  r.next_pad = 100000;
  r.ring_slots = 4;
  r.ring.slots = std::make_shared<const std::vector<pad_address>>(
      std::vector{repeated(0xb0), repeated(0xb1), repeated(0xb2), repeated(0xb3)});
  r.shared = true;
  r.next_part = 7;
  r.parts_floor = 4;
  r.parts = {{{4, 1}, 2000, max_plaintext_bytes, true, {}, repeated(0xc4), 20000},
             {{6, 2}, 2048, 999, false, {}, repeated(0xc6), 200}};
  r.parts[0].hash.fill(std::byte{0x88});
  r.parts[1].hash.fill(std::byte{0x99});
  r.last_commit.fill(std::byte{0xaa});
  return r;
}

commit empty_commit() {
  commit c;
  c.sequence = 1;
  c.writer = writer();
  return c;
}

root empty_root() {
  root r;
  r.ring_slots = min_ring_slots;
  r.ring.slots = std::make_shared<const std::vector<pad_address>>(min_ring_slots);
  return r;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(format_vectors, document)

BOOST_AUTO_TEST_CASE(keys_and_addresses_are_those_of_the_document) {
  auto ring = keys();
  auto check = [&](const std::string& space, auto&& address_of) {
    auto names = below(space + ".");
    BOOST_TEST(!names.empty());
    for (const auto& name : names)
      if (name.ends_with(".address"))
        BOOST_TEST(to_hex(address_of(number_in(name))) == to_hex((*this)[space + "." + name]), space + "." + name);
  };
  check("root", [&](std::uint64_t n) { return n == 0 ? ring.root().address : pad_address{}; });
  check("log", [&](std::uint64_t n) { return ring.log(n).address; });
  check("data", [&](std::uint64_t n) { return ring.data(n).address; });
  check("part", [&](std::uint64_t n) { return ring.part(n).address; });
  BOOST_TEST(to_hex(ring.cache_key().value) == to_hex((*this)["cache.key"]));
  BOOST_TEST(to_hex(ring.data(7).encryption.value) == to_hex((*this)["data.7.encryption_key"]));
  BOOST_TEST(ring.owner_name() == to_hex(byte_view((*this)["root.0.address"]).first(8)));
}

BOOST_AUTO_TEST_CASE(fingerprints_are_those_of_the_document) {
  auto names = below("fingerprint.of_");
  BOOST_TEST(names.size() >= 10u);
  for (const auto& name : names) {
    raw content(number_in(name));
    for (std::size_t i = 0; i < content.size(); ++i)
      content[i] = static_cast<std::byte>(i % 251);
    BOOST_TEST(to_hex(keys().fingerprint_of(content)) == to_hex((*this)["fingerprint.of_" + name]), name);
  }
}

BOOST_AUTO_TEST_CASE(private_records_open_to_their_plaintexts) {
  auto pad = keys().data(7);
  auto opened = open_private(pad, 2, (*this)["record.private"]);
  BOOST_REQUIRE(opened.has_value());
  BOOST_TEST(as_text(*opened) == text("record.private.plaintext"));
  auto empty = open_private(pad, 3, (*this)["record.private_empty"]);
  BOOST_REQUIRE(empty.has_value());
  BOOST_TEST(empty->empty());
  for (auto name : {"record.private", "record.private_empty"})
    BOOST_TEST(verify_record((*this)[name]).has_value(), name);
}

BOOST_AUTO_TEST_CASE(the_record_key_is_that_of_the_document_and_opens_with_either_library) {
  const auto pad = keys().data(7);
  const auto& record = (*this)["record.private"];
  const auto body = payload_of(record);
  BOOST_TEST(to_hex(record_key(pad.encryption, body.first<nonce_bytes>()).value)
             == to_hex((*this)["record.private.record_key"]));
  for (auto with : {payload::library::libsodium, payload::library::openssl}) {
    std::vector<std::byte> plain(plaintext_bytes_of(record));
    BOOST_TEST(payload::decrypt(with, pad.encryption, body.first<nonce_bytes>(), byte_view(record).first(64),
                                body.subspan(nonce_bytes, plain.size()), body.last<tag_bytes>(), plain));
    BOOST_TEST(as_text(plain) == text("record.private.plaintext"));
  }
}

BOOST_AUTO_TEST_CASE(blank_and_public_records_are_sealed_to_the_same_bytes) {
  auto pad = keys().data(7);
  BOOST_TEST(to_hex(seal_blank(pad, 4)) == to_hex((*this)["record.blank"]));
  BOOST_TEST(to_hex(seal_public(pad, 5, encoding::public_data, (*this)["record.public.payload"]))
             == to_hex((*this)["record.public"]));
  for (auto name : {"record.blank", "record.public"})
    BOOST_TEST(verify_record((*this)[name]).has_value(), name);
}

BOOST_AUTO_TEST_CASE(a_frame_is_decoded_to_its_chunk) {
  const auto content = (*this)["chunk.content"];
  raw out(content.size());
  BOOST_TEST(decompress_chunk((*this)["chunk.frame"], out).has_value());
  BOOST_TEST((out == content));
}

BOOST_AUTO_TEST_CASE(commits_are_encoded_and_decoded_as_in_the_document) {
  BOOST_TEST(to_hex(encode(every_operation())) == to_hex((*this)["commit"]));
  BOOST_TEST(to_hex(encode(empty_commit())) == to_hex((*this)["commit.empty"]));
  BOOST_TEST((decode_commit((*this)["commit"]).value() == every_operation()));
  BOOST_TEST((decode_commit((*this)["commit.empty"]).value() == empty_commit()));
}

BOOST_AUTO_TEST_CASE(snapshot_parts_are_encoded_and_decoded_as_in_the_document) {
  BOOST_TEST(to_hex(encode(every_item())) == to_hex((*this)["part"]));
  BOOST_TEST(to_hex(encode(snapshot_part())) == to_hex((*this)["part.empty"]));
  for (auto name : {"part", "part.empty"})
    BOOST_TEST(to_hex(encode(decode_snapshot_part((*this)[name]).value())) == to_hex((*this)[name]));
}

BOOST_AUTO_TEST_CASE(a_snapshot_parts_record_opens_to_the_part) {
  const auto& record = (*this)["part.record"];
  const auto fence = decode_fence((*this)["part.fence"]).value();
  BOOST_TEST(to_hex(encode(fence)) == to_hex((*this)["part.fence"]));
  BOOST_TEST(verify_record(record).has_value());
  const auto blocks = encode_blocks(every_item(), usual_block_bytes);
  BOOST_REQUIRE_EQUAL(blocks.size(), fence.blocks.size());
  part_ref at;
  at.pad = {3, 1};
  at.address = keys().part(3).address;
  at.fence = static_cast<std::uint32_t>(encode(fence).size() + private_overhead_bytes);
  std::ranges::copy((*this)["part.fence_hash"], at.hash.begin());
  for (std::size_t n = 0; n < blocks.size(); ++n) {
    BOOST_TEST((blocks[n].name == fence.blocks[n].name));
    BOOST_TEST(blocks[n].content.size() == fence.blocks[n].length);
    at.size += blocks[n].content.size();
  }
  const auto opened = open_part(keys().part_at(at.address, 3), at, record);
  BOOST_REQUIRE_MESSAGE(opened.has_value(), (opened ? std::string() : opened.error().message));
  BOOST_TEST(to_hex(encode(*opened)) == to_hex((*this)["part"]));
}

BOOST_AUTO_TEST_CASE(roots_are_encoded_and_decoded_as_in_the_document) {
  BOOST_TEST(to_hex(encode(some_root())) == to_hex((*this)["root"]));
  BOOST_TEST(to_hex(encode(empty_root())) == to_hex((*this)["root.empty"]));
  BOOST_TEST((decode_root((*this)["root"]).value() == some_root()));
  BOOST_TEST((decode_root((*this)["root.empty"]).value() == empty_root()));
}

BOOST_AUTO_TEST_CASE(cache_files_open_to_what_the_document_says) {
  const auto folder = std::filesystem::temp_directory_path();
  auto file_with = [&](const std::string& vector) {
    auto path = (folder / ("mutant-vector-" + std::to_string(random_u64()))).string();
    std::ofstream(path, std::ios::binary) << text(vector);
    return path;
  };
  const auto key = keys().cache_key();
  const auto seen_path = file_with("cache.seen"), cache_path = file_with("cache.file");
  auto seen = read_seen(seen_path, key);
  BOOST_REQUIRE(seen.has_value());
  seen_state expected{7, {}, 1025, {}, 1000, {}};
  expected.root_hash.fill(std::byte{0x77});
  expected.last_commit.fill(std::byte{0x5a});
  expected.cached_commit.fill(std::byte{0x66});
  BOOST_TEST((*seen == expected));
  auto cache = cache_reader::open(cache_path, key);
  BOOST_REQUIRE(cache.has_value());
  const auto& summary = (*cache)->summary();
  BOOST_TEST(summary.sequence == 1025u);
  BOOST_TEST((summary.last_commit == expected.last_commit));
  BOOST_TEST(summary.next_pad == 300u);
  BOOST_TEST(summary.ring_slots == 1024u);
  BOOST_TEST(summary.root_counter == 7u);
  BOOST_REQUIRE(summary.frames.size() == 2u);
  for (std::size_t frame = 0; frame < 2; ++frame)
    BOOST_TEST(to_hex(encode((*cache)->read_part(frame).value())) == to_hex((*this)["part.empty"]));
  std::filesystem::remove(seen_path);
  std::filesystem::remove(cache_path);
}

BOOST_AUTO_TEST_CASE(identity_files_open_to_the_seed_or_to_what_its_readers_have) {
  for (const auto* name : {"identity.clear", "identity.under_passphrase"}) {
    const auto keys = decode_identity(text(name), text("identity.passphrase"));
    BOOST_REQUIRE_MESSAGE(keys && std::holds_alternative<seed>(*keys), name);
    BOOST_TEST(to_hex(std::get<seed>(*keys).value) == to_hex((*this)["seed"]));
  }
  for (const auto* name : {"identity.reader", "identity.reader_under_passphrase"}) {
    const auto keys = decode_identity(text(name), text("identity.passphrase"));
    BOOST_REQUIRE_MESSAGE(keys && std::holds_alternative<reader_key>(*keys), name);
    BOOST_TEST(to_hex(std::get<reader_key>(*keys).reading.value) == to_hex((*this)["reading.secret"]));
    BOOST_TEST(to_hex(std::get<reader_key>(*keys).root) == to_hex((*this)["root.0.address"]));
  }
  for (const auto* name : {"identity.clear", "identity.reader"})
    BOOST_TEST(encode_identity(decode_identity(text(name), "").value(), "", {}).value() == text(name));
}

BOOST_AUTO_TEST_SUITE_END()
