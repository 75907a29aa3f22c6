#include "actors/workers/crypto_worker.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "core/files.hpp"
#include "core/index/codec.hpp"
#include "core/index/part_table.hpp"
#include "core/index/ring.hpp"

namespace mutant {

namespace {

using self_pointer = crypto_worker_actor::stateful_pointer<crypto_worker_state>;

result<void> read_source(const file_slice& from, byte_span out) {
  auto filled = read_all_at(from.file->descriptor(), from.offset, out, "the source file");
  if (!filled)
    return fail(filled.error().code, filled.error().message + "; nothing was stored, put it again");
  return filled;
}

// What lies in a hole is zeros, and need not be read to be known.
result<void> read_sparse_source(file_slice from, byte_span out) {
  const auto hole = leading_hole_bytes(from.file->descriptor(), from.offset, out.size());
  std::memset(out.data(), 0, hole);
  from.offset += hole;
  return read_source(from, out.subspan(hole));
}

bool is_hole(const chunk_input& input, std::uint32_t length) {
  const auto* from = std::get_if<file_slice>(&input);
  return from != nullptr && length > 0 && leading_hole_bytes(from->file->descriptor(), from->offset, length) == length;
}

result<void> fill(const chunk_input& input, byte_span out) {
  const auto* plain = std::get_if<bytes>(&input);
  if (plain == nullptr)
    return read_sparse_source(std::get<file_slice>(input), out);
  if (plain->size() != out.size())
    return fail(errc::invalid_argument, "a chunk's length differs from its bytes");
  std::memcpy(out.data(), plain->data(), out.size());
  return {};
}

error cannot_be_opened(const std::string& what, const error& why) {
  return {errc::index_corrupt, what + " cannot be opened: " + why.message
                                   + ". Nothing was written. Restore the store from a copy, or look at the medium before "
                                     "anything else"};
}

// A record that must hold index data: hash and signature are verified, too, for what they say decides which history it is of.
// Whatever is wrong with its content is index_corrupt; another counter stays pad_conflict, because the reader acts on that.
struct authentic {
  bytes plain;
  content_hash hash;   // of the payload
};
result<authentic> open_index_pad(const reading_keys& keys, std::uint64_t counter, const bytes& record,
                                 const std::string& what) {
  const auto verified = verify_record(record);
  auto plain = verified ? open_private(keys, counter, record) : result<bytes>(fail(verified.error()));
  if (plain)
    return authentic{std::move(*plain), verified->hash};
  // Of this pad: another pad's counter says nothing.
  if (plain.error().code == errc::pad_conflict && verified->address == keys.address)
    return fail(errc::pad_conflict, what + ": " + plain.error().message, plain.error().detail);
  return fail(cannot_be_opened(what, plain.error()));
}

template <class T>
result<T> named(result<T> decoded, const std::string& what) {
  if (!decoded)
    return fail(decoded.error().code, what + ": " + decoded.error().message);
  return decoded;
}

error read_only() {
  return {errc::access_denied, "this identity can read and cannot write"};
}

// Records that are to be written: a reader has no keys for that.
template <class Job>
auto sealing(self_pointer self) {
  return [self](seal_atom, const Job& job) -> decltype(answer(self->state.seal(job))) {
    if (!self->state.options.keys->can_write())
      return to_caf(read_only());
    return answer(self->state.seal(job));
  };
}

template <class Job>
auto opening(self_pointer self) {
  return [self](open_atom, const Job& job) { return answer(self->state.open(job)); };
}

}  // namespace

pad_keys crypto_worker_state::keys_of(pad_space space, std::uint64_t number) const {
  switch (space) {
    case pad_space::root: return options.keys->root();
    case pad_space::log: return options.keys->log(number);
    case pad_space::part: return options.keys->part(number);
    case pad_space::data: break;
  }
  return options.keys->data(number);
}

const crypto_worker_state::zero_chunk& crypto_worker_state::zeros_of(std::uint32_t length) {
  if (zeros.length == length)
    return zeros;
  const std::vector<std::byte> content(length);
  zeros = {length, options.keys->fingerprint_of(content), {}};
  if (is_worth_compressing(options.compress, content)) {
    buffer frame(frame_room(length));
    if (const auto size = compress_chunk(options.compress.level, content, frame.span()))
      zeros.frame = bytes::copy_of(byte_view(frame.span()).first(*size));
  }
  return zeros;
}

result<sealed_chunk> crypto_worker_state::seal(const seal_chunk_job& job) {
  if (job.length == 0 || job.length > max_chunk_bytes)
    return fail(errc::invalid_argument, "a chunk of " + std::to_string(job.length) + " bytes cannot be sealed");
  const auto from_hole = is_hole(job.input, job.length) && !zeros_of(job.length).frame.empty();
  private_record record(from_hole ? zeros.frame.size() : job.length);
  sealed_chunk out;
  out.what.pad = job.pad;
  out.what.length = job.length;
  if (from_hole) {
    copy_bytes(zeros.frame, record.plaintext());
    out.what.print = zeros.print;
    out.what.encoding = chunk_encoding::zstd;
  } else {
    if (auto filled = fill(job.input, record.plaintext()); !filled)
      return fail(filled.error());
    out.what.print = options.keys->fingerprint_of(record.plaintext());
  }
  if (job.unless == out.what.print)
    return out;
  if (!from_hole && is_worth_compressing(options.compress, record.plaintext())) {
    private_record frame(frame_room(job.length));
    if (const auto size = compress_chunk(options.compress.level, record.plaintext(), frame.plaintext())) {
      frame.shrink(*size);
      record = std::move(frame);
      out.what.encoding = chunk_encoding::zstd;
    }
  }
  const auto keys = options.keys->data(job.pad.number);
  out.what.address = keys.address;
  out.record = std::move(record).seal(keys, job.pad.counter);
  return out;
}

result<sealed_list> crypto_worker_state::seal(const seal_list& jobs) {
  sealed_list out;
  out.reserve(jobs.size());
  for (const auto& job : jobs) {
    auto sealed = seal(job);
    if (!sealed)
      return fail(sealed.error());
    out.push_back(std::move(*sealed));
  }
  return out;
}

result<fingerprint> crypto_worker_state::compare(const compare_chunk_job& job) {
  if (const auto* plain = std::get_if<bytes>(&job.input))
    return options.keys->fingerprint_of(*plain);
  if (is_hole(job.input, job.length))
    return zeros_of(job.length).print;
  auto plain = buffer::for_record(job.length);
  if (auto filled = fill(job.input, plain.span()); !filled)
    return fail(filled.error());
  return options.keys->fingerprint_of(plain.span());
}

result<bytes> crypto_worker_state::open(const open_chunk_job& job) const {
  if (job.prove_writer)
    if (auto signed_by_owner = verify_record(job.record); !signed_by_owner)
      return fail(signed_by_owner.error());
  const auto size = plaintext_bytes_of(job.record);
  const auto keys = options.keys->data_at(job.what.address, job.what.pad.number);
  buffer plain(size);
  if (auto opened = open_private_into(keys, job.what.pad.counter, job.record, plain.span()); !opened)
    return fail(opened.error());
  if (job.what.encoding == chunk_encoding::zstd) {
    buffer content(job.what.length);
    if (auto decoded = decompress_chunk(plain.span(), content.span()); !decoded)
      return fail(decoded.error().code, "pad " + short_name(keys.address) + ": " + decoded.error().message);
    plain = std::move(content);
  }
  if (plain.size() != job.what.length || std::size_t{job.skip} + job.take > plain.size())
    return fail(errc::corrupt_record, "pad " + short_name(keys.address) + " holds " + std::to_string(plain.size())
                                          + " bytes where the index says " + std::to_string(job.what.length));
  // What the owner sealed for this pad and counter need not be what became part of the value: a put that was refused may have
  // left another content with the store.
  if (options.keys->fingerprint_of(plain.span()) != job.what.print)
    return fail(errc::corrupt_record, "pad " + short_name(keys.address)
                                          + " holds another content than the one that the index names");
  return std::move(plain).freeze().slice(job.skip, job.take);
}

result<address_list> crypto_worker_state::addresses(const address_job& job) const {
  if (job.space == pad_space::root)
    return address_list(job.numbers.size(), options.keys->root_at().address);
  if (!options.keys->can_write())
    return fail(read_only());
  address_list out;
  out.reserve(job.numbers.size());
  for (auto number : job.numbers)
    out.push_back(keys_of(job.space, number).address);
  return out;
}

result<bytes> crypto_worker_state::seal(const seal_commit_job& job) const {
  auto plain = encode(*job.what);
  if (plain.size() > max_plaintext_bytes)
    return fail(errc::too_large, "a commit of " + std::to_string(plain.size()) + " bytes does not fit one pad");
  return seal_private(options.keys->log(slot_of(job.what->sequence, job.ring_slots)),
                      counter_of(job.what->sequence, job.ring_slots), plain);
}

result<sealed_part> crypto_worker_state::seal(const seal_part_job& job) const {
  return seal_part(options.keys->part(job.number), job.number, *job.what);
}

result<bytes> crypto_worker_state::seal(const seal_root_job& job) const {
  auto plain = encode(*job.what);
  if (plain.size() > max_plaintext_bytes)
    return fail(errc::too_large, "the index root of " + std::to_string(plain.size()) + " bytes does not fit one pad");
  // All depends on it: nothing is written that could not be read again.
  if (auto readable = decode_root(plain); !readable)
    return fail(errc::invalid_argument, "an index root that could not be read again: " + readable.error().message);
  return seal_private(options.keys->root(), job.counter, plain);
}

result<record_list> crypto_worker_state::seal(const seal_blank_job& job) const {
  record_list out;
  out.reserve(job.pads.size());
  for (const auto& pad : job.pads)
    out.push_back(seal_blank(keys_of(job.space, pad.number), pad.counter));
  return out;
}

result<opened_commit> crypto_worker_state::open(const open_commit_job& job) const {
  const auto slot = slot_of(job.sequence, job.ring_slots);
  const auto what = "commit " + std::to_string(job.sequence) + " in log slot " + std::to_string(slot);
  if (job.address == pad_address{} && !options.keys->can_write())
    return fail(read_only());
  const reading_keys keys = job.address == pad_address{} ? reading_keys(options.keys->log(slot))
                                                         : options.keys->log_at(job.address, slot);
  auto plain = open_index_pad(keys, counter_of(job.sequence, job.ring_slots), job.record, what);
  if (!plain)
    return fail(plain.error());
  auto decoded = named(decode_commit(plain->plain), what);
  if (!decoded)
    return fail(decoded.error());
  if (decoded->sequence != job.sequence)
    return fail(errc::index_corrupt, what + " says it is commit " + std::to_string(decoded->sequence));
  return opened_commit{std::make_shared<const commit>(std::move(*decoded)), plain->hash};
}

result<opened_part> crypto_worker_state::open(const open_part_job& job) const {
  const auto what = "index snapshot part " + std::to_string(job.what.pad.number);
  const auto keys = options.keys->part_at(job.what.address, job.what.pad.number);
  auto part = open_part(keys, job.what, job.record);
  if (part)
    return std::make_shared<snapshot_part>(std::move(*part));
  if (part.error().code == errc::pad_conflict || part.error().code == errc::unsupported)
    return fail(part.error().code, what + ": " + part.error().message, part.error().detail);
  return fail(cannot_be_opened(what, part.error()));
}

result<opened_root> crypto_worker_state::open(const open_root_job& job) const {
  const auto header = parse_header(job.record);
  if (!header && header.error().code == errc::unsupported)
    return fail(errc::unsupported, "the index root: " + header.error().message);
  if (!header)
    return fail(errc::index_corrupt, "the index root is damaged: " + header.error().message
                                         + ". Nothing was written. Restore the store from a copy");
  auto plain = open_index_pad(options.keys->root_at(), header->counter, job.record, "the index root");
  if (!plain)
    return fail(errc::index_corrupt, plain.error().message);
  auto decoded = named(decode_root(plain->plain), "the index root");
  if (!decoded)
    return fail(decoded.error());
  return opened_root{std::move(*decoded), header->counter, plain->hash};
}

result<opened_cache> crypto_worker_state::open(const open_cache_job& job) const {
  const auto key = options.keys->cache_key();
  auto seen = read_seen(job.path + ".seen", key);
  if (!seen)
    return fail(seen.error());
  // What is damaged or cannot be read there is read from the store.
  auto state = cache_reader::open(job.path + ".cache", key);
  return opened_cache{*seen, state ? std::move(*state) : nullptr};
}

result<opened_part> crypto_worker_state::open(const read_cache_job& job) const {
  auto part = job.state->read_part(job.frame);
  if (!part)
    return fail(part.error());
  return std::make_shared<snapshot_part>(std::move(*part));
}

result<done> crypto_worker_state::seal(const save_cache_job& job) const {
  const auto key = options.keys->cache_key();
  if (job.state) {
    part_cutter cutter(*job.state);
    if (auto written = write_cache(job.path + ".cache", key, job.summary, [&] { return cutter.next(); }); !written)
      return fail(written.error());
  }
  if (!job.seen)
    return done{};
  // Another process of this home may have seen more meanwhile, and that must not be forgotten.
  if (auto known = read_seen(job.path + ".seen", key);
      !job.may_go_back && known && *known && (*known)->sequence > job.seen->sequence)
    return done{};
  if (auto written = write_seen(job.path + ".seen", key, *job.seen); !written)
    return fail(written.error());
  return done{};
}

result<done> crypto_worker_state::note(const note_damage_job& job) const {
  if (auto noted = note_damaged(job.path + ".damaged", options.keys->cache_key(), job.pads); !noted)
    return fail(noted.error());
  return done{};
}

result<damaged_pads> crypto_worker_state::open(const read_damage_job& job) const {
  auto pads = read_damaged(job.path + ".damaged", options.keys->cache_key());
  if (!pads)
    return fail(pads.error());
  return std::make_shared<const std::set<pad_ref>>(std::move(*pads));
}

crypto_worker_actor::behavior_type crypto_worker(self_pointer self, crypto_worker_options options) {
  if (options.niceness > 0)
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), options.niceness);  // in the crypto worker's own thread
  self->state.options = std::move(options);
  return {
      sealing<seal_chunk_job>(self),
      sealing<seal_list>(self),
      [self](compare_atom, const compare_chunk_job& job) { return answer(self->state.compare(job)); },
      [](pull_atom, const read_job& job) -> caf::result<bytes> {
        buffer out(job.length);
        if (auto filled = read_source(job.from, out.span()); !filled)
          return to_caf(filled.error());
        return std::move(out).freeze();
      },
      opening<open_chunk_job>(self),
      [self](address_atom, const address_job& job) { return answer(self->state.addresses(job)); },
      sealing<seal_commit_job>(self),
      sealing<seal_part_job>(self),
      sealing<seal_root_job>(self),
      sealing<seal_blank_job>(self),
      opening<open_commit_job>(self),
      opening<open_part_job>(self),
      opening<open_root_job>(self),
      [](cut_atom, const cut_part_job& job) -> part_ptr {
        auto part = job.cutter->next();
        return part ? std::make_shared<const snapshot_part>(std::move(*part)) : nullptr;
      },
      [](cut_atom, const cut_delta_job& job) -> part_list {
        part_list out;
        for (auto& part : delta_parts(*job.changes, job.max_part_bytes))
          out.push_back(std::make_shared<const snapshot_part>(std::move(part)));
        return out;
      },
      [](drop_atom, drop_job& job) {
        job.what.reset();
        return done{};
      },
      opening<open_cache_job>(self),
      opening<read_cache_job>(self),
      [self](seal_atom, const save_cache_job& job) { return answer(self->state.seal(job)); },
      [self](note_atom, const note_damage_job& job) { return answer(self->state.note(job)); },
      opening<read_damage_job>(self),
  };
}

}  // namespace mutant
