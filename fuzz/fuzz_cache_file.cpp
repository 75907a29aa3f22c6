// Cache and seen files. An input is such a file as it is (it begins with the magic of one), or what stands inside: a u16 with
// the length of a summary, the summary, and a snapshot part, which are sealed here, so that what is behind the seal is reached.
// No file is ever taken for another; one that is refused has a reason; what is accepted is bounded by the file.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/index/cache_file.hpp"
#include "core/limits.hpp"

using namespace mutant;

namespace {

void check(bool holds) {
  if (!holds)
    std::abort();
}

// Of the vectors in docs/format.md, so that they open.
const aead_key& key() {
  static const aead_key made = [] {
    check(init_crypto().has_value());
    seed owner;
    for (std::size_t i = 0; i < owner.value.size(); ++i)
      owner.value[i] = static_cast<std::byte>(i);
    return keyring(owner).cache_key();
  }();
  return made;
}

class memory_file {
 public:
  explicit memory_file(byte_view content) : descriptor_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    check(descriptor_ >= 0);
    check(::write(descriptor_, content.data(), content.size()) == static_cast<ssize_t>(content.size()));
  }
  memory_file(const memory_file&) = delete;
  memory_file& operator=(const memory_file&) = delete;
  ~memory_file() { ::close(descriptor_); }
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

void read_both(byte_view content) {
  const memory_file file(content);
  auto seen = read_seen(file.path(), key());
  check(seen ? seen->has_value() : seen.error().code == errc::index_corrupt);
  auto cache = cache_reader::open(file.path(), key());
  check(cache ? *cache != nullptr : cache.error().code == errc::index_corrupt);
  check(!seen || !cache);
  if (!cache)
    return;
  const auto& frames = (*cache)->summary().frames;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    check(frames[i].offset + frames[i].size <= content.size());
    auto part = (*cache)->read_part(i);
    check(part || part.error().code == errc::index_corrupt);
  }
}

using text = std::vector<std::byte>;

void append(text& to, byte_view what) { to.insert(to.end(), what.begin(), what.end()); }

text sealed(byte_view associated, byte_view plain) {
  text box(nonce_bytes + plain.size() + tag_bytes);
  std::copy(plain.begin(), plain.end(), box.begin() + nonce_bytes);
  const byte_span all(box);
  encrypt_in_place(key(), byte_view(all).first<nonce_bytes>(), associated, all.subspan(nonce_bytes, plain.size()),
                   all.last<tag_bytes>());
  return box;
}

byte_view bytes_of(const std::uint64_t& number) { return std::as_bytes(std::span(&number, 1)); }

text front_and(byte_view front, std::uint64_t number) {
  text place(front.begin(), front.end());
  append(place, bytes_of(number));
  return place;
}

text cache_of(byte_view summary, byte_view part) {
  text file(24);  // magic, file id
  std::memcpy(file.data(), "MUTCACH1", 8);
  const auto front = file;
  append(file, sealed(front_and(front, 0), part));
  const auto box = sealed(front_and(front, ~std::uint64_t{0}), summary);
  append(file, box);
  append(file, bytes_of(box.size()));
  return file;
}

text seen_of(byte_view plain) {
  text file(8);
  std::memcpy(file.data(), "MUTSEEN1", 8);
  const auto magic = file;
  append(file, sealed(magic, plain));
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  byte_view input(reinterpret_cast<const std::byte*>(data), size);
  if (as_text(input).starts_with("MUT")) {
    read_both(input);
    return 0;
  }
  if (size < 2)
    return 0;
  const auto length = std::min<std::size_t>(data[0] | data[1] << 8, size - 2);
  const auto summary = input.subspan(2, length);
  read_both(seen_of(summary));
  read_both(cache_of(summary, input.subspan(2 + length)));
  return 0;
}
