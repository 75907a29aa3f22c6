// What a machine does not give is said beforehand. In children, whose limits are their own.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "core/resources.hpp"
#include "tests/core/test_engine_processes.hpp"

using namespace mutant;

namespace {

// Whether this holds in a child with that limit.
template <class F>
bool in_child(int resource, rlim_t limit, F holds) {
  const auto child = ::fork();
  if (child == 0) {
    const rlimit both{limit, limit};
    ::_exit(::setrlimit(static_cast<__rlimit_resource>(resource), &both) == 0 && holds() ? 0 : 1);
  }
  auto status = -1;
  return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool names(const result<void>& refused, std::string_view word) {
  return !refused && refused.error().code == errc::io_error && refused.error().message.find(word) != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(resources)

BOOST_AUTO_TEST_CASE(threads_that_can_be_had) {
  for (const auto count : {0, 1, 2, 40})
    BOOST_TEST(check_threads(static_cast<std::size_t>(count)).has_value());
}

BOOST_AUTO_TEST_CASE(threads_whose_stacks_do_not_fit_into_memory) {
  SKIP_UNLESS(!ENGINE_TEST_SANITIZED, "sanitizers need the address space themselves");
  BOOST_TEST(in_child(RLIMIT_AS, rlim_t{1} << 30, [] { return names(check_threads(4096), "4096 threads"); }));
}

BOOST_AUTO_TEST_CASE(descriptors_that_are_not_left) {
  BOOST_TEST(check_descriptors(10).has_value());
  BOOST_TEST(in_child(RLIMIT_NOFILE, 20, [] { return names(check_descriptors(20), "ulimit -n"); }));
  // They are given back.
  BOOST_TEST(in_child(RLIMIT_NOFILE, 40, [] {
    for (int i = 0; i < 100; ++i)
      if (!check_descriptors(10))
        return false;
    return true;
  }));
}

BOOST_AUTO_TEST_CASE(the_limit_of_descriptors_is_raised_as_far_as_it_may_be) {
  BOOST_TEST(in_child(RLIMIT_NOFILE, 100, [] { return raise_descriptor_limit(1000) == 100; }));
  BOOST_TEST(in_child(RLIMIT_NOFILE, 100, [] {
    const rlimit lower{50, 100};
    return ::setrlimit(RLIMIT_NOFILE, &lower) == 0 && raise_descriptor_limit(80) == 80;
  }));
}

BOOST_AUTO_TEST_SUITE_END()
