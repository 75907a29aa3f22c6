#include "core/index/rules.hpp"

#include <algorithm>

#include "core/limits.hpp"

namespace mutant::rules {
namespace {

tl::unexpected<error> invalid(std::string message) {
  return fail(errc::invalid_argument, std::move(message));
}

std::string text(std::uint64_t number) {
  return std::to_string(number);
}

std::optional<std::uint64_t> find_duplicate_number(std::vector<std::uint64_t>&& numbers) {
  if (!std::is_sorted(numbers.begin(), numbers.end()))
    std::sort(numbers.begin(), numbers.end());
  auto at = std::adjacent_find(numbers.begin(), numbers.end());
  if (at == numbers.end())
    return std::nullopt;
  return *at;
}

}  // namespace

std::string quoted(std::string_view key) {
  constexpr std::size_t max_bytes = 64;
  constexpr char digits[] = "0123456789abcdef";
  std::string out = "'";
  for (char c : key.substr(0, max_bytes)) {
    auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f || c == '\\') {
      out += "\\x";
      out += digits[byte >> 4];
      out += digits[byte & 15];
    } else {
      out += c;
    }
  }
  out += key.size() > max_bytes ? "...'" : "'";
  return out;
}

result<void> check_key(std::string_view key) {
  if (key.empty())
    return invalid("a key must not be empty");
  if (key.size() > max_key_bytes)
    return invalid("key " + quoted(key) + " has " + text(key.size()) + " bytes, more than " + text(max_key_bytes));
  return {};
}

result<void> check_given_key(std::string_view key, bool reserved) {
  if (is_reserved(key) && !reserved)
    return invalid("keys that begin with a zero byte are reserved: " + quoted(key));
  return check_key(key);
}

result<void> check_ref(const pad_ref& ref) {
  if (ref.number >= max_number)
    return invalid("pad number " + text(ref.number) + " is out of range");
  if (ref.counter == 0 || ref.counter >= max_number)
    return invalid("counter " + text(ref.counter) + " of pad " + text(ref.number) + " is out of range");
  return {};
}

result<std::uint64_t> check_run(std::uint64_t chunks_before, std::uint64_t bytes_before, const chunk_list& chunks, bool kept) {
  auto bytes_done = bytes_before;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const auto& c = chunks[i];
    const auto name = [&] { return "chunk " + text(chunks_before + i); };
    if (c.length < min_chunk_bytes || c.length > max_chunk_bytes)
      return invalid(name() + " has " + text(c.length) + " bytes, not 1 to " + text(max_chunk_bytes));
    if (c.inherited() && !kept)
      return invalid(name() + " has no pad");
    if (c.inherited() && (c.address != pad_address{} || c.encoding != chunk_encoding::plain))
      return invalid(name() + " is kept, and yet says where it lies");
    if (!c.inherited())
      if (auto ok = check_ref(c.pad); !ok)
        return fail(std::move(ok.error()));
    bytes_done += c.length;  // at most 4 MiB above a number below max_number: this cannot wrap
    if (bytes_done >= max_number)
      return invalid("the value is too large: chunk " + text(chunks_before + i) + " ends at byte " + text(bytes_done));
  }
  return bytes_done;
}

result<void> check_value(const entry& value) {
  if (auto ok = check_attributes(value.attributes); !ok)
    return ok;
  if (value.chunk_count() == 0) {
    if (value.inline_value.size() > max_inline_bytes)
      return invalid("an inline value has " + text(value.inline_value.size()) + " bytes, more than "
                     + text(max_inline_bytes));
    if (value.inline_value.size() != value.size)
      return invalid("a value of " + text(value.size) + " bytes holds " + text(value.inline_value.size()));
    return {};
  }
  if (!value.inline_value.empty())
    return invalid("a value has both chunks and inline bytes");
  auto bytes_done = check_run(0, 0, *value.chunks, false);
  if (!bytes_done)
    return fail(std::move(bytes_done.error()));
  if (*bytes_done != value.size)
    return invalid("a value of " + text(value.size) + " bytes has chunks for " + text(*bytes_done));
  return {};
}

result<void> check_upload_head(const upload& u) {
  if (u.chunk_size < min_chunk_bytes || u.chunk_size > max_chunk_bytes)
    return invalid("chunk size " + text(u.chunk_size) + " is not between 1 and " + text(max_chunk_bytes));
  if (u.size && *u.size >= max_number)
    return invalid("the value is too large");
  if (u.base_version >= max_number)
    return invalid("base version " + text(u.base_version) + " is out of range");
  if (u.size && u.bytes_done > *u.size)
    return invalid("an upload of " + text(*u.size) + " bytes has chunks for " + text(u.bytes_done));
  return {};
}

result<void> check_version(std::uint64_t version, std::uint64_t wanted) {
  if (version == wanted)
    return {};
  if (wanted == 0)
    return fail(errc::key_exists, "the key is there already, at version " + text(version));
  return fail(errc::version_mismatch, "the key is " + (version == 0 ? std::string("not there") : "at version " + text(version))
                                          + "; version " + text(wanted) + " was asked for");
}

std::optional<std::uint64_t> find_duplicate(const chunk_list& chunks) {
  std::vector<std::uint64_t> numbers;
  numbers.reserve(chunks.size());
  for (const auto& c : chunks)
    if (!c.inherited())
      numbers.push_back(c.pad.number);
  return find_duplicate_number(std::move(numbers));
}

std::optional<std::uint64_t> find_duplicate(const std::vector<pad_ref>& pads) {
  std::vector<std::uint64_t> numbers;
  numbers.reserve(pads.size());
  for (const auto& p : pads)
    numbers.push_back(p.number);
  return find_duplicate_number(std::move(numbers));
}

}  // namespace mutant::rules
