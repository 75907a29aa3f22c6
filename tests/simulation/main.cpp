// The runner of the simulations. The other files include <boost/test/unit_test.hpp> and nothing else of Boost.Test.
#define BOOST_TEST_MODULE mutant_simulation
#include <boost/test/unit_test.hpp>
