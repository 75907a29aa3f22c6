// The runner of the load generator's tests. The other files include <boost/test/unit_test.hpp> and nothing else of Boost.Test.
#define BOOST_TEST_MODULE mutant_load
#include <boost/test/unit_test.hpp>
