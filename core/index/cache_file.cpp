#include "core/index/cache_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/cbor.hpp"
#include "core/files.hpp"
#include "core/index/codec.hpp"
#include "core/index/sealed_box.hpp"

namespace mutant {

namespace {

constexpr std::array<char, 8> cache_magic = {'M', 'U', 'T', 'C', 'A', 'C', 'H', '2'};
constexpr std::array<char, 8> seen_magic = {'M', 'U', 'T', 'S', 'E', 'E', 'N', '2'};
constexpr std::size_t file_id_bytes = 16;
constexpr std::size_t front_bytes = cache_magic.size() + file_id_bytes;   // magic, file id
constexpr std::size_t back_bytes = 8;                                     // length of the sealed summary
constexpr std::uint64_t summary_number = ~std::uint64_t{0};               // frames count from 0
constexpr std::size_t max_frames = 1u << 20;
constexpr std::size_t max_seen_bytes = 4096;

tl::unexpected<error> damaged(const std::string& path, const std::string& what) {
  return fail(errc::index_corrupt, path + " is damaged or belongs to another identity (" + what
                                       + "). Nothing was written. It only remembers what the store holds: delete it to go "
                                         "on without, if you trust the store to show its newest state");
}

// No descriptor: there is no such file.
result<unique_fd> open_if_there(const std::string& path) {
  unique_fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file && errno != ENOENT)
    return fail(errno_error(errno, "opening " + path));
  return file;
}

// Magic, file id, number of the frame: 32 bytes.
std::array<std::byte, front_bytes + 8> frame_place(byte_view file_id, std::uint64_t number) {
  std::array<std::byte, front_bytes + 8> place;
  std::memcpy(place.data(), cache_magic.data(), cache_magic.size());
  std::memcpy(place.data() + cache_magic.size(), file_id.data(), file_id_bytes);
  std::memcpy(place.data() + front_bytes, &number, sizeof number);
  return place;
}

bytes encode_summary(const cache_summary& s) {
  cbor_writer w(128 + s.frames.size() * 12);
  w.array(6);
  w.uint(s.sequence);
  w.byte_string(s.last_commit);
  w.uint(s.next_pad);
  w.uint(s.ring_slots);
  w.uint(s.root_counter);
  w.array(s.frames.size());
  for (const auto& frame : s.frames)  // each begins where the one before ends
    w.uint(frame.size);
  return std::move(w).finish();
}

result<cache_summary> decode_summary(byte_view plain) {
  cbor_reader r(plain, errc::index_corrupt, "a cache summary");
  cache_summary s;
  r.array_of(6, "summary");
  s.sequence = r.uint("sequence", max_number);
  r.fixed(s.last_commit, "last commit");
  s.next_pad = r.uint("next pad", max_number);
  s.ring_slots = r.uint("ring slots", max_ring_slots);
  s.root_counter = r.uint("root counter", max_number);
  auto count = r.array("frames");
  std::uint64_t offset = front_bytes;
  for (std::size_t i = 0; i < count && r.ok() && i < max_frames; ++i) {
    cache_summary::frame frame{offset, r.uint("frame size", max_record_bytes)};
    offset += frame.size;
    s.frames.push_back(frame);
  }
  if (r.ok() && s.ring_slots < min_ring_slots)
    r.refuse("ring slots", "fewer than 4");
  if (auto done = r.finish(); !done)
    return fail(done.error());
  return s;
}

}  // namespace

// -- seen ----------------------------------------------------------------------------------------------------------------

result<void> write_seen(const std::string& path, const aead_key& key, const seen_state& seen) {
  cbor_writer w;
  w.array(6);
  w.uint(seen.root_counter);
  w.byte_string(seen.root_hash);
  w.uint(seen.sequence);
  w.byte_string(seen.last_commit);
  w.uint(seen.cached_sequence);
  w.byte_string(seen.cached_commit);
  auto associated = std::as_bytes(std::span(seen_magic));
  auto box = seal_box(key, associated, std::move(w).finish());
  auto file = replacement_file::create(path, 0600);
  if (!file)
    return fail(file.error());
  if (auto ok = write_all_at(file->descriptor(), 0, associated, path); !ok)
    return ok;
  if (auto ok = write_all_at(file->descriptor(), seen_magic.size(), box, path); !ok)
    return ok;
  return file->commit(seen_magic.size() + box.size());
}

result<std::optional<seen_state>> read_seen(const std::string& path, const aead_key& key) {
  auto file = open_if_there(path);
  if (!file)
    return fail(file.error());
  if (!*file)
    return std::optional<seen_state>();
  std::array<std::byte, max_seen_bytes> raw;
  auto n = ::pread(file->get(), raw.data(), raw.size(), 0);
  if (n < 0)
    return fail(errno_error(errno, "reading " + path));
  auto content = byte_view(raw).first(static_cast<std::size_t>(n));
  auto associated = std::as_bytes(std::span(seen_magic));
  if (content.size() < seen_magic.size() || std::memcmp(content.data(), seen_magic.data(), seen_magic.size()) != 0)
    return damaged(path, "it does not begin as such a file");
  auto plain = open_box(key, associated, content.subspan(seen_magic.size()));
  if (!plain)
    return damaged(path, "it is not authentic");
  cbor_reader r(*plain, errc::index_corrupt, "a seen file");
  seen_state seen;
  r.array_of(6, "seen");
  seen.root_counter = r.uint("root counter", max_number);
  r.fixed(seen.root_hash, "root hash");
  seen.sequence = r.uint("sequence", max_number);
  r.fixed(seen.last_commit, "last commit");
  seen.cached_sequence = r.uint("cached sequence", seen.sequence);
  r.fixed(seen.cached_commit, "cached commit");
  if (auto done = r.finish(); !done)
    return damaged(path, done.error().message);
  return seen;
}

