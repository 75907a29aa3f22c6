// The runner of the core tests. The other files include <boost/test/unit_test.hpp> and nothing else of Boost.Test.
#define BOOST_TEST_MODULE mutant_core
#include <boost/test/unit_test.hpp>
