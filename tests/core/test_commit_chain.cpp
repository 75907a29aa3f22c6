#include <boost/test/unit_test.hpp>

#include "core/index/commit_chain.hpp"

using namespace mutant;

namespace {

content_hash hash(unsigned n) {
  content_hash out{};
  out[0] = static_cast<std::byte>(n);
  return out;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(commit_chain_of_hashes)

BOOST_AUTO_TEST_CASE(a_chain_begins_with_the_commit_before_the_first) {
  commit_chain chain;
  BOOST_TEST(chain.sequence() == 0u);
  BOOST_TEST((chain.last() == content_hash{}));
  chain.add(hash(1));
  BOOST_TEST(chain.sequence() == 1u);
  BOOST_TEST((chain.at(0) == content_hash{}));
  BOOST_TEST((chain.at(1) == hash(1)));
  BOOST_TEST(!chain.at(2));
}

BOOST_AUTO_TEST_CASE(a_chain_knows_what_it_was_told_and_has_not_forgotten) {
  commit_chain chain(40, hash(40));
  for (unsigned n = 41; n <= 50; ++n)
    chain.add(hash(n));
  chain.forget_before(45);
  for (std::uint64_t n = 0; n < 60; ++n) {
    BOOST_TEST(chain.at(n).has_value() == (n >= 45 && n <= 50), n);
    if (chain.at(n))
      BOOST_TEST((*chain.at(n) == hash(static_cast<unsigned>(n))));
  }
  BOOST_TEST(chain.first() == 45u);
  BOOST_TEST((chain.last() == hash(50)));
}

BOOST_AUTO_TEST_CASE(the_last_commit_is_never_forgotten) {
  commit_chain chain(7, hash(7));
  chain.add(hash(8));
  chain.forget_before(100);
  BOOST_TEST(chain.sequence() == 8u);
  BOOST_TEST((chain.last() == hash(8)));
}

BOOST_AUTO_TEST_SUITE_END()
