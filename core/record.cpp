#include "core/record.hpp"

#include <bit>
#include <cassert>
#include <cstring>
#include <numeric>

namespace mutant {

// Fields are copied as they lie in memory.
static_assert(std::endian::native == std::endian::little, "the record codec assumes a little-endian machine");

namespace {

constexpr std::array<char, 4> magic = {'M', 'P', 'A', 'D'};
constexpr std::string_view signature_domain = "mutant/pad/2";

constexpr std::size_t version_at = 4, flags_at = 5, zero16_at = 6, counter_at = 8, encoding_at = 16, length_at = 24,
                      zero32_at = 28, address_at = 32, hash_at = 64, signature_at = 96;
constexpr std::size_t associated_bytes = 64;  // bytes 0-63 are the AEAD's associated data
constexpr std::size_t signed_bytes = 96;

static_assert(address_at + sizeof(pad_address) == hash_at && hash_at + sizeof(content_hash) == signature_at);
static_assert(signature_at + sizeof(signature) == record_header_bytes);

template <class T>
T load(byte_view from, std::size_t at) noexcept {
  T value;
  std::memcpy(&value, from.data() + at, sizeof value);
  return value;
}

template <class T>
void store(byte_span to, std::size_t at, const T& value) noexcept {
  std::memcpy(to.data() + at, &value, sizeof value);
}

std::array<std::byte, signature_domain.size() + signed_bytes> signed_message(byte_view record) noexcept {
  std::array<std::byte, signature_domain.size() + signed_bytes> message;
  std::memcpy(message.data(), signature_domain.data(), signature_domain.size());
  std::memcpy(message.data() + signature_domain.size(), record.data(), signed_bytes);
  return message;
}

// Bytes 0-63: all that the AEAD binds.
void write_front(byte_span record, std::uint64_t counter, encoding kind, std::uint8_t flags,
                 const pad_address& address) noexcept {
  std::memset(record.data(), 0, associated_bytes);
  std::memcpy(record.data(), magic.data(), magic.size());
  store(record, version_at, record_version);
  store(record, flags_at, flags);
  store(record, counter_at, counter);
  store(record, encoding_at, static_cast<std::uint64_t>(kind));
  store(record, length_at, static_cast<std::uint32_t>(record.size() - record_header_bytes));
  store(record, address_at, address);
}

void hash_and_sign(byte_span record, const pad_keys& keys) noexcept {
  store(record, hash_at, hash_of(payload_of(record)));
  store(record, signature_at, sign(keys, signed_message(record)));
}

}  // namespace

result<record_header> parse_header(byte_view header) {
  auto corrupt = [](std::string what) { return fail(errc::corrupt_record, std::move(what)); };
  if (header.size() < record_header_bytes)
    return corrupt("a record of " + std::to_string(header.size()) + " bytes is shorter than its header of 160");
  if (std::memcmp(header.data(), magic.data(), magic.size()) != 0)
    return corrupt("a record does not begin with MPAD");
  const auto version = load<std::uint8_t>(header, version_at);
  if (version == 1)
    return fail(errc::unsupported, "this is a record of format 1, which an early build of mutant wrote. Only format 2 is "
                                   "read: get the values with that build, and put them with this one");
  if (version != record_version)
    return corrupt("a record has format version " + std::to_string(version) + ", and this program knows 2: it is damaged, or a "
                   "newer program wrote it and is needed to read it");
  auto flags = load<std::uint8_t>(header, flags_at);
  if ((flags & ~blank_flag) != 0 || load<std::uint16_t>(header, zero16_at) != 0
      || load<std::uint32_t>(header, zero32_at) != 0)
    return corrupt("a record's reserved bits are not zero");
  record_header h;
  h.counter = load<std::uint64_t>(header, counter_at);
  auto kind = load<std::uint64_t>(header, encoding_at);
  h.payload_bytes = load<std::uint32_t>(header, length_at);
  h.blank = (flags & blank_flag) != 0;
  if (h.counter == 0)
    return corrupt("a record's counter is 0; counters start at 1");
  if (kind > static_cast<std::uint64_t>(encoding::public_data))
    return corrupt("a record has the unknown encoding " + std::to_string(kind));
  h.kind = static_cast<encoding>(kind);
  if (h.payload_bytes > max_payload_bytes)
    return corrupt("a record claims a payload of " + std::to_string(h.payload_bytes) + " bytes; at most "
                   + std::to_string(max_payload_bytes) + " are allowed");
  if (h.blank && h.payload_bytes != 0)
    return corrupt("a blank record has a payload");
  h.address = load<pad_address>(header, address_at);
  h.hash = load<content_hash>(header, hash_at);
  h.sign = load<signature>(header, signature_at);
  return h;
}

result<record_header> parse_record(byte_view record) {
  auto header = parse_header(record);
  if (header && record.size() != record_header_bytes + header->payload_bytes)
    return fail(errc::corrupt_record, "a record of " + std::to_string(record.size()) + " bytes claims a payload of "
                                          + std::to_string(header->payload_bytes));
  return header;
}

result<record_header> verify_record(byte_view record) {
  auto header = parse_record(record);
  if (!header)
    return header;
  if (hash_of(payload_of(record)) != header->hash)
    return fail(errc::corrupt_record, "the payload of pad " + short_name(header->address) + " does not match its hash");
  if (!verify(header->address, signed_message(record), header->sign))
    return fail(errc::bad_signature, "the record of pad " + short_name(header->address) + " is not signed by its owner");
  return header;
}

result<record_header> verify_head(byte_view header, const pad_address& address) {
  auto parsed = parse_header(header);
  if (!parsed)
    return parsed;
  if (parsed->address != address)
    return fail(errc::corrupt_record, "asked for pad " + short_name(address) + ", got pad " + short_name(parsed->address));
  if (!verify(address, signed_message(header), parsed->sign))
    return fail(errc::bad_signature, "the header of pad " + short_name(address) + " is not signed by its owner");
  return parsed;
}

private_record::private_record(std::size_t plaintext_bytes)
    : buffer_(buffer::for_record(record_header_bytes + private_overhead_bytes + plaintext_bytes)) {
  assert(plaintext_bytes <= max_plaintext_bytes);
}

byte_span private_record::plaintext() noexcept {
  return buffer_.span().subspan(record_header_bytes + nonce_bytes, buffer_.size() - record_header_bytes
                                                                       - private_overhead_bytes);
}

void private_record::shrink(std::size_t plaintext_bytes) noexcept {
  buffer_.shrink(record_header_bytes + private_overhead_bytes + plaintext_bytes);
}

bytes private_record::seal(const pad_keys& keys, std::uint64_t counter) && {
  auto record = buffer_.span();
  write_front(record, counter, encoding::private_data, 0, keys.address);
  std::array<std::byte, nonce_bytes> nonce;
  random_fill(nonce);
  store(record, record_header_bytes, nonce);
  encrypt_in_place(keys.encryption, nonce, record.first(associated_bytes), plaintext(), record.last<tag_bytes>());
  hash_and_sign(record, keys);
  return std::move(buffer_).freeze();
}

namespace {

using box_place = std::array<std::byte, associated_bytes + sizeof(std::uint32_t)>;

// What binds a box to its record, and to its place in it.
box_place place_of(byte_view front, std::uint32_t number) noexcept {
  box_place place;
  std::memcpy(place.data(), front.data(), associated_bytes);
  store(place, associated_bytes, number);
  return place;
}

std::size_t boxes_bytes(const std::vector<std::size_t>& text_bytes) noexcept {
  return std::accumulate(text_bytes.begin(), text_bytes.end(), text_bytes.size() * private_overhead_bytes);
}

}  // namespace

private_boxes::private_boxes(const pad_keys& keys, std::uint64_t counter, std::vector<std::size_t> text_bytes)
    : keys_(keys), text_bytes_(std::move(text_bytes)),
      buffer_(buffer::for_record(record_header_bytes + boxes_bytes(text_bytes_))) {
  assert(buffer_.size() <= max_record_bytes);
  write_front(buffer_.span(), counter, encoding::private_data, 0, keys.address);
}

byte_view private_boxes::seal(std::uint32_t number, byte_view text) {
  assert(text.size() == text_bytes_[number]);
  auto at = record_header_bytes;
  for (std::uint32_t before = 0; before < number; ++before)
    at += private_overhead_bytes + text_bytes_[before];
  auto box = buffer_.span().subspan(at, private_overhead_bytes + text.size());
  const auto nonce = box.first<nonce_bytes>();
  random_fill(nonce);
  const auto sealed = box.subspan(nonce_bytes, text.size());
  copy_bytes(text, sealed);
  encrypt_in_place(keys_.encryption, nonce, place_of(buffer_.span(), number), sealed, box.last<tag_bytes>());
  return box;
}

bytes private_boxes::finish() && {
  hash_and_sign(buffer_.span(), keys_);
  return std::move(buffer_).freeze();
}

bool open_box(const reading_keys& keys, byte_view front, std::uint32_t number, byte_view box, byte_span out) noexcept {
  return box.size() == out.size() + private_overhead_bytes
         && decrypt(keys.encryption, box.first<nonce_bytes>(), place_of(front, number),
                    box.subspan(nonce_bytes, out.size()), box.last<tag_bytes>(), out);
}

bytes seal_private(const pad_keys& keys, std::uint64_t counter, byte_view plaintext) {
  private_record record(plaintext.size());
  copy_bytes(plaintext, record.plaintext());
  return std::move(record).seal(keys, counter);
}

bytes seal_blank(const pad_keys& keys, std::uint64_t counter) {
  buffer record(record_header_bytes);
  write_front(record.span(), counter, encoding::private_data, blank_flag, keys.address);
  hash_and_sign(record.span(), keys);
  return std::move(record).freeze();
}

bytes seal_public(const pad_keys& keys, std::uint64_t counter, encoding kind, byte_view payload) {
  auto record = buffer::for_record(record_header_bytes + payload.size());
  write_front(record.span(), counter, kind, 0, keys.address);
  copy_bytes(payload, record.span().subspan(record_header_bytes));
  hash_and_sign(record.span(), keys);
  return std::move(record).freeze();
}

std::size_t plaintext_bytes_of(byte_view record) noexcept {
  constexpr auto around = record_header_bytes + private_overhead_bytes;
  return record.size() < around ? 0 : record.size() - around;
}

result<record_header> expect_private(const reading_keys& keys, std::uint64_t counter, byte_view record) {
  auto header = parse_record(record);
  if (!header)
    return header;
  if (header->address != keys.address)
    return fail(errc::pad_conflict, "the store answered with pad " + short_name(header->address) + " instead of "
                                        + short_name(keys.address),
                header->counter);
  if (header->counter != counter || header->blank)
    return fail(errc::pad_conflict,
                "pad " + short_name(keys.address) + " is at counter " + std::to_string(header->counter)
                    + (header->blank ? " and blank" : "") + "; counter " + std::to_string(counter) + " was wanted",
                header->counter);
  if (header->kind != encoding::private_data || header->payload_bytes < private_overhead_bytes)
    return fail(errc::corrupt_record, "pad " + short_name(keys.address) + " does not hold private data");
  return header;
}

result<void> open_private_into(const reading_keys& keys, std::uint64_t counter, byte_view record, byte_span out) {
  if (auto good = expect_private(keys, counter, record); !good)
    return fail(good.error());
  auto payload = payload_of(record);
  auto text = payload.subspan(nonce_bytes, payload.size() - private_overhead_bytes);
  if (out.size() != text.size())
    return fail(errc::invalid_argument, "the output buffer does not fit the record's plaintext");
  if (!decrypt(keys.encryption, payload.first<nonce_bytes>(), record.first(associated_bytes), text,
               payload.last<tag_bytes>(), out))
    return fail(errc::decrypt_failed, "pad " + short_name(keys.address)
                                          + " is not authentic: damaged in the store, or sealed under another identity");
  return {};
}

result<bytes> open_private(const reading_keys& keys, std::uint64_t counter, byte_view record) {
  buffer text(plaintext_bytes_of(record));
  if (auto opened = open_private_into(keys, counter, record, text.span()); !opened)
    return fail(opened.error());
  return std::move(text).freeze();
}

}  // namespace mutant
