// What tests of a pad store ask it for, one request at a time.
#pragma once

#include "tests/actors/fixture.hpp"

namespace mutant::testing {

struct pad_store_fixture : fixture {
  bytes record(std::uint64_t pad, std::uint64_t counter, std::size_t size = 1000, unsigned content = 0) {
    std::vector<std::byte> plain(size, static_cast<std::byte>(content));
    return seal_private(keys->data(pad), counter, plain);
  }
  answer_ptr<done> put(const bytes& r) { return ask<done>(handle, put_atom_v, r); }
  answer_ptr<bytes> get(std::uint64_t pad) { return ask<bytes>(handle, get_atom_v, pad_query{data_pad(pad)}); }
  answer_ptr<done> erase(std::uint64_t pad, std::uint64_t counter) {
    return ask<done>(handle, erase_atom_v, seal_blank(keys->data(pad), counter));
  }
  template <class T>
  static void check_failed(const answer_ptr<T>& a, errc code, std::uint64_t detail = 0) {
    BOOST_REQUIRE(a->failure);
    BOOST_CHECK_EQUAL(name_of(a->failure->code), name_of(code));
    BOOST_CHECK_EQUAL(a->failure->detail, detail);
  }

  pad_store_actor handle;   // of the store under test; who derives makes it
};

}  // namespace mutant::testing
