// Secrets stay out of core files and of forked children: asked of the kernel, not of the code.
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <fstream>
#include <sstream>

#include "core/bytes.hpp"
#include "core/crypto.hpp"
#include "core/secret_memory.hpp"

using namespace mutant;

namespace {

// The VmFlags of the mapping that has this address: "rd wr mr mw me dd wf".
std::string flags_of(const void* address) {
  std::ifstream maps("/proc/self/smaps");
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  auto inside = false;
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t first = 0, last = 0;
    char dash = 0;
    std::istringstream words(line);
    if (words >> std::hex >> first >> dash >> last && dash == '-')
      inside = first <= at && at < last;
    else if (inside && line.starts_with("VmFlags:"))
      return line + " ";
  }
  return {};
}

bool has_flag(const void* address, const std::string& flag) {
  return flags_of(address).find(" " + flag + " ") != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(secret_memory)

BOOST_AUTO_TEST_CASE(a_keyring_is_in_no_core_file_and_in_no_child) {
  BOOST_REQUIRE(init_crypto().has_value());
  seed owner;
  random_fill(owner.value);
  const auto keys = make_secret<keyring>(owner);
  BOOST_TEST(has_flag(keys.get(), "dd"), flags_of(keys.get()));   // do not dump
  BOOST_TEST(has_flag(keys.get(), "wf"), flags_of(keys.get()));   // wipe on fork
  BOOST_TEST(keys->owner_name() == keyring(owner).owner_name());
  const auto child = ::fork();
  if (child == 0) {
    const auto* bytes_there = reinterpret_cast<const volatile unsigned char*>(keys.get());
    unsigned any = 0;
    for (std::size_t i = 0; i < sizeof(keyring); ++i)
      any |= bytes_there[i];
    ::_exit(any == 0 ? 0 : 1);
  }
  auto status = -1;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_TEST((WIFEXITED(status) && WEXITSTATUS(status) == 0), "the child could read the key");
}

BOOST_AUTO_TEST_CASE(what_a_chunk_is_opened_into_is_in_no_core_file) {
  for (int round = 0; round < 3; ++round) {  // also when it comes from the free list
    buffer plain(4 << 20);
    BOOST_TEST(has_flag(plain.data(), "dd"), flags_of(plain.data()));
    BOOST_TEST(has_flag(plain.data() + plain.size() - 1, "dd"));
  }
}

BOOST_AUTO_TEST_SUITE_END()