// -- cache ---------------------------------------------------------------------------------------------------------------

result<void> write_cache(const std::string& path, const aead_key& key, cache_summary summary,
                         const std::function<std::optional<snapshot_part>()>& next) {
  auto file = replacement_file::create(path, 0600);
  if (!file)
    return fail(file.error());
  std::array<std::byte, front_bytes> front;
  std::memcpy(front.data(), cache_magic.data(), cache_magic.size());
  const auto file_id = byte_span(front).subspan(cache_magic.size());
  random_fill(file_id);
  if (auto ok = write_all_at(file->descriptor(), 0, front, path); !ok)
    return ok;
  std::uint64_t offset = front_bytes;
  summary.frames.clear();
  while (auto part = next()) {
    auto box = seal_box(key, frame_place(file_id, summary.frames.size()), encode(*part));
    if (auto ok = write_all_at(file->descriptor(), offset, box, path); !ok)
      return ok;
    summary.frames.push_back({offset, box.size()});
    offset += box.size();
  }
  auto box = seal_box(key, frame_place(file_id, summary_number), encode_summary(summary));
  if (auto ok = write_all_at(file->descriptor(), offset, box, path); !ok)
    return ok;
  offset += box.size();
  const std::uint64_t length = box.size();
  if (auto ok = write_all_at(file->descriptor(), offset, std::as_bytes(std::span(&length, 1)), path); !ok)
    return ok;
  return file->commit(offset + back_bytes);
}

cache_reader::~cache_reader() {
  if (descriptor_ >= 0)
    ::close(descriptor_);
}

result<std::unique_ptr<cache_reader>> cache_reader::open(const std::string& path, const aead_key& key) {
  auto file = open_if_there(path);
  if (!file)
    return fail(file.error());
  if (!*file)
    return std::unique_ptr<cache_reader>();
  struct stat facts {};
  if (::fstat(file->get(), &facts) != 0)
    return fail(errno_error(errno, "looking at " + path));
  std::unique_ptr<cache_reader> reader(new cache_reader);
  reader->path_ = path;
  reader->key_ = key;
  reader->descriptor_ = file->release();
  reader->file_size_ = static_cast<std::uint64_t>(facts.st_size);
  if (reader->file_size_ < front_bytes + box_overhead_bytes + back_bytes)
    return damaged(path, "it is too short");
  std::array<std::byte, front_bytes> front;
  std::uint64_t length = 0;
  if (auto ok = read_all_at(reader->descriptor_, 0, front, path); !ok)
    return fail(ok.error());
  if (std::memcmp(front.data(), cache_magic.data(), cache_magic.size()) != 0)
    return damaged(path, "it does not begin as such a file");
  std::memcpy(reader->file_id_.data(), front.data() + cache_magic.size(), file_id_bytes);
  if (auto ok = read_all_at(reader->descriptor_, reader->file_size_ - back_bytes,
                            std::as_writable_bytes(std::span(&length, 1)), path);
      !ok)
    return fail(ok.error());
  if (length > reader->file_size_ - front_bytes - back_bytes || length > 16 * max_frames)
    return damaged(path, "its summary has an impossible length");
  buffer box(length);
  const auto summary_at = reader->file_size_ - back_bytes - length;
  if (auto ok = read_all_at(reader->descriptor_, summary_at, box.span(), path); !ok)
    return fail(ok.error());
  auto plain = open_box(key, frame_place(reader->file_id_, summary_number), box.span());
  if (!plain)
    return damaged(path, "its summary is not authentic");
  auto summary = decode_summary(*plain);
  if (!summary)
    return damaged(path, summary.error().message);
  if ((summary->frames.empty() ? front_bytes : summary->frames.back().offset + summary->frames.back().size) != summary_at)
    return damaged(path, "its parts do not fill it");
  reader->summary_ = std::move(*summary);
  return reader;
}

result<snapshot_part> cache_reader::read_part(std::size_t frame) const {
  const auto& place = summary_.frames.at(frame);
  buffer box(place.size);
  if (auto ok = read_all_at(descriptor_, place.offset, box.span(), path_); !ok)
    return fail(ok.error());
  auto plain = open_box(key_, frame_place(file_id_, frame), box.span());
  if (!plain)
    return damaged(path_, "part " + std::to_string(frame) + " is not authentic");
  auto part = decode_snapshot_part(*plain);
  if (!part)
    return damaged(path_, part.error().message);
  return part;
}

}  // namespace mutant
